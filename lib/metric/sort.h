/*
 * sort.h: sorts many doubles with 32-bit row numbers, by a stable radix sort: 300,000 scores take a few
 * milliseconds. Equal values keep the order of rows, which several definitions need (bins of equal mass,
 * curves).
 */
#ifndef WINNOW_METRIC_SORT_H
#define WINNOW_METRIC_SORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/*
 * Sets order[0..n) to the rows 0..n-1 by ascending values (descending with sort_rows_descending), and rows
 * with equal values by row number. values [n] have no NaN; n < 2^32. It needs 24 bytes a row while it runs.
 * Returns 0, or -1 when there is no memory.
 */
int sort_rows_ascending(const double *values, size_t n, uint32_t *order, struct error *err);
int sort_rows_descending(const double *values, size_t n, uint32_t *order, struct error *err);
/* Sorts keys [n]. It needs 8 bytes a key while it runs, and reads and writes large arrays from end to end. */
int sort_keys_ascending(uint64_t *keys, size_t n, struct error *err);
/* Sets *key to a key that orders by the score and then by the flag, which is its lowest bit. Returns false
 * for a score outside [0, 2), which has no such key. */
bool sort_score_key(uint64_t *key, double score, bool flag);
double sort_key_score(uint64_t key);
/* A comparison for qsort of doubles without NaN. */
int sort_compare_doubles(const void *x, const void *y);
/* Returns the quantile q of n > 0 sorted values, by linear interpolation at (n - 1) q. */
double sort_quantile(const double *sorted, size_t n, double q);
/* Returns a threshold for outliers among n > 0 sorted values: the 95th percentile plus half of its distance
 * from the median. In a normal distribution, 0.7 % of the values are above it. */
double sort_far_above(const double *sorted, size_t n);

#endif
