/* phash_pairs.c: finds the near pairs. Rows with the same 256 bits form one
 * node, and pairs are pairs of nodes. */
#include "phash_dedup.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash_index.h"
#include "base/mem.h"

static bool compared(const struct phash_dedup *s, const struct row *r)
{
    return (r->flags & (ROW_HASHED | ROW_REJECTED)) == ROW_HASHED && r->quality >= s->opt->min_quality;
}

bool phash_comparable(const struct phash_dedup *s, uint32_t row) { return compared(s, &s->rows[row]); }

static uint64_t hash_of(const struct pdq_hash *h)
{
    return (h->word[0] ^ h->word[1] * 0x9e3779b97f4a7c15u) + (h->word[2] ^ h->word[3] * 0xc2b2ae3d27d4eb4fu);
}

static int find_node(struct phash_dedup *s, struct hash_index *index, const struct pdq_hash *pdq,
                     uint32_t *out, struct error *err)
{
    uint64_t hash = hash_of(pdq);
    for (struct hash_walk w = hash_walk(index, hash); hash_walk_next(index, &w, out);)
        if (!memcmp(&s->nodes[*out], pdq, sizeof *pdq)) return 0;
    if (mem_grow(&s->nodes, &s->nodes_capacity, s->n_nodes + 1, sizeof *s->nodes, err) ||
        hash_index_add(index, hash, s->n_nodes, err))
        return -1;
    s->nodes[s->n_nodes] = *pdq;
    *out = (uint32_t)s->n_nodes++;
    return 0;
}

/* Numbers the nodes in the order of their first rows, so that those of --against come first. */
static int make_nodes(struct phash_dedup *s, struct error *err)
{
    size_t n = 0;
    struct hash_index index = HASH_INDEX_EMPTY;
    int rc = 0;
    for (size_t i = 0; i < s->n_rows && rc == 0; i++) {
        struct row *r = &s->rows[i];
        if (i == s->n_against) s->n_first = s->n_nodes;
        if (compared(s, r)) {
            n++;
            rc = find_node(s, &index, &r->pdq, &r->node, err);
        } else {
            s->n_flat += (r->flags & ROW_HASHED) && r->quality < s->opt->min_quality;
        }
    }
    hash_index_release(&index);
    if (rc) return -1;
    if (s->n_against == s->n_rows) s->n_first = s->n_nodes;
    s->node_start = mem_zalloc(s->n_nodes + 2, sizeof *s->node_start, err);
    s->node_rows = mem_alloc((n + 1) * sizeof *s->node_rows, err);
    if (!s->node_start || !s->node_rows) return -1;
    /* A counting sort: the counts are stored two places ahead, so that the second
     * loop leaves the starts in place. */
    for (size_t i = 0; i < s->n_rows; i++)
        if (s->rows[i].node != NONE)
            s->node_start[s->rows[i].node + 2 <= s->n_nodes ? s->rows[i].node + 2 : s->n_nodes + 1]++;
    for (size_t i = 2; i <= s->n_nodes; i++)
        s->node_start[i] += s->node_start[i - 1];
    for (size_t i = 0; i < s->n_rows; i++)
        if (s->rows[i].node != NONE) s->node_rows[s->node_start[s->rows[i].node + 1]++] = (uint32_t)i;
    return 0;
}

static int compare_pairs(const void *a, const void *b)
{
    const struct near_pair *x = a, *y = b;
    if (x->a != y->a) return x->a < y->a ? -1 : 1;
    if (x->b != y->b) return x->b < y->b ? -1 : 1;
    return (x->distance > y->distance) - (x->distance < y->distance);
}

/* Turned copies: compares the seven other hashes of every row with all nodes. A picture and its mirror
 * image are found from both sides; the smaller distance counts. */
