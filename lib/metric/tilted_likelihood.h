/*
 * tilted_likelihood.h: estimates the class shares of unlabelled rows and the recalibration of the scores
 * together, from one likelihood. It assumes that the density ratios of the classes are exp(sharpness * z +
 * bias), and nothing else about the densities (exponential tilt; Anderson 1979, Qin 1999). Unlabelled rows
 * contribute to the recalibration, too. For a rare class the intervals are half as wide as when the
 * recalibration comes first and the estimate second.
 */
#ifndef WINNOW_METRIC_TILTED_LIKELIHOOD_H
#define WINNOW_METRIC_TILTED_LIKELIHOOD_H

#include "metric/prevalence.h"
#include "metric/recalibration.h"

/* The start and the result of the search: r recalibrates to the shares of the labelled rows; shares [K]
 * sum to 1. */
struct tilt {
    struct recalibration r;
    double shares[PREVALENCE_MAX_CLASSES];
};

/*
 * Moves *t from its initial value to the maximum of the likelihood near it. labelled_z, unlabelled_z
 * [n_rows][K]: logits (recalibration_logits); the p of both sets of rows is not used. Each class must have a
 * labelled row of weight above 0. added [K] or NULL: for each class, the weight of unlabelled rows that
 * certainly belong to it. Returns 0, or -1 when memory is short.
 */
int tilted_likelihood(struct tilt *t, const struct scored_rows *labelled, const double *labelled_z,
                      const struct scored_rows *unlabelled, const double *unlabelled_z, const double *added,
                      int n_classes, struct error *err);

#endif
