/* tables.c: writes metrics.tsv (metric key value ci_low ci_high n), the curves and the slices. The metrics
 * have the names of the reference cases, with which the tests compare them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "eval_decisions.h"
#include "io/spill.h"

#define CURVE_POINTS 20000 /* approximate number of points of a curve in a file */

struct table {
    struct manifest_writer w;
    struct error *err;
    bool failed;
};

static const struct interval no_interval = {NAN, NAN};

/* Writes a row. n is left empty when it is 0, and the bounds when they are NaN. */
static void put_text(struct table *t, const char *metric, const char *key, const char *value,
                     struct interval ci, uint64_t n)
{
    char low[32] = "", high[32] = "", count[32] = "";
    if (!isnan(ci.low)) format_real(low, ci.low), format_real(high, ci.high);
    if (n) snprintf(count, sizeof count, "%llu", (unsigned long long)n);
    const char *cells[] = {metric, key, value, low, high, count};
    t->failed = t->failed || manifest_writer_row(&t->w, NULL, cells, t->err);
}

static void put(struct table *t, const char *metric, const char *key, double value, struct interval ci,
                uint64_t n)
{
    char text[32];
    put_text(t, metric, key, format_real(text, value), ci, n);
}

static void put_count(struct table *t, const char *metric, const char *key, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    put_text(t, metric, key, text, no_interval, 0);
}

static void put_share(struct table *t, const char *metric, const char *key, double value, uint64_t k,
                      uint64_t n)
{
    put(t, metric, key, value, interval_wilson(k, n, INTERVAL_Z95), n);
}

static void put_classes(struct table *t, const struct evaluation *e)
{
    const struct predictions *p = e->p;
    const struct classification *c = &e->c;
    const struct class_scores *means[] = {&c->macro, &c->weighted};
    bool bootstrap;
    char key[1024];
    for (int i = 0; i < p->n_classes; i++)
        for (int j = 0; j < p->n_classes; j++) {
            snprintf(key, sizeof key, "%s/%s", p->classes[i], p->classes[j]);
            put_count(t, "confusion", key, c->confusion[i * p->n_classes + j]);
        }
    for (int i = 0; i < p->n_classes; i++) {
        const struct class_scores *s = &c->classes[i];
        put_share(t, "precision", p->classes[i], s->precision, s->n_right, s->n_predicted);
        put_share(t, "recall", p->classes[i], s->recall, s->n_right, s->n_true);
        put(t, "f1-score", p->classes[i], s->f1,
            interval_f1(s->n_right, s->n_predicted - s->n_right, s->n_true - s->n_right, INTERVAL_Z95),
            s->n_true);
    }
    for (int i = 0; i < 2; i++) {
        const char *name = i == 0 ? "macro avg" : "weighted avg";
        put(t, "precision", name, means[i]->precision, no_interval, p->n_rows);
        put(t, "recall", name, means[i]->recall, no_interval, p->n_rows);
        put(t, "f1-score", name, means[i]->f1, i == 0 ? c->macro_f1 : c->weighted_f1, p->n_rows);
    }
    for (int i = 0; i < p->n_classes; i++)
        put_count(t, "support", p->classes[i], c->classes[i].n_true);
    put(t, "accuracy", "", c->accuracy, evaluation_accuracy_interval(e, &bootstrap), p->n_rows);
    put(t, "balanced_accuracy", "", c->balanced_accuracy, c->balanced, p->n_rows);
    put(t, "cohen_kappa", "", c->kappa, c->kappa_interval, p->n_rows);
    put(t, "mcc", "", c->mcc, c->mcc_interval, p->n_rows);
    put_share(t, "top2_accuracy", "lower class index wins ties", c->top2_accuracy, c->n_top2, p->n_rows);
    for (int i = 0; i < p->n_classes; i++) {
        put(t, "roc_auc_ovr", p->classes[i], e->roc_auc[i], e->roc_auc_intervals[i], p->n_rows);
        put(t, "average_precision_ovr", p->classes[i], e->average_precision[i],
            e->average_precision_intervals[i], p->n_rows);
    }
    put(t, "roc_auc_ovr", "macro", e->roc_auc_macro, no_interval, p->n_rows);
    put(t, "log_loss", "p clipped to 1e-15 then rows divided by their sum", c->log_loss, c->log_loss_interval,
        p->n_rows);
    put(t, "brier_multiclass", "mean over rows of the sum over classes of (p-onehot)^2", c->brier,
        c->brier_interval, p->n_rows);
}