static int join_turned(struct phash_dedup *s, int distance, int radius, const struct near_progress *progress,
                       struct error *err)
{
    size_t n_turned = 0, bytes;
    struct near_pairs found = NEAR_PAIRS_EMPTY;
    uint32_t *row_of = NULL;
    struct pdq_hash *all = NULL;
    int rc = -1;
    for (size_t i = 0; i < s->n_rows; i++)
        n_turned += s->rows[i].node != NONE && (s->rows[i].flags & ROW_TURNED) ? N_TURNED : 0;
    if (!size_mul(s->n_nodes + n_turned + 1, sizeof *all, &bytes) || !(all = mem_alloc(bytes, err)) ||
        !(row_of = mem_alloc((n_turned + 1) * sizeof *row_of, err)))
        goto out;
    memcpy(all, s->nodes, s->n_nodes * sizeof *all);
    n_turned = 0;
    for (size_t i = 0; i < s->n_rows; i++)
        for (int t = 0; t < N_TURNED && s->rows[i].node != NONE && (s->rows[i].flags & ROW_TURNED); t++) {
            all[s->n_nodes + n_turned] = s->turned[i][t];
            row_of[n_turned++] = (uint32_t)i;
        }
    if (near_join(all, s->n_nodes + n_turned, s->n_nodes, NEAR_FIRST_REST, distance, radius,
                  stage_threads(&s->opt->common), progress, &found, err) ||
        mem_grow(&s->pairs.pairs, &s->pairs.capacity, s->pairs.n + found.n, sizeof *s->pairs.pairs, err))
        goto out;
    for (size_t i = 0; i < found.n; i++) {
        uint32_t a = found.pairs[i].a, b = s->rows[row_of[found.pairs[i].b - s->n_nodes]].node;
        if (a != b && (a >= s->n_first || b >= s->n_first))
            s->pairs.pairs[s->pairs.n++] =
                (struct near_pair){a < b ? a : b, a < b ? b : a, found.pairs[i].distance};
    }
    if (s->pairs.n) qsort(s->pairs.pairs, s->pairs.n, sizeof *s->pairs.pairs, compare_pairs);
    size_t n = 0;
    for (size_t i = 0; i < s->pairs.n; i++) /* the nearest of a pair's several meetings comes first */
        if (n == 0 || s->pairs.pairs[n - 1].a != s->pairs.pairs[i].a ||
            s->pairs.pairs[n - 1].b != s->pairs.pairs[i].b)
            s->pairs.pairs[n++] = s->pairs.pairs[i];
    s->pairs.n = n;
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

/* Makes the list of neighbours within opt->distance of each node. */
static int make_lists(struct phash_dedup *s, struct error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < s->pairs.n; i++)
        n += s->pairs.pairs[i].distance <= s->opt->distance;
    if (n > UINT32_MAX / 2 - 1)
        return error_set(err, EX_DATAERR,
                         "%zu pairs of near duplicates are more than can be held; use a smaller --distance",
                         n);
    s->adjacent_start = mem_zalloc(s->n_nodes + 2, sizeof *s->adjacent_start, err);
    s->adjacent = mem_alloc((2 * n + 1) * sizeof *s->adjacent, err);
    if (!s->adjacent_start || !s->adjacent) return -1;
    uint32_t *start = s->adjacent_start;
    for (int fill = 0; fill < 2; fill++) {
        for (size_t i = 0; i < s->pairs.n; i++) {
            const struct near_pair *p = &s->pairs.pairs[i];
            if (p->distance > s->opt->distance) continue;
            if (fill) {
                s->adjacent[start[p->a + 1]++] = (struct neighbour){p->b, p->distance};
                s->adjacent[start[p->b + 1]++] = (struct neighbour){p->a, p->distance};
            } else {
                /* Counted one place further than in a usual counting sort, so that filling the lists
                 * moves the starts to their places. */
                if (p->a + 2 <= s->n_nodes) start[p->a + 2]++;
                if (p->b + 2 <= s->n_nodes) start[p->b + 2]++;
            }
        }
        for (size_t i = 2; i <= s->n_nodes && !fill; i++)
            start[i] += start[i - 1];
    }
    return 0;
}

int phash_find_pairs(struct phash_dedup *s, struct error *err)
{
    struct near_progress tell = {tell_progress, &s->progress};
    int64_t distance = s->opt->group_distance > s->opt->distance && !s->opt->check_leak
                           ? s->opt->group_distance
                           : s->opt->distance;
    /* All pairs within --distance are found. Of those between it and --group-distance nearly all are
     * found, or all of them with --exact-groups. */
    int radius = s->opt->exact_groups || distance == s->opt->distance
                     ? NEAR_EXACT
                     : (int)(s->opt->distance > 31 ? s->opt->distance : 31) / 16;
    if (make_nodes(s, err)) return -1;
    progress_start(&s->progress, &s->opt->common, 100, "% compared");
    /* Pairs of two old pictures are not needed. */
    unsigned wanted = s->n_first ? NEAR_FIRST_REST | NEAR_REST_REST : NEAR_ALL;
    if (near_join(s->nodes, s->n_nodes, s->n_first ? s->n_first : s->n_nodes, wanted, (int)distance, radius,
                  stage_threads(&s->opt->common), &tell, &s->pairs, err) ||
        (s->opt->dihedral && join_turned(s, (int)distance, radius, &tell, err)) || make_lists(s, err))
        return -1;
    progress_end(&s->progress);
    for (size_t i = 0; i < s->n_nodes; i++)
        if (s->node_start[i + 1] - s->node_start[i] > 1 || s->adjacent_start[i + 1] > s->adjacent_start[i])
            for (uint32_t k = s->node_start[i]; k < s->node_start[i + 1]; k++)
                s->rows[s->node_rows[k]].flags |= ROW_PATH;
    return 0;
}
