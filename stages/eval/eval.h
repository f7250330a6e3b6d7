/* eval.h: the results of one evaluation, and the files that are written from them. */
#ifndef WINNOW_EVAL_H
#define WINNOW_EVAL_H

#include <stdbool.h>

#include "cli/stage.h"
#include "metric/classification.h"
#include "metric/interval.h"
#include "metric/predictions.h"
#include "model/scoring_model.h"

#define EVAL_N_FPR 4
#define EVAL_N_RECALL 3
extern const double eval_fpr_levels[EVAL_N_FPR];       /* 0.001 0.01 0.05 0.1 */
extern const double eval_recall_levels[EVAL_N_RECALL]; /* 0.9 0.95 0.99 */

struct eval_options {
    struct scoring_options scoring;
    struct common_options common;
    const char *predictions, *model, *shards, *manifest, *split, *out, *slices_file, *reports, *log, *title,
        *device, *memory, *prevalence, *prevalence_from, *val_predictions, *max_miss, *max_wrong_block, *cost;
    struct option_strings views, slice_columns, gates, store_decisions;
    const char *views_file;
    bool fit_temperature, compare, drift, no_report, no_thumbnails;
    double threshold;
    int64_t bootstrap, min_slice, worst, batch;
    int precision; /* enum predictor_precision */
};

/* --- views: a binary question over classes --- */

struct view {
    char *name;
    uint8_t *positive;
}; /* positive [K] */
struct views {
    struct view *items;
    size_t n, capacity;
};
#define VIEWS_EMPTY ((struct views){0})
/*
 * Makes the views from texts "name=a+b": those of --view, those of --views, and the built-in ones
 * (default-views.txt). A built-in view is used only if all its classes exist. It is an error when a view of
 * an option names an unknown class, no class, or all classes.
 */
int views_make(struct views *out, const struct eval_options *o, const struct predictions *p,
               struct error *err);
void views_release(struct views *v);
/* Returns the score of a row in a view: the sum of the probabilities of the view's classes, rounded to 12
 * decimals. */
double view_score(const struct view *view, const struct predictions *p, size_t row);

/* --- numbers --- */

enum slice_rate { RATE_FPR, RATE_FNR, RATE_FLAG, RATE_ACCURACY, SLICE_RATES };
extern const char *const slice_rate_names[SLICE_RATES];

/* One rate in one slice. Slice -1 is ALL, which means all rows. */
struct slice_result {
    int64_t slice; /* index into predictions.slices, -1 for all rows */
    enum slice_rate rate;
    uint64_t k, n, rest_k, rest_n;
    double value, difference; /* NaN where a denominator is 0 */
    struct interval wilson, newcombe;
    /* p-values of the difference from the other rows. NaN for ALL and for slices that are empty or too
     * small. */
    double p, p_holm;
    bool flagged; /* p_holm < 0.05 and n >= --min-slice */
};

struct view_result {
    const struct view *view;
    uint8_t *positive; /* [n_rows]: whether the label is one of the view's classes */
    double *score;     /* [n_rows]: sum of its classes' probabilities, 12 decimals */
    struct curve curve;
    double roc_auc, average_precision;
    struct interval roc_auc_interval, average_precision_interval;
    int64_t at_fpr[EVAL_N_FPR], at_recall[EVAL_N_RECALL]; /* points of the curve, -1 for none */
    uint64_t tp, fp, fn, tn;                              /* at --threshold */
    struct slice_result *slices;                          /* for each rate: ALL, then every slice */
    size_t n_slices;
    /* --compare: the thresholds that were stored for the predictions; NaN when there are none */
    double review, block;
};

struct evaluation {
    const struct predictions *p; /* borrowed */
    struct classification c;
    double *confidence;         /* [n_rows] */
    uint8_t *right;             /* [n_rows] */
    struct curve *class_curves; /* [K] one against the rest: only the points that the report draws */
    double *roc_auc, *average_precision, roc_auc_macro;
    struct interval *roc_auc_intervals, *average_precision_intervals; /* [K] */
    struct calibration_bin width10[10], width15[15], mass15[15], after15[15];
    bool bootstrapped;
    struct bootstrap_result bootstrap;
    struct temperature_fit temperature;
    struct view_result *views;
    size_t n_views;
    struct slice_result *slices; /* accuracy over all classes: ALL, then every slice */
    size_t n_slices;
    double threshold;
};
#define EVALUATION_EMPTY ((struct evaluation){0})
int evaluation_make(struct evaluation *out, const struct predictions *p, const struct views *views,
                    const struct eval_options *o, struct error *err);
void evaluation_release(struct evaluation *e);
/* Returns the interval of the accuracy from the bootstrap. It is Wilson's when there is no bootstrap, or when
 * the bootstrap's has no width because all rows are right or none is. *bootstrap says which. */
struct interval evaluation_accuracy_interval(const struct evaluation *e, bool *bootstrap);

/* Returns the largest minus the smallest value of a rate over the slices of a family. Slices whose
 * denominator is 0 are left out. NaN when no slice is left. */
double slice_gap(const struct predictions *p, const struct slice_result *results, size_t n,
                 enum slice_rate rate, const char *family);

/* --- reports from users --- */

/* Reports of users about pictures, as collect-reports writes them, with the present prediction of the
 * model. */
struct user_report {
    const char *id, *claimed, *slices,
        *before; /* in the arena; "" if empty. before: the prediction that the user saw */
    /* the prediction of this run, or, if the picture is not in it, the one in the file; "" if unknown */
    const char *now;
    uint64_t n;        /* number of reports with this claim */
    bool known, fixed; /* known: there is a claim and a prediction */
};
struct user_reports {
    struct user_report *items;
    size_t n, capacity, n_known, n_fixed;
    struct arena arena;
};
#define USER_REPORTS_EMPTY ((struct user_reports){0})
int user_reports_read(struct user_reports *out, const char *path, const struct predictions *p,
                      struct error *err);
void user_reports_release(struct user_reports *r);

struct decisions;

/* --- output --- */

/* Writes the files of one evaluation into folder, metrics.tsv last. */
int eval_write_tables(const struct evaluation *e, const struct user_reports *reports,
                      const struct decisions *decisions, const char *folder, struct error *err);

struct comparison;
struct report_input {
    const struct evaluation *e;
    const struct eval_options *o;
    const struct user_reports *reports;
    const struct decisions *decisions;
    struct manifest_source *source; /* predictions to read rows from again */
    const char *model_line;         /* describes the model of the predictions, or "" */
};
int report_write(const struct report_input *in, const char *path, struct error *err);

/* --- two models --- */

/* eval --compare OLD NEW. Returns 0, EX_VERDICT_NO when a gate is not met, or -1 with err set. */
int compare_run(const struct eval_options *o, const char *old_path, const char *new_path, struct error *err);

/* eval --drift OLD NEW: compares the scores of unlabelled pictures of two times. Writes a table, and prints a
 * line when a change is significant. */
int drift_run(const struct eval_options *o, const char *old_path, const char *new_path, struct error *err);

/* --- predictions from a model --- */

/* Runs o->model over o->shards or o->manifest and writes the predictions to path. */
int predict_run(const struct eval_options *o, const char *path, struct text *model_line, struct error *err);
/* Multiplies the model's temperature by the fitted one, and writes the model. */
int predict_store_temperature(const struct eval_options *o, double temperature, struct error *err);
/* Writes the thresholds of the views named by --store-decisions into the model folder. */
int predict_store_decisions(const struct eval_options *o, const struct decisions *d, struct error *err);

#endif