static void put_calibration(struct table *t, const struct evaluation *e)
{
    uint64_t n = e->p->n_rows;
    put(t, "ece", "top-label equal-width 10", calibration_ece(e->width10, 10), no_interval, n);
    put(t, "mce", "top-label equal-width 10", calibration_mce(e->width10, 10), no_interval, n);
    put(t, "ece", "top-label equal-width 15", calibration_ece(e->width15, 15), no_interval, n);
    put(t, "mce", "top-label equal-width 15", calibration_mce(e->width15, 15), no_interval, n);
    for (int b = 0; b < 15; b++) {
        const struct calibration_bin *bin = &e->width15[b];
        double m = bin->n ? (double)bin->n : 1;
        char key[16], value[96], confidence[32], accuracy[32];
        snprintf(key, sizeof key, "bin%02d", b);
        snprintf(value, sizeof value, "%llu %s %s", (unsigned long long)bin->n,
                 format_real(confidence, bin->confidence_sum / m),
                 format_real(accuracy, (double)bin->n_right / m));
        put_text(t, "reliability15", key, value,
                 bin->n ? interval_wilson(bin->n_right, bin->n, INTERVAL_Z95) : no_interval, bin->n);
    }
    put(t, "ece", "top-label equal-mass 15", calibration_ece(e->mass15, 15), no_interval, n);
    put(t, "temperature", "minimises mean NLL of z/T", e->temperature.temperature, no_interval, n);
    put(t, "nll", "T=1", e->temperature.nll_before, no_interval, n);
    put(t, "nll", "T fitted", e->temperature.nll_after, no_interval, n);
    put(t, "ece_after_temperature", "top-label equal-width 15", calibration_ece(e->after15, 15), no_interval,
        n);
}

/* Writes the gaps. The key of a gap names the family of slices when there are several. */
static void put_gaps(struct table *t, const struct evaluation *e, const char *prefix,
                     const struct slice_result *results, size_t n, int first_rate, int n_rates)
{
    const struct predictions *p = e->p;
    for (size_t s = 0; s < p->n_slices; s++) {
        const char *family = p->slices[s].family;
        bool seen = false, others = false;
        for (size_t i = 0; i < p->n_slices; i++) {
            bool same = strcmp(p->slices[i].family, family) == 0;
            seen = seen || (same && i < s);
            others = others || !same;
        }
        for (int rate = first_rate; !seen && rate < first_rate + n_rates; rate++) {
            char key[512];
            if (others && strcmp(family, "slice") != 0)
                snprintf(key, sizeof key, "%s%s max-min [%s]", prefix, slice_rate_names[rate], family);
            else
                snprintf(key, sizeof key, "%s%s max-min", prefix, slice_rate_names[rate]);
            put(t, "gap_between_slices", key, slice_gap(p, results, n, (enum slice_rate)rate, family),
                no_interval, 0);
        }
    }
}

static void put_slices(struct table *t, const struct evaluation *e, const char *prefix,
                       const struct slice_result *results, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct slice_result *r = &results[i];
        const char *name = r->slice < 0 ? "ALL" : e->p->slices[r->slice].name;
        char key[1024], metric[64];
        snprintf(key, sizeof key, "%s%s", prefix, name);
        snprintf(metric, sizeof metric, "slice_%s", slice_rate_names[r->rate]);
        put(t, metric, key, r->value, r->wilson, r->n);
        if (r->slice >= 0) {
            snprintf(metric, sizeof metric, "slice_%s_minus_rest", slice_rate_names[r->rate]);
            put(t, metric, key, r->difference, r->newcombe, r->n);
        }
    }
}

