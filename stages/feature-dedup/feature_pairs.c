/*
 * feature_pairs.c: finds candidate pairs by their vectors, and verifies each of them on its pixels. Different
 * pictures of one kind may have vectors as near as those of copies. So a pair that cannot be verified (a file
 * is missing or flat) does not count.
 */
#include "feature_dedup.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parallel.h"
#include "image/decode_pool.h"

static void tell_progress(void *context, double share)
{
    struct progress *p = context;
    progress_update(p, (uint64_t)(share * 100), NULL);
}

/* --- candidates ------------------------------------------------------------------------------- */

static int find_candidates(struct feature_dedup *s, struct near_pairs *out, struct error *err)
{
    const struct dedup_options *o = &s->opt->dedup;
    int64_t distance = o->group_distance > o->distance && !o->check_leak ? o->group_distance : o->distance;
    size_t n = s->d.n_nodes;
    struct near_progress tell = {tell_progress, &s->d.progress};
    float *values = mem_alloc((n * s->n_values + 1) * sizeof *values, err);
    if (!values) return -1;
    for (size_t i = 0; i < n; i++)
        memcpy(values + i * s->n_values, s->vectors[i], s->n_values * sizeof *values);
    struct vector_join join = {.values = values,
                               .n = n,
                               .n_values = s->n_values,
                               .n_first = s->d.n_first ? s->d.n_first : n,
                               .wanted = s->d.n_first ? NEAR_FIRST_REST | NEAR_REST_REST : NEAR_ALL,
                               .max_distance = (uint32_t)distance,
                               .n_neighbours = (uint32_t)s->opt->neighbours,
                               .n_threads = stage_threads(&o->common),
                               .progress = &tell};
    progress_start(&s->d.progress, &o->common, 100, "% compared");
    int rc = vector_join_run(&join, out, err);
    progress_end(&s->d.progress);
    free(values);
    return rc;
}

/* --- small pictures --------------------------------------------------------------------------- */

static enum image_reason to_thumb(void *context, const struct image_info *info, struct image *image,
                                  struct image *scratch, uint8_t *result, size_t result_capacity,
                                  size_t *n_result, struct image_failure *failure)
{
    (void)context, (void)info, (void)scratch, (void)failure;
    if (result_capacity < sizeof(struct copy_thumb)) return IMAGE_DECODE_MEMORY;
    copy_thumb_make((struct copy_thumb *)(void *)result, image->pixels, image->width, image->height,
                    image->channels);
    *n_result = sizeof(struct copy_thumb);
    return IMAGE_OK;
}

struct thumbs {
    struct copy_thumb *items;
    uint32_t *of_node; /* DEDUP_NONE: not needed */
    size_t n;
};

static int take_thumb(struct feature_dedup *s, struct thumbs *t, struct decode_pool *pool, size_t *n_done,
                      struct error *err)
{
    struct decoded d;
    int got = decode_pool_take(pool, &d, err);
    if (got <= 0) return got;
    struct copy_thumb *to = &t->items[(size_t)(uintptr_t)d.token];
    if (d.reason == IMAGE_OK && d.n_result == sizeof *to) memcpy(to, d.result, sizeof *to);
    if (!copy_thumb_sound(to)) to->width = to->height = 0;
    s->n_unseen += d.reason != IMAGE_OK;
    progress_update(&s->d.progress, ++*n_done, NULL);
    return 1;
}

