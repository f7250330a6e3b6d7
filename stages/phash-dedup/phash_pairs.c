/* phash_pairs.c: finds the near pairs. Rows with the same 256 bits form one node, and pairs are pairs of
 * nodes. */
#include "phash_dedup.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash_index.h"
#include "base/mem.h"
#include "hash/near_kept.h"

/* Whether the row takes part in the comparison; see phash_comparable. */
static bool compared(const struct phash_dedup *s, const struct dedup_row *r)
{
    return (r->flags & (ROW_HASHED | ROW_REJECTED)) == ROW_HASHED && r->quality >= s->opt->min_quality;
}

bool phash_comparable(const struct phash_dedup *s, uint32_t row) { return compared(s, &s->d.rows[row]); }

static uint64_t hash_of(const struct pdq_hash *h)
{
    return (h->word[0] ^ h->word[1] * 0x9e3779b97f4a7c15u) + (h->word[2] ^ h->word[3] * 0xc2b2ae3d27d4eb4fu);
}

/* Sets *out to the node with this hash, which becomes a new node when there is none. Returns 0, or -1 with
 * err set. */
static int find_node(struct phash_dedup *s, struct hash_index *index, const struct pdq_hash *pdq,
                     uint32_t *out, struct error *err)
{
    uint64_t hash = hash_of(pdq);
    for (struct hash_walk w = hash_walk(index, hash); hash_walk_next(index, &w, out);)
        if (!memcmp(&s->nodes[*out], pdq, sizeof *pdq)) return 0;
    if (mem_grow(&s->nodes, &s->nodes_capacity, s->d.n_nodes + 1, sizeof *s->nodes, err) ||
        hash_index_add(index, hash, s->d.n_nodes, err))
        return -1;
    s->nodes[s->d.n_nodes] = *pdq;
    *out = (uint32_t)s->d.n_nodes++;
    return 0;
}

/* Numbers the nodes in the order of their first rows, so that those of --against come first. */
static int make_nodes(struct phash_dedup *s, struct error *err)
{
    struct hash_index index = HASH_INDEX_EMPTY;
    int rc = 0;
    for (size_t i = 0; i < s->d.n_rows && rc == 0; i++) {
        struct dedup_row *r = &s->d.rows[i];
        if (i == s->d.n_against) s->d.n_first = s->d.n_nodes;
        if (compared(s, r)) {
            rc = find_node(s, &index, &s->pdqs[i], &r->node, err);
        } else {
            s->n_flat += (r->flags & ROW_HASHED) && r->quality < s->opt->min_quality;
        }
    }
    hash_index_release(&index);
    if (rc) return -1;
    if (s->d.n_against == s->d.n_rows) s->d.n_first = s->d.n_nodes;
    return dedup_index_nodes(&s->d, err);
}

static int compare_pairs(const void *a, const void *b)
{
    const struct near_pair *x = a, *y = b;
    if (x->a != y->a) return x->a < y->a ? -1 : 1;
    if (x->b != y->b) return x->b < y->b ? -1 : 1;
    return (x->distance > y->distance) - (x->distance < y->distance);
}

/* Finds rotated and mirrored copies: compares the hashes of the seven other orientations of every row with
 * all nodes, and adds the pairs to s->d.pairs. A picture and its mirror image are found twice, once from
 * each; the smaller distance counts. */
