/*
 * classification.h: the confusion matrix and what is computed from it, measures of ranking, and the
 * calibration of a classifier. Definitions are those of scikit-learn (1.2). Where it would divide by zero,
 * the value is 0 for precision, recall and F1, and NaN for everything else. NaN is printed as it is, so that
 * no number looks measured that was not.
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
    struct interval log_loss_interval, brier_interval; /* 95 %: mean of the rows and its deviation */
    /* Set by classification_intervals. */
    struct interval macro_f1, weighted_f1, balanced, kappa_interval, mcc_interval;
};
#define CLASSIFICATION_EMPTY ((struct classification){0})

/* p [n_rows][K], label and pred [n_rows] in 0..K-1; n_rows > 0. */
int classification_measure(struct classification *out, const double *p, const int32_t *label,
                           const int32_t *pred, size_t n_rows, int n_classes, struct error *err);
/*
 * Sets the intervals of the jackknife: value +- z standard deviations of its delete-one estimates, limited
 * to the range of the measure. NaN where leaving out a row never changes the measure (for example when all
 * rows are right), since a deviation of 0 would say nothing.
 */
void classification_intervals(struct classification *c, double z);
void classification_release(struct classification *c);

/* Cohen's kappa of a square table of counts [a][b]. NaN when both sides
 * always give the same single answer. */
double kappa_of_counts(const uint64_t *counts, int n);

/* --- curves --- */

/* Every distinct score as a threshold, the highest first. tp and fp are the counts when `score >=
 * threshold` is taken as positive. The point (0, 0) at threshold infinity is not stored. */
struct curve {
    size_t n_points;
    double *threshold; /* decreasing */
    uint64_t *tp, *fp; /* increasing */
    uint64_t n_positive, n_negative;
};
#define CURVE_EMPTY ((struct curve){0})
int curve_make(struct curve *out, const double *score, const uint8_t *positive, size_t n_rows,
               struct error *err);
/* One class against the rest: the scores are its column of p [n_rows][K], which is in [0, 2). */
int curve_make_class(struct curve *out, const double *p, const int32_t *label, size_t n_rows, int n_classes,
                     int class, struct error *err);
/*
 * Keeps the points that a line with points 1 / per_axis apart in x or in y would use, for the ROC curve and
 * for the precision-recall curve, and the last point. The reduced curve therefore gives the same drawing.
 * Compute measures from the whole curve.
 */
int curve_keep_shown(struct curve *c, double per_axis, struct error *err);
void curve_release(struct curve *c);

double curve_roc_auc(const struct curve *c);           /* ties count half; NaN when a side is empty */
double curve_average_precision(const struct curve *c); /* no interpolation; NaN without positives */

/*
 * Intervals of both. For the area: the variance of DeLong, DeLong and Clarke-Pearson (1988). For the average
 * precision: the delete-one jackknife over rows. Both are made on the logit scale, value +- z standard
 * deviations / (value (1 - value)), and therefore stay inside 0..1. NaN when a side has fewer than two rows,
 * and when the value is 0 or 1: the variance is then 0, which says nothing.
 */
struct interval curve_roc_auc_interval(const struct curve *c, double z);
struct interval curve_average_precision_interval(const struct curve *c, double z);

/* The index of the last point whose false positive rate is at most fpr. -1: only (0,0). */
int64_t curve_at_fpr(const struct curve *c, double fpr);
/* The index of the point with the highest precision among those with at least
 * this recall. -1 without positives. */
int64_t curve_best_precision(const struct curve *c, double recall);

/* --- calibration --- */

struct calibration_bin {
    uint64_t n, n_right;
    double confidence_sum;
};

/* The confidence of each row (its largest p), and whether the prediction is right. [n_rows] each. */
void calibration_confidence(const double *p, const int32_t *label, const int32_t *pred, size_t n_rows,
                            int n_classes, double *confidence, uint8_t *right);
/* n_bins bins of equal width, closed on the right. Confidence 0 is in the first. */
void calibration_equal_width(const double *confidence, const uint8_t *right, size_t n_rows, int n_bins,
                             struct calibration_bin *bins);
/* n_bins bins with equally many rows, in the stable order of confidence. */
int calibration_equal_mass(const double *confidence, const uint8_t *right, size_t n_rows, int n_bins,
                           struct calibration_bin *bins, struct error *err);
double calibration_ece(const struct calibration_bin *bins, int n_bins); /* expected calibration error */
double calibration_mce(const struct calibration_bin *bins, int n_bins); /* the worst bin's */

/*
 * Fits one temperature T > 0 for all logits: the minimum over [1/20, 20] of the mean of -log
 * softmax(z/T)[label]. The function is convex in 1/T, so that Newton's method inside a bracket ends at the
 * minimum. z is [n_rows][K], or NULL for log max(p, 1e-15). at_edge: the minimum is outside the range, for
 * example because every row is right.
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
