/* decisions_report.c: writes the results of eval_decisions.c to metrics.tsv,
 * prevalence-VIEW.tsv and the report. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "eval_decisions.h"

#define PER 10000   /* uploads in metrics.tsv and the curves */
#define NEXT 100000 /* uploads in the report */

static struct interval times(struct interval i, double factor)
{
    return (struct interval){i.low * factor, i.high * factor};
}

/* Writes the threshold, and its rate on the validation rows and on the test rows, each with its bound. */
static void put_guarantee(const struct decision_guarantee *g, double threshold, const char *way,
                          const char *what, const char *view, decisions_put *put, void *context)
{
    const struct interval none = {NAN, NAN};
    char metric[64];
    if (!g->asked) return;
    snprintf(metric, sizeof metric, "guarantee/max_%s", what);
    put(context, metric, view, g->wanted.target, none, g->chosen.n_positive);
    snprintf(metric, sizeof metric, "guarantee/needed_for_max_%s", what);
    put(context, metric, view, (double)g->chosen.n_needed, none, 0);
    if (!g->chosen.found) return;
    snprintf(metric, sizeof metric, "threshold/%s", way);
    put(context, metric, view, threshold, none, g->chosen.n_positive);
    snprintf(metric, sizeof metric, "guarantee/%s_on_val", what);
    put(context, metric, view, (double)g->chosen.missed / (double)g->chosen.n_positive,
        (struct interval){0, g->chosen.upper_bound}, g->chosen.n_positive);
    snprintf(metric, sizeof metric, "guarantee/%s_on_test", what);
    put(context, metric, view, g->test_n ? (double)g->test_missed / (double)g->test_n : NAN,
        (struct interval){0, g->test_bound}, g->test_n);
}

void decisions_each_metric(const struct decisions *d, const struct evaluation *e, decisions_put *put,
                           void *context)
{
    const struct class_rates *r = &d->rates;
    for (int k = 0; k < r->n_classes; k++) {
        put(context, "prevalence", e->p->classes[k], r->rate[k], r->interval[k], r->n_unlabelled);
        if (r->black_box)
            put(context, "prevalence_black_box", e->p->classes[k], r->black_box[k], r->black_box_interval[k],
                r->n_unlabelled);
    }
    for (size_t i = 0; i < d->stored.n_views; i++) {
        const struct net_decision_view *v = &d->stored.views[i];
        const struct interval none = {NAN, NAN};
        put(context, "threshold/review", v->name, v->review, none, 0);
        put(context, "threshold/block", v->name, v->block, none, 0);
    }
    for (size_t i = 0; i < d->n_views; i++) {
        const struct view_decisions *v = &d->views[i];
        const char *name = v->view->view->name;
        put_guarantee(&v->miss, v->rule.review, "review", "miss", name, put, context);
        put_guarantee(&v->block, v->rule.block, "block", "wrong_block", name, put, context);
        if (d->costs.given) {
            const struct interval none = {NAN, NAN};
            put(context, "threshold/review", name, v->rule.review, none, 0);
            put(context, "threshold/block", name, v->rule.block, none, 0);
        }
        if (!d->has_rates) continue;
        put(context, "prevalence_view", name, v->rate, v->rate_interval, r->n_unlabelled);
        for (int o = 0; o < DECISION_OUTCOMES; o++) {
            char metric[64];
            if (o == OUTCOME_COST && !d->costs.given) continue;
            double factor = o == OUTCOME_PRECISION ? 1 : PER;
            if (o == OUTCOME_PRECISION)
                snprintf(metric, sizeof metric, "precision_at_prevalence");
            else
                snprintf(metric, sizeof metric, "per_10000/%s", decision_outcome_names[o]);
            put(context, metric, name, v->at_rule.value[o] * factor, times(v->at_rule.interval[o], factor),
                e->p->n_rows);
        }
    }
}

