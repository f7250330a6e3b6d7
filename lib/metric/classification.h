/*
 * classification.h: computes the confusion matrix of a classifier and measures from it, measures of ranking,
 * and the calibration. Definitions are those of scikit-learn (1.2). Where a definition divides by zero, the
 * value is 0 for precision, recall and F1, and NaN for everything else. Reports print NaN as "nan", so that a
 * value that could not be measured does not look like a number.
 */
#ifndef WINNOW_METRIC_CLASSIFICATION_H
#define WINNOW_METRIC_CLASSIFICATION_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "metric/interval.h"

struct class_scores {
    double precision, recall, f1;
    uint64_t n_true, n_predicted, n_right;
};

struct classification {
    int n_classes;
    size_t n_rows;
    uint64_t *confusion;                 /* [true][predicted] */
    struct class_scores *classes;        /* [K] */
    struct class_scores macro, weighted; /* only the three rates */
    double accuracy, balanced_accuracy, kappa, mcc, top2_accuracy;
    size_t n_right, n_top2;
    double log_loss; /* p clipped to 1e-15, rows divided by their sum, as scikit-learn does */
    double brier;    /* mean over rows of the sum over classes of (p - onehot)^2 */
    /* 95 % intervals from the mean over the rows and its standard deviation */
    struct interval log_loss_interval, brier_interval;
    /* Set by classification_intervals. */
    struct interval macro_f1, weighted_f1, balanced, kappa_interval, mcc_interval;
};
#define CLASSIFICATION_EMPTY ((struct classification){0})

/* Computes all measures but those of classification_intervals. p [n_rows][K], label and pred [n_rows] in
 * 0..K-1; n_rows > 0. */
int classification_measure(struct classification *out, const double *p, const int32_t *label,
                           const int32_t *pred, size_t n_rows, int n_classes, struct error *err);
/*
 * Sets the intervals that the jackknife gives: the value +- z times its standard deviation, which is
 * estimated by leaving out one row at a time. They are limited to the range of the measure. They are NaN
 * where leaving out a row never changes the measure (for example when all rows are right), because a
 * deviation of 0 would be meaningless.
 */
void classification_intervals(struct classification *c, double z);
void classification_release(struct classification *c);

/* Returns Cohen's kappa of a square table of counts [a][b]. It is NaN when both sides name only one and the
 * same class. */
double kappa_of_counts(const uint64_t *counts, int n);

/* --- curves --- */

/* Every distinct score as a threshold, the highest first. tp and fp are the counts when rows with `score >=
 * threshold` are predicted as positive. The point (0, 0) at threshold infinity is not stored. */
struct curve {
    size_t n_points;
    double *threshold; /* decreasing */
    uint64_t *tp, *fp; /* increasing */
    uint64_t n_positive, n_negative;
};
#define CURVE_EMPTY ((struct curve){0})
int curve_make(struct curve *out, const double *score, const uint8_t *positive, size_t n_rows,
               struct error *err);
/* Makes the curve of one class against the others. The scores are the class's column of p [n_rows][K], whose
 * values are in [0, 2). */
int curve_make_class(struct curve *out, const double *p, const int32_t *label, size_t n_rows, int n_classes,
                     int class, struct error *err);
/*
 * Removes points that a drawing does not need. Both in the ROC curve and in the precision-recall curve, the
 * points that remain are at least 1 / per_axis apart in x or in y; the last point also remains. The drawing
 * of the reduced curve is therefore the same. Compute measures from the whole curve.
 */
int curve_keep_shown(struct curve *c, double per_axis, struct error *err);
void curve_release(struct curve *c);

/* ties count half; NaN when there are no positives or no negatives */
double curve_roc_auc(const struct curve *c);
double curve_average_precision(const struct curve *c); /* no interpolation; NaN without positives */

/*
 * Intervals of these two measures. For the area, the variance is that of DeLong, DeLong and Clarke-Pearson
 * (1988); for the average precision, it comes from a jackknife that leaves out one row at a time. Both
 * intervals are computed on the logit scale, as +- z standard deviations / (value (1 - value)), and therefore
 * stay inside 0..1. They are NaN when there are fewer than two positives or two negatives, and when the value
 * is 0 or 1, because the variance is then 0 and meaningless.
 */
struct interval curve_roc_auc_interval(const struct curve *c, double z);
struct interval curve_average_precision_interval(const struct curve *c, double z);

/* Returns the index of the last point whose false positive rate is at most fpr, or -1 when only (0,0) has
 * such a rate. */
int64_t curve_at_fpr(const struct curve *c, double fpr);
/* Returns the index of the point with the highest precision among those with at least this recall, or -1
 * without positives. */
int64_t curve_best_precision(const struct curve *c, double recall);

/* --- calibration --- */

struct calibration_bin {
    uint64_t n, n_right;
    double confidence_sum;
};

/* Sets, for each of the n_rows rows, its confidence (the largest p) and whether its prediction is right. */
void calibration_confidence(const double *p, const int32_t *label, const int32_t *pred, size_t n_rows,
                            int n_classes, double *confidence, uint8_t *right);
/* Divides the rows among n_bins bins of equal width. A bin includes its upper bound, and the first includes
 * 0. */
void calibration_equal_width(const double *confidence, const uint8_t *right, size_t n_rows, int n_bins,
                             struct calibration_bin *bins);
/* Divides the rows, sorted by confidence, among n_bins bins with equally many rows. */
int calibration_equal_mass(const double *confidence, const uint8_t *right, size_t n_rows, int n_bins,
                           struct calibration_bin *bins, struct error *err);
double calibration_ece(const struct calibration_bin *bins, int n_bins); /* expected calibration error */
double calibration_mce(const struct calibration_bin *bins, int n_bins); /* the worst bin's */

/*
 * The temperature T > 0 for all logits that minimises the mean of -log softmax(z/T)[label] over [1/20, 20].
 * The function is convex in 1/T, so Newton's method inside a bracket ends at the minimum. z is [n_rows][K],
 * or NULL for log max(p, 1e-15). at_edge: the minimum is outside the range, for example because every row is
 * right.
 */
struct temperature_fit {
    double temperature, nll_before, nll_after;
    int at_edge;
};
int temperature_fit(struct temperature_fit *out, const double *z, const double *p, const int32_t *label,
                    size_t n_rows, int n_classes, unsigned threads, struct error *err);
/* out [n_rows][K] = softmax(z / T). */
void temperature_apply(const double *z, const double *p, double temperature, size_t n_rows, int n_classes,
                       double *out);

#endif
