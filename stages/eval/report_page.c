/*
 * report_page.c: writes report.html, one file without scripts. It can be opened from the disk and printed,
 * and has a light and a dark form. All text from data is escaped. The policy of the page allows only its own
 * style and the thumbnails, which are data URIs.
 */
#include "report_page.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "eval_decisions.h"
#include "page/page.h"
#include "report_plots.h"

__asm__(".section .rodata\n"
        ".global eval_report_css\n"
        "eval_report_css:\n"
        ".incbin \"stages/eval/report.css\"\n"
        ".byte 0\n"
        ".previous\n");
extern const char eval_report_css[] __attribute__((visibility("hidden")));

static void put_head(struct html *h, const struct report_input *in)
{
    const struct evaluation *e = in->e;
    struct text hash = TEXT_EMPTY;
    h->failed = h->failed || page_csp_hash(&hash, eval_report_css, strlen(eval_report_css), h->err);
    html_raw(h,
             "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta "
             "http-equiv=\"Content-Security-Policy\" content=\""
             "default-src 'none'; img-src data:; style-src %s; base-uri 'none'; form-action 'none'\">\n"
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta "
             "name=\"referrer\" content=\"no-referrer\">\n"
             "<meta name=\"color-scheme\" content=\"light dark\">\n<title>",
             hash.data ? hash.data : "");
    html_escaped(h, in->o->title);
    html_raw(h, "</title>\n<style>");
    h->failed = h->failed || text_puts(&h->t, eval_report_css, h->err);
    html_raw(h, "</style>\n</head>\n<body>\n<header><h1>");
    html_escaped(h, in->o->title);
    html_raw(h, "</h1><p class=soft>%s picture%s, %d classes", COUNT(e->p->n_rows),
             e->p->n_rows == 1 ? "" : "s", e->p->n_classes);
    if (in->model_line[0]) {
        html_raw(h, ", ");
        html_escaped(h, in->model_line);
    }
    if (in->o->model) {
        html_raw(h, ", split ");
        html_escaped(h, in->o->split);
    }
    html_raw(h, "</p></header>\n<main>\n");
    text_release(&hash);
}

static void put_tiles(struct html *h, const struct evaluation *e)
{
    const struct classification *c = &e->c;
    bool bootstrap;
    struct interval w = evaluation_accuracy_interval(e, &bootstrap);
    html_raw(h, "<ul class=tiles><li>accuracy<b>%.2f %%</b><small>95 %%: %.2f to %.2f (%s)</small></li>",
             100 * c->accuracy, 100 * w.low, 100 * w.high, bootstrap ? "bootstrap" : "Wilson");
    html_raw(h, "<li>balanced accuracy<b>%.2f %%</b><small>mean recall of the classes present</small></li>",
             100 * c->balanced_accuracy);
    html_raw(h, "<li>top 2<b>%.2f %%</b><small>right class among the first two</small></li>",
             100 * c->top2_accuracy);
    html_raw(h, "<li>log loss<b>%.4f</b><small>Brier %.4f</small></li>", c->log_loss, c->brier);
    html_raw(h, "<li>calibration error<b>%.4f</b><small>ECE, 15 bins; worst bin %.3f</small></li>",
             calibration_ece(e->width15, 15), calibration_mce(e->width15, 15));
    if (e->temperature.at_edge)
        html_raw(h, "<li>temperature<b>none fits</b><small>outside 0.05 to 20</small></li>");
    else
        html_raw(h, "<li>temperature<b>%.3f</b><small>would make ECE %.4f, NLL %.4f</small></li>",
                 e->temperature.temperature, calibration_ece(e->after15, 15), e->temperature.nll_after);
    html_raw(h, "</ul>\n");
}

#define MAX_CONFUSION 40 /* classes; nobody can read a wider table */

/* Writes the confusion matrix. Each cell has a count and its share of the row. Right predictions have one
 * colour and mistakes another; the larger the share, the stronger the colour. A class without rows has no
 * shares. */
