/* vector_groups.c: computes star-shaped groups and neighbour distances from the pairs of a join. The time is
 * that of the join and of sorting its pairs. Memory is 12 bytes for each pair and 16 for each vector. */
#include "vector/vector_groups.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vector/vector_join.h"

/* The largest number of candidates for one star. A larger neighbourhood is divided into several groups
 * anyway. */
#define STAR_NEIGHBOURS 64

struct near_one {
    uint32_t distance, row;
};

/* The pairs of each row, from both of its ends: those of row i are at start[i] .. start[i + 1] - 1. */
struct near_lists {
    size_t *start;
    struct near_one *items;
};

static int nearest_first(const void *x, const void *y)
{
    const struct near_one *a = x, *b = y;
    if (a->distance != b->distance) return a->distance < b->distance ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

static void near_lists_release(struct near_lists *l)
{
    free(l->start);
    free(l->items);
}

static int near_lists_make(struct near_lists *l, const struct near_pairs *pairs, size_t n, struct error *err)
{
    size_t *next;
    if (!(l->start = mem_zalloc(n + 2, sizeof *l->start, err)) ||
        !(l->items = mem_alloc((2 * pairs->n + 1) * sizeof *l->items, err)))
        return -1;
    next = l->start + 1; /* while filling, the start of row i is at i + 1 */
    for (size_t i = 0; i < pairs->n; i++) {
        next[pairs->pairs[i].a + 1]++;
        next[pairs->pairs[i].b + 1]++;
    }
    for (size_t i = 1; i <= n; i++)
        next[i] += next[i - 1];
    for (size_t i = 0; i < pairs->n; i++) {
        const struct near_pair *p = &pairs->pairs[i];
        l->items[next[p->a]++] = (struct near_one){p->distance, p->b};
        l->items[next[p->b]++] = (struct near_one){p->distance, p->a};
    }
    for (size_t i = 0; i < n; i++)
        qsort(l->items + l->start[i], l->start[i + 1] - l->start[i], sizeof *l->items, nearest_first);
    return 0;
}

static int find_pairs(struct near_pairs *out, const float *values, size_t n, size_t n_values,
                      uint32_t max_distance, uint32_t n_neighbours, unsigned n_threads, struct error *err)
{
    const struct vector_join of = {.values = values,
                                   .n = n,
                                   .n_values = n_values,
                                   .n_first = n,
                                   .wanted = NEAR_ALL,
                                   .max_distance = max_distance,
                                   .n_neighbours = n_neighbours,
                                   .n_threads = n_threads};
    return vector_join_run(&of, out, err);
}

int vector_stars(const float *values, size_t n, size_t n_values, uint32_t max_distance, uint32_t most,
                 unsigned n_threads, uint32_t *group, struct error *err)
{
    struct near_pairs pairs = NEAR_PAIRS_EMPTY;
    struct near_lists l = {0};
    struct near_one *order = NULL; /* `distance` is what is left of n when its neighbours are taken away */
    uint32_t n_groups = 0, *number = NULL;
    int rc = -1;
    memset(group, 0, n * sizeof *group);
    if (find_pairs(&pairs, values, n, n_values, max_distance, STAR_NEIGHBOURS, n_threads, err) ||
        near_lists_make(&l, &pairs, n, err) || !(order = mem_alloc((n + 1) * sizeof *order, err)) ||
        !(number = mem_zalloc(n + 1, sizeof *number, err)))
        goto out;
    for (size_t i = 0; i < n; i++)
        order[i] = (struct near_one){UINT32_MAX - (uint32_t)(l.start[i + 1] - l.start[i]), (uint32_t)i};
    if (n) qsort(order, n, sizeof *order, nearest_first);
    for (size_t k = 0; k < n; k++) {
        uint32_t middle = order[k].row, in = 1;
        if (group[middle]) continue;
        for (size_t at = l.start[middle]; at < l.start[middle + 1] && in < most; at++) {
            uint32_t row = l.items[at].row;
            if (group[row]) continue;
            if (in == 1) group[middle] = ++n_groups;
            group[row] = n_groups;
            in++;
        }
    }
    n_groups = 0;
    for (size_t i = 0; i < n; i++) {
        if (!group[i]) continue;
        if (!number[group[i]]) number[group[i]] = ++n_groups;
        group[i] = number[group[i]];
    }
    rc = 0;
out:
    near_pairs_release(&pairs);
    near_lists_release(&l);
    free(order);
    free(number);
    return rc;
}

int vector_pair_distances(const struct near_pairs *pairs, size_t n, uint32_t n_near, double *distance,
                          struct error *err)
{
    struct near_lists l = {0};
    int rc = near_lists_make(&l, pairs, n, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        double sum = 0;
        for (uint32_t k = 0; k < n_near; k++) {
            size_t at = l.start[i] + k;
            sum += at < l.start[i + 1] ? l.items[at].distance / 1000.0 : 1;
        }
        distance[i] = sum / n_near;
    }
    near_lists_release(&l);
    return rc;
}

int vector_neighbour_distances(const float *values, size_t n, size_t n_values, uint32_t n_near,
                               unsigned n_threads, double *distance, struct error *err)
{
    struct near_pairs pairs = NEAR_PAIRS_EMPTY;
    int rc = find_pairs(&pairs, values, n, n_values, VECTOR_MAX_DISTANCE, n_near, n_threads, err) ||
                     vector_pair_distances(&pairs, n, n_near, distance, err)
                 ? -1
                 : 0;
    near_pairs_release(&pairs);
    return rc;
}
