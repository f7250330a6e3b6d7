/*
 * gate.h: conditions that a new model has to meet, in words that fit on a command line:
 *   [VIEW:]METRIC[@KEY=VALUE][[SLICE]] OP NUMBER | old [(+|-) NUMBER]        OP one of >= <= > <
 *   [VIEW:]METRIC[@KEY=VALUE][[SLICE]] no worse                              not significantly worse than old
 * METRIC without a view: accuracy, balanced_accuracy, kappa, mcc, top2_accuracy, log_loss, brier, ece,
 * recall[CLASS], precision[CLASS], f1[CLASS]; of a view: recall@fpr=X, precision@recall=X, roc_auc,
 * average_precision, fpr, fnr, flag_rate. A view metric without a view is asked of every view. [SLICE] is the
 * name of a slice, [*] every slice, or a column: every slice of it.
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
    double number; /* the bound, or what is added to old */
};
int gate_parse(struct gate *g, const char *text, struct error *err);

/* One thing that a gate compared. */
struct gate_check {
    char what[256];
    double old_value, new_value, p;
    bool met;
};
struct gate_checks {
    struct gate_check *items;
    size_t n, capacity;
};

/*
 * Adds a check for every view and slice that the gate is about; a metric, view or slice that does not exist
 * is EX_USAGE. Both evaluations are over the same rows in the same order.
 */
int gate_evaluate(const struct gate *g, const struct evaluation *old, const struct evaluation *new,
                  struct gate_checks *out, struct error *err);

#endif
