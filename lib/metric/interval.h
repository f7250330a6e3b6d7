/*
 * interval.h: how uncertain a rate is. Wilson's interval for one rate, Newcombe's for differences, Holm's
 * correction, the exact McNemar test, and the bootstrap of accuracy. Intervals are two-sided and hold at 95
 * %, unless z is given.
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

/* k of n. n == 0 gives 0..1, since nothing is known. */
struct interval interval_wilson(uint64_t k, uint64_t n, double z);

/*
 * F1 = 2 tp / (2 tp + fp + fn) grows with j = tp / (tp + fp + fn), the share of hits among the rows that
 * were found or should have been. This is Wilson's interval of j, mapped by 2 j / (1 + j). Without such rows
 * 0..1.
 */
struct interval interval_f1(uint64_t tp, uint64_t fp, uint64_t fn, double z);

/* The difference k1/n1 - k2/n2 of independent samples, by Newcombe's combination of two Wilson intervals
 * (1998, method 10 of his paper on independent proportions). NaN at both ends when n1 or n2 is 0. */
struct interval interval_newcombe(uint64_t k1, uint64_t n1, uint64_t k2, uint64_t n2, double z);

/* The smallest two-sided level at which that interval excludes 0: a p-value that agrees with the interval.
 * 1 when the rates are equal or a side is empty. */
double interval_newcombe_p(uint64_t k1, uint64_t n1, uint64_t k2, uint64_t n2);

/* The difference p1 - p2 of two rates over the same rows (Newcombe 1998, paired, with his correction of
 * phi). both: the number of rows where both are 1; only1; only2; neither. NaN without rows. */
struct interval interval_paired(uint64_t both, uint64_t only1, uint64_t only2, uint64_t neither, double z);

/* The exact two-sided McNemar test: the binomial test of only1 in only1 + only2
 * at one half. 1 when both are 0. */
double mcnemar_exact_p(uint64_t only1, uint64_t only2);

/* Replaces p[n] by p-values adjusted by Holm's method (step-down, monotone, at most 1). NaN
 * entries stay, and are not counted. */
int holm_adjust(double *p, size_t n, struct error *err);

/*
 * Bootstrap of the share of 1 among n_rows: `resamples` draws of n_rows rows with replacement. One
 * splitmix64 generator with state `seed` serves all draws, with index (x * n) >> 64. Its numbers are a
 * function of a counter, so that threads can share the resamples and change nothing. The quantiles 2.5 % and
 * 97.5 % are interpolated linearly at (B-1)q. correct [n_rows] holds 0 or 1. n_rows > 0.
 */
struct bootstrap_result {
    double low, high, first;
};
int bootstrap_share(const uint8_t *correct, size_t n_rows, unsigned resamples, uint64_t seed,
                    unsigned threads, struct bootstrap_result *out, struct error *err);

#endif
