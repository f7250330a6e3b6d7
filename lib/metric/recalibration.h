/*
 * recalibration.h: makes probabilities agree with frequencies, by a temperature and a bias for each class
 * (bias-corrected temperature scaling; Alexandari, Kundaje and Shrikumar 2020). Without it the estimation of
 * label shift by maximum likelihood is wrong for a model that is too confident.
 */
#ifndef WINNOW_METRIC_RECALIBRATION_H
#define WINNOW_METRIC_RECALIBRATION_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define RECALIBRATION_MAX_CLASSES 64

/* q = softmax(z * sharpness + bias), where z is log p minus its mean over the row;
 * p below 1e-15 counts as 1e-15. */
struct recalibration {
    double sharpness; /* 1 / temperature */
    double bias[RECALIBRATION_MAX_CLASSES];
};

/* The recalibration that changes nothing: softmax(z + 0). */
#define RECALIBRATION_NONE ((struct recalibration){.sharpness = 1})

/* Computes z [n_rows][K] from p [n_rows][K], which may be the same memory. */
void recalibration_logits(double *z, const double *p, size_t n_rows, int n_classes);

/*
 * Fits *r, from its present value, by Newton's method: the mean log loss over rows with weight count (NULL:
 * 1 each) has one minimum in (sharpness, bias). A tiny penalty on the distance to RECALIBRATION_NONE keeps
 * it finite when every row is right or a class has no row. At most RECALIBRATION_MAX_CLASSES classes. The
 * sum of the counts must be above 0. Returns 0, or -1 when there is no memory.
 */
int recalibration_fit(struct recalibration *r, const double *z, const int32_t *label, const uint32_t *count,
                      size_t n_rows, int n_classes, struct error *err);
/* Returns the mean log loss of the labelled rows after the recalibration *r. */
double recalibration_loss(const struct recalibration *r, const double *z, const int32_t *label,
                          const uint32_t *count, size_t n_rows, int n_classes);
/* Sets out [n_rows][K] to the recalibrated probabilities. out may be z. */
void recalibration_apply(const struct recalibration *r, double *out, const double *z, size_t n_rows,
                         int n_classes);

#endif
