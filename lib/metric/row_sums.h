/*
 * row_sums.h: computes, eight rows at a time, the sums over rows that each step of a maximum-likelihood fit
 * of class shares needs. They take most of the time of an estimate with its resamples: 600 fits of 50,000
 * rows.
 */
#ifndef WINNOW_METRIC_ROW_SUMS_H
#define WINNOW_METRIC_ROW_SUMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define ROW_SUMS_LANES 8

/* Rows with a weight above 0, transposed: for eight rows K lines of eight values, then a line of weights. */
struct packed_rows {
    double *x; /* [n_blocks][K + 1][8]; rows that fill the last block have weight 0 */
    size_t n_blocks, capacity;
    int n_classes;
};
#define PACKED_ROWS_EMPTY ((struct packed_rows){0})

/* x [n_rows][K]; count [n_rows]: the weights, NULL: 1. The memory of an earlier call is used again. Returns
 * 0, or -1 when memory is short. */
int packed_rows_fill(struct packed_rows *out, const double *x, const uint32_t *count, size_t n_rows,
                     int n_classes, struct error *err);
void packed_rows_release(struct packed_rows *r);

/* Sums of w u_k, w u_k z_k, w u_k z_k^2, and of w u_i u_j (lower half, [K][K]), w s u_k and w s^2, where u is
 * a row's values and s = sum_k r_k u_k z_k. */
struct moments {
    double *u, *uz, *uzz, *uu, *su, ss;
};

/*
 * For values x: m = sum_k ratio_k x_k. Sets sum[K] to the sums of w x_k / m and uu [K][K] (lower half; NULL:
 * none) to those of w x_i x_j / m^2. Returns the sum of w log m. scratch: row_sums_scratch(K) numbers.
 */
double row_sums_mixture(double *sum, double *uu, const double *ratio, const struct packed_rows *rows,
                        double *scratch);

/* The parameters of the sums for tilted_likelihood.c. */
struct tilted_sums {
    double a;
    const double *b, *q, *n, *r; /* [K]; r_k = n_k + n_unlabelled q_k */
    double n_unlabelled;
    bool labelled; /* the rows are labelled; m is then not used */
    bool expected; /* of_m's products are weighted by w n_unlabelled m / D, in labelled rows, too */
};

/*
 * For rows z: e_k = exp(a z_k + b_k), m = sum_k q_k e_k, D = sum_k r_k e_k. of_d has the moments of e / D
 * with r, of_m those of e / m with q; of labelled rows, of_m has only what `expected` asks for (uu, su, ss).
 * Returns the sum of w log(m / D), of labelled rows that of -w log D. scratch as above.
 */
double row_sums_tilted(struct moments *of_m, struct moments *of_d, const struct tilted_sums *t,
                       const struct packed_rows *rows, double *scratch);

size_t row_sums_scratch(int n_classes);

#endif
