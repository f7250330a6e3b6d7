/*
 * drift.c: compares unlabelled pictures of two times: mean scores, shares of predicted classes, and with
 * labelled rows the estimated rates. Both files are read once, in bounded memory. With millions of pictures
 * every difference is significant. A line is therefore printed only if a difference is also large.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "base/parallel.h"
#include "eval.h"
#include "metric/rate_draws.h"
#include "metric/score_sample.h"
#include "metric/sort.h"

#define DRIFT_DRAWS 300
#define DRIFT_SEED 20261
/* A change of a share is large when it is at least MATTERS_POINTS, or at least the factor MATTERS_RATIO and
 * MATTERS_LEAST. */
#define MATTERS_RATIO 1.25
#define MATTERS_LEAST 0.001
#define MATTERS_POINTS 0.02

struct drift {
    const struct eval_options *o;
    const char *paths[2];
    char **classes;
    int n_classes;
    struct score_sample sides[2];
    struct error errs[2];
    int rcs[2];
    bool begun[2];
    struct manifest_writer w;
    struct text line; /* what matters */
};

static void read_side(struct drift *d, int side)
{
    d->begun[side] = true;
    d->rcs[side] =
        score_sample_read(&d->sides[side], d->paths[side], d->classes, d->n_classes, &d->errs[side]);
}

static void read_worker(void *context, unsigned worker) { read_side(context, (int)worker); }

/* Writes one row of the table, and adds it to the printed line when the change is significant and large. */
static int put_change(struct drift *d, const char *measure, int k, double old, double new,
                      struct interval change, struct error *err)
{
    char text[4][32], shown[100];
    double ratio = fmax(old, new) / fmax(fmin(old, new), 1e-12), size = fabs(new - old);
    bool sure = change.low > 0 || change.high < 0;
    bool matters = sure && (size >= MATTERS_POINTS || (size >= MATTERS_LEAST && ratio >= MATTERS_RATIO));
    const char *cells[] = {measure,
                           d->classes[k],
                           format_real(text[0], old),
                           format_real(text[1], new),
                           format_real(text[2], change.low),
                           format_real(text[3], change.high),
                           matters ? "1" : "0"};
    /* If there are estimated rates, the line has them instead of the shares of predictions. */
    if (matters && strcmp(measure, d->o->val_predictions ? "rate" : "predicted_share") == 0 &&
        text_printf(&d->line, err, "%s %s of '%s' %.3g %% -> %.3g %% (%+.2g to %+.2g points)",
                    d->line.data ? "," : "", measure, text_for_people(shown, sizeof shown, d->classes[k]),
                    100 * old, 100 * new, 100 * change.low, 100 * change.high))
        return -1;
    return manifest_writer_row(&d->w, NULL, cells, err);
}

static int put_scores(struct drift *d, double z, struct error *err)
{
    const struct score_sample *a = &d->sides[0], *b = &d->sides[1];
    double n = (double)a->n_rows, m = (double)b->n_rows;
    for (int k = 0; k < d->n_classes; k++) {
        double change = b->mean[k] - a->mean[k], half = z * sqrt(a->variance[k] / n + b->variance[k] / m);
        if (put_change(d, "mean_score", k, a->mean[k], b->mean[k],
                       (struct interval){change - half, change + half}, err) ||
            put_change(d, "predicted_share", k, (double)a->n_predicted[k] / n, (double)b->n_predicted[k] / m,
                       interval_newcombe(b->n_predicted[k], b->n_rows, a->n_predicted[k], a->n_rows, z), err))
            return -1;
    }
    return 0;
}

