/* report_plots.c: makes the plots of the training log and of the curves. A curve may have millions of points;
 * it is reduced to those that a plot can show. */
#include "report_plots.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/spill.h"
#include "base/number.h"
#include "eval_decisions.h"

#define MAX_LINES 8       /* in one plot: the page has eight colours */
#define MAX_EPOCHS 100000 /* later rows of the log are left out */

struct points {
    double *x, *y;
    size_t n, capacity, y_capacity;
};

/* Appends a point. Returns 0, or -1 with err set. */
static int put(struct points *p, double x, double y, struct error *err)
{
    if (mem_grow(&p->x, &p->capacity, p->n + 1, sizeof *p->x, err) ||
        mem_grow(&p->y, &p->y_capacity, p->n + 1, sizeof *p->y, err))
        return -1;
    p->x[p->n] = x;
    p->y[p->n++] = y;
    return 0;
}

/* Adds the points to the plot as one line that looks like `like`; without points adds no line. Releases the
 * points in any case. Returns 0, or -1 with err set. */
static int finish(struct plot *plot, struct points *p, struct plot_line like, struct error *err)
{
    int rc = p->n ? plot_add(plot, p->x, p->y, p->n, like, err) : 0;
    free(p->x);
    free(p->y);
    *p = (struct points){0};
    return rc;
}

static double share(uint64_t k, uint64_t n) { return n ? (double)k / (double)n : 0; }

/* Adds an ROC curve. A point is left out when it is less than 1/REPORT_PLOT_POINTS of both axes from the
 * previous one; on a logarithmic axis the logarithms are compared. Without positives or negatives adds no
 * line. */
static int add_roc(struct plot *plot, const struct curve *c, bool log_x, double x_min, int color,
                   struct error *err)
{
    struct points p = {0};
    double last_x = -1, last_y = -1;
    if (c->n_positive == 0 || c->n_negative == 0) return 0;
    if (put(&p, log_x ? x_min : 0, 0, err)) return finish(plot, &p, (struct plot_line){0}, err), -1;
    for (size_t i = 0; spill_step(i) < c->n_points; i++) {
        double x = share(c->fp[i], c->n_negative), y = share(c->tp[i], c->n_positive);
        double at = log_x ? log(fmax(x, x_min)) / -log(x_min) : x;
        if (i + 1 < c->n_points && fabs(at - last_x) * REPORT_PLOT_POINTS < 1 &&
            fabs(y - last_y) * REPORT_PLOT_POINTS < 1)
            continue;
        last_x = at;
        last_y = y;
        if (put(&p, x, y, err)) return finish(plot, &p, (struct plot_line){0}, err), -1;
    }
    return finish(plot, &p, (struct plot_line){.color = color}, err);
}

/* Adds a curve of precision over recall, reduced in the same way. Without positives adds no line. */
static int add_pr(struct plot *plot, const struct curve *c, int color, struct error *err)
{
    struct points p = {0};
    double last_x = -1, last_y = -1;
    if (c->n_positive == 0) return 0;
    for (size_t i = 0; spill_step(i) < c->n_points; i++) {
        double x = share(c->tp[i], c->n_positive), y = share(c->tp[i], c->tp[i] + c->fp[i]);
        if (i + 1 < c->n_points && fabs(x - last_x) * REPORT_PLOT_POINTS < 1 &&
            fabs(y - last_y) * REPORT_PLOT_POINTS < 1)
            continue;
        last_x = x;
        last_y = y;
        if (put(&p, x, y, err)) return finish(plot, &p, (struct plot_line){0}, err), -1;
    }
    return finish(plot, &p, (struct plot_line){.color = color}, err);
}

/* Adds the share of right answers over the mean confidence, one point for each bin that is not empty. */
static int add_reliability(struct plot *plot, const struct calibration_bin *bins, struct plot_line like,
                           struct error *err)
{
    struct points p = {0};
    for (int b = 0; b < 15; b++)
        if (bins[b].n && put(&p, bins[b].confidence_sum / (double)bins[b].n,
                             (double)bins[b].n_right / (double)bins[b].n, err))
            return finish(plot, &p, like, err), -1;
    return finish(plot, &p, like, err);
}

/* Adds a column of the log over the epochs. Epochs for which the column has no number are left out; without
 * the column adds no line. */
