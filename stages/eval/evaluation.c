/* evaluation.c: computes all numbers once. The tables, the report and the comparison read them. */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parallel.h"
#include "eval.h"
#include "io/spill.h"
#include "report_plots.h"

const double eval_fpr_levels[EVAL_N_FPR] = {0.001, 0.01, 0.05, 0.1};
const double eval_recall_levels[EVAL_N_RECALL] = {0.9, 0.95, 0.99};
const char *const slice_rate_names[SLICE_RATES] = {"fpr", "fnr", "flag_rate", "accuracy"};

#define BOOTSTRAP_SEED 12345 /* fixed by the reference cases */
/* With more rows than this, Wilson's interval agrees with the bootstrap to four digits and takes no time. */
#define BOOTSTRAP_MAX_ROWS 2000000
#define SIGNIFICANT 0.05
#define CALIBRATE_ROWS ((size_t)4096) /* scored again at a time */

/* k and n of each rate over the rows of one slice (rows NULL: all rows). decided [n_rows]: whether a row is
 * flagged as positive. When it is NULL, `right` is used. */
struct rate_counts {
    uint64_t k[SLICE_RATES], n[SLICE_RATES];
};

static void count_row(struct rate_counts *c, bool positive, bool flagged)
{
    c->k[RATE_FPR] += !positive && flagged;
    c->n[RATE_FPR] += !positive;
    c->k[RATE_FNR] += positive && !flagged;
    c->n[RATE_FNR] += positive;
    c->k[RATE_FLAG] += flagged;
    c->n[RATE_FLAG]++;
    c->k[RATE_ACCURACY] += positive == flagged;
    c->n[RATE_ACCURACY]++;
}

static void fill_result(struct slice_result *r, int64_t slice, enum slice_rate rate,
                        const struct rate_counts *own, const struct rate_counts *all, int64_t min_slice)
{
    *r = (struct slice_result){.slice = slice,
                               .rate = rate,
                               .k = own->k[rate],
                               .n = own->n[rate],
                               .rest_k = all->k[rate] - own->k[rate],
                               .rest_n = all->n[rate] - own->n[rate],
                               .difference = NAN,
                               .p = NAN,
                               .p_holm = NAN};
    r->value = r->n ? (double)r->k / (double)r->n : NAN;
    r->wilson = interval_wilson(r->k, r->n, INTERVAL_Z95);
    r->newcombe = (struct interval){NAN, NAN};
    if (slice < 0) return;
    r->newcombe = interval_newcombe(r->k, r->n, r->rest_k, r->rest_n, INTERVAL_Z95);
    if (r->n && r->rest_n) r->difference = r->value - (double)r->rest_k / (double)r->rest_n;
    if (r->n >= (uint64_t)min_slice && r->rest_n > 0)
        r->p = r->p_holm = interval_newcombe_p(r->k, r->n, r->rest_k, r->rest_n);
}

/* Applies Holm's correction over the slices of each rate, then sets the flags.
 * results: for each rate, 1 + n_slices. */
static int correct(struct slice_result *results, size_t per_rate, int n_rates, struct error *err)
{
    double *p = mem_alloc(per_rate * sizeof *p, err);
    if (!p) return -1;
    for (int rate = 0; rate < n_rates; rate++) {
        struct slice_result *r = results + (size_t)rate * per_rate;
        for (size_t i = 0; i < per_rate; i++)
            p[i] = r[i].p;
        if (holm_adjust(p, per_rate, err)) {
            free(p);
            return -1;
        }
        for (size_t i = 0; i < per_rate; i++) {
            r[i].p_holm = p[i];
            r[i].flagged = p[i] < SIGNIFICANT;
        }
    }
    free(p);
    return 0;
}

