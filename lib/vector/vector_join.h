/*
 * vector_join.h: finds all pairs of vectors with a large cosine, or the nearest neighbours of each vector.
 * The search is exact.
 */
#ifndef WINNOW_VECTOR_VECTOR_JOIN_H
#define WINNOW_VECTOR_VECTOR_JOIN_H

#include "hash/near_join.h"

/* The largest near_pair.distance, which is 1 - cosine in thousandths, rounded. */
#define VECTOR_MAX_DISTANCE 950

/* Returns the distance, in thousandths, of two vectors of length 1. */
uint32_t vector_distance(const float *a, const float *b, size_t n_values);

struct vector_join {
    const float *values; /* [n][n_values], each of length 1 or all 0 */
    size_t n, n_values;
    size_t n_first;        /* size of the first of two parts: see near_join.h */
    unsigned wanted;       /* enum near_wanted */
    uint32_t max_distance; /* 0..VECTOR_MAX_DISTANCE */
    /* 0: find every pair; otherwise only pairs in which one vector is among this many nearest neighbours of
     * the other */
    uint32_t n_neighbours;
    unsigned n_threads;
    const struct near_progress *progress; /* NULL: none */
};
/*
 * Appends the wanted pairs to *out, each once, in the order of (a, b). Equally distant neighbours are ordered
 * by their numbers, so the result depends only on the vectors. n must be below 2^32 - 1. Memory in addition
 * to the vectors: 2 bytes for each value, 8 for each neighbour, 12 for each pair. Returns 0, or -1 with err
 * set (EX_OSERR; EX_DATAERR over NEAR_MAX_PAIRS).
 */
int vector_join_run(const struct vector_join *j, struct near_pairs *out, struct error *err);

/* For tests: makes vector_join_run use the kernel "avx512", "avx2" or "plain", or the best one of the
 * processor (NULL). Returns 0, or -1 when it cannot run here. */
int vector_join_use(const char *kernel);

#endif
