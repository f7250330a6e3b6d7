/*
 * recalibration.h: probabilities that say what they mean, by a temperature and a bias for each class
 * (bias-corrected temperature scaling; Alexandari, Kundaje and Shrikumar 2020). Label shift estimation by
 * maximum likelihood is wrong without it where a model is too sure of itself.
 */
#ifndef WINNOW_METRIC_RECALIBRATION_H
#define WINNOW_METRIC_RECALIBRATION_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define RECALIBRATION_MAX_CLASSES 64

/* q = softmax(z * sharpness + bias), z = log p less its mean over the row; p below 1e-15 counts as 1e-15. */
struct recalibration {
    double sharpness; /* 1 / temperature */
    double bias[RECALIBRATION_MAX_CLASSES];
};

/* softmax(z + 0): nothing changes. */
#define RECALIBRATION_NONE ((struct recalibration){.sharpness = 1})

/* z [n_rows][K] of p [n_rows][K]; may be the same memory. */
void recalibration_logits(double *z, const double *p, size_t n_rows, int n_classes);

/*
 * Fits *r, from where it stands, by Newton's method: the mean log loss over rows of weight count (NULL: 1
 * each) has one minimum in (sharpness, bias). A tiny penalty on the distance to RECALIBRATION_NONE keeps it
 * finite where every row is right or a class has no row. At most RECALIBRATION_MAX_CLASSES classes; the sum
 * of the counts is above 0. 0, or -1 when memory is short.
 */
int recalibration_fit(struct recalibration *r, const double *z, const int32_t *label, const uint32_t *count,
                      size_t n_rows, int n_classes, struct error *err);
/* Mean log loss of the labelled rows after *r. */
double recalibration_loss(const struct recalibration *r, const double *z, const int32_t *label,
                          const uint32_t *count, size_t n_rows, int n_classes);
/* out [n_rows][K]; may be z. */
void recalibration_apply(const struct recalibration *r, double *out, const double *z, size_t n_rows,
                         int n_classes);

#endif