static int write_curve(const struct view_decisions *v, const char *path, struct error *err)
{
    static const int outcomes[] = {OUTCOME_REVIEW, OUTCOME_MISSED, OUTCOME_FALSE_ALARM, OUTCOME_PRECISION};
    struct atomic_file f = ATOMIC_FILE_EMPTY;
    char a[32], b[32], c[32];
    int rc;
    if (atomic_file_open(&f, path, err)) return -1;
    fputs("threshold", f.stream);
    for (size_t o = 0; o < sizeof outcomes / sizeof *outcomes; o++) {
        const char *name = decision_outcome_names[outcomes[o]];
        fprintf(f.stream, "\t%s\t%s_low\t%s_high", name, name, name);
    }
    fputc('\n', f.stream);
    for (int i = 0; i < DECISION_THRESHOLDS; i++) {
        fputs(format_real(a, decision_thresholds[i]), f.stream);
        for (size_t o = 0; o < sizeof outcomes / sizeof *outcomes; o++) {
            double factor = outcomes[o] == OUTCOME_PRECISION ? 1 : PER;
            struct interval ci = times(v->curve[i].interval[outcomes[o]], factor);
            fprintf(f.stream, "\t%s\t%s\t%s", format_real(a, v->curve[i].value[outcomes[o]] * factor),
                    format_real(b, ci.low), format_real(c, ci.high));
        }
        fputc('\n', f.stream);
    }
    rc = atomic_file_commit(&f, err);
    atomic_file_discard(&f);
    return rc;
}

int decisions_write_curves(const struct decisions *d, const char *folder, struct error *err)
{
    struct text path = TEXT_EMPTY;
    int rc = 0;
    for (size_t i = 0; rc == 0 && d->has_rates && i < d->n_views; i++) {
        text_clear(&path);
        if (text_printf(&path, err, "%s/prevalence-%s.tsv", folder, d->views[i].view->view->name) ||
            write_curve(&d->views[i], path.data, err))
            rc = -1;
    }
    text_release(&path);
    return rc;
}

/* Writes a number of the next 100,000 uploads, in whole pictures. */
static void put_count_cell(struct html *h, const struct decision_shares *s, enum decision_outcome o)
{
    html_raw(h, "<td>%s <small>%s to %s</small></td>", COUNT((uint64_t)llrint(NEXT * s->value[o])),
             COUNT((uint64_t)floor(NEXT * s->interval[o].low)),
             COUNT((uint64_t)ceil(NEXT * s->interval[o].high)));
}

static void put_rates(struct html *h, const struct class_rates *r, const struct evaluation *e)
{
    html_raw(h, "<p class=soft>The rates");
    if (r->path) {
        html_raw(h, ", estimated from %s unlabelled pictures of ", COUNT(r->n_unlabelled));
        html_escaped(h, r->path);
        html_raw(h, " with %s labelled ones%s", COUNT(r->n_labelled),
                 r->recalibrated ? " (the scores are recalibrated: they do not mean what they say)" : "");
    }
    for (int k = 0; k < r->n_classes; k++) {
        html_raw(h, "%s ", k ? "," : ":");
        html_escaped(h, e->p->classes[k]);
        html_raw(h, " %.3g %%", 100 * r->rate[k]);
        if (r->draws) html_raw(h, " (%.2g to %.2g)", 100 * r->interval[k].low, 100 * r->interval[k].high);
    }
    html_raw(h, ".</p>\n");
}

/* Writes "at most 1 % missed (95 %): 0 of 300 on the validation split, so at
 * most 0.99 %; on test 1 of 200". */
static void put_promise(struct html *h, const struct decision_guarantee *g, const char *what)
{
    if (!g->asked) return;
    html_raw(h, " At most %g %% %s, with %g %% confidence: ", 100 * g->wanted.target, what,
             100 * g->wanted.confidence);
    if (!g->chosen.found) {
        html_raw(h, "<b>cannot be guaranteed</b> with %s; %s are needed, with none of them %s.",
                 COUNT(g->chosen.n_positive), COUNT(g->chosen.n_needed), what);
        return;
    }
    html_raw(h,
             "<b>promised</b> by %s of %s on the validation split, which bounds the rate by %.3g %%; the "
             "test split has %s of %s (at most %.3g %%).",
             COUNT(g->chosen.missed), COUNT(g->chosen.n_positive), 100 * g->chosen.upper_bound,
             COUNT(g->test_missed), COUNT(g->test_n), 100 * g->test_bound);
}

