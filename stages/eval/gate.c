/*
 * gate.c: see gate.h. "no worse" fails only when there is evidence. A rate on the same rows is compared by
 * the exact McNemar test, with Holm's correction over the checks of the gate, and fails when it is worse at 5
 * %. A metric without such a test fails when it is worse at all.
 */
#include "gate.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"

#define SIGNIFICANT 0.05

const char *const decided_rate_names[DECIDED_RATES] = {"misses@review", "load@review", "wrong@block"};

bool decided_rate_row(const struct view_result *v, enum decided_rate rate, size_t i, bool *hit)
{
    bool positive = v->positive[i] != 0;
    *hit = rate == DECIDED_MISSES ? v->score[i] < v->review
           : rate == DECIDED_LOAD ? v->score[i] >= v->review && v->score[i] < v->block
                                  : v->score[i] >= v->block;
    return rate == DECIDED_LOAD || positive == (rate == DECIDED_MISSES);
}

static int decided_named(const char *name)
{
    for (int r = 0; r < DECIDED_RATES; r++)
        if (strcmp(decided_rate_names[r], name) == 0) return r;
    return -1;
}

/* --- parsing --- */

static int bad(const struct gate *g, const char *why, struct error *err)
{
    return error_set(err, EX_USAGE, "--gate '%s': %s", g->text, why);
}

static const char *skip_blanks(const char *s) { return s + strspn(s, " \t"); }

static bool copy_word(char *out, size_t bytes, const char *s, size_t n)
{
    if (n == 0 || n >= bytes) return false;
    memcpy(out, s, n);
    out[n] = 0;
    return true;
}

static int parse_bound(struct gate *g, const char *s, struct error *err)
{
    static const struct {
        const char *text;
        enum gate_op op;
    } ops[] = {{">=", GATE_AT_LEAST}, {"<=", GATE_AT_MOST}, {">", GATE_ABOVE}, {"<", GATE_BELOW}};
    size_t i = 0;
    while (i < 4 && !text_starts(s, ops[i].text))
        i++;
    if (i == 4) return bad(g, "expected >=, <=, > or < and a bound, or 'no worse', after the metric", err);
    g->op = ops[i].op;
    s = skip_blanks(s + strlen(ops[i].text));
    if (text_starts(s, "old")) {
        g->relative = true;
        s = skip_blanks(s + 3);
        if (!*s) return 0;
        double sign = *s == '+' ? 1 : *s == '-' ? -1 : 0;
        if (sign == 0) return bad(g, "expected nothing, or + or - and a number, after 'old'", err);
        s = skip_blanks(s + 1);
        if (!parse_number(s, &g->number) || !isfinite(g->number))
            return bad(g, "the bound is not a number", err);
        g->number *= sign;
        return 0;
    }
    if (!parse_number(s, &g->number) || !isfinite(g->number))
        return bad(g, "the bound is neither a number nor 'old'", err);
    return 0;
}

int gate_parse(struct gate *g, const char *text, struct error *err)
{
    const char *s = skip_blanks(text);
    size_t n;
    *g = (struct gate){.at = NAN};
    text_for_people(g->text, sizeof g->text, text);
    n = strcspn(s, ":@[ \t<>=");
    if (s[n] == ':') {
        if (!copy_word(g->view, sizeof g->view, s, n))
            return bad(g, "the view's name is empty or too long", err);
        s += n + 1;
        n = strcspn(s, "@[ \t<>=");
    }
    if (!copy_word(g->metric, sizeof g->metric, s, n))
        return bad(g, "expected a metric first, such as accuracy or recall@fpr=0.01", err);
    s += n;
    if (text_starts(s, "@review") || text_starts(s, "@block")) {
        size_t word = n + strcspn(s, "[ \t<>=");
        if (!copy_word(g->metric, sizeof g->metric, s - n, word) || decided_named(g->metric) < 0)
            return bad(g, "only misses@review, load@review and wrong@block exist", err);
        s += word - n;
    } else if (*s == '@') {
        bool fpr = text_starts(s, "@fpr="), recall = text_starts(s, "@recall=");
        char number[64];
        s += fpr ? 5 : recall ? 8 : 1;
        n = strcspn(s, "[ \t<>");
        if (!(fpr || recall) || !copy_word(number, sizeof number, s, n) || !parse_number(number, &g->at) ||
            !(g->at >= 0 && g->at <= 1))
            return bad(g, "@fpr= and @recall= take a number from 0 to 1", err);
        if (!(fpr && strcmp(g->metric, "recall") == 0) && !(recall && strcmp(g->metric, "precision") == 0))
            return bad(g, "only recall@fpr=X and precision@recall=X exist", err);
        s += n;
    }
    if (*s == '[') {
        n = strcspn(s + 1, "]");
        if (s[n + 1] != ']' || !copy_word(g->where, sizeof g->where, s + 1, n))
            return bad(g, "expected a slice or class as [NAME]", err);
        s += n + 2;
    }
    s = skip_blanks(s);
    if (strcmp(s, "no worse") == 0) {
        g->op = GATE_NO_WORSE;
        g->relative = true;
        return 0;
    }
    return parse_bound(g, s, err);
}

