/*
 * interval.h: computes how uncertain a rate is: Wilson's interval for one rate, Newcombe's for differences,
 * Holm's correction, the exact McNemar test, and the bootstrap of accuracy. Intervals are two-sided, at 95 %
 * unless z is given.
 */
#ifndef WINNOW_METRIC_INTERVAL_H
#define WINNOW_METRIC_INTERVAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define INTERVAL_Z95 1.959963984540054

struct interval {
    double low, high;
};

/* Returns Wilson's interval of the rate k / n. For n == 0 it is 0..1. */
struct interval interval_wilson(uint64_t k, uint64_t n, double z);

/*
 * Returns an interval of F1 = 2 tp / (2 tp + fp + fn). F1 = 2 j / (1 + j) with j = tp / (tp + fp + fn), the
 * share of hits among the rows that were found or should have been found. So the bounds are those of Wilson's
 * interval of j, mapped in this way. Without such rows the interval is 0..1.
 */
struct interval interval_f1(uint64_t tp, uint64_t fp, uint64_t fn, double z);

/* Returns an interval of the difference k1/n1 - k2/n2 of independent samples, by Newcombe's combination of
 * two Wilson intervals (1998, method 10 of his paper on independent proportions). Both bounds are NaN when n1
 * or n2 is 0. */
struct interval interval_newcombe(uint64_t k1, uint64_t n1, uint64_t k2, uint64_t n2, double z);

/* Returns the smallest two-sided level at which that interval excludes 0, a p-value that agrees with the
 * interval. It is 1 when the rates are equal, or n1 or n2 is 0. */
double interval_newcombe_p(uint64_t k1, uint64_t n1, uint64_t k2, uint64_t n2);

/* Returns an interval of the difference p1 - p2 of two rates over the same rows (Newcombe 1998, paired, with
 * his correction of phi). both, only1, only2 and neither: the numbers of rows where both are 1, only the
 * first, only the second, and neither. Both bounds are NaN without rows. */
struct interval interval_paired(uint64_t both, uint64_t only1, uint64_t only2, uint64_t neither, double z);

/* Returns the p-value of the exact two-sided McNemar test: the binomial test of only1 in only1 + only2 at one
 * half. It is 1 when both are 0. */
double mcnemar_exact_p(uint64_t only1, uint64_t only2);

/* Replaces p[n] by p-values adjusted by Holm's method (step-down, monotone, at most 1). NaN
 * entries stay, and are not counted. */
int holm_adjust(double *p, size_t n, struct error *err);

/*
 * Bootstrap of the share of 1 among n_rows: `resamples` draws of n_rows rows with replacement. All draws come
 * from one splitmix64 generator with state `seed`; the index of a row is (x * n) >> 64. The generator's
 * numbers are a function of a counter, so threads can share the resamples without changing the result. The
 * quantiles 2.5 % and 97.5 % are interpolated linearly at (B-1)q. correct [n_rows] holds 0 or 1. n_rows > 0.
 */
struct bootstrap_result {
    double low, high, first;
};
int bootstrap_share(const uint8_t *correct, size_t n_rows, unsigned resamples, uint64_t seed,
                    unsigned threads, struct bootstrap_result *out, struct error *err);

#endif