/* Writes the classes of a view, such as "hentai + porn". */
static void put_view_classes(struct html *h, const struct view *view, const struct evaluation *e)
{
    const char *plus = "";
    for (int k = 0; k < e->p->n_classes; k++)
        if (view->positive[k]) {
            html_raw(h, "%s", plus);
            html_escaped(h, e->p->classes[k]);
            plus = " + ";
        }
}

static void put_guarantees(struct html *h, const struct decisions *d, const struct evaluation *e)
{
    html_raw(h, "<h2>Decisions</h2><ul>");
    for (size_t i = 0; i < d->n_views; i++) {
        const struct view_decisions *v = &d->views[i];
        html_raw(h, "<li>");
        html_escaped(h, v->view->view->name);
        html_raw(h, " (");
        put_view_classes(h, v->view->view, e);
        html_raw(h, ")");
        if (v->rule.review > 0)
            html_raw(h, ": allowed below %.6g, reviewed from it on", v->rule.review);
        else
            html_raw(h, ": everything is reviewed");
        if (isfinite(v->rule.block)) html_raw(h, ", blocked from %.6g on", v->rule.block);
        html_raw(h, ".");
        put_promise(h, &v->miss, "missed");
        put_promise(h, &v->block, "blocked wrongly");
        html_raw(h, "</li>");
    }
    html_raw(h, "</ul><p class=soft>%s</p>\n",
             d->grouped ? "Near duplicates count once: a group is missed when any of its pictures is."
                        : "Each picture counts; copies of one are not independent, so name them in a column "
                          "'group'.");
}

/* Writes a number of pictures and its bounds, on a separate line. */
static void put_load(struct html *h, const struct decision_shares *s, double factor, const char *whose)
{
    html_raw(h, "<div>%s %s <small>%s to %s</small></div>",
             COUNT((uint64_t)llrint(factor * s->value[OUTCOME_REVIEW])), whose,
             COUNT((uint64_t)floor(factor * s->interval[OUTCOME_REVIEW].low)),
             COUNT((uint64_t)ceil(factor * s->interval[OUTCOME_REVIEW].high)));
}

/* Writes how many pictures a day are reviewed, in all and by each of two moderators. A team wants to know
 * this first. */
static void put_days(struct html *h, const struct decisions *d)
{
    static const int uploads[] = {1000, 5000, 10000, 100000};
    html_raw(
        h,
        "<h3>How many pictures people see a day</h3><p class=soft>Take the row of the view that you moderate "
        "by: so many pictures are in review in all, and so many each of two moderators sees, with 95 %% "
        "intervals. For another number of uploads multiply: 30,000 uploads bring three times the pictures of "
        "10,000.</p>"
        "<div class=wide><table class=stack><thead><tr><th scope=col>view");
    for (int i = 0; i < 4; i++)
        html_raw(h, "<th scope=col>%s uploads a day", COUNT((uint64_t)uploads[i]));
    html_raw(h, "</tr></thead><tbody>");
    for (size_t v = 0; v < d->n_views; v++) {
        html_raw(h, "<tr><td class=name>");
        html_escaped(h, d->views[v].view->view->name);
        html_raw(h, "</td>");
        for (int i = 0; i < 4; i++) {
            html_raw(h, "<td>");
            put_load(h, &d->views[v].at_rule, uploads[i], "in all");
            put_load(h, &d->views[v].at_rule, uploads[i] / 2.0, "each");
            html_raw(h, "</td>");
        }
        html_raw(h, "</tr>");
    }
    html_raw(h, "</tbody></table></div>\n");
}