static int slice_rates(struct view_result *v, const struct predictions *p, double threshold,
                       int64_t min_slice, struct error *err)
{
    struct rate_counts all = {0};
    size_t per_rate = p->n_slices + 1;
    v->n_slices = per_rate * SLICE_RATES;
    if (!(v->slices = mem_alloc(v->n_slices * sizeof *v->slices, err))) return -1;
    for (size_t i = 0; spill_step(i) < p->n_rows; i++)
        count_row(&all, v->positive[i], v->score[i] >= threshold);
    v->tp = all.n[RATE_FNR] - all.k[RATE_FNR];
    v->fn = all.k[RATE_FNR];
    v->fp = all.k[RATE_FPR];
    v->tn = all.n[RATE_FPR] - all.k[RATE_FPR];
    for (int rate = 0; rate < SLICE_RATES; rate++)
        fill_result(&v->slices[(size_t)rate * per_rate], -1, (enum slice_rate)rate, &all, &all, min_slice);
    for (size_t s = 0; s < p->n_slices; s++) {
        struct rate_counts own = {0};
        for (size_t i = 0; i < p->slices[s].n_rows; i++) {
            uint32_t row = p->slices[s].rows[i];
            count_row(&own, v->positive[row], v->score[row] >= threshold);
        }
        for (int rate = 0; rate < SLICE_RATES; rate++)
            fill_result(&v->slices[(size_t)rate * per_rate + s + 1], (int64_t)s, (enum slice_rate)rate, &own,
                        &all, min_slice);
    }
    return correct(v->slices, per_rate, SLICE_RATES, err);
}

static int slice_accuracy(struct evaluation *e, int64_t min_slice, struct error *err)
{
    const struct predictions *p = e->p;
    struct rate_counts all = {0};
    e->n_slices = p->n_slices + 1;
    if (!(e->slices = mem_alloc(e->n_slices * sizeof *e->slices, err))) return -1;
    all.k[RATE_ACCURACY] = e->c.n_right;
    all.n[RATE_ACCURACY] = p->n_rows;
    fill_result(&e->slices[0], -1, RATE_ACCURACY, &all, &all, min_slice);
    for (size_t s = 0; s < p->n_slices; s++) {
        struct rate_counts own = {0};
        for (size_t i = 0; i < p->slices[s].n_rows; i++)
            own.k[RATE_ACCURACY] += e->right[p->slices[s].rows[i]];
        own.n[RATE_ACCURACY] = p->slices[s].n_rows;
        fill_result(&e->slices[s + 1], (int64_t)s, RATE_ACCURACY, &own, &all, min_slice);
    }
    return correct(e->slices, e->n_slices, 1, err);
}

double view_score(const struct view *view, const struct predictions *p, size_t row)
{
    double sum = 0;
    for (int k = 0; k < p->n_classes; k++)
        if (view->positive[k]) sum += p->p[row * (size_t)p->n_classes + (size_t)k];
    return rint(sum * 1e12) / 1e12; /* sums that differ by the last bit are one threshold */
}

static int make_view(struct view_result *v, const struct view *view, const struct predictions *p,
                     double threshold, int64_t min_slice, struct error *err)
{
    v->view = view;
    if (!(v->positive = spill_alloc(p->n_rows, err)) ||
        !(v->score = spill_alloc(p->n_rows * sizeof *v->score, err)))
        return -1;
    for (size_t i = 0; spill_step(i) < p->n_rows; i++) {
        v->score[i] = view_score(view, p, i);
        v->positive[i] = view->positive[p->label[i]];
    }
    if (curve_make(&v->curve, v->score, v->positive, p->n_rows, err)) return -1;
    v->roc_auc = curve_roc_auc(&v->curve);
    v->average_precision = curve_average_precision(&v->curve);
    v->roc_auc_interval = curve_roc_auc_interval(&v->curve, INTERVAL_Z95);
    v->average_precision_interval = curve_average_precision_interval(&v->curve, INTERVAL_Z95);
    for (int i = 0; i < EVAL_N_FPR; i++)
        v->at_fpr[i] = curve_at_fpr(&v->curve, eval_fpr_levels[i]);
    for (int i = 0; i < EVAL_N_RECALL; i++)
        v->at_recall[i] = curve_best_precision(&v->curve, eval_recall_levels[i]);
    return slice_rates(v, p, threshold, min_slice, err);
}

