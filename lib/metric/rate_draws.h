/*
 * rate_draws.h: computes the estimate of class shares that eval shows, and draws from their posterior
 * distribution.
 */
#ifndef WINNOW_METRIC_RATE_DRAWS_H
#define WINNOW_METRIC_RATE_DRAWS_H

#include "metric/prevalence.h"

/*
 * Measures how much the labelled rows contradict their own scores. *statistic is the likelihood ratio
 * statistic of the recalibration's K parameters, and *p its p-value. Returns 0, or -1 with err set when
 * memory is short or there are too many classes.
 */
int rate_draws_calibration(double *statistic, double *p, const struct scored_rows *labelled, int n_classes,
                           struct error *err);

/*
 * Sets q [K] to the estimate, draws [n_draws][K] to draws that express the uncertainty of all rows and of the
 * recalibration, and *calibration_p as above. Every class must have a labelled row. Each row has the weight
 * 1, whatever `count` says. The number of threads does not change the result. Returns 0, or -1 when memory is
 * short, or for too many classes.
 */
int rate_draws_make(double *q, double *draws, size_t n_draws, double *calibration_p,
                    const struct scored_rows *labelled, const struct scored_rows *unlabelled, int n_classes,
                    uint64_t seed, unsigned threads, struct error *err);

/* Sets *low and *high to a two-sided 95 % interval from values [n], which are sorted here. The interval
 * contains the estimate. */
void rate_draws_interval(double *low, double *high, double *values, size_t n, double estimate);

#endif
