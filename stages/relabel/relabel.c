/*
 * relabel.c: finds the decision about each row by its content hash. Applying it twice changes nothing: a row
 * that has the decided label is not changed, label_given is written only at the first change, and a dropped
 * row stays dropped.
 */
#include "relabel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"

#define MAX_CLASSES 100000

struct class_names {
    const char **names;
    size_t n, capacity;
};

static bool class_known(const struct class_names *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->names[i], name) == 0) return true;
    return false;
}

static int class_add(struct class_names *c, const char *name, struct error *err)
{
    if (!name[0] || (c->n && strcmp(c->names[c->n - 1], name) == 0) || class_known(c, name)) return 0;
    if (c->n == MAX_CLASSES) return error_set(err, EX_DATAERR, "more than %d classes", MAX_CLASSES);
    if (mem_grow(&c->names, &c->capacity, c->n + 1, sizeof *c->names, err)) return -1;
    c->names[c->n++] = name;
    return 0;
}

static int unknown_class(const struct class_names *c, const struct decision *d, struct error *err)
{
    char shown[128], file[256], known[400];
    return error_set(err, EX_DATAERR,
                     "'%s', row %llu: no class '%s' in the manifest (it has %s); --new-classes allows new "
                     "ones",
                     text_for_people(file, sizeof file, d->file), (unsigned long long)d->row,
                     text_for_people(shown, sizeof shown, d->label),
                     text_names_for_people(known, sizeof known, c->names, c->n));
}

/* Returns the decision that counts for a picture, which is the last one. Returns NULL when there is none, or
 * when reviewers disagree and --require-agreement is given. */
static const struct decision *verdict(const struct decisions *d, const char *id,
                                      const struct relabel_options *o, struct relabel_counts *n)
{
    size_t count;
    struct id_key key = id_key_of(id);
    const struct decision *of_one = id[0] ? decisions_find(d, &key, &count) : NULL;
    if (!of_one) {
        n->n_undecided++;
        return NULL;
    }
    if (o->require_agreement && decisions_conflict(of_one, count)) {
        n->n_disputed++;
        return NULL;
    }
    return &of_one[count - 1];
}

static void count_images(const struct decisions *d, const uint8_t *seen, struct relabel_counts *n)
{
    for (size_t start = 0, end; start < d->n; start = end) {
        for (end = start; end < d->n && id_key_compare(&d->items[end].key, &d->items[start].key) == 0; end++)
            ;
        n->n_conflicts += decisions_conflict(&d->items[start], end - start) != 0;
        n->n_elsewhere += !seen[end - 1];
        n->n_here += seen[end - 1];
    }
}

int relabel_run(const struct manifest_table *t, const struct decisions *d, const struct relabel_options *o,
                struct manifest_writer *out, struct manifest_writer *rejects, struct relabel_counts *n,
                struct error *err)
{
    int id = manifest_column(&t->schema, "xxh128"), label = manifest_column(&t->schema, "label");
    int given = manifest_column(&t->schema, "label_given");
    struct class_names classes = {0};
    uint8_t *seen = NULL;
    int rc = -1;
    if (id < 0) id = manifest_column(&t->schema, "id");
    if (!(seen = mem_zalloc(d->n ? d->n : 1, 1, err))) return -1;
    for (size_t i = 0; i < t->n_rows; i++)
        if (class_add(&classes, manifest_cell(t, i, label), err) ||
            class_add(&classes, manifest_cell(t, i, given), err))
            goto out;
    for (size_t i = 0; i < t->n_rows; i++) {
        const char *const *row = manifest_table_row(t, i);
        const struct decision *v = verdict(d, row[id], o, n);
        const char *adds[2] = {row[label], manifest_cell(t, i, given)};
        size_t count;
        struct id_key key = id_key_of(row[id]);
        const struct decision *of_one = row[id][0] ? decisions_find(d, &key, &count) : NULL;
        if (of_one) seen[of_one + count - 1 - d->items] = 1;
        if (v && v->kind == DECISION_DROP) {
            char detail[256];
            snprintf(detail, sizeof detail, "%s %s", v->reviewer, v->date);
            n->n_dropped++;
            if (manifest_writer_reject(rejects, row, "dropped-by-reviewer", detail, err)) goto out;
            continue;
        }
        if (v && v->kind == DECISION_UNSURE) n->n_unsure++;
        /* "keep" has the label that the reviewer saw. It is restored if an earlier decision had replaced
         * it. */
        if (v && (v->kind == DECISION_RELABEL || v->kind == DECISION_KEEP)) {
            const char *want = v->label[0] ? v->label : row[label];
            bool change = strcmp(want, row[label]) != 0;
            if (change && !o->new_classes && !class_known(&classes, want)) {
                unknown_class(&classes, v, err);
                goto out;
            }
            if (change && !adds[1][0]) adds[1] = row[label];
            adds[0] = want;
            if (v->kind == DECISION_KEEP)
                change ? n->n_restored++ : n->n_kept++;
            else
                change ? n->n_relabelled++ : n->n_already++;
        }
        if (manifest_writer_row(out, row, adds, err)) goto out;
    }
    count_images(d, seen, n);
    rc = 0;
out:
    free(classes.names);
    free(seen);
    return rc;
}

