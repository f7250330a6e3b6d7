/*
 * label_errors.h: finds given labels that are probably wrong, from out-of-sample probabilities alone, by
 * confident learning (Northcutt, Jiang and Chuang, JAIR 2021). Thresholds, joint distribution, filters and
 * scores are those of cleanlab 2.9; tests compare them with its output in tests/fixtures/label-errors. Where
 * cleanlab's sort is unstable, ties here are in the order of ids. Index g is the given class, and t the
 * estimated true class.
 */
#ifndef WINNOW_METRIC_LABEL_ERRORS_H
#define WINNOW_METRIC_LABEL_ERRORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "metric/predictions.h"

struct label_errors_input { /* borrowed */
    size_t n_rows;
    int n_classes;
    const double *p;           /* n_rows x n_classes, in [0,1]; rows need not sum to 1 exactly */
    const int32_t *given;      /* 0..n_classes-1 */
    const struct id_key *keys; /* breaks ties */
};

struct label_errors {
    int n_classes;
    size_t n_rows;
    int64_t *given_counts; /* [K] */
    /* [K]: the mean self-confidence of the class; 2 for a class without rows. */
    double *threshold;
    int64_t *confident_uncalibrated; /* [g][t], diagonal at least 1 */
    int64_t *confident;              /* [g][t] calibrated: rows sum to given_counts */
    double *joint;                   /* [g][t], sums to 1 */
    double *noise;                   /* [g][t] = P(given|true), columns sum to 1 */
    double *inverse_noise;           /* [t][g] = P(true|given), columns sum to 1 */
    double *prior;                   /* [K]: estimated prior of the true classes */
    double *quality;                 /* [K]: P(true = k | given = k) on the joint */
    /* [n_rows]: whether the row is counted off the diagonal of the confident joint */
    uint8_t *off_diagonal;
    size_t n_issues; /* number of rows that the filter confident_learning flags */
    int64_t n_off_diagonal_calibrated;
    double health; /* 1 - n_issues / n_rows */
};
#define LABEL_ERRORS_EMPTY ((struct label_errors){0})

int label_errors_estimate(struct label_errors *out, const struct label_errors_input *in, struct error *err);
void label_errors_release(struct label_errors *e);

enum label_filter {
    FILTER_PRUNE_BY_NOISE_RATE,
    FILTER_PRUNE_BY_CLASS,
    FILTER_BOTH,
    FILTER_CONFIDENT_LEARNING,
    FILTER_PREDICTED_NEQ_GIVEN,
    FILTER_LOW_SELF_CONFIDENCE,
    FILTER_LOW_NORMALIZED_MARGIN,
    FILTER_COUNT
};
#define LABEL_FILTER_NAMES                                                                                   \
    "prune_by_noise_rate|prune_by_class|both|confident_learning|predicted_neq_given|low_self_confidence|"    \
    "low_normalized_margin"
extern const char *const label_filter_names[FILTER_COUNT];

struct label_filter_options {
    double frac_noise; /* share of the estimated errors that the prune filters flag; default 1 */
    /* The prune filters leave at least this many rows of a class unflagged, and skip smaller classes. */
    int64_t min_examples_per_class;
};
#define LABEL_FILTER_DEFAULTS ((struct label_filter_options){1.0, 1})

/* Sets flagged [n_rows] to 0 or 1. */
int label_errors_filter(const struct label_errors *e, const struct label_errors_input *in,
                        enum label_filter filter, const struct label_filter_options *options,
                        uint8_t *flagged, struct error *err);

enum label_rank {
    RANK_SELF_CONFIDENCE,
    RANK_NORMALIZED_MARGIN,
    RANK_CONFIDENCE_WEIGHTED_ENTROPY,
    RANK_COUNT
};
#define LABEL_RANK_NAMES "self_confidence|normalized_margin|confidence_weighted_entropy"
extern const char *const label_rank_names[RANK_COUNT];

/* Sets score [n_rows]; a lower score means that the label is more probably wrong. adjust: the probabilities
 * are first shifted by the thresholds of their classes, as by cleanlab's adjust_pred_probs. This needs e,
 * which may be NULL otherwise. */
int label_errors_score(const struct label_errors *e, const struct label_errors_input *in,
                       enum label_rank rank, bool adjust, double *score, struct error *err);

/* Sets *order to the rows with flagged != 0 (NULL: all rows), those with the lowest score first, and ties by
 * id. *order has *n entries; the caller frees it with spill_free. */
int label_errors_rank(const struct label_errors_input *in, const double *score, const uint8_t *flagged,
                      uint32_t **order, size_t *n, struct error *err);

#endif
