/*
 * sort.h: orders of many doubles and 32-bit row numbers.
 * A stable radix sort: 300,000 scores in a few milliseconds, and ties keep row order, which several
 * definitions (equal-mass bins, curves) ask for.
 */
#ifndef WINNOW_METRIC_SORT_H
#define WINNOW_METRIC_SORT_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/*
 * order[0..n) becomes the rows 0..n-1 by values ascending (descending with sort_rows_descending), ties by row
 * number. values [n] hold no NaN; n < 2^32. Needs 24 bytes a row while it runs. 0, or -1 when memory is
 * short.
 */
int sort_rows_ascending(const double *values, size_t n, uint32_t *order, struct error *err);
int sort_rows_descending(const double *values, size_t n, uint32_t *order, struct error *err);
/* For qsort of doubles that hold no NaN. */
int sort_compare_doubles(const void *x, const void *y);
/* Quantile q of n > 0 sorted values by linear interpolation at (n - 1) q. */
double sort_quantile(const double *sorted, size_t n, double q);

#endif
