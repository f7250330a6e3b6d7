/*
 * compare.c: compares two models on the same rows. Rows that only one side has are left out and counted.
 * Labels and slices are those of NEW. It prints a table (or writes compare.tsv into --out) and checks the
 * gates.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/number.h"
#include "manifest/tsv.h"
#include "eval.h"
#include "gate.h"

/* Opens one side. path is a predictions file, or a folder that contains predictions.tsv. */
static int open_side(const char *path, struct manifest_source *source, struct error *err)
{
    struct text inside = TEXT_EMPTY;
    struct stat st;
    bool folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    int rc = -1;
    if (!folder || !text_printf(&inside, err, "%s/predictions.tsv", path))
        rc = manifest_source_open(source, folder ? inside.data : path, err);
    text_release(&inside);
    return rc;
}

static int same_classes(const struct predictions *a, const struct predictions *b, int *map, struct error *err)
{
    if (a->n_classes != b->n_classes)
        return error_set(err, EX_DATAERR, "'%s' has %d classes, '%s' has %d: they cannot be compared",
                         a->name, a->n_classes, b->name, b->n_classes);
    for (int k = 0; k < b->n_classes; k++) {
        map[k] = -1;
        for (int j = 0; j < a->n_classes; j++)
            if (strcmp(a->classes[j], b->classes[k]) == 0) map[k] = j;
        if (map[k] < 0)
            return error_set(err, EX_DATAERR, "'%s' has no class '%s', which '%s' has", a->name,
                             b->classes[k], b->name);
    }
    return 0;
}

/* Reads the thresholds of each view from the metrics.tsv beside the predictions. A missing file is not an
 * error. */
static int read_thresholds(struct evaluation *e, const char *side, struct error *err)
{
    static const char *const required[] = {"metric", "key", "value", NULL};
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    struct text path = TEXT_EMPTY;
    struct stat st;
    const char *slash = strrchr(side, '/');
    bool folder = stat(side, &st) == 0 && S_ISDIR(st.st_mode);
    int got = 0;
    for (size_t i = 0; i < e->n_views; i++)
        e->views[i].review = e->views[i].block = NAN;
    if (folder ? text_printf(&path, err, "%s/metrics.tsv", side)
               : text_printf(&path, err, "%.*smetrics.tsv", slash ? (int)(slash + 1 - side) : 0, side))
        got = -1;
    if (got == 0 && io_exists(path.data) && !(got = manifest_reader_open(&r, path.data, required, err))) {
        int metric = manifest_column(&r.schema, "metric"), key = manifest_column(&r.schema, "key"),
            value = manifest_column(&r.schema, "value");
        while ((got = manifest_reader_next(&r, err)) > 0)
            for (size_t i = 0; i < e->n_views; i++) {
                struct view_result *v = &e->views[i];
                double *to = strcmp(r.fields[metric], "threshold/review") == 0  ? &v->review
                             : strcmp(r.fields[metric], "threshold/block") == 0 ? &v->block
                                                                                : NULL;
                if (to && strcmp(r.fields[key], v->view->name) == 0 && !parse_number(r.fields[value], to))
                    *to = strcmp(r.fields[value], "inf") == 0 ? INFINITY : NAN;
            }
        manifest_reader_close(&r);
        for (size_t i = 0; i < e->n_views; i++) /* there is no such row when nothing is blocked */
            if (isnan(e->views[i].block)) e->views[i].block = INFINITY;
    }
    text_release(&path);
    return got < 0 ? -1 : 0;
}

struct joined {
    size_t n_shared, n_only_old, n_only_new, n_labels;
};

/* Keeps the rows of *new that *old has too, and brings the rows and classes of *old into the same order,
 * with the labels and slices of *new. */