static int join_turned(struct phash_dedup *s, int distance, int radius, const struct near_progress *progress,
                       struct error *err)
{
    size_t n_turned = 0, bytes;
    struct near_pairs found = NEAR_PAIRS_EMPTY;
    uint32_t *row_of = NULL;
    struct pdq_hash *all = NULL;
    int rc = -1;
    for (size_t i = 0; i < s->d.n_rows; i++)
        n_turned += s->d.rows[i].node != DEDUP_NONE && (s->d.rows[i].flags & ROW_TURNED) ? N_TURNED : 0;
    if (!size_mul(s->d.n_nodes + n_turned + 1, sizeof *all, &bytes) || !(all = mem_alloc(bytes, err)) ||
        !(row_of = mem_alloc((n_turned + 1) * sizeof *row_of, err)))
        goto out;
    memcpy(all, s->nodes, s->d.n_nodes * sizeof *all);
    n_turned = 0;
    for (size_t i = 0; i < s->d.n_rows; i++)
        for (int t = 0; t < N_TURNED && s->d.rows[i].node != DEDUP_NONE && (s->d.rows[i].flags & ROW_TURNED);
             t++) {
            all[s->d.n_nodes + n_turned] = s->turned[i][t];
            row_of[n_turned++] = (uint32_t)i;
        }
    if (near_join(all, s->d.n_nodes + n_turned, s->d.n_nodes, NEAR_FIRST_REST, distance, radius,
                  stage_threads(&s->opt->dedup.common), progress, &found, err) ||
        mem_grow(&s->d.pairs.pairs, &s->d.pairs.capacity, s->d.pairs.n + found.n, sizeof *s->d.pairs.pairs,
                 err))
        goto out;
    for (size_t i = 0; i < found.n; i++) {
        uint32_t a = found.pairs[i].a, b = s->d.rows[row_of[found.pairs[i].b - s->d.n_nodes]].node;
        if (a != b && (a >= s->d.n_first || b >= s->d.n_first))
            s->d.pairs.pairs[s->d.pairs.n++] =
                (struct near_pair){a < b ? a : b, a < b ? b : a, found.pairs[i].distance};
    }
    if (s->d.pairs.n) qsort(s->d.pairs.pairs, s->d.pairs.n, sizeof *s->d.pairs.pairs, compare_pairs);
    size_t n = 0;
    /* a pair may be found several times; the smallest distance comes first */
    for (size_t i = 0; i < s->d.pairs.n; i++)
        if (n == 0 || s->d.pairs.pairs[n - 1].a != s->d.pairs.pairs[i].a ||
            s->d.pairs.pairs[n - 1].b != s->d.pairs.pairs[i].b)
            s->d.pairs.pairs[n++] = s->d.pairs.pairs[i];
    s->d.pairs.n = n;
    rc = 0;
out:
    near_pairs_release(&found);
    free(row_of);
    free(all);
    return rc;
}

static void tell_progress(void *context, double share)
{
    struct progress *p = context;
    progress_update(p, (uint64_t)(share * 100), NULL);
}

/* Compares only hashes that the last run did not have (hash/near_kept.c proves that this is enough). When the
 * file cannot be read or written, the run takes longer but does not fail. */
static int join_kept(struct phash_dedup *s, int distance, int radius, const struct near_progress *progress,
                     struct error *err)
{
    struct near_kept kept = NEAR_KEPT_EMPTY;
    struct error own = {0};
    size_t n_new = 0;
    if (near_kept_read(&kept, s->opt->near_pairs, distance, radius, &own)) {
        if (own.code == EX_OSERR) {
            *err = own;
            return -1;
        }
        stage_warn("all pictures are compared: %s", own.text);
    }
    int rc = near_kept_join(&kept, s->nodes, s->d.n_nodes, distance, radius,
                            stage_threads(&s->opt->dedup.common), progress, &s->d.pairs, &n_new, err);
    own = (struct error){0};
    if (rc == 0 && (n_new || kept.n != s->d.n_nodes) &&
        near_kept_write(s->opt->near_pairs, s->nodes, s->d.n_nodes, &s->d.pairs, distance, radius, &own))
        stage_warn("the next run compares all pictures: %s", own.text);
    if (rc == 0)
        stage_note(&s->opt->dedup.common, "%zu of %zu hashes are new and were compared", n_new, s->d.n_nodes);
    near_kept_release(&kept);
    return rc;
}

int phash_find_pairs(struct phash_dedup *s, struct error *err)
{
    struct near_progress tell = {tell_progress, &s->d.progress};
    int64_t distance = s->opt->dedup.group_distance > s->opt->dedup.distance && !s->opt->dedup.check_leak
                           ? s->opt->dedup.group_distance
                           : s->opt->dedup.distance;
    /* All pairs within --distance are found. Of those between it and --group-distance nearly all are
     * found, or all of them with --exact-groups. */
    int radius = s->opt->exact_groups || distance == s->opt->dedup.distance
                     ? NEAR_EXACT
                     : (int)(s->opt->dedup.distance > 31 ? s->opt->dedup.distance : 31) / 16;
    if (make_nodes(s, err)) return -1;
    progress_start(&s->d.progress, &s->opt->dedup.common, 100, "% compared");
    /* Pairs of two pictures of --against are not needed. */
    unsigned wanted = s->d.n_first ? NEAR_FIRST_REST | NEAR_REST_REST : NEAR_ALL;
    if ((s->opt->near_pairs ? join_kept(s, (int)distance, radius, &tell, err)
                            : near_join(s->nodes, s->d.n_nodes, s->d.n_first ? s->d.n_first : s->d.n_nodes,
                                        wanted, (int)distance, radius, stage_threads(&s->opt->dedup.common),
                                        &tell, &s->d.pairs, err)) ||
        (s->opt->dihedral && join_turned(s, (int)distance, radius, &tell, err)) ||
        dedup_make_lists(&s->d, err))
        return -1;
    progress_end(&s->d.progress);
    return 0;
}
