/*
 * prevalence.h: which shares the classes have among unlabelled rows, from a model's scores of them and of
 * labelled rows (label shift: pictures of a class look the same in both, only the shares differ). Holds for
 * classes, not for views: merged classes whose mixture moves are not a label shift, so add the shares of a
 * view's classes instead. Definitions are held against QuaPy 0.2.3 in tests/fixtures/prevalence.
 */
#ifndef WINNOW_METRIC_PREVALENCE_H
#define WINNOW_METRIC_PREVALENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define PREVALENCE_MAX_CLASSES 64 /* systems of K equations for each resample */

/* Borrowed. p [n_rows][K]; label [n_rows] or NULL; count [n_rows]: weight of each row, NULL: 1. */
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
    PREVALENCE_LIKELIHOOD,   /* where EM would end: the maximum of the likelihood */
    PREVALENCE_RECALIBRATED, /* the same, on scores recalibrated by the labelled rows */
    PREVALENCE_METHODS
};
extern const char *const prevalence_method_names[PREVALENCE_METHODS];

/* Shares of the labels [K]; a class without a row adds 1e-4 to all of them before they are divided. */
void prevalence_label_shares(double *shares, const struct scored_rows *labelled, int n_classes);

/*
 * q [K]: the estimate, at least 0, sum 1. Rows without any weight are an error of the caller. n_updates
 * (may be NULL) becomes EM's number of updates. 0, or -1 with EX_DATAERR when there are too many classes, or
 * when memory is short.
 */
int prevalence_estimate(double *q, enum prevalence_method method, const struct scored_rows *labelled,
                        const struct scored_rows *unlabelled, int n_classes, int *n_updates,
                        struct error *err);

/* EM from the given shares of the labelled rows [K], for at most `limit` updates. */
int prevalence_em(double *q, const double *shares, const struct scored_rows *unlabelled, int n_classes,
                  int limit, int *n_updates, struct error *err);
/*
 * The maximum of the likelihood by Newton's method; shares as above, all above 0. added [K] or NULL: weight
 * of rows that are certainly of each class, added to the unlabelled ones.
 */
int prevalence_likelihood(double *q, const double *shares, const struct scored_rows *unlabelled,
                          const double *added, int n_classes, struct error *err);

/*
 * How well the labelled rows agree with their own scores: the p-value of the likelihood ratio test of the
 * recalibration's K parameters. Where it is below PREVALENCE_DOUBT, take PREVALENCE_RECALIBRATED; else
 * PREVALENCE_LIKELIHOOD, whose intervals are narrower. -1 when memory is short.
 */
#define PREVALENCE_DOUBT 0.2
int prevalence_calibration_p(double *p, const struct scored_rows *labelled, int n_classes, struct error *err);

/*
 * Resamples of the estimate: draws [n_draws][K]. With both, each draws the labelled rows first (with
 * everything that is learnt from them), then the unlabelled ones; else the unlabelled ones only, which is too
 * narrow. One splitmix64 generator, state `seed`, index (x * n) >> 64; threads take resamples without
 * changing a number. The count of the rows is ignored: they are drawn. The two likelihoods also draw, for
 * each class, a weight from Jeffreys' prior (Gamma(1/2)): resamples of rows without a trace of a class would
 * otherwise claim that there can be none.
 */
int prevalence_bootstrap(double *draws, size_t n_draws, enum prevalence_method method,
                         const struct scored_rows *labelled, const struct scored_rows *unlabelled,
                         int n_classes, bool both, uint64_t seed, unsigned threads, struct error *err);

#endif
