/*
 * gate.h: evaluates conditions that a new model must meet. They have this form on the command line:
 *   [VIEW:]METRIC[@KEY=VALUE][[SLICE]] OP NUMBER | old [(+|-) NUMBER]        OP is one of >= <= > <
 *   [VIEW:]METRIC[@KEY=VALUE][[SLICE]] no worse                              not significantly worse than old
 * Without a view METRIC is accuracy, balanced_accuracy, kappa, mcc, top2_accuracy, log_loss, brier, ece,
 * recall[CLASS], precision[CLASS] or f1[CLASS]. With a view it is recall@fpr=X, precision@recall=X, roc_auc,
 * average_precision, fpr, fnr or flag_rate, or one at the thresholds that go with each side's predictions:
 * misses@review (of the positives, those below it), load@review (of all, those in review), wrong@block (of
 * the negatives, those blocked); without VIEW: these mean every view. [SLICE] is the name of a
 * slice, [*] for every slice, or a column for every slice of that column.
 */
#ifndef WINNOW_EVAL_GATE_H
#define WINNOW_EVAL_GATE_H

#include "eval.h"

enum gate_op { GATE_AT_LEAST, GATE_AT_MOST, GATE_ABOVE, GATE_BELOW, GATE_NO_WORSE };

struct gate {
    char text[256], view[65], metric[65], where[129]; /* "" where absent */
    double at;                                        /* of @fpr= and @recall=; NaN without */
    enum gate_op op;
    bool relative; /* against old */
    double number; /* the bound, or the number that is added to the old value */
};
int gate_parse(struct gate *g, const char *text, struct error *err);

/* One comparison that a gate made. */
struct gate_check {
    char what[256];
    double old_value, new_value, p;
    bool met;
};
struct gate_checks {
    struct gate_check *items;
    size_t n, capacity;
};

/* Adds a check for every view and slice that the gate names. EX_USAGE when a metric, view or slice does
 * not exist. Both evaluations must have the same rows in the same order. */
int gate_evaluate(const struct gate *g, const struct evaluation *old, const struct evaluation *new,
                  struct gate_checks *out, struct error *err);

/* Rates at the thresholds that were stored for the predictions (eval.h: view_result.review and block). */
enum decided_rate { DECIDED_MISSES, DECIDED_LOAD, DECIDED_WRONG, DECIDED_RATES };
extern const char *const decided_rate_names[DECIDED_RATES];
/* Whether row i belongs to the denominator of the rate. *hit becomes whether it also belongs to the
 * numerator. */
bool decided_rate_row(const struct view_result *v, enum decided_rate rate, size_t i, bool *hit);

#endif