static void put_confusion(struct html *h, const struct evaluation *e)
{
    const struct predictions *p = e->p;
    int k = p->n_classes;
    html_raw(h, "<h2>Confusion</h2>");
    if (k > MAX_CONFUSION) {
        html_raw(h,
                 "<p>%d classes are too many for a table: see <code>metrics.tsv</code>, metric confusion, or "
                 "<code>mine-errors --pairs</code>.</p>",
                 k);
        return;
    }
    html_raw(h,
             "<div class=wide><table class=confusion><caption>Counts, and shares of the row: of the pictures "
             "that are given as the row's class, "
             "how many are predicted as the column's.</caption><thead><tr><td rowspan=2 class=corner>given "
             "as</td><th colspan=%d>predicted as</th>"
             "<th rowspan=2 scope=col class=sum>all</th></tr><tr>",
             k);
    for (int j = 0; j < k; j++) {
        html_raw(h, "<th scope=col><span>");
        html_escaped(h, p->classes[j]);
        html_raw(h, "</span></th>");
    }
    html_raw(h, "</tr></thead><tbody>");
    for (int i = 0; i < k; i++) {
        uint64_t of = e->c.classes[i].n_true;
        html_raw(h, "<tr><th scope=row>");
        html_escaped(h, p->classes[i]);
        html_raw(h, "</th>");
        for (int j = 0; j < k; j++) {
            uint64_t n = e->c.confusion[i * k + j];
            double share = of ? (double)n / (double)of : 0;
            if (n == 0)
                html_raw(h, "<td class=zero>%s</td>", of ? "0" : "&ndash;");
            else /* mistakes are few: a twentieth of the row is already worth seeing */
                html_raw(h, "<td class='%s a%d'><b>%s</b><small>%.1f %%</small></td>",
                         i == j ? "right" : "wrong", (int)rint(20 * (i == j ? share : sqrt(share))), COUNT(n),
                         100 * share);
        }
        html_raw(h, "<td class=sum>%s</td></tr>", COUNT(of));
    }
    html_raw(h, "</tbody><tfoot><tr><th scope=row class=sum>all</th>");
    for (int j = 0; j < k; j++)
        html_raw(h, "<td class=sum>%s</td>", COUNT(e->c.classes[j].n_predicted));
    html_raw(h, "<td class=sum>%s</td></tr></tfoot></table></div>\n", COUNT(p->n_rows));
}

static void put_classes(struct html *h, const struct evaluation *e)
{
    const struct predictions *p = e->p;
    const struct classification *c = &e->c;
    html_raw(h, "<h2>Classes</h2><div class=wide><table><caption>Each class against the rest, with 95 %% "
                "intervals</caption><thead><tr><th scope=col>class"
                "<th scope=col>pictures<th scope=col>precision<th scope=col>recall<th scope=col>F1<th "
                "scope=col>ROC AUC<th scope=col>average precision"
                "</tr></thead><tbody>");
    for (int i = 0; i < p->n_classes; i++) {
        const struct class_scores *s = &c->classes[i];
        html_raw(h, "<tr><td class=name>");
        html_escaped(h, p->classes[i]);
        html_raw(h, "</td><td>%s</td>", COUNT(s->n_true));
        html_rate_cell(h, s->n_right, s->n_predicted);
        html_rate_cell(h, s->n_right, s->n_true);
        if (s->n_true + s->n_predicted == 0)
            html_number_cell(h, NAN, 0);
        else
            html_interval_cell(h, s->f1,
                               interval_f1(s->n_right, s->n_predicted - s->n_right, s->n_true - s->n_right,
                                           INTERVAL_Z95),
                               4);
        html_interval_cell(h, e->roc_auc[i], e->roc_auc_intervals[i], 4);
        html_interval_cell(h, e->average_precision[i], e->average_precision_intervals[i], 4);
        html_raw(h, "</tr>");
    }
    html_raw(h,
             "</tbody><tfoot><tr><td class=name>mean over classes</td><td>%s</td><td>%.2f %%</td><td>%.2f "
             "%%</td>",
             COUNT(p->n_rows), 100 * c->macro.precision, 100 * c->macro.recall);
    html_interval_cell(h, c->macro.f1, c->macro_f1, 4);
    html_number_cell(h, e->roc_auc_macro, 4);
    html_raw(h, "<td></td></tr></tfoot></table></div><p class=soft>Cohen's kappa %.4f", c->kappa);
    if (!isnan(c->kappa_interval.low))
        html_raw(h, " (%.3f to %.3f)", c->kappa_interval.low, c->kappa_interval.high);
    html_raw(h, ", Matthews correlation %.4f", c->mcc);
    if (!isnan(c->mcc_interval.low))
        html_raw(h, " (%.3f to %.3f)", c->mcc_interval.low, c->mcc_interval.high);
    html_raw(h, ".</p>\n");
}