/* --- values --- */

static int add_check(struct gate_checks *out, const char *view, const char *metric, const char *where,
                     double old_value, double new_value, double p, struct error *err)
{
    struct gate_check c = {.old_value = old_value, .new_value = new_value, .p = p};
    if (mem_grow(&out->items, &out->capacity, out->n + 1, sizeof *out->items, err)) return -1;
    snprintf(c.what, sizeof c.what, "%s%s%s%s%s%s", view, view[0] ? ":" : "", metric, where[0] ? "[" : "",
             where, where[0] ? "]" : "");
    out->items[out->n++] = c;
    return 0;
}

struct single {
    const char *name;
    double value;
};

/* Sets *value to a metric that is one number over all classes. Returns false when name is not such a
 * metric. */
static bool single_metric(const struct evaluation *e, const char *name, double *value)
{
    const struct single metrics[] = {{"accuracy", e->c.accuracy},
                                     {"balanced_accuracy", e->c.balanced_accuracy},
                                     {"kappa", e->c.kappa},
                                     {"mcc", e->c.mcc},
                                     {"top2_accuracy", e->c.top2_accuracy},
                                     {"log_loss", e->c.log_loss},
                                     {"brier", e->c.brier},
                                     {"ece", calibration_ece(e->width15, 15)}};
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++)
        if (strcmp(metrics[i].name, name) == 0) {
            *value = metrics[i].value;
            return true;
        }
    return false;
}

static bool lower_is_better(const char *metric)
{
    static const char *const names[] = {"log_loss",      "brier",       "ece",         "fpr", "fnr",
                                        "misses@review", "load@review", "wrong@block", NULL};
    for (const char *const *n = names; *n; n++)
        if (strcmp(*n, metric) == 0) return true;
    return false;
}

/* Whether row i belongs to the denominator of the rate, and whether it is a hit. As for slices, fpr is
 * over negatives and fnr over positives. */
static bool rate_of_row(const struct view_result *v, enum slice_rate rate, double threshold, size_t i,
                        bool *hit)
{
    bool flagged = v->score[i] >= threshold, positive = v->positive[i] != 0;
    *hit = rate == RATE_FPR || rate == RATE_FLAG ? flagged
           : rate == RATE_FNR                    ? !flagged
                                                 : flagged == positive;
    return rate == RATE_FPR ? !positive : rate == RATE_FNR ? positive : true;
}

/* The p-value of the exact McNemar test of a rate between the two evaluations over rows (NULL: all). When
 * v is NULL, the rate is the accuracy over all classes. */
static double paired_p(const struct evaluation *old, const struct evaluation *new,
                       const struct view_result *old_v, const struct view_result *new_v, enum slice_rate rate,
                       const uint32_t *rows, size_t n)
{
    uint64_t only_old = 0, only_new = 0;
    assert(!old_v == !new_v);
    for (size_t j = 0; j < n; j++) {
        size_t i = rows ? rows[j] : j;
        bool a = old->right[i] != 0, b = new->right[i] != 0;
        if (new_v && (!rate_of_row(old_v, rate, old->threshold, i, &a) |
                      !rate_of_row(new_v, rate, new->threshold, i, &b)))
            continue;
        only_old += a && !b;
        only_new += b && !a;
    }
    return mcnemar_exact_p(only_old, only_new);
}

static int rate_named(const char *name)
{
    for (int r = 0; r < SLICE_RATES; r++)
        if (strcmp(slice_rate_names[r], name) == 0) return r;
    return -1;
}

