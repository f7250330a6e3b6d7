/*
 * risk_control.h: thresholds with a promise: "at most 1 % of the positives score below it, with 95 %
 * confidence", from a finite number of positives. The exact binomial rule, tested from the lowest threshold
 * up until one fails (fixed-sequence testing: no price for testing many).
 */
#ifndef WINNOW_METRIC_RISK_CONTROL_H
#define WINNOW_METRIC_RISK_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* P(Binomial(n, p) <= k). */
double binomial_at_most(uint64_t k, uint64_t n, double p);
/* One-sided Clopper-Pearson: the rate r with P(Binomial(n, r) <= k) = 1 - confidence; 1 where k >= n. */
double binomial_upper_bound(uint64_t k, uint64_t n, double confidence);
/* The most misses among n positives with which the bound is still at most `target`; -1: not even none. */
int64_t binomial_allowed(uint64_t n, double target, double confidence);
/* The fewest positives with which the guarantee can be had, none of them missed: 299 for 1 % at 95 %. */
uint64_t binomial_least(double target, double confidence);

struct guarantee {
    double target, confidence; /* 0.01 and 0.95 of "1%@95%" */
};
/* "1%@95%", "0.01@0.95", "1%" (95 % then). EX_USAGE names what. */
int guarantee_parse(struct guarantee *out, const char *text, const char *what, struct error *err);

struct guaranteed_threshold {
    bool found;
    double threshold; /* flagged when score >= threshold */
    uint64_t missed;  /* positives below it */
    uint64_t n_positive, n_needed;
    double upper_bound; /* of the miss rate, at the confidence */
};

/*
 * The largest score of any row with which at most as many positives are below as the guarantee allows.
 * score [n_rows]; positive [n_rows]: 0 or 1. Rows of one score are flagged or missed together. group
 * [n_rows] or NULL: copies of one picture are not independent, so the positives of a group count once, with
 * the lowest score of them: the promise is then one about groups, and a group is missed when any of its
 * positives is. 0, or -1 when memory is short.
 */
int risk_control_threshold(struct guaranteed_threshold *out, struct guarantee g, const double *score,
                           const uint8_t *positive, const uint32_t *group, size_t n_rows, struct error *err);

/*
 * The other side: the smallest score of any row with which at most as many negatives are at it or above as
 * the guarantee allows. missed and n_positive then count negatives at or above it, and all of them. A group
 * counts with the highest score of its negatives. threshold is INFINITY where only a score above all rows
 * would do.
 */
int risk_control_block(struct guaranteed_threshold *out, struct guarantee g, const double *score,
                       const uint8_t *positive, const uint32_t *group, size_t n_rows, struct error *err);

/*
 * How many positives (or groups of them) score below the threshold, and how many there are: the check on
 * rows that the threshold was not chosen on.
 */
int risk_control_count(uint64_t *n_missed, uint64_t *n_positive, double threshold, const double *score,
                       const uint8_t *positive, const uint32_t *group, size_t n_rows, struct error *err);

#endif
