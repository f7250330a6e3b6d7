/*
 * truth.c: measures the suspects against known label errors. The truth file lists rows with their true label
 * (errors that were planted, or a reviewed sample). Rows that it does not list count as correctly labelled.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/spill.h"
#include "metric/interval.h"
#include "mine_errors.h"

#define MAX_KINDS 16

struct truth {
    /* [n_rows]: the number of the true class; -1: as given; -2: a class that the model does not know. */
    int32_t *label;
    bool *listed;  /* [n_rows] */
    uint8_t *kind; /* [n_rows] */
    char *kinds[MAX_KINDS];
    int n_kinds;
    size_t n_wrong, n_elsewhere;
};

static void truth_release(struct truth *t)
{
    spill_free(t->label);
    free(t->listed);
    free(t->kind);
    for (int i = 0; i < t->n_kinds; i++)
        free(t->kinds[i]);
}

static int kind_of(struct truth *t, const char *name, struct error *err)
{
    for (int i = 0; i < t->n_kinds; i++)
        if (strcmp(t->kinds[i], name) == 0) return i;
    if (t->n_kinds == MAX_KINDS) return MAX_KINDS - 1;
    return (t->kinds[t->n_kinds] = mem_strdup(name, err)) ? t->n_kinds++ : -1;
}

static int truth_read(struct truth *t, const char *path, const struct predictions *p, struct error *err)
{
    static const char *const required[] = {"id", "label_true", NULL};
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    int rc = -1, got, id, label, kind;
    size_t n_found = 0;
    char shown[256], about[64];
    if (manifest_reader_open_edited(&r, path, NULL, 0, required, err)) return -1;
    id = manifest_column(&r.schema, "id");
    label = manifest_column(&r.schema, "label_true");
    kind = manifest_column(&r.schema, "kind");
    if (!(t->label = spill_alloc(p->n_rows * sizeof *t->label, err)) ||
        !(t->kind = mem_zalloc(p->n_rows, 1, err)) ||
        !(t->listed = mem_zalloc(p->n_rows, sizeof *t->listed, err)))
        goto out;
    for (size_t i = 0; i < p->n_rows; i++)
        t->label[i] = -1;
    while ((got = manifest_reader_next(&r, err)) > 0) {
        struct id_key key = id_key_of(r.fields[id]);
        int64_t row = predictions_find(p, &key);
        int32_t class = -2;
        if (row < 0) {
            t->n_elsewhere++;
            continue;
        }
        n_found++;
        for (int k = 0; k < p->n_classes; k++)
            if (strcmp(p->classes[k], r.fields[label]) == 0) class = k;
        /* Copies of a picture have one id and one true label. */
        if (!r.fields[label][0] ||
            (t->listed[row] && class != (t->label[row] == -1 ? p->label[row] : t->label[row]))) {
            error_set(err, EX_DATAERR, "'%s', row %llu (id '%s'): %s",
                      text_for_people(shown, sizeof shown, r.name), (unsigned long long)r.row,
                      text_for_people(about, sizeof about, r.fields[id]),
                      r.fields[label][0] ? "an earlier row has another true label" : "label_true is empty");
            goto out;
        }
        t->listed[row] = true;
        if (class == p->label[row]) {
            t->label[row] = -1;
            continue;
        }
        int which = kind_of(t, kind >= 0 && r.fields[kind][0] ? r.fields[kind] : "wrong", err);
        if (which < 0) goto out;
        t->n_wrong += t->label[row] == -1;
        t->label[row] = class;
        t->kind[row] = (uint8_t)which;
    }
    rc = got;
    if (got == 0 && n_found == 0 && t->n_elsewhere)
        stage_warn("'%s' has none of the ids of the predictions: is it about other data?",
                   text_for_people(shown, sizeof shown, path));
out:
    manifest_reader_close(&r);
    return rc;
}

static void say_rate(FILE *f, const char *measure, const char *key, size_t k, size_t n)
{
    struct interval w = interval_wilson(k, n, INTERVAL_Z95);
    if (n == 0)
        fprintf(f, "%s\t%s\tnan\t0\t1\t0\t0\n", measure, key);
    else
        fprintf(f, "%s\t%s\t%.4f\t%.4f\t%.4f\t%zu\t%zu\n", measure, key, (double)k / (double)n, w.low, w.high,
                k, n);
}

/* Sets *order to the order in which a reviewer would look at the whole set: the suspects, then the other rows
 * by margin. */