static int join(struct predictions *old, struct predictions *new, struct joined *n, struct error *err)
{
    size_t k = (size_t) new->n_classes, kept = 0;
    int *map = mem_alloc(k * sizeof *map, err);
    int64_t *from = mem_alloc(new->n_rows * sizeof *from, err);
    uint32_t *moved = mem_alloc(new->n_rows * sizeof *moved, err);
    double *p = mem_alloc(new->n_rows *k * sizeof *p, err);
    int32_t *pred = mem_alloc(new->n_rows * sizeof *pred, err);
    int rc = -1;
    if (!map || !from || !moved || !p || !pred || same_classes(old, new, map, err)) goto out;
    for (size_t i = 0; i < new->n_rows; i++) {
        from[i] = predictions_find(old, &new->keys[i]);
        if (from[i] < 0) {
            moved[i] = UINT32_MAX;
            n->n_only_new++;
            continue;
        }
        const double *row = old->p + (size_t)from[i] * k;
        n->n_labels += map[new->label[i]] != old->label[from[i]];
        pred[kept] = 0;
        for (size_t j = 0; j < k; j++) {
            p[kept * k + j] = row[map[j]];
            if (p[kept * k + j] > p[kept * k + (size_t)pred[kept]]) pred[kept] = (int32_t)j;
        }
        memmove(new->p + kept *k, new->p + i *k, k * sizeof *p);
        if (new->z) memmove(new->z + kept *k, new->z + i *k, k * sizeof *p);
        new->label[kept] = new->label[i];
        new->pred[kept] = new->pred[i];
        new->keys[kept] = new->keys[i];
        moved[i] = (uint32_t)kept++;
    }
    n->n_shared = kept;
    n->n_only_old = old->n_rows - kept;
    if (kept == 0) {
        error_set(err, EX_DATAERR, "'%s' and '%s' have no picture in common", old->name, new->name);
        goto out;
    }
    for (size_t s = 0; s < new->n_slices; s++) {
        struct slice *x = &new->slices[s];
        size_t left = 0;
        for (size_t i = 0; i < x->n_rows; i++)
            if (moved[x->rows[i]] != UINT32_MAX) x->rows[left++] = moved[x->rows[i]];
        x->n_rows = left;
    }
    new->n_rows = kept;
    free(old->p);
    free(old->z);
    free(old->pred);
    free(old->label);
    old->z = NULL;
    old->p = p;
    old->pred = pred;
    old->n_rows = kept;
    p = NULL;
    pred = NULL;
    old->label = mem_dup(new->label, kept * sizeof *new->label, err);
    for (size_t j = 0; j < k; j++) { /* names in new's order, too */
        char *name = mem_strdup(new->classes[j], err);
        if (!name) goto out;
        free(old->classes[j]);
        old->classes[j] = name;
    }
    rc = old->label ? 0 : -1;
out:
    free(map);
    free(from);
    free(moved);
    free(p);
    free(pred);
    return rc;
}

/* After join both have the same rows, so old can use new's slices. compare_run removes them before it
 * releases old. */
static void lend_slices(struct predictions *old, const struct predictions *new, struct slice **own,
                        size_t *n_own)
{
    *own = old->slices;
    *n_own = old->n_slices;
    old->slices = new->slices;
    old->n_slices = new->n_slices;
}

static void put_change(struct text *t, const char *metric, const char *key, double a, double b,
                       struct interval ci, double p, uint64_t n, struct error *err)
{
    char text[5][32];
    if (isnan(ci.low)) ci = (struct interval){NAN, NAN};
    text_printf(t, err, "%s\t", metric);
    tsv_escape(t, key, err);
    text_printf(t, err, "\t%s\t%s\t%s\t%s\t%s\t", format_real(text[0], a), format_real(text[1], b),
                format_real(text[2], b - a), isnan(ci.low) ? "" : format_real(text[3], ci.low),
                isnan(ci.low) ? "" : format_real(text[4], ci.high));
    text_printf(t, err, "%s\t%llu\n", isnan(p) ? "" : format_real(text[0], p), (unsigned long long)n);
}

/* Writes the change of a rate over rows (NULL: all), with the paired interval and the exact McNemar test. */
static void put_paired(struct text *t, const struct evaluation *old, const struct evaluation *new,
                       const struct view_result *a, const struct view_result *b, enum slice_rate rate,
                       const uint32_t *rows, size_t n, const char *metric, const char *key, struct error *err)
{
    uint64_t both = 0, only_new = 0, only_old = 0, neither = 0;
    for (size_t j = 0; j < n; j++) {
        size_t i = rows ? rows[j] : j;
        bool x = old->right[i] != 0, y = new->right[i] != 0;
        if (b) {
            bool positive = b->positive[i] != 0, before = a->score[i] >= old->threshold,
                 after = b->score[i] >= new->threshold;
            if ((rate == RATE_FPR && positive) || (rate == RATE_FNR && !positive)) continue;
            x = rate == RATE_FNR ? !before : before;
            y = rate == RATE_FNR ? !after : after;
        }
        both += x && y;
        only_new += !x && y;
        only_old += x && !y;
        neither += !x && !y;
    }
    uint64_t count = both + only_new + only_old + neither;
    double m = (double)count;
    put_change(t, metric, key, count ? (double)(both + only_old) / m : NAN,
               count ? (double)(both + only_new) / m : NAN,
               interval_paired(both, only_new, only_old, neither, INTERVAL_Z95),
               count ? mcnemar_exact_p(only_old, only_new) : NAN, count, err);
}

