/*
 * vector_groups.h: finds small groups of similar pictures, and the distance of each picture to its nearest
 * neighbours. Both use the exact join of vector_join.h, so the results depend only on the vectors.
 */
#ifndef WINNOW_VECTOR_VECTOR_GROUPS_H
#define WINNOW_VECTOR_VECTOR_GROUPS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/*
 * Forms groups around centres. The vector with the most others within max_distance (in thousandths, as
 * vector_distance) becomes the centre of a group of at most `most` vectors, with the nearest others. This is
 * repeated with the vectors that are left. Every member is within max_distance of the centre, so no chain of
 * similar pictures can form.
 *
 * values [n][n_values], each row of length 1 or all 0; group [n] becomes 0 for a vector without a group, or
 * otherwise the number of its group. Groups are numbered from 1 in the order of their first members. The
 * result does not depend on n_threads. Returns 0, or -1 with err set (EX_OSERR).
 */
int vector_stars(const float *values, size_t n, size_t n_values, uint32_t max_distance, uint32_t most,
                 unsigned n_threads, uint32_t *group, struct error *err);

/*
 * Sets distance [n] to the mean of 1 - cosine over the n_near nearest other vectors. When fewer of them are
 * within VECTOR_MAX_DISTANCE, each missing one counts as 1. For a vector that is all 0 the distance is 1.
 * Copies (distance 0) count as neighbours. Returns 0, or -1 with err set (EX_OSERR).
 */
struct near_pairs;
/* Does the same from known pairs, which include n_near or more neighbours of each row. */
int vector_pair_distances(const struct near_pairs *pairs, size_t n, uint32_t n_near, double *distance,
                          struct error *err);
int vector_neighbour_distances(const float *values, size_t n, size_t n_values, uint32_t n_near,
                               unsigned n_threads, double *distance, struct error *err);

#endif
