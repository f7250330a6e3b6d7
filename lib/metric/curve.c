/* curve.c: computes the ROC curve and the precision-recall curve from one sort of the scores. All counts are
 * integers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/spill.h"
#include "metric/classification.h"
#include "metric/sort.h"

static int allocate(struct curve *out, size_t n_points, struct error *err)
{
    *out = CURVE_EMPTY;
    if ((out->threshold = spill_alloc((n_points + 1) * sizeof(double), err)) &&
        (out->tp = spill_alloc((n_points + 1) * sizeof(uint64_t), err)) &&
        (out->fp = spill_alloc((n_points + 1) * sizeof(uint64_t), err)))
        return 0;
    curve_release(out);
    return -1;
}

static void add_point(struct curve *out, double threshold)
{
    out->threshold[out->n_points] = threshold;
    out->tp[out->n_points] = out->n_positive;
    out->fp[out->n_points++] = out->n_negative;
}

/* For any scores: sorts the rows. */
static int make_by_rows(struct curve *out, const double *score, const uint8_t *positive, size_t n_rows,
                        struct error *err)
{
    uint32_t *order = mem_alloc((n_rows ? n_rows : 1) * sizeof *order, err);
    if (!order || sort_rows_descending(score, n_rows, order, err) || allocate(out, n_rows, err)) {
        free(order);
        return -1;
    }
    for (size_t i = 0; spill_step(i) < n_rows; i++) {
        out->n_positive += positive[order[i]] != 0;
        out->n_negative += positive[order[i]] == 0;
        if (i + 1 == n_rows || score[order[i + 1]] != score[order[i]]) add_point(out, score[order[i]]);
    }
    free(order);
    return 0;
}

/* For scores in [0, 2): sorts keys that contain the flag, so no rows are needed. */
static int make_by_keys(struct curve *out, uint64_t *keys, size_t n_rows, struct error *err)
{
    size_t n_points = 0;
    if (sort_keys_ascending(keys, n_rows, err)) return -1;
    for (size_t i = n_rows; spill_step(i--) > 0;)
        n_points += i == 0 || keys[i - 1] >> 1 != keys[i] >> 1;
    if (allocate(out, n_points, err)) return -1;
    for (size_t i = n_rows; spill_step(i--) > 0;) {
        out->n_positive += keys[i] & 1;
        out->n_negative += !(keys[i] & 1);
        if (i == 0 || keys[i - 1] >> 1 != keys[i] >> 1) add_point(out, sort_key_score(keys[i]));
    }
    return 0;
}

int curve_make(struct curve *out, const double *score, const uint8_t *positive, size_t n_rows,
               struct error *err)
{
    uint64_t *keys = spill_alloc((n_rows + 1) * sizeof *keys, err);
    bool fit = true;
    int rc = -1;
    *out = CURVE_EMPTY;
    if (!keys) return -1;
    for (size_t i = 0; fit && spill_step(i) < n_rows; i++)
        fit = sort_score_key(&keys[i], score[i], positive[i] != 0);
    if (fit) rc = make_by_keys(out, keys, n_rows, err);
    spill_free(keys);
    return fit ? rc : make_by_rows(out, score, positive, n_rows, err);
}

int curve_make_class(struct curve *out, const double *p, const int32_t *label, size_t n_rows, int n_classes,
                     int class, struct error *err)
{
    uint64_t *keys = spill_alloc((n_rows + 1) * sizeof *keys, err);
    int rc;
    *out = CURVE_EMPTY;
    if (!keys) return -1;
    for (size_t i = 0; spill_step(i) < n_rows; i++)
        sort_score_key(&keys[i], p[i * (size_t)n_classes + (size_t) class], label[i] == class);
    rc = make_by_keys(out, keys, n_rows, err);
    spill_free(keys);
    return rc;
}

void curve_release(struct curve *c)
{
    spill_free(c->threshold);
    spill_free(c->tp);
    spill_free(c->fp);
    *c = CURVE_EMPTY;
}

/* State of a greedy selection of points for a line: the last selected point, and whether the next one is
 * selected. */
struct line {
    double x, y;
};