/* Work that threads share item by item: the curves of the classes, or the views. */
struct shared_work {
    struct evaluation *e;
    const struct views *views;
    const struct eval_options *o;
    int n;
    atomic_int next;
    struct error *errs; /* [n] */
    int *rcs;           /* [n] */
    int (*one)(struct shared_work *work, int i, struct error *err);
};

static void take_numbers(void *context, unsigned worker)
{
    struct shared_work *w = context;
    int i;
    (void)worker;
    while ((i = atomic_fetch_add(&w->next, 1)) < w->n)
        w->rcs[i] = w->one(w, i, &w->errs[i]);
}

/* Calls w->one for 0..n-1 on several threads. If several calls fail, the error of the lowest number is
 * reported. */
static int share_out(struct shared_work *w, struct error *err)
{
    int rc = 0;
    w->errs = mem_zalloc((size_t)w->n + 1, sizeof *w->errs, err);
    w->rcs = mem_zalloc((size_t)w->n + 1, sizeof *w->rcs, err);
    if (!w->errs || !w->rcs) rc = -1;
    if (rc == 0) parallel_run(stage_threads(&w->o->common), take_numbers, w);
    for (int i = 0; rc == 0 && i < w->n; i++)
        if ((rc = w->rcs[i])) *err = w->errs[i];
    free(w->errs);
    free(w->rcs);
    return rc;
}

static int class_curve(struct shared_work *w, int j, struct error *err)
{
    struct evaluation *e = w->e;
    const struct predictions *p = e->p;
    struct curve *c = &e->class_curves[j];
    if (curve_make_class(c, p->p, p->label, p->n_rows, p->n_classes, j, err)) return -1;
    e->roc_auc[j] = curve_roc_auc(c);
    e->average_precision[j] = curve_average_precision(c);
    e->roc_auc_intervals[j] = curve_roc_auc_interval(c, INTERVAL_Z95);
    e->average_precision_intervals[j] = curve_average_precision_interval(c, INTERVAL_Z95);
    return curve_keep_shown(c, REPORT_PLOT_POINTS, err);
}

static int class_curves(struct evaluation *e, const struct eval_options *o, struct error *err)
{
    size_t k = (size_t)e->p->n_classes;
    struct shared_work work = {.e = e, .o = o, .n = e->p->n_classes, .one = class_curve};
    if (!(e->class_curves = mem_zalloc(k, sizeof *e->class_curves, err)) ||
        !(e->roc_auc = mem_zalloc(k, sizeof(double), err)) ||
        !(e->average_precision = mem_zalloc(k, sizeof(double), err)) ||
        !(e->roc_auc_intervals = mem_zalloc(k, sizeof(struct interval), err)) ||
        !(e->average_precision_intervals = mem_zalloc(k, sizeof(struct interval), err)) ||
        share_out(&work, err))
        return -1;
    for (size_t j = 0; j < k; j++)
        e->roc_auc_macro += e->roc_auc[j] / (double)k;
    return 0;
}

static int one_view(struct shared_work *w, int i, struct error *err)
{
    return make_view(&w->e->views[i], &w->views->items[i], w->e->p, w->o->threshold, w->o->min_slice, err);
}

