/* nonnegative_fit.h: solves small quadratic programs whose unknowns are not negative, such as shares. It uses
 * the active set method of Lawson and Hanson on the normal equations, and suits tens of unknowns, not
 * thousands. */
#ifndef WINNOW_METRIC_NONNEGATIVE_FIT_H
#define WINNOW_METRIC_NONNEGATIVE_FIT_H

#include <stdbool.h>

#include "base/error.h"

/*
 * Sets x [n] to the minimum of x'Gx / 2 - b'x over x >= 0, and with sums_to_one also sum x = 1. G [n][n] is
 * symmetric and positive semidefinite; b [n]. An unknown that G cannot distinguish from others stays 0. n >
 * 0. Returns 0, or -1 when there is no memory.
 */
int nonnegative_fit(double *x, const double *g, const double *b, int n, bool sums_to_one, struct error *err);

/* Sets x [n] to the solution of A x = b. a [n][n] and x, which contains b, are overwritten. Returns false
 * when a pivot is not above 1e-14 times the largest entry. */
bool linear_solve(double *a, double *x, int n);

#endif