static int review_order(const struct label_errors_input *in, const struct suspects *s, uint32_t **order,
                        struct error *err)
{
    double *margin = spill_alloc(in->n_rows * sizeof *margin, err);
    uint8_t *rest = spill_alloc(in->n_rows, err);
    uint32_t *tail = NULL;
    size_t n = 0;
    int rc = -1;
    *order = spill_alloc(in->n_rows * sizeof **order, err);
    if (!margin || !rest || !*order ||
        label_errors_score(NULL, in, RANK_NORMALIZED_MARGIN, false, margin, err))
        goto out;
    memset(rest, 1, in->n_rows);
    for (size_t i = 0; i < s->n_label; i++)
        rest[(*order)[i] = s->items[i].row] = 0;
    if (label_errors_rank(in, margin, rest, &tail, &n, err)) goto out;
    memcpy(*order + s->n_label, tail, n * sizeof *tail);
    rc = 0;
out:
    spill_free(margin);
    spill_free(rest);
    spill_free(tail);
    return rc;
}

int mine_score_truth(const struct mine_options *o, const struct predictions *p, const struct suspects *s,
                     const struct label_errors_input *in, struct error *err)
{
    static const int shares[] = {1, 2, 5, 10, 20, 50};
    struct truth t = {0};
    uint32_t *order = NULL;
    size_t hits = 0, right_suggestion = 0, seen = 0, found = 0, kind_wrong[MAX_KINDS] = {0},
           kind_found[MAX_KINDS] = {0}, kind_tenth[MAX_KINDS] = {0};
    struct atomic_file out = ATOMIC_FILE_EMPTY;
    FILE *to = stderr;
    int rc = -1;
    if (truth_read(&t, o->truth, p, err) || review_order(in, s, &order, err)) goto out;
    if (o->truth_report) {
        if (atomic_file_open(&out, o->truth_report, err)) goto out;
        to = out.stream;
    } else if (o->common.output && strcmp(o->common.output, "-") != 0) {
        to = stdout;
    }
    for (size_t i = 0; i < s->n_label; i++) {
        int32_t truth = t.label[s->items[i].row];
        hits += truth != -1;
        right_suggestion += truth == s->items[i].suggested;
        if (truth != -1) kind_found[t.kind[s->items[i].row]]++;
    }
    for (size_t i = 0; i < p->n_rows; i++)
        if (t.label[i] != -1) kind_wrong[t.kind[i]]++;
    fprintf(to, "measure\tkey\tvalue\tci_low\tci_high\tk\tn\n");
    say_rate(to, "wrong_labels", "share of all rows", t.n_wrong, p->n_rows);
    say_rate(to, "precision", "of the suspects", hits, s->n_label);
    say_rate(to, "recall", "of the suspects", hits, t.n_wrong);
    say_rate(to, "suggestion_right", "of the suspects that are wrong", right_suggestion, hits);
    for (int k = 0; k < t.n_kinds; k++) {
        char key[128], kind[64];
        snprintf(key, sizeof key, "of the suspects, %s", text_for_people(kind, sizeof kind, t.kinds[k]));
        say_rate(to, "recall", key, kind_found[k], kind_wrong[k]);
    }
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        char key[64];
        size_t look = (size_t)ceil((double)p->n_rows * shares[i] / 100);
        for (; seen < look; seen++) {
            found += t.label[order[seen]] != -1;
            if (shares[i] <= 10 && t.label[order[seen]] != -1) kind_tenth[t.kind[order[seen]]]++;
        }
        snprintf(key, sizeof key, "looking at %d%% (%zu rows)", shares[i], look);
        say_rate(to, "recall", key, found, t.n_wrong);
    }
    for (int k = 0; t.n_kinds > 1 && k < t.n_kinds; k++) {
        char key[128], kind[64];
        snprintf(key, sizeof key, "looking at 10%%, %s", text_for_people(kind, sizeof kind, t.kinds[k]));
        say_rate(to, "recall", key, kind_tenth[k], kind_wrong[k]);
    }
    if (t.n_elsewhere)
        stage_note(&o->common, "%zu rows of '%s' are not among the predictions", t.n_elsewhere, o->truth);
    rc = 0;
    if (o->truth_report)
        rc = atomic_file_commit(&out, err);
    else if (fflush(to) || ferror(to))
        rc = error_errno(err, EX_IOERR, "cannot write the truth report");
out:
    atomic_file_discard(&out);
    truth_release(&t);
    spill_free(order);
    return rc;
}
