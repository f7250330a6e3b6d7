/*
 * report.c: report.html, one file without scripts: opens from the disk, prints, light and dark. Everything that comes from data is
 * escaped, and the policy allows nothing but the page's own style and its data-URI thumbnails.
 */
#include "report.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "page/page.h"
#include "report_plots.h"

__asm__(".section .rodata\n"
        ".global eval_report_css\n"
        "eval_report_css:\n"
        ".incbin \"stages/eval/report.css\"\n"
        ".byte 0\n"
        ".previous\n");
extern const char eval_report_css[] __attribute__((visibility("hidden")));

/* Output that remembers its first failure, so that a page can be written without a test on every line. */
struct html { struct text t; struct error *err; bool failed; };

static void raw(struct html *h, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void raw(struct html *h, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    h->failed = h->failed || text_vprintf(&h->t, h->err, format, args);
    va_end(args);
}

static void escaped(struct html *h, const char *s)
{
    h->failed = h->failed || page_escape(&h->t, s, h->err);
}

/* A rate and its Wilson interval in a cell. */
static void rate_cell(struct html *h, uint64_t k, uint64_t n)
{
    struct interval w = interval_wilson(k, n, INTERVAL_Z95);
    if (n == 0)
        raw(h, "<td>n/a <small>0 rows</small></td>");
    else
        raw(h, "<td>%.2f %% <small>%.1f to %.1f</small></td>", 100.0 * (double)k / (double)n, 100 * w.low, 100 * w.high);
}

static void number_cell(struct html *h, double x, int digits)
{
    if (isnan(x))
        raw(h, "<td>n/a</td>");
    else
        raw(h, "<td>%.*f</td>", digits, x);
}

/* An interval as a line with its value as a dot on the axis low..high, marked at zero or not. */
static void range(struct html *h, double value, struct interval ci, double low, double high)
{
    if (isnan(value) || isnan(ci.low) || high <= low)
        return;
    double scale = 140 / (high - low);
    raw(h, "<svg class=range viewBox='0 0 144 16' role=img aria-label='%.3f to %.3f'><line class=base x1='%.1f' x2='%.1f' y1='2' y2='14'/>"
           "<line x1='%.1f' x2='%.1f' y1='8' y2='8'/><circle cx='%.1f' cy='8' r='3.2'/></svg>",
        ci.low, ci.high, 2 + (fmin(fmax(0, low), high) - low) * scale, 2 + (fmin(fmax(0, low), high) - low) * scale, 2 + (fmax(ci.low, low) - low) * scale,
        2 + (fmin(ci.high, high) - low) * scale, 2 + (fmin(fmax(value, low), high) - low) * scale);
}

static void put_head(struct html *h, const struct report_input *in)
{
    const struct evaluation *e = in->e;
    struct text hash = TEXT_EMPTY;
    h->failed = h->failed || page_csp_hash(&hash, eval_report_css, strlen(eval_report_css), h->err);
    raw(h, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\""
           "default-src 'none'; img-src data:; style-src %s; base-uri 'none'; form-action 'none'\">\n"
           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n"
           "<meta name=\"color-scheme\" content=\"light dark\">\n<title>", hash.data ? hash.data : "");
    escaped(h, in->o->title);
    raw(h, "</title>\n<style>");
    h->failed = h->failed || text_puts(&h->t, eval_report_css, h->err);
    raw(h, "</style>\n</head>\n<body>\n<header><h1>");
    escaped(h, in->o->title);
    raw(h, "</h1><p class=soft>%zu pictures, %d classes", e->p->n_rows, e->p->n_classes);
    if (in->model_line[0]) {
        raw(h, ", ");
        escaped(h, in->model_line);
    }
    if (in->o->model) {
        raw(h, ", split ");
        escaped(h, in->o->split);
    }
    raw(h, "</p></header>\n<main>\n");
    text_release(&hash);
}

static void put_tiles(struct html *h, const struct evaluation *e)
{
    const struct classification *c = &e->c;
    struct interval w = e->bootstrapped ? (struct interval){e->bootstrap.low, e->bootstrap.high}
                                        : interval_wilson(c->n_right, c->n_rows, INTERVAL_Z95);
    raw(h, "<ul class=tiles><li>accuracy<b>%.2f %%</b><small>95 %%: %.2f to %.2f (%s)</small></li>", 100 * c->accuracy, 100 * w.low, 100 * w.high,
        e->bootstrapped ? "bootstrap" : "Wilson");
    raw(h, "<li>balanced accuracy<b>%.2f %%</b><small>mean recall of the classes present</small></li>", 100 * c->balanced_accuracy);
    raw(h, "<li>top 2<b>%.2f %%</b><small>right class among the first two</small></li>", 100 * c->top2_accuracy);
    raw(h, "<li>log loss<b>%.4f</b><small>Brier %.4f</small></li>", c->log_loss, c->brier);
    raw(h, "<li>calibration error<b>%.4f</b><small>ECE, 15 bins; worst bin %.3f</small></li>", calibration_ece(e->width15, 15),
        calibration_mce(e->width15, 15));
    if (e->temperature.at_edge)
        raw(h, "<li>temperature<b>none fits</b><small>outside 0.05 to 20</small></li>");
    else
        raw(h, "<li>temperature<b>%.3f</b><small>would make ECE %.4f, NLL %.4f</small></li>", e->temperature.temperature, calibration_ece(e->after15, 15),
            e->temperature.nll_after);
    raw(h, "</ul>\n");
}

static void put_confusion(struct html *h, const struct evaluation *e)
{
    const struct predictions *p = e->p;
    int k = p->n_classes;
    if (k > 40) {
        raw(h, "<h2>Confusion</h2><p>%d classes: see metrics.tsv (metric confusion).</p>", k);
        return;
    }
    raw(h, "<h2>Confusion</h2><div class=wide><table class=confusion><caption>rows: given label; columns: prediction; counts, and shares of the row"
           "</caption><thead><tr><th></th>");
    for (int j = 0; j < k; j++) {
        raw(h, "<th scope=col>");
        escaped(h, p->classes[j]);
        raw(h, "</th>");
    }
    raw(h, "</tr></thead><tbody>");
    for (int i = 0; i < k; i++) {
        raw(h, "<tr><th scope=row>");
        escaped(h, p->classes[i]);
        raw(h, "</th>");
        for (int j = 0; j < k; j++) {
            uint64_t n = e->c.confusion[i * k + j], of = e->c.classes[i].n_true;
            double share = of ? (double)n / (double)of : 0;
            raw(h, "<td class=a%d><b>%llu</b><small>%.1f %%</small></td>", (int)rint(20 * share), (unsigned long long)n, 100 * share);
        }
        raw(h, "</tr>");
    }
    raw(h, "</tbody></table></div>\n");
}

static void put_classes(struct html *h, const struct evaluation *e)
{
    const struct predictions *p = e->p;
    raw(h, "<h2>Classes</h2><div class=wide><table><caption>with Wilson 95 %% intervals</caption><thead><tr><th scope=col>class<th scope=col>pictures"
           "<th scope=col>precision<th scope=col>recall<th scope=col>F1<th scope=col>ROC AUC<th scope=col>average precision</tr></thead><tbody>");
    for (int i = 0; i < p->n_classes; i++) {
        const struct class_scores *s = &e->c.classes[i];
        raw(h, "<tr><td class=name>");
        escaped(h, p->classes[i]);
        raw(h, "</td><td>%llu</td>", (unsigned long long)s->n_true);
        rate_cell(h, s->n_right, s->n_predicted);
        rate_cell(h, s->n_right, s->n_true);
        number_cell(h, s->f1, 4);
        number_cell(h, e->roc_auc[i], 4);
        number_cell(h, e->average_precision[i], 4);
        raw(h, "</tr>");
    }
    raw(h, "<tr><td class=name>mean</td><td>%zu</td><td>%.2f %%</td><td>%.2f %%</td><td>%.4f</td>", p->n_rows, 100 * e->c.macro.precision,
        100 * e->c.macro.recall, e->c.macro.f1);
    number_cell(h, e->roc_auc_macro, 4);
    raw(h, "<td></td></tr></tbody></table></div><p class=soft>Cohen's kappa %.4f, Matthews correlation %.4f.</p>\n", e->c.kappa, e->c.mcc);
}

static void put_view(struct html *h, const struct evaluation *e, const struct view_result *v)
{
    const struct curve *c = &v->curve;
    const char *plus = "";
    raw(h, "<h3>");
    escaped(h, v->view->name);
    raw(h, "</h3><p>");
    for (int k = 0; k < e->p->n_classes; k++)
        if (v->view->positive[k]) {
            raw(h, "%s", plus);
            escaped(h, e->p->classes[k]);
            plus = " + ";
        }
    raw(h, ": %llu pictures against %llu others. ROC AUC %.4f, average precision %.4f. At a score of %g: %llu found, %llu missed, %llu false alarms, "
           "%llu rightly left alone.</p>", (unsigned long long)c->n_positive, (unsigned long long)c->n_negative, v->roc_auc, v->average_precision,
        e->threshold, (unsigned long long)v->tp, (unsigned long long)v->fn, (unsigned long long)v->fp, (unsigned long long)v->tn);
    raw(h, "<div class=wide><table><thead><tr><th scope=col>at most this false positive rate<th scope=col>threshold<th scope=col>recall<th scope=col>found"
           "<th scope=col>false alarms</tr></thead><tbody>");
    for (int i = 0; i < EVAL_N_FPR; i++) {
        int64_t at = v->at_fpr[i];
        uint64_t tp = at < 0 ? 0 : c->tp[at], fp = at < 0 ? 0 : c->fp[at];
        raw(h, "<tr><td class=name>%g %%</td>", 100 * eval_fpr_levels[i]);
        if (at < 0)
            raw(h, "<td>none</td>");
        else
            raw(h, "<td>%.4f</td>", c->threshold[at]);
        rate_cell(h, tp, c->n_positive);
        raw(h, "<td>%llu of %llu</td><td>%llu of %llu</td></tr>", (unsigned long long)tp, (unsigned long long)c->n_positive, (unsigned long long)fp,
            (unsigned long long)c->n_negative);
    }
    raw(h, "</tbody></table></div><div class=wide><table><thead><tr><th scope=col>at least this recall<th scope=col>threshold<th scope=col>best precision"
           "<th scope=col>found<th scope=col>false alarms</tr></thead><tbody>");
    for (int i = 0; i < EVAL_N_RECALL; i++) {
        int64_t at = v->at_recall[i];
        uint64_t tp = at < 0 ? 0 : c->tp[at], fp = at < 0 ? 0 : c->fp[at];
        raw(h, "<tr><td class=name>%g %%</td>", 100 * eval_recall_levels[i]);
        if (at < 0)
            raw(h, "<td>none</td>");
        else
            raw(h, "<td>%.4f</td>", c->threshold[at]);
        rate_cell(h, tp, tp + fp);
        raw(h, "<td>%llu of %llu</td><td>%llu of %llu</td></tr>", (unsigned long long)tp, (unsigned long long)c->n_positive, (unsigned long long)fp,
            (unsigned long long)c->n_negative);
    }
    raw(h, "</tbody></table></div>\n");
    if (c->n_negative < 1000)
        raw(h, "<p class=soft>%llu other pictures stand behind these rates: one false alarm is %.2f %%.</p>", (unsigned long long)c->n_negative,
            c->n_negative ? 100.0 / (double)c->n_negative : NAN);
}

static void put_slice_rows(struct html *h, const struct predictions *p, const struct slice_result *results, size_t n, const char *title)
{
    double extent = 0.02;
    for (size_t i = 0; i < n; i++)
        if (results[i].slice >= 0 && !isnan(results[i].newcombe.low))
            extent = fmax(extent, fmax(fabs(results[i].newcombe.low), fabs(results[i].newcombe.high)));
    raw(h, "<div class=wide><table><caption>%s</caption><thead><tr><th scope=col>slice<th scope=col>rows<th scope=col>rate (Wilson 95 %%)"
           "<th scope=col>difference to the rest (Newcombe 95 %%)<th scope=col><th scope=col>Holm p</tr></thead><tbody>", title);
    for (size_t i = 0; i < n; i++) {
        const struct slice_result *r = &results[i];
        raw(h, "<tr><td class=name>");
        escaped(h, r->slice < 0 ? "all" : p->slices[r->slice].name);
        raw(h, "</td><td>%llu of %llu</td>", (unsigned long long)r->k, (unsigned long long)r->n);
        rate_cell(h, r->k, r->n);
        if (r->slice < 0 || isnan(r->difference)) {
            raw(h, "<td></td><td></td><td></td></tr>");
            continue;
        }
        raw(h, "<td>%+.2f <small>%+.2f to %+.2f</small></td><td>", 100 * r->difference, 100 * r->newcombe.low, 100 * r->newcombe.high);
        range(h, r->difference, r->newcombe, -extent, extent);
        if (isnan(r->p_holm))
            raw(h, "</td><td><small>too few</small></td></tr>");
        else
            raw(h, "</td><td%s>%.3g%s</td></tr>", r->flagged ? " class=flag" : "", r->p_holm, r->flagged ? " differs" : "");
    }
    raw(h, "</tbody></table></div>\n");
}

static void put_slices(struct html *h, const struct evaluation *e)
{
    static const char *const titles[SLICE_RATES] = {"false positive rate: others flagged", "false negative rate: not flagged", "share flagged", "share decided rightly"};
    const struct predictions *p = e->p;
    if (p->n_slices == 0)
        return;
    raw(h, "<h2>Slices</h2><p>Differences that stay significant at 5 %% after Holm's correction over the slices of a table are marked; slices of few rows "
           "are shown and never marked.</p>");
    put_slice_rows(h, p, e->slices, e->n_slices, "accuracy over all classes");
    for (size_t i = 0; i < e->n_views; i++) {
        const struct view_result *v = &e->views[i];
        size_t per_rate = p->n_slices + 1;
        raw(h, "<h3>");
        escaped(h, v->view->name);
        raw(h, "</h3>");
        for (int rate = RATE_FPR; rate <= RATE_FNR; rate++) {
            put_slice_rows(h, p, v->slices + (size_t)rate * per_rate, per_rate, titles[rate]);
            double gap = slice_gap(p, v->slices, v->n_slices, (enum slice_rate)rate, p->slices[0].family);
            if (!isnan(gap))
                raw(h, "<p class=soft>Between the best and the worst slice: %.2f points.</p>", 100 * gap);
        }
    }
}

/* --- worst mistakes ------------------------------------------------------------------------------------------------ */

struct mistake { uint32_t row; double p_given; };

static int compare_mistakes(const void *x, const void *y)
{
    const struct mistake *a = x, *b = y;
    return a->p_given < b->p_given ? -1 : a->p_given > b->p_given ? 1 : a->row < b->row ? -1 : a->row > b->row;
}

/* The rows of the least probability for their label; at most n. *rows is malloc'd. */
static int worst_rows(const struct evaluation *e, size_t limit, uint32_t **rows, size_t *n, struct error *err)
{
    const struct predictions *p = e->p;
    size_t n_wrong = p->n_rows - e->c.n_right, at = 0;
    struct mistake *m = mem_alloc((n_wrong ? n_wrong : 1) * sizeof *m, err);
    *rows = mem_alloc((limit ? limit : 1) * sizeof **rows, err);
    if (!m || !*rows) {
        free(m);
        return -1;
    }
    for (size_t i = 0; i < p->n_rows; i++)
        if (!e->right[i])
            m[at++] = (struct mistake){(uint32_t)i, p->p[i * (size_t)p->n_classes + (size_t)p->label[i]]};
    qsort(m, n_wrong, sizeof *m, compare_mistakes);
    *n = n_wrong < limit ? n_wrong : limit;
    for (size_t i = 0; i < *n; i++)
        (*rows)[i] = m[i].row;
    free(m);
    return 0;
}

static int put_worst(struct html *h, const struct report_input *in)
{
    const struct predictions *p = in->e->p;
    struct picked_rows picked = PICKED_ROWS_EMPTY;
    struct thumbnails thumbnails = THUMBNAILS_EMPTY;
    const char **paths = NULL, **ids = NULL;
    uint32_t *rows = NULL;
    size_t n = 0;
    int rc = -1, path, id;
    if (worst_rows(in->e, (size_t)in->o->worst, &rows, &n, h->err) || picked_rows_read(&picked, p, in->usable, rows, n, h->err) ||
        !(paths = mem_alloc((n ? n : 1) * sizeof *paths, h->err)) || !(ids = mem_alloc((n ? n : 1) * sizeof *ids, h->err)))
        goto out;
    path = manifest_column(&picked.schema, "path");
    if ((id = manifest_column(&picked.schema, "id")) < 0)
        id = manifest_column(&picked.schema, "xxh128");
    for (size_t i = 0; i < n; i++) {
        paths[i] = picked_cell(&picked, i, path);
        ids[i] = picked_cell(&picked, i, id);
    }
    if (thumbnails_make(&thumbnails, in->o, paths, ids, n, h->err))
        goto out;
    bool any = false;
    for (size_t i = 0; i < n; i++)
        any = any || thumbnails.uris[i];
    raw(h, "<h2>Worst mistakes</h2><p>%zu of %zu, the least probable given labels first: some are the model's, some the label's.</p>", n,
        p->n_rows - in->e->c.n_right);
    if (any)
        raw(h, "<input type=checkbox id=all class=noprint> <label for=all class=noprint>show all pictures clearly (a click on one shows it)</label>");
    raw(h, "<ul class=worst>");
    for (size_t i = 0; i < n; i++) {
        const double *row = p->p + (size_t)rows[i] * (size_t)p->n_classes;
        raw(h, "<li>");
        if (thumbnails.uris[i])
            raw(h, "<label><input type=checkbox aria-label=show><img alt='' width=112 height=112 src='%s'></label>", thumbnails.uris[i]);
        else if (any)
            raw(h, "<div class=none>no picture</div>");
        raw(h, "<div>");
        escaped(h, p->classes[p->label[rows[i]]]);
        raw(h, " &rarr; <b>");
        escaped(h, p->classes[p->pred[rows[i]]]);
        raw(h, "</b> %.1f&nbsp;%%</div><small class=soft>", 100 * row[p->pred[rows[i]]]);
        escaped(h, paths[i][0] ? paths[i] : ids[i]);
        raw(h, "</small></li>");
    }
    raw(h, "</ul>\n");
    rc = 0;
out:
    thumbnails_release(&thumbnails);
    picked_rows_release(&picked);
    free(paths);
    free(ids);
    free(rows);
    return rc;
}

/* --- plots --------------------------------------------------------------------------------------------------------- */

static void put_plots(struct html *h, const struct report_input *in, const struct report_plots *plots)
{
    static const char *const titles[REPORT_PLOTS] = {
        [REPORT_ROC_VIEWS] = "ROC of the views (logarithmic: the low rates are those that matter)", [REPORT_PR_VIEWS] = "Precision and recall of the views",
        [REPORT_ROC_CLASSES] = "ROC, each class against the rest", [REPORT_PR_CLASSES] = "Precision and recall, each class against the rest",
        [REPORT_RELIABILITY] = "Reliability: share right by confidence", [REPORT_LOSS] = "Loss over the epochs", [REPORT_ACCURACY] = "Accuracy over the epochs"};
    const struct evaluation *e = in->e;
    raw(h, "<h2>Curves</h2>");
    if (plots->why.data) {
        raw(h, "<p>");
        escaped(h, plots->why.data);
        raw(h, "</p>");
    }
    raw(h, "<div class=plots>");
    for (int i = 0; i < REPORT_PLOTS; i++) {
        if (!plots->plots[i].svg || plots->plots[i].n_lines == 0)
            continue;
        raw(h, "<figure>");
        h->failed = h->failed || text_puts(&h->t, plots->plots[i].svg, h->err);
        raw(h, "<ul class=legend>");
        if (i == REPORT_ROC_VIEWS || i == REPORT_PR_VIEWS) {
            for (size_t v = 0; v < e->n_views && v < 8; v++) {
                raw(h, "<li class=k%zu>", v % 8);
                escaped(h, e->views[v].view->name);
            }
        } else if (i == REPORT_ROC_CLASSES || i == REPORT_PR_CLASSES) {
            for (int k = 0; k < e->p->n_classes && k < 8; k++) {
                raw(h, "<li class=k%d>", k % 8);
                escaped(h, e->p->classes[k]);
            }
        } else if (i == REPORT_RELIABILITY) {
            raw(h, "<li class=k0>as it is<li class='k1 dashed'>with the fitted temperature");
        } else {
            raw(h, "<li class=k0>training<li class=k1>validation");
        }
        raw(h, "</ul><figcaption>%s</figcaption></figure>\n", titles[i]);
    }
    raw(h, "</div>\n");
}

int report_write(const struct report_input *in, const char *path, struct error *err)
{
    struct html h = {.t = TEXT_EMPTY, .err = err};
    struct report_plots plots = {0};
    int rc = -1;
    if (report_plots_make(&plots, in->e, in->o->log, err))
        goto out;
    put_head(&h, in);
    put_tiles(&h, in->e);
    put_confusion(&h, in->e);
    put_classes(&h, in->e);
    if (in->e->n_views)
        raw(&h, "<h2>Views</h2>");
    for (size_t i = 0; i < in->e->n_views; i++)
        put_view(&h, in->e, &in->e->views[i]);
    put_plots(&h, in, &plots);
    put_slices(&h, in->e);
    if (put_worst(&h, in))
        goto out;
    raw(&h, "</main>\n<footer>Intervals are 95 %%. Rates: Wilson. Differences: Newcombe. Accuracy: bootstrap of 2000 resamples where marked. "
            "Definitions are in the manual of eval; the numbers are in metrics.tsv beside this page.</footer>\n</body>\n</html>\n");
    rc = h.failed ? -1 : atomic_file_write(path, h.t.data, h.t.n_bytes, err);
out:
    report_plots_release(&plots);
    text_release(&h.t);
    return rc;
}
