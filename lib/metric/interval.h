/*
 * interval.h: how uncertain a rate is. Wilson's interval for one rate, Newcombe's for differences, Holm's
 * correction, the exact McNemar test and the bootstrap of accuracy. Levels are two-sided 95 % unless z is
 * given.
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

/* k of n. n == 0: 0..1, as nothing is known. */
struct interval interval_wilson(uint64_t k, uint64_t n, double z);

/*
 * F1 = 2 tp / (2 tp + fp + fn) rises with j = tp / (tp + fp + fn), the share of hits among the rows that are
 * found or should be: Wilson's interval of j, mapped by 2 j / (1 + j). No such rows: 0..1.
 */
struct interval interval_f1(uint64_t tp, uint64_t fp, uint64_t fn, double z);

/*
 * The difference k1/n1 - k2/n2 of independent samples: Newcombe's hybrid of two Wilson intervals (1998,
 * method 10 of his paper on independent proportions). NaN at both ends when n1 or n2 is 0.
 */
struct interval interval_newcombe(uint64_t k1, uint64_t n1, uint64_t k2, uint64_t n2, double z);

/*
 * The smallest two-sided level at which that interval still excludes 0: a p-value that agrees with the
 * interval shown beside it. 1 when the rates are equal or a side is empty.
 */
double interval_newcombe_p(uint64_t k1, uint64_t n1, uint64_t k2, uint64_t n2);

/*
 * The difference p1 - p2 of two rates over the same rows (Newcombe 1998, paired square-and-add with his
 * correction of phi): both = rows where both are 1, only1, only2, neither. NaN when there are no rows.
 */
struct interval interval_paired(uint64_t both, uint64_t only1, uint64_t only2, uint64_t neither, double z);

/* Exact two-sided McNemar test: the binomial test of only1 in only1 + only2 at one half. 1 when there are
 * none. */
double mcnemar_exact_p(uint64_t only1, uint64_t only2);

/* p[n] becomes Holm-adjusted p-values (step-down, monotone, at most 1). NaN
 * entries stay and are not counted. */
int holm_adjust(double *p, size_t n, struct error *err);

/*
 * Bootstrap of the share of 1 bits among n_rows: `resamples` draws of n_rows with replacement. One splitmix64
 * generator for all of them, state `seed`, index (x * n) >> 64; it is counter based, so threads take
 * resamples without changing a number. Quantiles 2.5 % and 97.5 % by linear interpolation at (B-1)q. correct
 * [n_rows] holds 0 or 1. n_rows > 0.
 */
struct bootstrap_result {
    double low, high, first;
};
int bootstrap_share(const uint8_t *correct, size_t n_rows, unsigned resamples, uint64_t seed,
                    unsigned threads, struct bootstrap_result *out, struct error *err);

#endif
