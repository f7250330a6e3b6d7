/*
 * prevalence.h: estimates the shares of the classes among unlabelled rows, from the scores that a model gave
 * to them and to labelled rows. It assumes label shift: pictures of a class look the same in both sets, and
 * only the shares differ. Do not apply it to a view, in which several classes are merged: when the mixture of
 * the merged classes changes, that is not a label shift. Add the estimated shares of the view's classes
 * instead. Tests compare the results with those of QuaPy 0.2.3 in tests/fixtures/prevalence.
 */
#ifndef WINNOW_METRIC_PREVALENCE_H
#define WINNOW_METRIC_PREVALENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define PREVALENCE_MAX_CLASSES 64 /* systems of K equations for each resample */

/* Borrowed. p [n_rows][K]; label [n_rows] or NULL; count [n_rows]: the weight of each row, NULL: 1. */
struct scored_rows {
    const double *p;
    const int32_t *label;
    const uint32_t *count;
    size_t n_rows;
};

enum prevalence_method {
    PREVALENCE_COUNT,     /* shares of the predicted classes (CC) */
    PREVALENCE_MEAN,      /* mean scores (PCC) */
    PREVALENCE_ACC,       /* predicted classes, adjusted by the labelled rows' confusion, on the simplex */
    PREVALENCE_PACC,      /* the same with mean scores */
    PREVALENCE_BBSE_HARD, /* black-box shift estimation (Lipton et al. 2018): weights, not shares */
    PREVALENCE_BBSE_SOFT,
    PREVALENCE_EM,           /* EM of Saerens et al. (2002), ended as QuaPy does: early for rare classes */
    PREVALENCE_LIKELIHOOD,   /* the maximum of the likelihood, to which EM converges */
    PREVALENCE_RECALIBRATED, /* the same, with scores that are recalibrated by the labelled rows */
    /* the same, with unchanged scores, and with the mean scores of the labelled rows as their shares */
    PREVALENCE_TRUSTED,
    PREVALENCE_TILTED, /* shares and recalibration from one likelihood (tilted_likelihood.h) */
    PREVALENCE_METHODS
};

/* Sets shares [K] to the share of each label. When a class has no row, 1e-4 is added to all classes before
 * the division. */
void prevalence_label_shares(double *shares, const struct scored_rows *labelled, int n_classes);

/*
 * Sets q [K] to the estimate: at least 0, sum 1. The weights of the rows must not all be 0. n_updates (may
 * be NULL) becomes the number of EM's updates. Returns 0, or -1 with EX_DATAERR when there are too many
 * classes, or when there is no memory.
 */
int prevalence_estimate(double *q, enum prevalence_method method, const struct scored_rows *labelled,
                        const struct scored_rows *unlabelled, int n_classes, int *n_updates,
                        struct error *err);

/* Runs EM, with at most `limit` updates, for the given shares [K] of the labelled rows. */
int prevalence_em(double *q, const double *shares, const struct scored_rows *unlabelled, int n_classes,
                  int limit, int *n_updates, struct error *err);
/* Finds the maximum of the likelihood by Newton's method. shares [K]: of the labelled rows, all above 0.
 * added [K] or NULL: for each class, the weight of rows that certainly belong to it, in addition to the
 * unlabelled rows. */
int prevalence_likelihood(double *q, const double *shares, const struct scored_rows *unlabelled,
                          const double *added, int n_classes, struct error *err);

/*
 * Sets draws [n_draws][K] to estimates from resampled rows. With `both`, a draw resamples the labelled rows
 * first (and learns everything from them again), and then the unlabelled rows. Otherwise it resamples the
 * unlabelled rows only, which gives intervals that are too narrow. All draws come from one splitmix64
 * generator with state `seed`; the index of a row is (x * n) >> 64. The number of threads does not change the
 * result. The weights `count` of the rows are ignored. The methods that maximise a likelihood also draw, for
 * each class, a weight from Jeffreys' prior (Gamma(1/2)). Otherwise every draw would say that a class without
 * a trace in the rows has a share of 0. PREVALENCE_TILTED keeps at least one row of each class.
 */
int prevalence_bootstrap(double *draws, size_t n_draws, enum prevalence_method method,
                         const struct scored_rows *labelled, const struct scored_rows *unlabelled,
                         int n_classes, bool both, uint64_t seed, unsigned threads, struct error *err);

#endif
