/*
 * rate_draws.h: the estimate of class shares that eval shows, and draws from their posterior distribution.
 */
#ifndef WINNOW_METRIC_RATE_DRAWS_H
#define WINNOW_METRIC_RATE_DRAWS_H

#include "metric/prevalence.h"

/*
 * Measures how much the labelled rows contradict their own scores: the likelihood ratio statistic of the
 * recalibration's K parameters and its p-value. -1 when memory is short, or for too many classes.
 */
int rate_draws_calibration(double *statistic, double *p, const struct scored_rows *labelled, int n_classes,
                           struct error *err);

/*
 * q [K], the estimate, and draws [n_draws][K], which hold the uncertainty of all rows and of the
 * recalibration; *calibration_p as above. Every class has a labelled row. Rows count once, whatever `count`
 * says. Threads change nothing. 0, or -1 when memory is short, or for too many classes.
 */
int rate_draws_make(double *q, double *draws, size_t n_draws, double *calibration_p,
                    const struct scored_rows *labelled, const struct scored_rows *unlabelled, int n_classes,
                    uint64_t seed, unsigned threads, struct error *err);

/* The bounds of a two-sided 95 % interval from values [n], which are sorted; the estimate is in it. */
void rate_draws_interval(double *low, double *high, double *values, size_t n, double estimate);

#endif
