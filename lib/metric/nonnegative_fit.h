/*
 * nonnegative_fit.h: small quadratic programs with non-negative unknowns, which is what shares are: Lawson
 * and Hanson's active set over the normal equations. For tens of unknowns, not for thousands.
 */
#ifndef WINNOW_METRIC_NONNEGATIVE_FIT_H
#define WINNOW_METRIC_NONNEGATIVE_FIT_H

#include <stdbool.h>

#include "base/error.h"

/*
 * x [n] becomes the minimum of x'Gx / 2 - b'x over x >= 0; with sums_to_one also sum x = 1. G [n][n] is
 * symmetric and positive semidefinite, b [n]. An unknown that G cannot tell from the others stays 0. n > 0.
 * 0, or -1 when memory is short.
 */
int nonnegative_fit(double *x, const double *g, const double *b, int n, bool sums_to_one, struct error *err);

/*
 * x [n] becomes the solution of A x = b; a [n][n] and x, which holds b, are overwritten. False when a pivot
 * is not above 1e-14 of the largest entry.
 */
bool linear_solve(double *a, double *x, int n);

#endif