/* Writes the effect of each side's own thresholds, if both sides have some. */
static void put_decided(struct text *t, const struct view_result *a, const struct view_result *b, size_t n,
                        struct error *err)
{
    for (int rate = 0; rate < DECIDED_RATES && !isnan(a->review) && !isnan(b->review); rate++) {
        uint64_t both = 0, only_new = 0, only_old = 0, neither = 0;
        for (size_t i = 0; i < n; i++) {
            bool x, y;
            if (!decided_rate_row(a, (enum decided_rate)rate, i, &x) |
                !decided_rate_row(b, (enum decided_rate)rate, i, &y))
                continue;
            both += x && y;
            only_new += !x && y;
            only_old += x && !y;
            neither += !x && !y;
        }
        uint64_t count = both + only_new + only_old + neither;
        double m = (double)count;
        put_change(t, decided_rate_names[rate], b->view->name, count ? (double)(both + only_old) / m : NAN,
                   count ? (double)(both + only_new) / m : NAN,
                   interval_paired(both, only_new, only_old, neither, INTERVAL_Z95),
                   count ? mcnemar_exact_p(only_old, only_new) : NAN, count, err);
    }
}

static void put_all(struct text *t, const struct evaluation *old, const struct evaluation *new,
                    struct error *err)
{
    const struct interval none = {NAN, NAN};
    const struct predictions *p = new->p;
    uint64_t n = p->n_rows;
    text_puts(t, "metric\tkey\told\tnew\tchange\tci_low\tci_high\tp\tn\n", err);
    put_paired(t, old, new, NULL, NULL, RATE_ACCURACY, NULL, n, "accuracy", "", err);
    put_change(t, "balanced_accuracy", "", old->c.balanced_accuracy, new->c.balanced_accuracy, none, NAN, n,
               err);
    put_change(t, "log_loss", "", old->c.log_loss, new->c.log_loss, none, NAN, n, err);
    put_change(t, "ece", "top-label equal-width 15", calibration_ece(old->width15, 15),
               calibration_ece(new->width15, 15), none, NAN, n, err);
    for (int k = 0; k < p->n_classes; k++)
        put_change(t, "recall", p->classes[k], old->c.classes[k].recall, new->c.classes[k].recall, none, NAN,
                   new->c.classes[k].n_true, err);
    for (size_t s = 0; s < p->n_slices; s++)
        put_paired(t, old, new, NULL, NULL, RATE_ACCURACY, p->slices[s].rows, p->slices[s].n_rows,
                   "slice_accuracy", p->slices[s].name, err);
    for (size_t v = 0; v < new->n_views; v++) {
        const struct view_result *a = &old->views[v], *b = &new->views[v];
        char key[1024];
        for (int i = 0; i < EVAL_N_FPR; i++) {
            double recall[2];
            for (int side = 0; side < 2; side++) {
                const struct view_result *x = side ? b : a;
                recall[side] = x->curve.n_positive == 0 ? NAN
                               : x->at_fpr[i] < 0
                                   ? 0
                                   : (double)x->curve.tp[x->at_fpr[i]] / (double)x->curve.n_positive;
            }
            snprintf(key, sizeof key, "%s %g", b->view->name, eval_fpr_levels[i]);
            put_change(t, "binary_recall_at_fpr", key, recall[0], recall[1], none, NAN, b->curve.n_positive,
                       err);
        }
        put_change(t, "binary_roc_auc", b->view->name, a->roc_auc, b->roc_auc, none, NAN, n, err);
        put_decided(t, a, b, n, err);
        for (int rate = RATE_FPR; rate <= RATE_FNR; rate++) {
            put_paired(t, old, new, a, b, (enum slice_rate)rate, NULL, n, rate == RATE_FPR ? "fpr" : "fnr",
                       b->view->name, err);
            for (size_t s = 0; s < p->n_slices; s++) {
                snprintf(key, sizeof key, "%s %s", b->view->name, p->slices[s].name);
                put_paired(t, old, new, a, b, (enum slice_rate)rate, p->slices[s].rows, p->slices[s].n_rows,
                           rate == RATE_FPR ? "slice_fpr" : "slice_fnr", key, err);
            }
        }
    }
}

