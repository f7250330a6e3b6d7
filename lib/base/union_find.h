/*
 * union_find.h: disjoint sets of the numbers 0 to n - 1, to find what chains of pairs connect. parent[i]
 * leads from i to the root of its set, and a root is its own parent. Two sets are joined by parent[root] =
 * other_root, so the caller decides which of the two roots stays. A search halves the path that it walks,
 * which keeps the paths short without ranks.
 */
#ifndef WINNOW_BASE_UNION_FIND_H
#define WINNOW_BASE_UNION_FIND_H

#include <stdint.h>

#include "base/mem.h"

/* Returns n sets of one number each, for free(), or NULL with err set (EX_OSERR). */
static inline uint32_t *union_find_start(size_t n, struct error *err)
{
    uint32_t *parent = mem_alloc((n + 1) * sizeof *parent, err);
    for (size_t i = 0; parent && i < n; i++)
        parent[i] = (uint32_t)i;
    return parent;
}

static inline uint32_t union_find_root(uint32_t *parent, uint32_t i)
{
    while (parent[i] != i)
        i = parent[i] = parent[parent[i]];
    return i;
}

#endif