static void put_view(struct table *t, const struct evaluation *e, const struct view_result *v)
{
    const char *name = v->view->name;
    const struct curve *c = &v->curve;
    uint64_t n = e->p->n_rows;
    char key[256], prefix[80], metric[64];
    put(t, "binary_roc_auc", name, v->roc_auc, v->roc_auc_interval, n);
    put(t, "binary_average_precision", name, v->average_precision, v->average_precision_interval, n);
    for (int i = 0; i < EVAL_N_FPR; i++) {
        int64_t at = v->at_fpr[i];
        uint64_t tp = at < 0 ? 0 : c->tp[at], fp = at < 0 ? 0 : c->fp[at];
        snprintf(key, sizeof key, "%s %g", name, eval_fpr_levels[i]);
        put_share(t, "binary_recall_at_fpr", key, c->n_positive ? (double)tp / (double)c->n_positive : NAN,
                  tp, c->n_positive);
        put(t, "binary_threshold_at_fpr", key, at < 0 ? INFINITY : c->threshold[at], no_interval, n);
        put_share(t, "binary_fpr_at_fpr", key, c->n_negative ? (double)fp / (double)c->n_negative : NAN, fp,
                  c->n_negative);
    }
    for (int i = 0; i < EVAL_N_RECALL; i++) {
        int64_t at = v->at_recall[i];
        uint64_t tp = at < 0 ? 0 : c->tp[at], fp = at < 0 ? 0 : c->fp[at];
        snprintf(key, sizeof key, "%s %g", name, eval_recall_levels[i]);
        put_share(t, "binary_best_precision_at_recall", key, at < 0 ? NAN : (double)tp / (double)(tp + fp),
                  tp, tp + fp);
    }
    snprintf(metric, sizeof metric, "binary_counts_at_%g", e->threshold);
    const struct {
        const char *name;
        uint64_t n;
    } counts[] = {{"tp", v->tp}, {"fp", v->fp}, {"fn", v->fn}, {"tn", v->tn}};
    for (int i = 0; i < 4; i++) {
        snprintf(key, sizeof key, "%s %s", name, counts[i].name);
        put_count(t, metric, key, counts[i].n);
    }
    snprintf(prefix, sizeof prefix, "%s ", name);
    put_gaps(t, e, prefix, v->slices, v->n_slices, 0, SLICE_RATES);
    if (e->p->n_slices) put_slices(t, e, prefix, v->slices, v->n_slices);
}

static void put_decision(void *context, const char *metric, const char *key, double value, struct interval ci,
                         uint64_t n)
{
    put(context, metric, key, value, ci, n);
}

static int write_metrics(const struct evaluation *e, const struct user_reports *reports,
                         const struct decisions *decisions, const char *path, struct error *err)
{
    static const char *const columns[] = {"metric", "key", "value", "ci_low", "ci_high", "n", NULL};
    struct table t = {.w = MANIFEST_WRITER_EMPTY, .err = err};
    int rc = -1;
    if (manifest_writer_open(&t.w, path, NULL, columns, err)) goto out;
    put_classes(&t, e);
    put_calibration(&t, e);
    for (size_t i = 0; i < e->n_views; i++)
        put_view(&t, e, &e->views[i]);
    put_gaps(&t, e, "", e->slices, e->n_slices, RATE_ACCURACY, 1);
    if (e->p->n_slices) put_slices(&t, e, "", e->slices, e->n_slices);
    if (e->bootstrapped) {
        put(&t, "bootstrap_accuracy", "low 2.5%", e->bootstrap.low, no_interval, e->p->n_rows);
        put(&t, "bootstrap_accuracy", "high 97.5%", e->bootstrap.high, no_interval, e->p->n_rows);
        put(&t, "bootstrap_accuracy", "first resample", e->bootstrap.first, no_interval, e->p->n_rows);
    }
    if (reports->n)
        put_share(&t, "reports_fixed", "",
                  reports->n_known ? (double)reports->n_fixed / (double)reports->n_known : NAN,
                  reports->n_fixed, reports->n_known);
    decisions_each_metric(decisions, e, put_decision, &t);
    rc = t.failed ? -1 : manifest_writer_commit(&t.w, err);
out:
    manifest_writer_discard(&t.w);
    return rc;
}

/* --- curves --- */

/* Whether a point of a curve is written to the file. All points of a short curve are. Of a long curve, a
 * point is written when either rate has changed by 1/CURVE_POINTS since the previous written point. No
 * visible corner is lost. */
static bool point_wanted(const struct curve *c, size_t i, size_t last)
{
    if (c->n_points <= CURVE_POINTS || i == 0 || i + 1 == c->n_points) return true;
    return (double)(c->tp[i] - c->tp[last]) * CURVE_POINTS >= (double)c->n_positive ||
           (double)(c->fp[i] - c->fp[last]) * CURVE_POINTS >= (double)c->n_negative;
}

static double share(uint64_t k, uint64_t n) { return n ? (double)k / (double)n : NAN; }

static int write_roc(const struct curve *c, const char *path, struct error *err)
{
    struct atomic_file f = ATOMIC_FILE_EMPTY;
    char a[32], b[32], d[32];
    size_t last = 0;
    int rc;
    if (atomic_file_open(&f, path, err)) return -1;
    fputs("fpr\ttpr\tthreshold\n0\t0\tinf\n", f.stream);
    for (size_t i = 0; spill_step(i) < c->n_points; i++)
        if (point_wanted(c, i, last)) {
            fprintf(f.stream, "%s\t%s\t%s\n", format_real(a, share(c->fp[i], c->n_negative)),
                    format_real(b, share(c->tp[i], c->n_positive)), format_real(d, c->threshold[i]));
            last = i;
        }
    rc = atomic_file_commit(&f, err);
    atomic_file_discard(&f);
    return rc;
}

