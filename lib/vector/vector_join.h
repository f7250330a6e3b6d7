/*
 * vector_join.h: finds all pairs of vectors with a large cosine, or the nearest neighbours of each vector.
 * The search is exact.
 */
#ifndef WINNOW_VECTOR_VECTOR_JOIN_H
#define WINNOW_VECTOR_VECTOR_JOIN_H

#include "hash/near_join.h"

/* Of near_pair.distance: thousandths of 1 - cosine, rounded. */
#define VECTOR_MAX_DISTANCE 950

/* The distance of two vectors of length 1. */
uint32_t vector_distance(const float *a, const float *b, size_t n_values);

struct vector_join {
    const float *values; /* [n][n_values], each of length 1 or all 0 */
    size_t n, n_values;
    size_t n_first;        /* of these two parts: see near_join.h */
    unsigned wanted;       /* enum near_wanted */
    uint32_t max_distance; /* 0..VECTOR_MAX_DISTANCE */
    /* 0: every pair; otherwise a pair counts if one is among this many nearest neighbours of the other */
    uint32_t n_neighbours;
    unsigned n_threads;
    const struct near_progress *progress; /* NULL: none */
};
/*
 * Appends the wanted pairs to *out, each once, in the order of (a, b). Equally distant neighbours are ordered
 * by their numbers, so that the result depends only on the vectors. n below 2^32 - 1. Memory beside the
 * vectors: two bytes a value, 8 a neighbour, 12 a pair. Returns 0, or -1 with err set (EX_OSERR; EX_DATAERR
 * over NEAR_MAX_PAIRS).
 */
int vector_join_run(const struct vector_join *j, struct near_pairs *out, struct error *err);

/* For tests: "avx512", "avx2" or "plain" instead of what the processor has; NULL: choose. Returns 0, or -1
 * when it cannot run here. */
int vector_join_use(const char *kernel);

#endif