/* Adds a check of a rate for each slice that [where] names. It is an error when it names none. */
static int check_slices(const struct gate *g, const struct evaluation *old, const struct evaluation *new,
                        const struct view_result *old_v, const struct view_result *new_v,
                        enum slice_rate rate, struct gate_checks *out, struct error *err)
{
    const struct predictions *p = new->p;
    const char *view = new_v ? new_v->view->name : "";
    const struct slice_result *a = old_v ? old_v->slices + (size_t)rate * (p->n_slices + 1) : old->slices;
    const struct slice_result *b = new_v ? new_v->slices + (size_t)rate * (p->n_slices + 1) : new->slices;
    size_t found = 0;
    if (!g->where[0])
        return add_check(out, view, g->metric, "", a[0].value, b[0].value,
                         paired_p(old, new, old_v, new_v, rate, NULL, p->n_rows), err);
    for (int pass = 0; pass < 2 && found == 0; pass++) /* a slice of that name, else a column */
        for (size_t s = 0; s < p->n_slices; s++) {
            bool wanted = strcmp(g->where, "*") == 0 ||
                          strcmp(pass == 0 ? p->slices[s].name : p->slices[s].family, g->where) == 0;
            if (!wanted) continue;
            found++;
            if (add_check(out, view, g->metric, p->slices[s].name, a[s + 1].value, b[s + 1].value,
                          paired_p(old, new, old_v, new_v, rate, p->slices[s].rows, p->slices[s].n_rows),
                          err))
                return -1;
        }
    if (found == 0) return bad(g, "no such slice, and no sliced column of that name", err);
    return 0;
}

static double at_fpr(const struct view_result *v, double fpr)
{
    int64_t at = curve_at_fpr(&v->curve, fpr);
    return v->curve.n_positive == 0 ? NAN
           : at < 0                 ? 0
                                    : (double)v->curve.tp[at] / (double)v->curve.n_positive;
}

static double best_precision(const struct view_result *v, double recall)
{
    int64_t at = curve_best_precision(&v->curve, recall);
    return at < 0 ? NAN : (double)v->curve.tp[at] / (double)(v->curve.tp[at] + v->curve.fp[at]);
}

/* A rate at the thresholds of each side, with the exact McNemar test over the same pictures. */
static int check_decided(const struct gate *g, const struct view_result *old, const struct view_result *new,
                         size_t n_rows, enum decided_rate rate, struct gate_checks *out, struct error *err)
{
    uint64_t n = 0, hits[2] = {0, 0}, only_old = 0, only_new = 0;
    if (g->where[0]) return bad(g, "rates at stored thresholds cannot be used with a slice", err);
    if (isnan(old->review) || isnan(new->review))
        return error_set(
            err, EX_USAGE,
            "--gate '%s': no thresholds of view '%s' go with the %s predictions: compare folders "
            "of eval whose model carries them (eval --store-decisions), or that were made with "
            "--max-miss",
            g->text, new->view->name, isnan(old->review) ? "old" : "new");
    for (size_t i = 0; i < n_rows; i++) {
        bool a, b;
        if (!decided_rate_row(old, rate, i, &a) | !decided_rate_row(new, rate, i, &b)) continue;
        n++;
        hits[0] += a;
        hits[1] += b;
        only_old += a && !b;
        only_new += b && !a;
    }
    return add_check(out, new->view->name, g->metric, "", n ? (double)hits[0] / (double)n : NAN,
                     n ? (double)hits[1] / (double)n : NAN, mcnemar_exact_p(only_old, only_new), err);
}

static int check_view(const struct gate *g, const struct evaluation *old, const struct evaluation *new,
                      size_t i, struct gate_checks *out, struct error *err)
{
    const struct view_result *a = &old->views[i], *b = &new->views[i];
    const char *name = b->view->name;
    char metric[128];
    int rate = rate_named(g->metric);
    if (!isnan(g->at)) {
        bool recall = strcmp(g->metric, "recall") == 0;
        if (g->where[0])
            return bad(g,
                       "@fpr= and @recall= choose a threshold over all rows: they cannot be used with a "
                       "slice",
                       err);
        snprintf(metric, sizeof metric, "%s@%s=%g", g->metric, recall ? "fpr" : "recall", g->at);
        return add_check(out, name, metric, "", recall ? at_fpr(a, g->at) : best_precision(a, g->at),
                         recall ? at_fpr(b, g->at) : best_precision(b, g->at), NAN, err);
    }
    if (strcmp(g->metric, "roc_auc") == 0)
        return add_check(out, name, g->metric, "", a->roc_auc, b->roc_auc, NAN, err);
    if (strcmp(g->metric, "average_precision") == 0)
        return add_check(out, name, g->metric, "", a->average_precision, b->average_precision, NAN, err);
    if (decided_named(g->metric) >= 0)
        return check_decided(g, a, b, new->p->n_rows, (enum decided_rate)decided_named(g->metric), out, err);
    if (rate >= 0) return check_slices(g, old, new, a, b, (enum slice_rate)rate, out, err);
    return bad(g, "no such metric", err);
}