static int read_thumbs(struct feature_dedup *s, struct thumbs *t, struct error *err)
{
    struct decode_pool_options o = DECODE_POOL_DEFAULTS;
    struct decode_pool *pool = NULL;
    struct text path = TEXT_EMPTY;
    struct error refused;
    size_t n_done = 0;
    int rc = -1, got;
    o.decode.keep_gray = true;
    o.decode.allow_truncated = s->opt->allow_truncated;
    o.decode.shrink_to_px = COPY_SIDE;
    o.finish = to_thumb;
    o.result_bytes = sizeof(struct copy_thumb);
    o.threads = stage_threads(&s->opt->dedup.common);
    o.no_sandbox = s->opt->no_sandbox;
    if (picture_rules_apply(&s->opt->rules, &o.decode, err) || decode_pool_open(&pool, &o, err) ||
        !(t->items = mem_zalloc(t->n + 1, sizeof *t->items, err))) /* zeros: flat */
        goto out;
    progress_start(&s->d.progress, &s->opt->dedup.common, t->n, "pictures");
    for (size_t node = 0; node < s->d.n_nodes; node++) {
        if (t->of_node[node] == DEDUP_NONE) continue;
        text_clear(&path);
        refused = (struct error){0};
        if (path_join(&path, s->opt->dedup.common.root,
                      dedup_path(&s->d, s->d.node_rows[s->d.node_start[node]]),
                      s->opt->dedup.common.allow_outside, &refused)) {
            s->n_unseen++;
            continue;
        }
        while (decode_pool_full(pool))
            if (take_thumb(s, t, pool, &n_done, err) < 0) goto out;
        if (decode_pool_submit(pool, path.data, (void *)(uintptr_t)t->of_node[node], err)) goto out;
    }
    while ((got = take_thumb(s, t, pool, &n_done, err)) != 0)
        if (got < 0) goto out;
    rc = 0;
out:
    progress_end(&s->d.progress);
    text_release(&path);
    decode_pool_close(pool);
    return rc;
}

/* --- verification ----------------------------------------------------------------------------- */

enum { PIECE = 64 }; /* pairs that a worker takes at a time */

struct verification {
    const struct near_pairs *pairs;
    const struct thumbs *thumbs;
    struct copy_view **views; /* two of each worker */
    bool *same;
    atomic_size_t next, n_done;
    struct progress *progress;
};

static void verify_work(void *context, unsigned worker)
{
    struct verification *v = context;
    struct copy_view *a = v->views[2 * worker], *b = v->views[2 * worker + 1];
    for (size_t from; (from = atomic_fetch_add(&v->next, PIECE)) < v->pairs->n;) {
        uint32_t in_a = DEDUP_NONE;
        size_t end = from + PIECE < v->pairs->n ? from + PIECE : v->pairs->n;
        for (size_t i = from; i < end; i++) {
            const struct near_pair *p = &v->pairs->pairs[i];
            struct copy_match m;
            if (p->a != in_a) copy_view_make(a, &v->thumbs->items[v->thumbs->of_node[p->a]]);
            in_a = p->a;
            copy_view_make(b, &v->thumbs->items[v->thumbs->of_node[p->b]]);
            copy_check(a, b, &m);
            v->same[i] = m.same;
        }
        size_t done = atomic_fetch_add(&v->n_done, end - from) + end - from;
        if (!worker) progress_update(v->progress, done, NULL);
    }
}

static int verify(struct feature_dedup *s, const struct thumbs *t, const struct near_pairs *pairs, bool *same,
                  struct error *err)
{
    unsigned n_threads = stage_threads(&s->opt->dedup.common);
    struct verification v = {.pairs = pairs, .thumbs = t, .same = same, .progress = &s->d.progress};
    int rc = -1;
    if (!(v.views = mem_zalloc(2 * (size_t)n_threads, sizeof(struct copy_view *), err))) return -1;
    for (unsigned i = 0; i < 2 * n_threads; i++)
        if (!(v.views[i] = mem_alloc(copy_view_bytes(), err))) goto out;
    progress_start(&s->d.progress, &s->opt->dedup.common, pairs->n, "pairs verified");
    parallel_run(n_threads, verify_work, &v);
    progress_end(&s->d.progress);
    rc = 0;
out:
    for (unsigned i = 0; i < 2 * n_threads; i++)
        free(v.views[i]);
    free(v.views);
    return rc;
}