/* Estimates the rates of both sides from the same labelled rows, and their differences draw by draw. */
static int put_rates(struct drift *d, const struct predictions *val, double level, struct error *err)
{
    size_t k = (size_t)d->n_classes;
    double *draws[2] = {NULL, NULL}, rate[2][PREVALENCE_MAX_CLASSES], change[DRIFT_DRAWS], agrees;
    struct scored_rows labelled = {val->p, val->label, NULL, val->n_rows};
    int rc = -1;
    for (int side = 0; side < 2; side++) {
        struct scored_rows rows = {d->sides[side].p, NULL, NULL, d->sides[side].n_kept};
        if (!(draws[side] = mem_alloc(DRIFT_DRAWS * k * sizeof(double), err)) ||
            rate_draws_make(rate[side], draws[side], DRIFT_DRAWS, &agrees, &labelled, &rows, d->n_classes,
                            DRIFT_SEED + (uint64_t)side, stage_threads(&d->o->common), err))
            goto out;
    }
    for (size_t j = 0; j < k; j++) {
        for (size_t i = 0; i < DRIFT_DRAWS; i++)
            change[i] = draws[1][i * k + j] - draws[0][i * k + j];
        qsort(change, DRIFT_DRAWS, sizeof *change, sort_compare_doubles);
        struct interval ci = {sort_quantile(change, DRIFT_DRAWS, level / 2),
                              sort_quantile(change, DRIFT_DRAWS, 1 - level / 2)};
        if (put_change(d, "rate", (int)j, rate[0][j], rate[1][j], ci, err)) goto out;
    }
    rc = 0;
out:
    free(draws[0]);
    free(draws[1]);
    return rc;
}

/* Reads --val-predictions, which must have the same classes and a row of each. */
static int read_labelled(struct predictions *val, const struct drift *d, struct error *err)
{
    struct manifest_source source = MANIFEST_SOURCE_EMPTY;
    struct predictions_options po = {.no_find = true};
    int rc =
        manifest_source_open(&source, d->o->val_predictions, err) || predictions_read(val, &source, &po, err)
            ? -1
            : 0;
    manifest_source_close(&source);
    for (int k = 0; rc == 0 && k < d->n_classes; k++) {
        bool there = false;
        if (val->n_classes != d->n_classes || strcmp(val->classes[k], d->classes[k]) != 0)
            return error_set(err, EX_DATAERR,
                             "'%s' has scores of another model: its classes are not those of '%s'", val->name,
                             d->paths[0]);
        for (size_t i = 0; i < val->n_rows && !there; i++)
            there = val->label[i] == k;
        if (!there)
            return error_set(err, EX_DATAERR,
                             "'%s' has no row of class '%s': its rate cannot be learnt from these", val->name,
                             val->classes[k]);
    }
    return rc;
}

int drift_run(const struct eval_options *o, const char *old_path, const char *new_path, struct error *err)
{
    static const char *const columns[] = {"measure",    "class",       "old",     "new",
                                          "change_low", "change_high", "matters", NULL};
    struct drift d = {.o = o, .paths = {old_path, new_path}, .w = MANIFEST_WRITER_EMPTY};
    struct predictions val = PREDICTIONS_EMPTY;
    struct text path = TEXT_EMPTY;
    int rc = -1;
    if (score_sample_classes(old_path, &d.classes, &d.n_classes, err) ||
        (o->val_predictions && read_labelled(&val, &d, err)))
        goto out;
    parallel_run(stage_threads(&o->common) > 1 ? 2 : 1, read_worker, &d);
    if (!d.begun[1]) read_side(&d, 1);
    for (int side = 0; side < 2; side++)
        if (d.rcs[side]) {
            *err = d.errs[side];
            goto out;
        }
    /* 5 % for all classes together, by Bonferroni's correction. Bisection finds
     * the two-sided normal quantile. */
    double level = 0.05 / d.n_classes, low = 0, high = 40;
    for (int i = 0; i < 80; i++) {
        double z = (low + high) / 2;
        if (erfc(z / sqrt(2)) > level)
            low = z;
        else
            high = z;
    }
    if ((o->out && text_printf(&path, err, "%s/drift.tsv", o->out)) ||
        manifest_writer_open(&d.w, path.data, NULL, columns, err) || put_scores(&d, low, err) ||
        (o->val_predictions && put_rates(&d, &val, level, err)) || manifest_writer_commit(&d.w, err))
        goto out;
    if (d.line.data) stage_warn("drift:%s", d.line.data);
    stage_note(&o->common, "%llu and %llu pictures", (unsigned long long)d.sides[0].n_rows,
               (unsigned long long)d.sides[1].n_rows);
    rc = 0;
out:
    manifest_writer_discard(&d.w);
    predictions_release(&val);
    score_sample_release(&d.sides[0]);
    score_sample_release(&d.sides[1]);
    for (int k = 0; d.classes && k < d.n_classes; k++)
        free(d.classes[k]);
    free(d.classes);
    text_release(&path);
    text_release(&d.line);
    return rc;
}
