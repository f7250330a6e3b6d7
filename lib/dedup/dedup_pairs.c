/*
 * dedup_pairs.c: builds lists of nodes (groups of rows that are compared as one) and of their near pairs.
 */
#include "dedup/near_dedup.h"

#include <stdlib.h>

#include "base/mem.h"

int dedup_index_nodes(struct dedup *s, struct error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_rows; i++)
        n += s->rows[i].node != DEDUP_NONE;
    s->node_start = mem_zalloc(s->n_nodes + 2, sizeof *s->node_start, err);
    s->node_rows = mem_alloc((n + 1) * sizeof *s->node_rows, err);
    if (!s->node_start || !s->node_rows) return -1;
    /* A counting sort. The counts are stored two places ahead, so that after the second loop each entry is
     * the start of its node. */
    for (size_t i = 0; i < s->n_rows; i++)
        if (s->rows[i].node != DEDUP_NONE)
            s->node_start[s->rows[i].node + 2 <= s->n_nodes ? s->rows[i].node + 2 : s->n_nodes + 1]++;
    for (size_t i = 2; i <= s->n_nodes; i++)
        s->node_start[i] += s->node_start[i - 1];
    for (size_t i = 0; i < s->n_rows; i++)
        if (s->rows[i].node != DEDUP_NONE) s->node_rows[s->node_start[s->rows[i].node + 1]++] = (uint32_t)i;
    return 0;
}

/* Makes the list of neighbours within opt->distance of each node. */
int dedup_make_lists(struct dedup *s, struct error *err)
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
    for (size_t i = 0; i < s->n_nodes; i++)
        if (s->node_start[i + 1] - s->node_start[i] > 1 || s->adjacent_start[i + 1] > s->adjacent_start[i])
            for (uint32_t k = s->node_start[i]; k < s->node_start[i + 1]; k++)
                s->rows[s->node_rows[k]].flags |= ROW_PATH;
    return 0;
}