void decisions_put_report(struct html *h, const struct decisions *d, const struct evaluation *e)
{
    bool blocks = false;
    if (d->n_views && d->views[0].miss.asked) put_guarantees(h, d, e);
    if (!d->has_rates) return;
    for (size_t i = 0; i < d->n_views; i++)
        blocks = blocks || isfinite(d->views[i].rule.block);
    html_raw(h, "<h2>What happens to your next 100,000 uploads</h2>");
    put_rates(h, &d->rates, e);
    html_raw(h, "<div class=wide><table class=stack><caption>At these rates, with 95 %% intervals that hold "
                "what the test pictures and the rates leave open. People look at what is in review."
                "</caption><thead><tr><th scope=col>view<th scope=col>of them are<th scope=col>in review");
    if (blocks) html_raw(h, "<th scope=col>blocked<th scope=col>blocked wrongly");
    if (d->costs.given) html_raw(h, "<th scope=col>cost");
    html_raw(h,
             "<th scope=col>pass<th scope=col>pass wrongly<th scope=col>flagged wrongly<th scope=col>right "
             "of the flagged</tr></thead><tbody>");
    for (size_t i = 0; i < d->n_views; i++) {
        const struct view_decisions *v = &d->views[i];
        const struct decision_shares *s = &v->at_rule;
        struct interval p = s->interval[OUTCOME_PRECISION];
        html_raw(h, "<tr><td class=name>");
        html_escaped(h, v->view->view->name);
        html_raw(h, " <small>");
        put_view_classes(h, v->view->view, e);
        html_raw(h, ", from %.4g", v->rule.review);
        if (isfinite(v->rule.block)) html_raw(h, ", blocked from %.4g", v->rule.block);
        html_raw(h, "</small></td><td>%s</td>", COUNT((uint64_t)llrint(NEXT * v->rate)));
        put_count_cell(h, s, OUTCOME_REVIEW);
        if (blocks) {
            put_count_cell(h, s, OUTCOME_BLOCK);
            put_count_cell(h, s, OUTCOME_WRONG_BLOCK);
        }
        if (d->costs.given) put_count_cell(h, s, OUTCOME_COST);
        put_count_cell(h, s, OUTCOME_ALLOW);
        put_count_cell(h, s, OUTCOME_MISSED);
        put_count_cell(h, s, OUTCOME_FALSE_ALARM);
        if (isnan(s->value[OUTCOME_PRECISION]))
            html_raw(h, "<td>&ndash;</td></tr>");
        else
            html_raw(h, "<td>%.1f %% <small>%.1f to %.1f</small></td></tr>",
                     100 * s->value[OUTCOME_PRECISION], 100 * p.low, 100 * p.high);
    }
    html_raw(h, "</tbody></table></div>\n");
    put_days(h, d);
}

int decisions_plot(const struct decisions *d, struct plot *precision, struct plot *load, struct error *err)
{
    *precision = (struct plot){.x_label = "threshold",
                               .y_label = "right of the flagged",
                               .zero_one_x = true,
                               .zero_one_y = true};
    *load = (struct plot){.x_label = "threshold", .y_label = "in review of 10,000", .zero_one_x = true};
    for (size_t i = 0; d->has_rates && i < d->n_views && i < 8; i++)
        for (int edge = -1; edge <= 1; edge++)
            for (int which = 0; which < 2; which++) {
                enum decision_outcome o = which ? OUTCOME_REVIEW : OUTCOME_PRECISION;
                double x[DECISION_THRESHOLDS], y[DECISION_THRESHOLDS];
                size_t n = 0;
                for (int t = 0; t < DECISION_THRESHOLDS; t++) {
                    const struct decision_shares *s = &d->views[i].curve[t];
                    double value = edge < 0   ? s->interval[o].low
                                   : edge > 0 ? s->interval[o].high
                                              : s->value[o];
                    if (isnan(value)) continue;
                    x[n] = decision_thresholds[t];
                    y[n++] = which ? PER * value : value;
                }
                if (n && plot_add(which ? load : precision, x, y, n,
                                  (struct plot_line){.color = (int)i, .dashed = edge != 0}, err))
                    return -1;
            }
    return 0;
}