static int calibrate(struct evaluation *e, unsigned threads, struct error *err)
{
    const struct predictions *p = e->p;
    size_t n = p->n_rows, k = (size_t)p->n_classes;
    double *after = mem_alloc(CALIBRATE_ROWS * k * sizeof *after, err),
           *confidence = spill_alloc(n * sizeof *confidence, err);
    uint8_t *right = spill_alloc(n, err);
    int rc = -1;
    if (!after || !confidence || !right) goto out;
    calibration_equal_width(e->confidence, e->right, n, 10, e->width10);
    calibration_equal_width(e->confidence, e->right, n, 15, e->width15);
    if (calibration_equal_mass(e->confidence, e->right, n, 15, e->mass15, err) ||
        temperature_fit(&e->temperature, p->z, p->p, p->label, n, p->n_classes, threads, err))
        goto out;
    for (size_t from = 0; spill_step(from) < n; from += CALIBRATE_ROWS) {
        size_t m = n - from < CALIBRATE_ROWS ? n - from : CALIBRATE_ROWS;
        temperature_apply(p->z ? p->z + from * k : NULL, p->p + from * k, e->temperature.temperature, m,
                          p->n_classes, after);
        /* Finds the likeliest class here: rounded probabilities may be equal where the logits are not. */
        for (size_t i = 0; i < m; i++) {
            const double *row = after + i * k;
            size_t best = 0;
            for (size_t j = 1; j < k; j++)
                if (row[j] > row[best]) best = j;
            confidence[from + i] = row[best];
            right[from + i] = (int32_t)best == p->label[from + i];
        }
    }
    calibration_equal_width(confidence, right, n, 15, e->after15);
    rc = 0;
out:
    free(after);
    spill_free(confidence);
    spill_free(right);
    return rc;
}

int evaluation_make(struct evaluation *out, const struct predictions *p, const struct views *views,
                    const struct eval_options *o, struct error *err)
{
    *out = (struct evaluation){.p = p, .threshold = o->threshold};
    if (classification_measure(&out->c, p->p, p->label, p->pred, p->n_rows, p->n_classes, err) ||
        !(out->confidence = spill_alloc(p->n_rows * sizeof(double), err)) ||
        !(out->right = spill_alloc(p->n_rows, err)))
        goto fail;
    calibration_confidence(p->p, p->label, p->pred, p->n_rows, p->n_classes, out->confidence, out->right);
    if (calibrate(out, stage_threads(&o->common), err) || class_curves(out, o, err) ||
        slice_accuracy(out, o->min_slice, err))
        goto fail;
    if (o->bootstrap > 0 && p->n_rows <= BOOTSTRAP_MAX_ROWS) {
        if (bootstrap_share(out->right, p->n_rows, (unsigned)o->bootstrap, BOOTSTRAP_SEED,
                            stage_threads(&o->common), &out->bootstrap, err))
            goto fail;
        out->bootstrapped = true;
    }
    if (!(out->views = mem_zalloc(views->n ? views->n : 1, sizeof *out->views, err))) goto fail;
    struct shared_work work = {.e = out, .views = views, .o = o, .n = (int)views->n, .one = one_view};
    out->n_views = views->n;
    if (share_out(&work, err)) goto fail;
    return 0;
fail:
    evaluation_release(out);
    return -1;
}

void evaluation_release(struct evaluation *e)
{
    for (int k = 0; e->class_curves && k < e->p->n_classes; k++)
        curve_release(&e->class_curves[k]);
    for (size_t i = 0; e->views && i < e->n_views; i++) {
        spill_free(e->views[i].positive);
        spill_free(e->views[i].score);
        free(e->views[i].slices);
        curve_release(&e->views[i].curve);
    }
    free(e->views);
    free(e->class_curves);
    free(e->roc_auc);
    free(e->average_precision);
    free(e->roc_auc_intervals);
    free(e->average_precision_intervals);
    spill_free(e->confidence);
    spill_free(e->right);
    free(e->slices);
    classification_release(&e->c);
    *e = EVALUATION_EMPTY;
}

struct interval evaluation_accuracy_interval(const struct evaluation *e, bool *bootstrap)
{
    *bootstrap = e->bootstrapped && e->bootstrap.low < e->bootstrap.high;
    return *bootstrap ? (struct interval){e->bootstrap.low, e->bootstrap.high}
                      : interval_wilson(e->c.n_right, e->c.n_rows, INTERVAL_Z95);
}

double slice_gap(const struct predictions *p, const struct slice_result *results, size_t n,
                 enum slice_rate rate, const char *family)
{
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        const struct slice_result *r = &results[i];
        if (r->slice < 0 || r->rate != rate || r->n == 0 || strcmp(p->slices[r->slice].family, family) != 0)
            continue;
        low = fmin(low, r->value);
        high = fmax(high, r->value);
    }
    return high >= low ? high - low : NAN;
}