/* Writes the cells for one point of the curve: how many positives were found, and how many false alarms there
 * are. at -1: there is no point. */
static void put_point_cells(struct html *h, const struct curve *c, int64_t at, bool of_found)
{
    uint64_t tp = at < 0 ? 0 : c->tp[at], fp = at < 0 ? 0 : c->fp[at];
    if (at < 0)
        html_raw(h, "<td>none</td>");
    else
        html_raw(h, "<td>%.4f</td>", c->threshold[at]);
    html_rate_cell(h, tp, of_found ? tp + fp : c->n_positive);
    html_raw(h, "<td>%s of %s</td><td>%s of %s</td></tr>", COUNT(tp), COUNT(c->n_positive), COUNT(fp),
             COUNT(c->n_negative));
}

static void put_area(struct html *h, const char *name, double x, struct interval ci)
{
    if (isnan(x))
        html_raw(h, "%s: none, as a side is empty. ", name);
    else if (isnan(ci.low))
        html_raw(h, "%s %.4f. ", name, x);
    else
        html_raw(h, "%s %.4f (%.3f to %.3f). ", name, x, ci.low, ci.high);
}

static void put_view(struct html *h, const struct evaluation *e, const struct view_result *v)
{
    const struct curve *c = &v->curve;
    const char *plus = "";
    html_raw(h, "<h3>");
    html_escaped(h, v->view->name);
    html_raw(h, "</h3><p>");
    for (int k = 0; k < e->p->n_classes; k++)
        if (v->view->positive[k]) {
            html_raw(h, "%s", plus);
            html_escaped(h, e->p->classes[k]);
            plus = " + ";
        }
    html_raw(h, ": %s pictures against %s others. ", COUNT(c->n_positive), COUNT(c->n_negative));
    put_area(h, "ROC AUC", v->roc_auc, v->roc_auc_interval);
    put_area(h, "Average precision", v->average_precision, v->average_precision_interval);
    html_raw(h, "At a score of %g: %s found, %s missed, %s false alarms, %s rightly left alone.</p>",
             e->threshold, COUNT(v->tp), COUNT(v->fn), COUNT(v->fp), COUNT(v->tn));
    html_raw(h, "<div class=wide><table class=points><thead><tr><th scope=col>at most this false positive "
                "rate<th scope=col>threshold<th scope=col>recall"
                "<th scope=col>found<th scope=col>false alarms</tr></thead><tbody>");
    for (int i = 0; i < EVAL_N_FPR; i++) {
        html_raw(h, "<tr><td class=name>%g %%</td>", 100 * eval_fpr_levels[i]);
        put_point_cells(h, c, v->at_fpr[i], false);
    }
    html_raw(h, "</tbody><thead><tr><th scope=col>at least this recall<th scope=col>threshold<th "
                "scope=col>best precision"
                "<th scope=col>found<th scope=col>false alarms</tr></thead><tbody>");
    for (int i = 0; i < EVAL_N_RECALL; i++) {
        html_raw(h, "<tr><td class=name>%g %%</td>", 100 * eval_recall_levels[i]);
        put_point_cells(h, c, v->at_recall[i], true);
    }
    html_raw(h, "</tbody></table></div>\n");
    if (c->n_negative > 0 && c->n_negative < 1000)
        html_raw(h, "<p class=soft>%s other pictures were counted: one false alarm is %.2f %%.</p>",
                 COUNT(c->n_negative), 100.0 / (double)c->n_negative);
}

/* --- plots --- */

