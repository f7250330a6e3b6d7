/*
 * vector_map.h: computes a position in a plane for each vector, so that people can see the contents of a set:
 * similar pictures are close to each other. The first two principal components give the initial positions.
 * Then neighbours attract each other and all points repel each other, as in t-SNE (van der Maaten and Hinton
 * 2008), but with equal weights for the nearest neighbours instead of a perplexity. Distances between
 * clusters mean little.
 */
#ifndef WINNOW_VECTOR_VECTOR_MAP_H
#define WINNOW_VECTOR_VECTOR_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "hash/near_join.h"

#define VECTOR_MAP_NEIGHBOURS 15 /* number of neighbours of each row that `near` should contain */

/*
 * values [n][n_values], each row of length 1 or all 0; near: pairs of neighbours, as vector_join finds them.
 * Sets xy [n][2] to coordinates from 0 to 1; the longer side of the map is 1. The same vectors in the same
 * order give the same bits on every processor and for any n_threads. Memory: some 120 bytes for each row and
 * 8 for each pair. Returns 0, or -1 with err set (EX_OSERR).
 */
int vector_map_make(double *xy, const float *values, size_t n, size_t n_values, const struct near_pairs *near,
                    unsigned n_threads, struct error *err);

/* --- for vector_map.c and tests --- */

/*
 * The repulsion between all points: force [n][2] becomes the sum over the others of (y_i - y_j) / (1 + |y_i -
 * y_j|^2)^2, and the sum over all pairs i != j of 1 / (1 + |y_i - y_j|^2) is returned. With field NULL the
 * sums are exact, pair by pair. Otherwise a grid approximates them. The error is about one percent where
 * points are dense, and about fifteen percent where they are so sparse that forces cancel.
 */
struct map_field;
struct map_field *map_field_open(struct error *err);
double map_repulsion(struct map_field *field, const double *y, size_t n, double *force, unsigned n_threads);
void map_field_close(struct map_field *field);

#endif