static int write_pr(const struct curve *c, const char *path, struct error *err)
{
    struct atomic_file f = ATOMIC_FILE_EMPTY;
    char a[32], b[32], d[32];
    uint8_t *wanted = spill_zalloc(c->n_points ? c->n_points : 1, 1, err);
    size_t last = 0;
    int rc = -1;
    if (!wanted || atomic_file_open(&f, path, err)) goto out;
    for (size_t i = 0; spill_step(i) < c->n_points; i++)
        if ((wanted[i] = point_wanted(c, i, last))) last = i;
    fputs("precision\trecall\tthreshold\n", f.stream);
    for (size_t i = c->n_points; spill_step(i--) > 0;) /* increasing thresholds, as scikit-learn has it */
        if (wanted[i])
            fprintf(f.stream, "%s\t%s\t%s\n", format_real(a, share(c->tp[i], c->tp[i] + c->fp[i])),
                    format_real(b, share(c->tp[i], c->n_positive)), format_real(d, c->threshold[i]));
    fputs("1\t0\tinf\n", f.stream);
    rc = atomic_file_commit(&f, err);
out:
    atomic_file_discard(&f);
    spill_free(wanted);
    return rc;
}

/* --- slices --- */

static int write_slices(const struct predictions *p, const struct slice_result *results, size_t n,
                        const char *path, struct error *err)
{
    static const char *const columns[] =
        {"slice",        "rate",          "k", "n",      "value",   "wilson_low", "wilson_high", "minus_rest",
         "newcombe_low", "newcombe_high", "p", "p_holm", "flagged", NULL};
    struct manifest_writer w = MANIFEST_WRITER_EMPTY;
    int rc = -1;
    if (manifest_writer_open(&w, path, NULL, columns, err)) goto out;
    for (size_t i = 0; i < n; i++) {
        const struct slice_result *r = &results[i];
        const double reals[] = {r->value,        r->wilson.low,    r->wilson.high, r->difference,
                                r->newcombe.low, r->newcombe.high, r->p,           r->p_holm};
        char k[32], count[32], text[8][32];
        const char *cells[13] = {r->slice < 0 ? "ALL" : p->slices[r->slice].name, slice_rate_names[r->rate],
                                 k, count};
        snprintf(k, sizeof k, "%llu", (unsigned long long)r->k);
        snprintf(count, sizeof count, "%llu", (unsigned long long)r->n);
        for (int j = 0; j < 8; j++)
            cells[4 + j] = format_real(text[j], reals[j]);
        cells[12] = r->flagged ? "1" : "0";
        if (manifest_writer_row(&w, NULL, cells, err)) goto out;
    }
    rc = manifest_writer_commit(&w, err);
out:
    manifest_writer_discard(&w);
    return rc;
}

int eval_write_tables(const struct evaluation *e, const struct user_reports *reports,
                      const struct decisions *decisions, const char *folder, struct error *err)
{
    struct text path = TEXT_EMPTY;
    int rc = -1;
    for (size_t i = 0; i < e->n_views; i++) {
        const struct view_result *v = &e->views[i];
        static const char *const kinds[] = {"roc", "pr", "slices"};
        for (int kind = 0; kind < (e->p->n_slices ? 3 : 2); kind++) {
            text_clear(&path);
            if (text_printf(&path, err, "%s/%s-%s.tsv", folder, kinds[kind], v->view->name) ||
                (kind == 0   ? write_roc(&v->curve, path.data, err)
                 : kind == 1 ? write_pr(&v->curve, path.data, err)
                             : write_slices(e->p, v->slices, v->n_slices, path.data, err)))
                goto out;
        }
    }
    text_clear(&path);
    if (e->p->n_slices && (text_printf(&path, err, "%s/slices.tsv", folder) ||
                           write_slices(e->p, e->slices, e->n_slices, path.data, err)))
        goto out;
    text_clear(&path);
    if (decisions_write_curves(decisions, folder, err) || text_printf(&path, err, "%s/metrics.tsv", folder) ||
        write_metrics(e, reports, decisions, path.data, err))
        goto out;
    rc = 0;
out:
    text_release(&path);
    return rc;
}