int relabel_write_stats(const char *path, const struct relabel_counts *n, const struct decisions *d,
                        struct error *err)
{
    static const char *const columns[] = {"key", "value", NULL};
    const struct {
        const char *key;
        uint64_t value;
    } rows[] = {{"decisions", d->n},
                {"relabelled", n->n_relabelled},
                {"already relabelled", n->n_already},
                {"kept", n->n_kept},
                {"restored", n->n_restored},
                {"dropped", n->n_dropped},
                {"unsure", n->n_unsure},
                {"left alone for lack of agreement", n->n_disputed},
                {"undecided", n->n_undecided},
                {"pictures with conflicting decisions", n->n_conflicts},
                {"pictures decided but not in the manifest", n->n_elsewhere}};
    struct manifest_writer w = MANIFEST_WRITER_EMPTY;
    struct reviewer_agreement *agreement = NULL;
    size_t n_pairs = 0;
    int rc = -1;
    if (decisions_agreement(d, &agreement, &n_pairs, err) ||
        manifest_writer_open(&w, path, NULL, columns, err))
        goto out;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char value[32];
        snprintf(value, sizeof value, "%llu", (unsigned long long)rows[i].value);
        const char *cells[] = {rows[i].key, value};
        if (manifest_writer_row(&w, NULL, cells, err)) goto out;
    }
    for (size_t i = 0; i < n_pairs; i++) {
        const struct reviewer_agreement *a = &agreement[i];
        char key[512], value[32];
        snprintf(key, sizeof key, "kappa %s and %s over %zu pictures, %zu equal", a->a[0] ? a->a : "(nobody)",
                 a->b[0] ? a->b : "(nobody)", a->n_shared, a->n_equal);
        const char *cells[] = {key, format_real(value, a->kappa)};
        if (manifest_writer_row(&w, NULL, cells, err)) goto out;
    }
    rc = manifest_writer_commit(&w, err);
out:
    manifest_writer_discard(&w);
    free(agreement);
    return rc;
}

int relabel_write_conflicts(const char *path, const struct decisions *d, struct error *err)
{
    static const char *const columns[] = {"id", "decision", "label", "reviewer", "date", NULL};
    struct manifest_writer w = MANIFEST_WRITER_EMPTY;
    int rc = -1;
    if (manifest_writer_open(&w, path, NULL, columns, err)) goto out;
    for (size_t start = 0, end; start < d->n; start = end) {
        for (end = start; end < d->n && id_key_compare(&d->items[end].key, &d->items[start].key) == 0; end++)
            ;
        for (size_t i = start; decisions_conflict(&d->items[start], end - start) && i < end; i++) {
            const struct decision *x = &d->items[i];
            const char *cells[] = {x->id, decision_names[x->kind], x->label, x->reviewer, x->date};
            if (manifest_writer_row(&w, NULL, cells, err)) goto out;
        }
    }
    rc = manifest_writer_commit(&w, err);
out:
    manifest_writer_discard(&w);
    return rc;
}
