/*
 * vector_groups.h: finds small groups of similar pictures, and the distance of each picture to its nearest
 * neighbours. Both use the exact join of vector_join.h, so that they depend only on the vectors.
 */
#ifndef WINNOW_VECTOR_VECTOR_GROUPS_H
#define WINNOW_VECTOR_VECTOR_GROUPS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/*
 * Forms groups around centres. The vector with the most others within max_distance (in thousandths, as
 * vector_distance) becomes the centre of a group of at most `most` vectors, with the nearest others. This is
 * repeated with the vectors that are left. Every member is within max_distance of the centre, so that no
 * chain of similar pictures can form.
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
