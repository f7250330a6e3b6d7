/* curve.c: the ROC curve and the precision-recall curve from one sort of the scores, in whole counts. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "metric/classification.h"
#include "metric/sort.h"

int curve_make(struct curve *out, const double *score, const uint8_t *positive, size_t n_rows,
               struct error *err)
{
    uint32_t *order = mem_alloc((n_rows ? n_rows : 1) * sizeof *order, err);
    uint64_t tp = 0, fp = 0;
    *out = CURVE_EMPTY;
    if (!order || sort_rows_descending(score, n_rows, order, err) ||
        !(out->threshold = mem_alloc((n_rows + 1) * sizeof(double), err)) ||
        !(out->tp = mem_alloc((n_rows + 1) * sizeof(uint64_t), err)) ||
        !(out->fp = mem_alloc((n_rows + 1) * sizeof(uint64_t), err))) {
        free(order);
        curve_release(out);
        return -1;
    }
    for (size_t i = 0; i < n_rows; i++) {
        tp += positive[order[i]] != 0;
        fp += positive[order[i]] == 0;
        if (i + 1 < n_rows && score[order[i + 1]] == score[order[i]]) continue;
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
    /* Twice the area in unit cells: at most 2 * n^2 / 4, which fits into 64 bits for 2^32 rows. */
    uint64_t twice = 0, tp = 0, fp = 0;
    if (c->n_positive == 0 || c->n_negative == 0) return NAN;
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
    if (c->n_positive == 0) return NAN;
    for (size_t i = 0; i < c->n_points; i++) {
        sum += (double)(c->tp[i] - tp) * ((double)c->tp[i] / (double)(c->tp[i] + c->fp[i]));
        tp = c->tp[i];
    }
    return sum / (double)c->n_positive;
}

/* value +- z standard deviations, on the logit scale. */
static struct interval logit_interval(double value, double variance, double z)
{
    if (!(value > 0 && value < 1 && variance > 0)) return (struct interval){NAN, NAN};
    double at = log(value) - log1p(-value), half = z * sqrt(variance) / (value * (1 - value));
    return (struct interval){1 / (1 + exp(half - at)), 1 / (1 + exp(-half - at))};
}

/*
 * The area is a mean over positive rows of the share of negatives below, where ties count half, and equally
 * a mean over negative rows of the share of positives above. Its variance is that of these two means. Rows
 * with one score have the same share, so that the counts of the curve contain everything that is needed.
 */
struct interval curve_roc_auc_interval(const struct curve *c, double z)
{
    double positives = (double)c->n_positive, negatives = (double)c->n_negative, area = curve_roc_auc(c),
           above = 0, below = 0;
    uint64_t tp = 0, fp = 0;
    if (c->n_positive < 2 || c->n_negative < 2) return (struct interval){NAN, NAN};
    for (size_t i = 0; i < c->n_points; i++) {
        double new_tp = (double)(c->tp[i] - tp), new_fp = (double)(c->fp[i] - fp);
        double of_positive = (negatives - (double)fp - new_fp / 2) / negatives - area,
               of_negative = ((double)tp + new_tp / 2) / positives - area;
        above += new_tp * of_positive * of_positive;
        below += new_fp * of_negative * of_negative;
        tp = c->tp[i];
        fp = c->fp[i];
    }
    return logit_interval(area, above / (positives - 1) / positives + below / (negatives - 1) / negatives, z);
}

/*
 * The average precision without one row of score s: all precisions at thresholds up to s change. Two running
 * sums, from the lowest threshold up, hold what these terms become without a negative and without a
 * positive.
 */
struct interval curve_average_precision_interval(const struct curve *c, double z)
{
    double value = curve_average_precision(c), positives = (double)c->n_positive,
           n = positives + (double)c->n_negative;
    /* The terms of thresholds above s, which do not change. */
    double sum = 0, squares = 0, higher = value * positives;
    /* The terms of thresholds up to s, without one row. */
    double no_negative = 0, no_positive = 0;
    if (c->n_positive < 2 || c->n_negative < 1) return (struct interval){NAN, NAN};
    for (size_t i = c->n_points; i-- > 0;) {
        double tp = (double)c->tp[i], fp = (double)c->fp[i];
        double new_tp = tp - (i ? (double)c->tp[i - 1] : 0), new_fp = fp - (i ? (double)c->fp[i - 1] : 0);
        higher -= new_tp * (tp / (tp + fp));
        if (new_fp > 0) {
            /* tp + fp is 1 only when this negative is alone at the top: nothing is found there. */
            double d =
                (higher + no_negative + (tp > 0 ? new_tp * (tp / (tp + fp - 1)) : 0)) / positives - value;
            sum += new_fp * d;
            squares += new_fp * d * d;
        }
        if (new_tp > 0) {
            double own = tp > 1 ? (new_tp - 1) * ((tp - 1) / (tp + fp - 1)) : 0;
            double d = (higher + no_positive + own) / (positives - 1) - value;
            sum += new_tp * d;
            squares += new_tp * d * d;
        }
        /* Without a row of a higher score, this threshold has one negative or one positive fewer. */
        no_negative += tp > 0 && fp > 0 ? new_tp * (tp / (tp + fp - 1)) : 0;
        no_positive += tp > 1 ? new_tp * ((tp - 1) / (tp + fp - 1)) : 0;
    }
    return logit_interval(value, (n - 1) / n * (squares - sum * sum / n), z);
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
    if (c->n_positive == 0) return -1;
    for (size_t i = 0; i < c->n_points; i++) {
        double precision = (double)c->tp[i] / (double)(c->tp[i] + c->fp[i]);
        if ((double)c->tp[i] / (double)c->n_positive >= recall && precision > highest) {
            highest = precision;
            best = (int64_t)i;
        }
    }
    return best;
}
