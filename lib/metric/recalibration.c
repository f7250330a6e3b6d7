/* recalibration.c: fits sharpness and bias. The log loss is convex in both, so damped Newton steps reach its
 * minimum. */
#include "metric/recalibration.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metric/nonnegative_fit.h"

#define SMALLEST_P 1e-15
#define PENALTY 1e-6
#define MOST_STEPS 100

void recalibration_logits(double *z, const double *p, size_t n_rows, int n_classes)
{
    for (size_t i = 0; i < n_rows; i++) {
        double mean = 0;
        double *row = z + i * (size_t)n_classes;
        for (int k = 0; k < n_classes; k++) {
            row[k] = log(fmax(p[i * (size_t)n_classes + (size_t)k], SMALLEST_P));
            mean += row[k] / n_classes;
        }
        for (int k = 0; k < n_classes; k++)
            row[k] -= mean;
    }
}

/* Computes q [K] of one row. Returns the logarithm l of the softmax's denominator: log q_k = z_k * sharpness
 * + bias_k - l. */
static double softmax_row(double *q, const struct recalibration *r, const double *z, int n_classes)
{
    double top = -INFINITY, sum = 0;
    for (int k = 0; k < n_classes; k++)
        top = fmax(top, q[k] = z[k] * r->sharpness + r->bias[k]);
    for (int k = 0; k < n_classes; k++)
        sum += q[k] = exp(q[k] - top);
    for (int k = 0; k < n_classes; k++)
        q[k] /= sum;
    return top + log(sum);
}

void recalibration_apply(const struct recalibration *r, double *out, const double *z, size_t n_rows,
                         int n_classes)
{
    double q[RECALIBRATION_MAX_CLASSES];
    for (size_t i = 0; i < n_rows; i++) {
        softmax_row(q, r, z + i * (size_t)n_classes, n_classes);
        memcpy(out + i * (size_t)n_classes, q, (size_t)n_classes * sizeof *q);
    }
}

/* Returns the loss, and sets gradient [K + 1] and hessian [K + 1][K + 1] if they are not NULL. Sharpness
 * comes first. */
static double loss_of(const struct recalibration *r, const double *z, const int32_t *label,
                      const uint32_t *count, size_t n_rows, int n_classes, bool penalty, double *gradient,
                      double *hessian)
{
    double loss = 0, total = 0, q[RECALIBRATION_MAX_CLASSES];
    int size = n_classes + 1;
    if (gradient) {
        memset(gradient, 0, (size_t)size * sizeof *gradient);
        memset(hessian, 0, (size_t)size * (size_t)size * sizeof *hessian);
    }
    for (size_t i = 0; i < n_rows; i++) {
        const double *row = z + i * (size_t)n_classes;
        double w = count ? count[i] : 1, mean = 0, square = 0;
        if (w == 0) continue;
        total += w;
        double norm = softmax_row(q, r, row, n_classes);
        loss += w * (norm - row[label[i]] * r->sharpness - r->bias[label[i]]);
        if (!gradient) continue;
        for (int k = 0; k < n_classes; k++) {
            mean += q[k] * row[k];
            square += q[k] * row[k] * row[k];
        }
        gradient[0] += w * (mean - row[label[i]]);
        gradient[1 + label[i]] -= w;
        hessian[0] += w * (square - mean * mean);
        for (int k = 0; k < n_classes; k++) {
            double *line = hessian + (size_t)(k + 1) * (size_t)size;
            gradient[1 + k] += w * q[k];
            hessian[1 + k] += w * q[k] * (row[k] - mean);
            line[1 + k] += w * q[k];
            for (int j = 0; j <= k; j++)
                line[1 + j] -= w * q[k] * q[j];
        }
    }
    loss /= total;
    if (!penalty) return loss;
    loss += PENALTY / 2 * (r->sharpness - 1) * (r->sharpness - 1);
    for (int k = 0; k < n_classes; k++)
        loss += PENALTY / 2 * r->bias[k] * r->bias[k];
    if (!gradient) return loss;
    for (int i = 0; i < size; i++) {
        gradient[i] = gradient[i] / total + PENALTY * (i ? r->bias[i - 1] : r->sharpness - 1);
        hessian[i * size] = hessian[i];
        for (int j = 0; j <= i; j++)
            hessian[j * size + i] = hessian[i * size + j] =
                hessian[i * size + j] / total + PENALTY * (i == j);
    }
    return loss;
}

int recalibration_fit(struct recalibration *r, const double *z, const int32_t *label, const uint32_t *count,
                      size_t n_rows, int n_classes, struct error *err)
{
    size_t size = (size_t)n_classes + 1;
    double *hessian = mem_alloc(size * size * sizeof *hessian, err);
    double gradient[RECALIBRATION_MAX_CLASSES + 1], step[RECALIBRATION_MAX_CLASSES + 1];
    if (!hessian) return -1;
    for (int round = 0; round < MOST_STEPS; round++) {
        double slope = 0, largest = 0, length = 1;
        double loss = loss_of(r, z, label, count, n_rows, n_classes, true, gradient, hessian);
        memcpy(step, gradient, sizeof step);
        if (!linear_solve(hessian, step, n_classes + 1)) break;
        for (size_t i = 0; i < size; i++) {
            slope += gradient[i] * step[i];
            largest = fmax(largest, fabs(step[i]));
        }
        for (int halving = 0; halving < 40; halving++, length /= 2) {
            struct recalibration next = *r;
            next.sharpness -= length * step[0];
            for (int k = 0; k < n_classes; k++)
                next.bias[k] -= length * step[1 + k];
            /* Near the minimum the loss cannot distinguish two points any more; the step is accepted. */
            if (largest < 1e-5 || loss_of(&next, z, label, count, n_rows, n_classes, true, NULL, NULL) <=
                                      loss - 1e-4 * length * slope) {
                *r = next;
                break;
            }
        }
        if (largest < 1e-9) break;
    }
    free(hessian);
    return 0;
}

double recalibration_loss(const struct recalibration *r, const double *z, const int32_t *label,
                          const uint32_t *count, size_t n_rows, int n_classes)
{
    return loss_of(r, z, label, count, n_rows, n_classes, false, NULL, NULL);
}