static bool line_takes(struct line *l, double x, double y, double per_axis, bool always)
{
    if (!always && fabs(x - l->x) * per_axis < 1 && fabs(y - l->y) * per_axis < 1) return false;
    *l = (struct line){x, y};
    return true;
}

int curve_keep_shown(struct curve *c, double per_axis, struct error *err)
{
    struct line roc = {-1, -1}, pr = {-1, -1};
    struct curve kept;
    size_t n = 0;
    for (size_t i = 0; spill_step(i) < c->n_points; i++) {
        bool last = i + 1 == c->n_points;
        double fpr = c->n_negative ? (double)c->fp[i] / (double)c->n_negative : 0,
               tpr = c->n_positive ? (double)c->tp[i] / (double)c->n_positive : 0,
               precision = (double)c->tp[i] / (double)(c->tp[i] + c->fp[i]);
        bool in_roc = line_takes(&roc, fpr, tpr, per_axis, last),
             in_pr = line_takes(&pr, tpr, precision, per_axis, last);
        if (!in_roc && !in_pr) continue;
        c->threshold[n] = c->threshold[i];
        c->tp[n] = c->tp[i];
        c->fp[n++] = c->fp[i];
    }
    if (allocate(&kept, n, err)) return -1;
    memcpy(kept.threshold, c->threshold, n * sizeof *kept.threshold);
    memcpy(kept.tp, c->tp, n * sizeof *kept.tp);
    memcpy(kept.fp, c->fp, n * sizeof *kept.fp);
    kept.n_points = n;
    kept.n_positive = c->n_positive;
    kept.n_negative = c->n_negative;
    curve_release(c);
    *c = kept;
    return 0;
}

double curve_roc_auc(const struct curve *c)
{
    /* Twice the area in unit cells: at most 2 * n^2 / 4, which fits into 64 bits for 2^32 rows. */
    uint64_t twice = 0, tp = 0, fp = 0;
    if (c->n_positive == 0 || c->n_negative == 0) return NAN;
    for (size_t i = 0; spill_step(i) < c->n_points; i++) {
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
    for (size_t i = 0; spill_step(i) < c->n_points; i++) {
        sum += (double)(c->tp[i] - tp) * ((double)c->tp[i] / (double)(c->tp[i] + c->fp[i]));
        tp = c->tp[i];
    }
    return sum / (double)c->n_positive;
}

/* Returns value +- z standard deviations, computed on the logit scale. */
static struct interval logit_interval(double value, double variance, double z)
{
    if (!(value > 0 && value < 1 && variance > 0)) return (struct interval){NAN, NAN};
    double at = log(value) - log1p(-value), half = z * sqrt(variance) / (value * (1 - value));
    return (struct interval){1 / (1 + exp(half - at)), 1 / (1 + exp(-half - at))};
}

/*
 * The area is a mean over positive rows of the share of negatives below, where ties count half, and also a
 * mean over negative rows of the share of positives above. Its variance is the sum of the variances of these
 * two means. Rows with equal scores have the same share, so the counts of the curve are enough to compute it.
 */
struct interval curve_roc_auc_interval(const struct curve *c, double z)
{
    double positives = (double)c->n_positive, negatives = (double)c->n_negative, area = curve_roc_auc(c),
           above = 0, below = 0;
    uint64_t tp = 0, fp = 0;
    if (c->n_positive < 2 || c->n_negative < 2) return (struct interval){NAN, NAN};
    for (size_t i = 0; spill_step(i) < c->n_points; i++) {
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
 * When one row of score s is left out, all precisions at thresholds up to s change. Two running sums, from
 * the lowest threshold up, contain these terms of the average precision without one negative and without one
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
    for (size_t i = c->n_points; spill_step(i--) > 0;) {
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
    for (size_t i = 0; spill_step(i) < c->n_points; i++)
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
    for (size_t i = 0; spill_step(i) < c->n_points; i++) {
        double precision = (double)c->tp[i] / (double)(c->tp[i] + c->fp[i]);
        if ((double)c->tp[i] / (double)c->n_positive >= recall && precision > highest) {
            highest = precision;
            best = (int64_t)i;
        }
    }
    return best;
}
