/*
 * risk_control.h: finds thresholds with a guarantee, such as "at most 1 % of the positives score below it,
 * with 95 % confidence", from a finite number of positives. The exact binomial bound tests one threshold
 * after another, from the lowest up, until one fails. This is fixed-sequence testing, which needs no
 * correction for the number of tests.
 */
#ifndef WINNOW_METRIC_RISK_CONTROL_H
#define WINNOW_METRIC_RISK_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* P(Binomial(n, p) <= k). */
double binomial_at_most(uint64_t k, uint64_t n, double p);
/* Returns the one-sided bound of Clopper and Pearson: the rate r with P(Binomial(n, r) <= k) = 1 -
 * confidence, or 1 when k >= n. */
double binomial_upper_bound(uint64_t k, uint64_t n, double confidence);
/* Returns the largest number of misses among n positives for which the bound is at most `target`, or -1 when
 * no number is. */
int64_t binomial_allowed(uint64_t n, double target, double confidence);
/* Returns the smallest number of positives for which the guarantee is possible if none is missed: 299 for 1 %
 * at 95 %. */
uint64_t binomial_least(double target, double confidence);

struct guarantee {
    double target, confidence; /* 0.01 and 0.95 of "1%@95%" */
};
/* Parses "1%@95%", "0.01@0.95" or "1%" (which means 95 % confidence). Returns 0, or -1 with err set
 * (EX_USAGE); the message names `what`. */
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
 * group [n_rows] or NULL: copies of one picture are not independent, so the positives of a group count once,
 * with the lowest of their scores. The guarantee is then about groups, and a group is missed when any of its
 * positives is. Returns 0, or -1 when there is no memory.
 */
int risk_control_threshold(struct guaranteed_threshold *out, struct guarantee g, const double *score,
                           const uint8_t *positive, const uint32_t *group, size_t n_rows, struct error *err);

/*
 * Finds the smallest score of any row at or above which there are at most as many negatives as the guarantee
 * allows. In *out, missed is then the number of negatives at or above the threshold, and n_positive the
 * number of all negatives. A group counts with the highest score of its negatives. threshold is INFINITY when
 * no score of a row is high enough.
 */
int risk_control_block(struct guaranteed_threshold *out, struct guarantee g, const double *score,
                       const uint8_t *positive, const uint32_t *group, size_t n_rows, struct error *err);

/* Counts the positives (or groups of them) that score below the threshold, and all positives. It checks a
 * threshold on other rows than those on which it was chosen. */
int risk_control_count(uint64_t *n_missed, uint64_t *n_positive, double threshold, const double *score,
                       const uint8_t *positive, const uint32_t *group, size_t n_rows, struct error *err);

#endif
