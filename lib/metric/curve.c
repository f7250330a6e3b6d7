/*
 * curve.c: ROC and precision-recall from one sort of the scores, in whole counts.
 */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "metric/classification.h"
#include "metric/sort.h"

int curve_make(struct curve *out, const double *score, const uint8_t *positive, size_t n_rows, struct error *err)
{
    uint32_t *order = mem_alloc((n_rows ? n_rows : 1) * sizeof *order, err);
    uint64_t tp = 0, fp = 0;
    *out = CURVE_EMPTY;
    if (!order || sort_rows_descending(score, n_rows, order, err) || !(out->threshold = mem_alloc((n_rows + 1) * sizeof(double), err)) ||
        !(out->tp = mem_alloc((n_rows + 1) * sizeof(uint64_t), err)) || !(out->fp = mem_alloc((n_rows + 1) * sizeof(uint64_t), err))) {
        free(order);
        curve_release(out);
        return -1;
    }
    for (size_t i = 0; i < n_rows; i++) {
        tp += positive[order[i]] != 0;
        fp += positive[order[i]] == 0;
        if (i + 1 < n_rows && score[order[i + 1]] == score[order[i]])
            continue;
        out->threshold[out->n_points] = score[order[i]];
        out->tp[out->n_points] = tp;
        out->fp[out->n_points++] = fp;
    }
    out->n_positive = tp;
    out->n_negative = fp;
    free(order);
    return 0;
}

void curve_release(struct curve *c)
{
    free(c->threshold);
    free(c->tp);
    free(c->fp);
    *c = CURVE_EMPTY;
}

double curve_roc_auc(const struct curve *c)
{
    uint64_t twice = 0, tp = 0, fp = 0;     /* twice the area in unit cells: at most 2 * n^2 / 4, far below 2^64 for 2^32 rows */
    if (c->n_positive == 0 || c->n_negative == 0)
        return NAN;
    for (size_t i = 0; i < c->n_points; i++) {
        twice += (c->fp[i] - fp) * (c->tp[i] + tp);
        tp = c->tp[i];
        fp = c->fp[i];
    }
    return (double)twice / 2 / ((double)c->n_positive * (double)c->n_negative);
}

double curve_average_precision(const struct curve *c)
{
    double sum = 0;
    uint64_t tp = 0;
    if (c->n_positive == 0)
        return NAN;
    for (size_t i = 0; i < c->n_points; i++) {
        sum += (double)(c->tp[i] - tp) * ((double)c->tp[i] / (double)(c->tp[i] + c->fp[i]));
        tp = c->tp[i];
    }
    return sum / (double)c->n_positive;
}

int64_t curve_at_fpr(const struct curve *c, double fpr)
{
    int64_t last = -1;
    for (size_t i = 0; i < c->n_points; i++)
        if (c->n_negative == 0 || (double)c->fp[i] / (double)c->n_negative <= fpr)
            last = (int64_t)i;
        else
            break;
    return last;
}

int64_t curve_best_precision(const struct curve *c, double recall)
{
    int64_t best = -1;
    double highest = -1;
    if (c->n_positive == 0)
        return -1;
    for (size_t i = 0; i < c->n_points; i++) {
        double precision = (double)c->tp[i] / (double)(c->tp[i] + c->fp[i]);
        if ((double)c->tp[i] / (double)c->n_positive >= recall && precision > highest) {
            highest = precision;
            best = (int64_t)i;
        }
    }
    return best;
}
