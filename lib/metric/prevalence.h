/*
 * prevalence.h: estimates the shares of the classes among unlabelled rows, from the scores that a model gave
 * to them and to labelled rows. It assumes label shift: pictures of a class look the same in both sets, and
 * only the shares differ. It is for classes and not for views: when classes are merged and their mixture
 * changes, that is not a label shift. Add the shares of the classes of a view instead. Results are compared
 * with those of QuaPy 0.2.3 in tests/fixtures/prevalence.
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
    PREVALENCE_LIKELIHOOD,   /* where EM would end: the maximum of the likelihood */
    PREVALENCE_RECALIBRATED, /* the same, on scores recalibrated by the labelled rows */
    PREVALENCE_TRUSTED, /* the same, on scores as they are and the shares that they claim for those rows */
    PREVALENCE_TILTED,  /* shares and recalibration from one likelihood (tilted_likelihood.h) */
    PREVALENCE_METHODS
};

/* The shares of the labels [K]. When a class has no row, 1e-4 is added to all classes before dividing. */
void prevalence_label_shares(double *shares, const struct scored_rows *labelled, int n_classes);

/*
 * Sets q [K] to the estimate: at least 0, sum 1. The weights of the rows must not all be 0. n_updates (may
 * be NULL) becomes the number of EM's updates. 0, or -1 with EX_DATAERR when there are too many classes, or
 * when there is no memory.
 */
int prevalence_estimate(double *q, enum prevalence_method method, const struct scored_rows *labelled,
                        const struct scored_rows *unlabelled, int n_classes, int *n_updates,
                        struct error *err);

/* EM from the given shares of the labelled rows [K], with at most `limit` updates. */
int prevalence_em(double *q, const double *shares, const struct scored_rows *unlabelled, int n_classes,
                  int limit, int *n_updates, struct error *err);
/* The maximum of the likelihood by Newton's method. shares as above, all above 0. added [K] or NULL: the
 * weight of rows that certainly belong to each class, in addition to the unlabelled ones. */
int prevalence_likelihood(double *q, const double *shares, const struct scored_rows *unlabelled,
                          const double *added, int n_classes, struct error *err);

/*
 * Resamples of the estimate: draws [n_draws][K]. With both, each draws the labelled rows first (with
 * everything that is learnt from them), then the unlabelled ones; else the unlabelled ones only, which is too
 * narrow. One splitmix64 generator, state `seed`, index (x * n) >> 64; threads take resamples without
 * changing a number. The count of the rows is ignored: they are drawn. The likelihoods also draw, for each
 * class, a weight from Jeffreys' prior (Gamma(1/2)): resamples of rows without a trace of a class would
 * otherwise claim that there can be none. PREVALENCE_TILTED keeps a row of each class.
 */
int prevalence_bootstrap(double *draws, size_t n_draws, enum prevalence_method method,
                         const struct scored_rows *labelled, const struct scored_rows *unlabelled,
                         int n_classes, bool both, uint64_t seed, unsigned threads, struct error *err);

#endif