/* Checks recall[CLASS] and the like. */
static int check_class(const struct gate *g, const struct evaluation *old, const struct evaluation *new,
                       struct gate_checks *out, struct error *err)
{
    for (int k = 0; k < new->p->n_classes; k++)
        if (strcmp(new->p->classes[k], g->where) == 0) {
            const struct class_scores *a = &old->c.classes[k], *b = &new->c.classes[k];
            bool recall = strcmp(g->metric, "recall") == 0, precision = strcmp(g->metric, "precision") == 0;
            return add_check(out, "", g->metric, g->where,
                             recall      ? a->recall
                             : precision ? a->precision
                                         : a->f1,
                             recall      ? b->recall
                             : precision ? b->precision
                                         : b->f1,
                             NAN, err);
        }
    return bad(g, "recall, precision and f1 take a class: recall[NAME]", err);
}

static bool met(const struct gate *g, const struct gate_check *c)
{
    double bound = g->relative ? c->old_value + g->number : g->number;
    if (isnan(c->new_value) || isnan(bound)) /* undefined before and after: a slice without negatives */
        return isnan(c->new_value) && isnan(bound) && g->relative;
    /* For an old value of 0.8, old - 0.1 must mean 0.7, although 0.8 - 0.1 is not 0.7 in binary. */
    double above = c->new_value - bound,
           rounding = g->relative && g->number != 0 ? 1e-12 * fmax(1, fabs(bound)) : 0;
    switch (g->op) {
    case GATE_AT_LEAST: return above >= -rounding;
    case GATE_AT_MOST: return above <= rounding;
    case GATE_ABOVE: return above > rounding;
    case GATE_BELOW: return above < -rounding;
    case GATE_NO_WORSE: break;
    }
    bool worse = lower_is_better(g->metric) ? c->new_value > c->old_value : c->new_value < c->old_value;
    return !worse || (!isnan(c->p) && c->p >= SIGNIFICANT);
}

int gate_evaluate(const struct gate *g, const struct evaluation *old, const struct evaluation *new,
                  struct gate_checks *out, struct error *err)
{
    size_t first = out->n;
    double a, b;
    bool class_metric = strcmp(g->metric, "recall") == 0 || strcmp(g->metric, "precision") == 0 ||
                        strcmp(g->metric, "f1") == 0;
    if (!g->view[0] && isnan(g->at) && class_metric) {
        if (check_class(g, old, new, out, err)) return -1;
    } else if (!g->view[0] && strcmp(g->metric, "accuracy") == 0) {
        if (check_slices(g, old, new, NULL, NULL, RATE_ACCURACY, out, err)) return -1;
    } else if (!g->view[0] && single_metric(old, g->metric, &a) && single_metric(new, g->metric, &b)) {
        if (g->where[0]) return bad(g, "this metric cannot be used with a slice", err);
        if (add_check(out, "", g->metric, "", a, b, NAN, err)) return -1;
    } else {
        for (size_t i = 0; i < new->n_views; i++)
            if ((!g->view[0] || strcmp(g->view, new->views[i].view->name) == 0) &&
                check_view(g, old, new, i, out, err))
                return -1;
        if (out->n == first)
            return bad(g,
                       g->view[0] ? "no such view" : "no such metric, or no view to compute it for (--view)",
                       err);
    }
    if (g->op == GATE_NO_WORSE) { /* several slices: one of twenty is "significant" by chance */
        double *p = mem_alloc((out->n - first) * sizeof *p, err);
        int rc = -1;
        if (p) {
            for (size_t i = first; i < out->n; i++)
                p[i - first] = out->items[i].p;
            rc = holm_adjust(p, out->n - first, err);
            for (size_t i = first; rc == 0 && i < out->n; i++)
                out->items[i].p = p[i - first];
        }
        free(p);
        if (rc) return -1;
    }
    for (size_t i = first; i < out->n; i++)
        out->items[i].met = met(g, &out->items[i]);
    return 0;
}