/* Keeps only the pairs that are copies by their pixels. */
static int keep_verified(struct feature_dedup *s, struct near_pairs *pairs, struct manifest_source *in,
                         struct manifest_source *against, struct error *err)
{
    struct thumbs t = {0};
    bool *same = NULL;
    size_t kept = 0;
    int rc = -1;
    if (!(t.of_node = mem_alloc((s->d.n_nodes + 1) * sizeof *t.of_node, err)) ||
        !(same = mem_zalloc(pairs->n + 1, sizeof *same, err)))
        goto out;
    memset(t.of_node, 0xff, s->d.n_nodes * sizeof *t.of_node);
    for (size_t i = 0; i < pairs->n; i++) {
        uint32_t two[2] = {pairs->pairs[i].a, pairs->pairs[i].b};
        for (int k = 0; k < 2; k++) {
            if (t.of_node[two[k]] != DEDUP_NONE) continue;
            t.of_node[two[k]] = (uint32_t)t.n++;
            s->d.rows[s->d.node_rows[s->d.node_start[two[k]]]].flags |= ROW_PATH;
        }
    }
    if (dedup_read_missing_paths(&s->d, in, against, err) || read_thumbs(s, &t, err) ||
        verify(s, &t, pairs, same, err))
        goto out;
    for (size_t i = 0; i < pairs->n; i++)
        if (same[i]) pairs->pairs[kept++] = pairs->pairs[i];
    pairs->n = kept;
    for (size_t i = 0; i < s->d.n_rows; i++) /* the path was needed only to open the picture */
        s->d.rows[i].flags &= (uint8_t)~ROW_PATH;
    rc = 0;
out:
    free(t.items);
    free(t.of_node);
    free(same);
    return rc;
}

int feature_find_pairs(struct feature_dedup *s, struct manifest_source *in, struct manifest_source *against,
                       struct error *err)
{
    struct near_pairs *pairs = &s->d.pairs;
    if (find_candidates(s, pairs, err)) return -1;
    s->n_candidates = pairs->n;
    return (pairs->n && keep_verified(s, pairs, in, against, err)) || dedup_make_lists(&s->d, err) ? -1 : 0;
}

/* --- the block list --------------------------------------------------------------------------- */

int feature_block(struct feature_dedup *s, struct error *err)
{
    struct vector_set list = VECTOR_SET_EMPTY;
    struct near_pairs found = NEAR_PAIRS_EMPTY;
    float *values = NULL;
    size_t d = s->n_values;
    int rc = -1;
    if (vector_set_read(&list, s->opt->dedup.blocklist, err)) return -1;
    if (strcmp(list.info.base, s->sets[0].info.base) || strcmp(list.info.fit, s->sets[0].info.fit) ||
        strcmp(list.info.pictures, s->sets[0].info.pictures)) {
        error_set(
            err, EX_DATAERR,
            "--blocklist '%s' was not made with the reduction of '%s': run embed over its pictures with "
            "--fit %s/reduce.fit",
            s->opt->dedup.blocklist, s->opt->features.items[0], s->opt->features.items[0]);
        goto out;
    }
    size_t n_list = list.info.n_rows, n = s->d.n_nodes;
    if (!(values = mem_alloc(((n_list + n) * d + 1) * sizeof *values, err))) goto out;
    if (n_list) memcpy(values, list.values, n_list * d * sizeof *values);
    for (size_t i = 0; i < n; i++)
        memcpy(values + (n_list + i) * d, s->vectors[i], d * sizeof *values);
    struct vector_join join = {.values = values,
                               .n = n_list + n,
                               .n_values = d,
                               .n_first = n_list,
                               .wanted = NEAR_FIRST_REST,
                               .max_distance = (uint32_t)s->opt->dedup.block_distance,
                               .n_threads = stage_threads(&s->opt->dedup.common)};
    if (vector_join_run(&join, &found, err)) goto out;
    for (size_t i = 0; i < found.n; i++) {
        char hex[XXH128_HEX_BYTES];
        struct xxh128 id;
        size_t node = found.pairs[i].b - n_list;
        memcpy(id.bytes, list.ids[found.pairs[i].a], sizeof id.bytes);
        xxh128_hex(hex, &id);
        for (uint32_t k = s->d.node_start[node]; k < s->d.node_start[node + 1]; k++)
            if (dedup_block_row(&s->d, s->d.node_rows[k], found.pairs[i].distance, "vector", hex, err))
                goto out;
    }
    dedup_sort_blocked(&s->d);
    rc = 0;
out:
    vector_set_release(&list);
    near_pairs_release(&found);
    free(values);
    return rc;
}
