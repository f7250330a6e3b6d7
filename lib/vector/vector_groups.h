/*
 * vector_groups.h: small groups of pictures that are alike, and how far each picture is from its nearest
 * ones. Both come from the exact join of vector_join.h, so that they depend on nothing but the vectors.
 */
#ifndef WINNOW_VECTOR_VECTOR_GROUPS_H
#define WINNOW_VECTOR_VECTOR_GROUPS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/*
 * Stars: the vector with the most others within max_distance (vector_distance's thousandths) becomes the
 * middle of a group with the nearest of them, most at most in all; then the next one that is still alone. So
 * every member lies within max_distance of one vector, which no chain of likenesses can stretch.
 *
 * values [n][n_values], each row of length 1 or all 0; group [n] becomes 0 for a vector that stays alone, or
 * the number of its group, from 1 in the order of the groups' first members. n_threads changes no result.
 * EX_OSERR.
 */
int vector_stars(const float *values, size_t n, size_t n_values, uint32_t max_distance, uint32_t most,
                 unsigned n_threads, uint32_t *group, struct error *err);

/*
 * distance [n]: 1 - cosine to the n_near nearest others, on average. Where fewer than that lie within
 * VECTOR_MAX_DISTANCE the missing ones count as 1. A vector that is all 0 has 1. Copies (distance 0) count as
 * neighbours. EX_OSERR.
 */
struct near_pairs;
/* The same from pairs that were found already, n_near or more neighbours of each row. */
int vector_pair_distances(const struct near_pairs *pairs, size_t n, uint32_t n_near, double *distance,
                          struct error *err);
int vector_neighbour_distances(const float *values, size_t n, size_t n_values, uint32_t n_near,
                               unsigned n_threads, double *distance, struct error *err);

#endif
