/*
 * eval_decisions.h: predicts the effect of a model at the rates at which the classes arrive in practice: how
 * many uploads it allows, how many a person reviews, and how many of those are positives. Each class counts
 * with its rate and not with its number of rows, so that the proportions of the test set do not matter.
 */
#ifndef WINNOW_EVAL_EVAL_DECISIONS_H
#define WINNOW_EVAL_EVAL_DECISIONS_H

#include "eval.h"
#include "html.h"
#include "metric/risk_control.h"
#include "net/net_decisions.h"
#include "report_page.h"

/* The share of each class among the uploads. */
struct class_rates {
    int n_classes;
    double *rate; /* [K], sum 1 */
    /* [n_draws][K], draws of the rates that express their uncertainty; NULL when the user gave the rates */
    double *draws;
    size_t n_draws; /* 0 where they were given */
    struct interval *interval;
    /* Only if the rates were estimated: the black-box estimate, and how the estimate was computed. */
    double *black_box;
    struct interval *black_box_interval;
    bool recalibrated;
    uint64_t n_unlabelled;
    size_t n_labelled;
    const char *path; /* borrowed from the options */
};
#define CLASS_RATES_EMPTY ((struct class_rates){0})

/*
 * Sets the rates. With --prevalence CLASS=RATE,... they are those of the option; classes that are not named
 * share the remaining rate as in the test set. With --prevalence-from they are estimated, with the help of
 * the rows in `labelled`: the validation rows if there are any. Fails with EX_USAGE for an unknown class or
 * rates whose sum is impossible, and with EX_DATAERR when a class with a rate has no row in p.
 */
int class_rates_make(struct class_rates *out, const struct eval_options *o, const struct predictions *p,
                     const struct predictions *labelled, struct error *err);
void class_rates_release(struct class_rates *r);

/* A picture whose score is below `review` is allowed, one with `block` or more is blocked, and a person
 * reviews those between. */
struct decision_rule {
    double review, block; /* block: INFINITY where nothing is blocked unseen */
};

enum decision_outcome {
    OUTCOME_ALLOW,
    OUTCOME_REVIEW,
    OUTCOME_BLOCK,
    OUTCOME_MISSED,      /* positives among the allowed */
    OUTCOME_FALSE_ALARM, /* negatives in review or blocked */
    OUTCOME_WRONG_BLOCK, /* negatives among the blocked */
    OUTCOME_COST,        /* of an upload, at --cost; NaN without */
    OUTCOME_PRECISION,   /* positives among the flagged (review and block); NaN without any */
    DECISION_OUTCOMES
};
extern const char *const decision_outcome_names[DECISION_OUTCOMES];

/* Shares of all uploads (precision: of the flagged ones). The intervals include the uncertainty of
 * the test set and of the rates. */
struct decision_shares {
    double value[DECISION_OUTCOMES];
    struct interval interval[DECISION_OUTCOMES];
};

/* A guarantee, the threshold that keeps it on the validation rows, and the result on the test rows. */
struct decision_guarantee {
    bool asked;
    struct guarantee wanted;
    struct guaranteed_threshold chosen;
    uint64_t test_missed, test_n; /* positives (or negatives that are blocked), groups counted once */
    double test_bound;            /* of the rate on the test rows, at the same confidence */
};

struct view_decisions {
    const struct view_result *view;
    struct decision_guarantee miss, block; /* --max-miss, --max-wrong-block */
    struct decision_rule rule;
    double rate; /* of the view's classes */
    struct interval rate_interval;
    struct decision_shares at_rule;
    struct decision_shares *curve; /* outcomes at decisions_thresholds when nothing is blocked */
};

#define DECISION_THRESHOLDS 52
extern const double decision_thresholds[DECISION_THRESHOLDS];

/* --cost miss=50,review=1,block-wrong=10. */
struct decision_costs {
    bool given;
    double miss, review, wrong_block;
};
int decision_costs_parse(struct decision_costs *out, const char *text, struct error *err);
/* Finds the rule with the lowest cost on the validation rows at these rates. */
int decision_costs_choose(struct decision_rule *out, const struct decision_costs *costs,
                          const struct view *view, const struct predictions *val,
                          const struct class_rates *rates, struct error *err);

struct decisions {
    struct decision_costs costs;
    struct class_rates rates;
    struct view_decisions *views;
    size_t n_views; /* 0: nothing was asked for */
    bool has_rates, grouped;
    struct net_decisions stored; /* thresholds in the model, if this run does not choose new ones */
    size_t n_refused;            /* number of guarantees for which there are too few rows */
};
#define DECISIONS_EMPTY ((struct decisions){0})

int decisions_make(struct decisions *out, const struct evaluation *e, const struct predictions *labelled,
                   const struct eval_options *o, struct error *err);
void decisions_release(struct decisions *d);
/* Reads the thresholds in --model to out->stored, if they belong to this model and this run chooses none. */
int decisions_read_stored(struct decisions *out, const struct eval_options *o, struct error *err);

/* --- output --- */

/* Calls put(context, metric, key, value, interval, n) for each row of metrics.tsv. */
typedef void decisions_put(void *context, const char *metric, const char *key, double value,
                           struct interval interval, uint64_t n);
void decisions_each_metric(const struct decisions *d, const struct evaluation *e, decisions_put *put,
                           void *context);
/* Writes prevalence-VIEW.tsv: each threshold, and each outcome for 10,000 uploads with its interval. */
int decisions_write_curves(const struct decisions *d, const char *folder, struct error *err);
/* Writes the part of the report: the table of the next 100,000 uploads. */
void decisions_put_report(struct html *h, const struct decisions *d, const struct evaluation *e);
/* Adds lines to the report's plots: the precision, and the reviews for 10,000 uploads, over the threshold. */
int decisions_plot(const struct decisions *d, struct plot *precision, struct plot *load, struct error *err);

#endif