static int add_column(struct plot *plot, const struct manifest_table *t, const char *column, int color,
                      struct error *err)
{
    struct points p = {0};
    int c = manifest_column(&t->schema, column), epoch = manifest_column(&t->schema, "epoch");
    double x, y;
    for (size_t i = 0; c >= 0 && i < t->n_rows && i < MAX_EPOCHS; i++) {
        if (!parse_number(manifest_cell(t, i, c), &y) || !isfinite(y)) continue;
        if (epoch < 0 || !parse_number(manifest_cell(t, i, epoch), &x)) x = (double)i + 1;
        if (put(&p, x, y, err)) return finish(plot, &p, (struct plot_line){0}, err), -1;
    }
    return finish(plot, &p, (struct plot_line){.color = color, .points = p.n < 40}, err);
}

/* Adds the losses and accuracies of the training log in the file `log`. Returns 0, or -1 with err set. */
static int add_log(struct report_plots *out, const char *log, struct error *err)
{
    struct manifest_table t = MANIFEST_TABLE_EMPTY;
    int rc = -1;
    if (manifest_table_read(&t, log, NULL, err)) return -1;
    out->plots[REPORT_LOSS].x_label = out->plots[REPORT_ACCURACY].x_label = "epoch";
    out->plots[REPORT_LOSS].y_label = "loss";
    out->plots[REPORT_ACCURACY].y_label = "accuracy";
    if (!add_column(&out->plots[REPORT_LOSS], &t, "train_loss", 0, err) &&
        !add_column(&out->plots[REPORT_LOSS], &t, "val_loss", 1, err) &&
        !add_column(&out->plots[REPORT_ACCURACY], &t, "train_accuracy", 0, err) &&
        !add_column(&out->plots[REPORT_ACCURACY], &t, "val_accuracy", 1, err))
        rc = 0;
    manifest_table_release(&t);
    return rc;
}

int report_plots_make(struct report_plots *out, const struct evaluation *e, const struct decisions *decisions,
                      const char *log, struct error *err)
{
    struct plot *p = out->plots;
    uint64_t negatives = 1;
    *out = (struct report_plots){.why = TEXT_EMPTY};
    for (size_t i = 0; i < e->n_views; i++)
        negatives = e->views[i].curve.n_negative > negatives ? e->views[i].curve.n_negative : negatives;
    double x_min = pow(10, floor(log10(fmax(1.0 / (double)negatives, 1e-6))));
    p[REPORT_ROC_VIEWS] = (struct plot){.x_label = "false positive rate",
                                        .y_label = "recall",
                                        .log_x = true,
                                        .x_min = fmin(x_min, 0.1),
                                        .zero_one_y = true};
    p[REPORT_PR_VIEWS] =
        (struct plot){.x_label = "recall", .y_label = "precision", .zero_one_x = true, .zero_one_y = true};
    p[REPORT_ROC_CLASSES] = (struct plot){.x_label = "false positive rate",
                                          .y_label = "recall",
                                          .zero_one_x = true,
                                          .zero_one_y = true};
    p[REPORT_PR_CLASSES] = p[REPORT_PR_VIEWS];
    p[REPORT_RELIABILITY] = (struct plot){.x_label = "mean confidence",
                                          .y_label = "share right",
                                          .zero_one_x = true,
                                          .zero_one_y = true,
                                          .diagonal = true};
    for (size_t i = 0; i < e->n_views && i < MAX_LINES; i++)
        if (add_roc(&p[REPORT_ROC_VIEWS], &e->views[i].curve, true, p[REPORT_ROC_VIEWS].x_min, (int)i, err) ||
            add_pr(&p[REPORT_PR_VIEWS], &e->views[i].curve, (int)i, err))
            goto fail;
    for (int k = 0; k < e->p->n_classes && k < MAX_LINES; k++)
        if (add_roc(&p[REPORT_ROC_CLASSES], &e->class_curves[k], false, 0, k, err) ||
            add_pr(&p[REPORT_PR_CLASSES], &e->class_curves[k], k, err))
            goto fail;
    if (add_reliability(&p[REPORT_RELIABILITY], e->width15, (struct plot_line){.color = 0, .points = true},
                        err) ||
        add_reliability(&p[REPORT_RELIABILITY], e->after15,
                        (struct plot_line){.color = 1, .points = true, .dashed = true}, err) ||
        decisions_plot(decisions, &p[REPORT_PREVALENCE_PRECISION], &p[REPORT_PREVALENCE_LOAD], err) ||
        (log && add_log(out, log, err)) || plots_draw(p, REPORT_PLOTS, &out->why, err))
        goto fail;
    return 0;
fail:
    report_plots_release(out);
    return -1;
}

void report_plots_release(struct report_plots *p)
{
    for (int i = 0; i < REPORT_PLOTS; i++)
        plot_release(&p->plots[i]);
    text_release(&p->why);
}