/* Returns 0 when all gates are met, EX_VERDICT_NO when one is not met, or -1 with err set. */
static int check_gates(const struct eval_options *o, const struct evaluation *old,
                       const struct evaluation *new, struct error *err)
{
    struct gate_checks checks = {0};
    int rc = -1, missed = 0;
    for (size_t i = 0; i < o->gates.n; i++) {
        struct gate g;
        size_t first = checks.n;
        if (gate_parse(&g, o->gates.items[i], err) || gate_evaluate(&g, old, new, &checks, err)) goto out;
        if (checks.n == first) {
            error_set(err, EX_USAGE,
                      "--gate '%s' compares nothing: the view, class or slice that it names does not exist",
                      g.text);
            goto out;
        }
        for (size_t j = first; j < checks.n; j++) {
            const struct gate_check *c = &checks.items[j];
            char p[32] = "";
            if (!isnan(c->p)) snprintf(p, sizeof p, " (p %.3g)", c->p);
            missed += !c->met;
            if (c->met)
                stage_note(&o->common, "gate met: '%s': %s was %.6g, is %.6g%s", g.text, c->what,
                           c->old_value, c->new_value, p);
            else
                stage_warn("gate missed: '%s': %s was %.6g, is %.6g%s", g.text, c->what, c->old_value,
                           c->new_value, p);
        }
    }
    stage_note(&o->common, "%zu checks, %d missed", checks.n, missed);
    rc = missed ? EX_VERDICT_NO : 0;
out:
    free(checks.items);
    return rc;
}

int compare_run(const struct eval_options *o, const char *old_path, const char *new_path, struct error *err)
{
    struct predictions old = PREDICTIONS_EMPTY, new = PREDICTIONS_EMPTY;
    struct evaluation old_e = EVALUATION_EMPTY, new_e = EVALUATION_EMPTY;
    struct views views = VIEWS_EMPTY;
    struct manifest_source sides[2] = {MANIFEST_SOURCE_EMPTY, MANIFEST_SOURCE_EMPTY};
    struct text table = TEXT_EMPTY, path = TEXT_EMPTY;
    struct predictions_options plain = {0};
    struct predictions_options sliced = {.slice_columns = o->slice_columns.items,
                                         .n_slice_columns = o->slice_columns.n,
                                         .auto_slices = true,
                                         .keep_path_keys = o->slices_file != NULL};
    struct eval_options without_bootstrap = *o;
    struct joined n = {0};
    struct slice *own = NULL;
    size_t n_own = 0, n_unknown = 0;
    int rc = -1;
    bool lent = false;
    without_bootstrap.bootstrap = 0;
    for (size_t i = 0; i < o->gates.n; i++) { /* a mistyped gate is reported before any file is read */
        struct gate g;
        if (gate_parse(&g, o->gates.items[i], err)) return -1;
    }
    if (open_side(old_path, &sides[0], err) || open_side(new_path, &sides[1], err) ||
        predictions_read(&old, &sides[0], &plain, err) || predictions_read(&new, &sides[1], &sliced, err) ||
        (o->slices_file && predictions_add_slices(&new, o->slices_file, &n_unknown, err)) ||
        join(&old, &new, &n, err))
        goto out;
    lend_slices(&old, &new, &own, &n_own);
    lent = true;
    if (views_make(&views, o, &new, err) || evaluation_make(&old_e, &old, &views, &without_bootstrap, err) ||
        evaluation_make(&new_e, &new, &views, &without_bootstrap, err))
        goto out;
    if (read_thresholds(&old_e, old_path, err) || read_thresholds(&new_e, new_path, err)) goto out;
    if (n.n_only_old || n.n_only_new)
        stage_warn("compared on %zu shared pictures; %zu are in OLD only, %zu in NEW only", n.n_shared,
                   n.n_only_old, n.n_only_new);
    if (n.n_labels) stage_warn("%zu labels differ between OLD and NEW; NEW's are used for both", n.n_labels);
    put_all(&table, &old_e, &new_e, err);
    if (err->text[0]) goto out;
    if (o->out ? text_printf(&path, err, "%s/compare.tsv", o->out) : text_puts(&path, "-", err)) goto out;
    if (atomic_file_write(path.data, table.data, table.n_bytes, err)) goto out;
    rc = check_gates(o, &old_e, &new_e, err);
out:
    evaluation_release(&old_e);
    evaluation_release(&new_e);
    views_release(&views);
    if (lent) {
        old.slices = own;
        old.n_slices = n_own;
    }
    predictions_release(&old);
    predictions_release(&new);
    manifest_source_close(&sides[0]);
    manifest_source_close(&sides[1]);
    text_release(&table);
    text_release(&path);
    return rc;
}
