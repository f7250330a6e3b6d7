/*
 * classification.h: confusion matrix and what follows from it, ranking measures, and calibration of a
 * classifier. Definitions are scikit-learn's (1.2); where it divides by zero the value is 0 for precision,
 * recall and F1 and NaN for the rest: NaN is what is printed, never a number that looks measured.
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
    /* classification_intervals */
    struct interval macro_f1, weighted_f1, balanced, kappa_interval, mcc_interval;
};
#define CLASSIFICATION_EMPTY ((struct classification){0})

/* p [n_rows][K], label and pred [n_rows] in 0..K-1; n_rows > 0. */
int classification_measure(struct classification *out, const double *p, const int32_t *label,
                           const int32_t *pred, size_t n_rows, int n_classes, struct error *err);
/*
 * The jackknife's intervals: value +- z deviations of its delete-one estimates, cut at the measure's own
 * ends. NaN where leaving out a row never changes the measure (all rows right, say): a deviation of 0 would
 * say nothing.
 */
void classification_intervals(struct classification *c, double z);
void classification_release(struct classification *c);

/* Cohen's kappa of a square table of counts [a][b]; NaN when both sides always say the same one thing. */
double kappa_of_counts(const uint64_t *counts, int n);

/* --- curves --- */

/*
 * Every distinct score as a threshold, highest first: with `score >= threshold` taken as positive, tp and fp
 * are the counts. The point (0, 0) at threshold infinity is not stored.
 */
struct curve {
    size_t n_points;
    double *threshold; /* decreasing */
    uint64_t *tp, *fp; /* increasing */
    uint64_t n_positive, n_negative;
};
#define CURVE_EMPTY ((struct curve){0})
int curve_make(struct curve *out, const double *score, const uint8_t *positive, size_t n_rows,
               struct error *err);
void curve_release(struct curve *c);

double curve_roc_auc(const struct curve *c);           /* ties count half; NaN when a side is empty */
double curve_average_precision(const struct curve *c); /* no interpolation; NaN without positives */

/*
 * Intervals of both. Of the area: the variance of DeLong, DeLong and Clarke-Pearson (1988). Of the average
 * precision: the delete-one jackknife over rows. Both intervals are made on the logit scale, value +- z
 * deviations / (value (1 - value)), and so stay inside 0..1. NaN where a side has fewer than two rows and
 * where the value is 0 or 1: the variance is 0 there and says nothing.
 */
struct interval curve_roc_auc_interval(const struct curve *c, double z);
struct interval curve_average_precision_interval(const struct curve *c, double z);

/* Index of the last point whose false positive rate is at most fpr; -1: none but (0,0). */
int64_t curve_at_fpr(const struct curve *c, double fpr);
/* Index of the point of the highest precision among those with at least this recall; -1 without positives. */
int64_t curve_best_precision(const struct curve *c, double recall);

/* --- calibration --- */

struct calibration_bin {
    uint64_t n, n_right;
    double confidence_sum;
};

/* Top-label confidence of each row (max p) and whether the prediction is right. [n_rows] each. */
void calibration_confidence(const double *p, const int32_t *label, const int32_t *pred, size_t n_rows,
                            int n_classes, double *confidence, uint8_t *right);
/* n_bins equal-width bins, right-closed; confidence 0 falls into the first. */
void calibration_equal_width(const double *confidence, const uint8_t *right, size_t n_rows, int n_bins,
                             struct calibration_bin *bins);
/* n_bins of equal size in the stable order of confidence. */
int calibration_equal_mass(const double *confidence, const uint8_t *right, size_t n_rows, int n_bins,
                           struct calibration_bin *bins, struct error *err);
double calibration_ece(const struct calibration_bin *bins, int n_bins); /* expected calibration error */
double calibration_mce(const struct calibration_bin *bins, int n_bins); /* the worst bin's */

/*
 * One temperature T > 0 for all logits: the minimum of the mean of -log softmax(z/T)[label] over [1/20, 20];
 * NLL is convex in 1/T, so Newton steps kept inside a bracket end at it. z [n_rows][K]; or NULL, then z = log
 * max(p, 1e-15). at_edge: the optimum lies outside the range (every row right, say).
 */
struct temperature_fit {
    double temperature, nll_before, nll_after;
    int at_edge;
};
int temperature_fit(struct temperature_fit *out, const double *z, const double *p, const int32_t *label,
                    size_t n_rows, int n_classes, struct error *err);
/* out [n_rows][K] = softmax(z / T). */
void temperature_apply(const double *z, const double *p, double temperature, size_t n_rows, int n_classes,
                       double *out);

#endif
