/*
 * risk_control.h: thresholds with a guarantee, such as "at most 1 % of the positives score below it, with 95
 * % confidence", from a finite number of positives. Each threshold is tested by the exact binomial bound,
 * from the lowest up, until one fails. This is fixed-sequence testing, in which many tests need no
 * correction.
 */
#ifndef WINNOW_METRIC_RISK_CONTROL_H
#define WINNOW_METRIC_RISK_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* P(Binomial(n, p) <= k). */
double binomial_at_most(uint64_t k, uint64_t n, double p);
/* The one-sided bound of Clopper and Pearson: the rate r with P(Binomial(n, r) <= k) =
 * 1 - confidence; 1 when k >= n. */
double binomial_upper_bound(uint64_t k, uint64_t n, double confidence);
/* The largest number of misses among n positives for which the bound is at most `target`. -1: none. */
int64_t binomial_allowed(uint64_t n, double target, double confidence);
/* The smallest number of positives for which the guarantee is possible, when none
 * is missed: 299 for 1 % at 95 %. */
uint64_t binomial_least(double target, double confidence);

struct guarantee {
    double target, confidence; /* 0.01 and 0.95 of "1%@95%" */
};
/* Parses "1%@95%", "0.01@0.95" or "1%" (which means 95 %). EX_USAGE names what. */
int guarantee_parse(struct guarantee *out, const char *text, const char *what, struct error *err);

struct guaranteed_threshold {
    bool found;
    double threshold; /* flagged when score >= threshold */
    uint64_t missed;  /* positives below it */
    uint64_t n_positive, n_needed;
    double upper_bound; /* of the miss rate, at the confidence */
};

/*
 * Finds the largest score of any row below which there are at most as many positives as the guarantee
 * allows. score [n_rows]; positive [n_rows]: 0 or 1. Rows with one score are flagged or missed together.
 * group [n_rows] or NULL: copies of one picture are not independent, so that the positives of a group count
 * once, with the lowest of their scores. The guarantee is then one about groups, and a group is missed when
 * any of its positives is. 0, or -1 when there is no memory.
 */
int risk_control_threshold(struct guaranteed_threshold *out, struct guarantee g, const double *score,
                           const uint8_t *positive, const uint32_t *group, size_t n_rows, struct error *err);

/*
 * The same from the other side: finds the smallest score of any row at or above which there are at most as
 * many negatives as the guarantee allows. missed and n_positive then count negatives at or above it, and all
 * negatives. A group counts with the highest score of its negatives. threshold is INFINITY when it would
 * have to be above all rows.
 */
int risk_control_block(struct guaranteed_threshold *out, struct guarantee g, const double *score,
                       const uint8_t *positive, const uint32_t *group, size_t n_rows, struct error *err);

/* Counts how many positives (or groups of them) score below the threshold, and how many there are: a check
 * on rows on which the threshold was not chosen. */
int risk_control_count(uint64_t *n_missed, uint64_t *n_positive, double threshold, const double *score,
                       const uint8_t *positive, const uint32_t *group, size_t n_rows, struct error *err);

#endif