static void put_plots(struct html *h, const struct report_input *in, const struct report_plots *plots)
{
    static const char *const titles[REPORT_PLOTS] =
        {[REPORT_ROC_VIEWS] = "ROC of the views (logarithmic: the low rates are those that matter)",
         [REPORT_PR_VIEWS] = "Precision and recall of the views",
         [REPORT_ROC_CLASSES] = "ROC, each class against the rest",
         [REPORT_PR_CLASSES] = "Precision and recall, each class against the rest",
         [REPORT_RELIABILITY] = "Reliability: share right by confidence",
         [REPORT_PREVALENCE_PRECISION] = "Right of the flagged at these rates, over the threshold",
         [REPORT_PREVALENCE_LOAD] = "In review of 10,000 uploads, over the threshold",
         [REPORT_LOSS] = "Loss over the epochs",
         [REPORT_ACCURACY] = "Accuracy over the epochs"};
    const struct evaluation *e = in->e;
    html_raw(h, "<h2>Curves</h2>");
    if (plots->why.data) {
        html_raw(h, "<p>");
        html_escaped(h, plots->why.data);
        html_raw(h, "</p>");
    }
    html_raw(h, "<div class=plots>");
    for (int i = 0; i < REPORT_PLOTS; i++) {
        if (!plots->plots[i].svg || plots->plots[i].n_lines == 0) continue;
        html_raw(h, "<figure><figcaption>%s</figcaption>", titles[i]);
        h->failed = h->failed || text_puts(&h->t, plots->plots[i].svg, h->err);
        html_raw(h, "<ul class=legend>");
        if (i == REPORT_ROC_VIEWS || i == REPORT_PR_VIEWS || i == REPORT_PREVALENCE_PRECISION ||
            i == REPORT_PREVALENCE_LOAD) {
            for (size_t v = 0; v < e->n_views && v < 8; v++) {
                html_raw(h, "<li class=k%zu>", v % 8);
                html_escaped(h, e->views[v].view->name);
            }
        } else if (i == REPORT_ROC_CLASSES || i == REPORT_PR_CLASSES) {
            for (int k = 0; k < e->p->n_classes && k < 8; k++) {
                html_raw(h, "<li class=k%d>", k % 8);
                html_escaped(h, e->p->classes[k]);
            }
        } else if (i == REPORT_RELIABILITY) {
            html_raw(h, "<li class=k0>as it is<li class='k1 dashed'>with the fitted temperature");
        } else {
            html_raw(h, "<li class=k0>training<li class=k1>validation");
        }
        html_raw(h, "</ul></figure>\n");
    }
    html_raw(h, "</div>\n");
}

int report_write(const struct report_input *in, const char *path, struct error *err)
{
    struct html h = {.t = TEXT_EMPTY, .err = err};
    struct report_plots plots = {0};
    int rc = -1;
    if (report_plots_make(&plots, in->e, in->decisions, in->o->log, err)) goto out;
    put_head(&h, in);
    put_tiles(&h, in->e);
    decisions_put_report(&h, in->decisions, in->e);
    put_confusion(&h, in->e);
    put_classes(&h, in->e);
    if (in->e->n_views) html_raw(&h, "<h2>Views</h2>");
    for (size_t i = 0; i < in->e->n_views; i++)
        put_view(&h, in->e, &in->e->views[i]);
    put_plots(&h, in, &plots);
    report_put_slices(&h, in->e);
    report_put_reports(&h, in->reports);
    if (report_put_worst(&h, in)) goto out;
    html_raw(&h, "</main>\n<footer>Intervals are 95 %%. Rates: Wilson; F1: Wilson, mapped. Differences: "
                 "Newcombe. Accuracy: bootstrap where marked. "
                 "ROC AUC: DeLong, and average precision: jackknife, on the logit scale; summaries over "
                 "classes: jackknife. Uploads: rates and test pictures drawn together. Definitions are in "
                 "the manual of eval; the numbers are in metrics.tsv "
                 "beside this page.</footer>\n</body>\n</html>\n");
    rc = h.failed ? -1 : atomic_file_write(path, h.t.data, h.t.n_bytes, err);
out:
    report_plots_release(&plots);
    text_release(&h.t);
    return rc;
}
