/*
 * tilted_likelihood.h: class shares of unlabelled rows and the recalibration of the scores from one
 * likelihood. Density ratios of the classes are exp(sharpness * z + bias), nothing else is assumed of the
 * densities (exponential tilt; Anderson 1979, Qin 1999), and unlabelled rows count for the recalibration,
 * too: where a class is rare its intervals are half as wide as those of "recalibrate, then estimate".
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
 * *t becomes the maximum of the likelihood near its initial value. labelled_z, unlabelled_z [n_rows][K]:
 * logits (recalibration_logits); p of both is not looked at. Each class has a labelled row of weight above 0.
 * added [K] or NULL: weight of unlabelled rows that are certainly of each class. Returns 0, or -1 when memory
 * is short.
 */
int tilted_likelihood(struct tilt *t, const struct scored_rows *labelled, const double *labelled_z,
                      const struct scored_rows *unlabelled, const double *unlabelled_z, const double *added,
                      int n_classes, struct error *err);

#endif
