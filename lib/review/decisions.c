/* decisions.c: reads decisions and finds those about one picture; see decisions.h. */
#include "review/decisions.h"

#include <stdlib.h>
#include <string.h>

#include "metric/classification.h"

#define MAX_REVIEWERS 64   /* pairs of them are compared */
#define MAX_CATEGORIES 512 /* of kind and label, for kappa */

const char *const decision_names[DECISION_KINDS] = {"keep", "relabel", "drop", "unsure"};

static int row_error(const struct manifest_reader *r, struct error *err, const char *what,
                     const char *subject)
{
    char shown[256], about[128];
    return error_set(err, EX_DATAERR, "'%s', row %llu: %s '%s'",
                     text_for_people(shown, sizeof shown, r->name), (unsigned long long)r->row, what,
                     text_for_people(about, sizeof about, subject));
}

/* Whether an id looks like 1.2E+31, which spreadsheets make of a hash that has only digits and one e. */
static bool is_rounded(const char *id)
{
    size_t n = strspn(id, "0123456789.,");
    return n > 0 && (id[n] == 'E' || id[n] == 'e') && id[n + 1] == '+' && id[n + 2] &&
           !id[n + 2 + strspn(id + n + 2, "0123456789")];
}

static int read_all(struct decisions *d, struct manifest_reader *r, struct error *err)
{
    int id = manifest_column(&r->schema, "id"), decision = manifest_column(&r->schema, "decision"),
        label = manifest_column(&r->schema, "label");
    int reviewer = manifest_column(&r->schema, "reviewer"), date = manifest_column(&r->schema, "date"), got;
    const char *file = arena_strdup(&d->arena, r->name, err), *last_reviewer = "", *last_label = "";
    if (!file) return -1;
    while ((got = manifest_reader_next(r, err)) > 0) {
        struct decision x = {.file = file, .row = r->row, .order = d->n, .date = ""};
        int kind = 0;
        const char *who = manifest_field(r, reviewer), *class = manifest_field(r, label);
        while (kind < DECISION_KINDS && strcmp(r->fields[decision], decision_names[kind]) != 0)
            kind++;
        if (kind == DECISION_KINDS)
            return row_error(r, err, "a decision is keep, relabel, drop or unsure, not", r->fields[decision]);
        if (!r->fields[id][0])
            return row_error(r, err, "the id is empty in a row with the decision", r->fields[decision]);
        if (is_rounded(r->fields[id]))
            return row_error(r, err,
                             "a spreadsheet has turned the id into a number (format the column as text):",
                             r->fields[id]);
        if (kind == DECISION_RELABEL && !class[0])
            return row_error(r, err, "no label is given for the relabel of", r->fields[id]);
        x.kind = (enum decision_kind)kind;
        x.key = id_key_of(r->fields[id]);
        /* Reviewers and labels are often the same as in the line before. */
        if (strcmp(who, last_reviewer) != 0 && !(last_reviewer = arena_strdup(&d->arena, who, err)))
            return -1;
        if (strcmp(class, last_label) != 0 && !(last_label = arena_strdup(&d->arena, class, err))) return -1;
        x.reviewer = last_reviewer;
        x.label = last_label;
        if (!(x.id = arena_strdup(&d->arena, r->fields[id], err)) ||
            (date >= 0 && !(x.date = arena_strdup(&d->arena, r->fields[date], err))) ||
            mem_grow(&d->items, &d->capacity, d->n + 1, sizeof *d->items, err))
            return -1;
        d->items[d->n++] = x;
    }
    return got;
}

static const char *const required_columns[] = {"id", "decision", NULL};

int decisions_read(struct decisions *d, const char *path, struct error *err)
{
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    int rc;
    if (manifest_reader_open_edited(&r, path, NULL, 0, required_columns, err)) return -1;
    rc = read_all(d, &r, err);
    manifest_reader_close(&r);
    return rc;
}

int decisions_read_memory(struct decisions *d, const char *bytes, size_t n_bytes, struct error *err)
{
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    int rc;
    if (manifest_reader_open_edited(&r, "memory", bytes, n_bytes, required_columns, err)) return -1;
    rc = read_all(d, &r, err);
    manifest_reader_close(&r);
    return rc;
}

static int compare(const void *x, const void *y)
{
    const struct decision *a = x, *b = y;
    int c = id_key_compare(&a->key, &b->key);
    return c ? c : a->order < b->order ? -1 : a->order > b->order;
}

void decisions_sort(struct decisions *d)
{
    if (d->n) qsort(d->items, d->n, sizeof *d->items, compare);
}

void decisions_release(struct decisions *d)
{
    free(d->items);
    arena_release(&d->arena);
    *d = DECISIONS_EMPTY;
}

const struct decision *decisions_find(const struct decisions *d, const struct id_key *key, size_t *n)
{
    size_t low = 0, high = d->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (id_key_compare(&d->items[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (*n = 0; low + *n < d->n && id_key_compare(&d->items[low + *n].key, key) == 0; ++*n)
        ;
    return *n ? &d->items[low] : NULL;
}

static bool same_verdict(const struct decision *a, const struct decision *b)
{
    return a->kind == b->kind && (a->kind != DECISION_RELABEL || strcmp(a->label, b->label) == 0);
}

/* Whether item i of n is the last decision of its reviewer. */
static bool is_last_word(const struct decision *of_one, size_t n, size_t i)
{
    for (size_t j = i + 1; j < n; j++)
        if (strcmp(of_one[j].reviewer, of_one[i].reviewer) == 0) return false;
    return true;
}

int decisions_conflict(const struct decision *of_one, size_t n)
{
    const struct decision *first = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!is_last_word(of_one, n, i)) continue;
        if (first && !same_verdict(first, &of_one[i])) return 1;
        first = &of_one[i];
    }
    return 0;
}

/* --- agreement --- */

struct verdicts {
    const char *names[MAX_CATEGORIES];
    int n;
};

/* Returns the category for kappa: the kind of decision, or the class that a relabel names. */
static int category(struct verdicts *v, const struct decision *d)
{
    const char *name = d->kind == DECISION_RELABEL ? d->label : NULL;
    if (!name) return d->kind == DECISION_KEEP ? 0 : d->kind == DECISION_DROP ? 1 : 2;
    for (int i = 3; i < v->n; i++)
        if (strcmp(v->names[i], name) == 0) return i;
    if (v->n == MAX_CATEGORIES) return MAX_CATEGORIES - 1;
    v->names[v->n] = name;
    return v->n++;
}

int decisions_agreement(const struct decisions *d, struct reviewer_agreement **out, size_t *n,
                        struct error *err)
{
    const char *reviewers[MAX_REVIEWERS];
    size_t n_reviewers = 0, capacity = 0;
    *out = NULL;
    *n = 0;
    for (size_t i = 0; i < d->n && n_reviewers < MAX_REVIEWERS; i++) {
        size_t r = 0;
        while (r < n_reviewers && strcmp(reviewers[r], d->items[i].reviewer) != 0)
            r++;
        if (r == n_reviewers) reviewers[n_reviewers++] = d->items[i].reviewer;
    }
    for (size_t a = 0; a < n_reviewers; a++)
        for (size_t b = a + 1; b < n_reviewers; b++) {
            struct reviewer_agreement x = {reviewers[a], reviewers[b], 0, 0, 0};
            struct verdicts v = {.n = 3};
            uint64_t *counts = mem_zalloc((size_t)MAX_CATEGORIES * MAX_CATEGORIES, sizeof *counts, err);
            if (!counts) goto fail;
            for (size_t start = 0, end; start < d->n; start = end) {
                const struct decision *said[2] = {NULL, NULL};
                for (end = start; end < d->n && id_key_compare(&d->items[end].key, &d->items[start].key) == 0;
                     end++) {
                    if (strcmp(d->items[end].reviewer, reviewers[a]) == 0)
                        said[0] = &d->items[end];
                    else if (strcmp(d->items[end].reviewer, reviewers[b]) == 0)
                        said[1] = &d->items[end];
                }
                if (!said[0] || !said[1]) continue;
                x.n_shared++;
                x.n_equal += same_verdict(said[0], said[1]);
                int i = category(&v, said[0]), j = category(&v, said[1]);
                counts[i * MAX_CATEGORIES + j]++;
            }
            /* Only the categories that occur are used. With all 512 there would be a quarter of a million
             * cells for each pair of reviewers. */
            for (size_t i = 0, n_used = (size_t)v.n; i < n_used * n_used; i++)
                counts[i] = counts[i / n_used * MAX_CATEGORIES + i % n_used];
            x.kappa = kappa_of_counts(counts, v.n);
            free(counts);
            if (x.n_shared == 0) continue;
            if (mem_grow(out, &capacity, *n + 1, sizeof **out, err)) goto fail;
            (*out)[(*n)++] = x;
        }
    return 0;
fail:
    free(*out);
    *out = NULL;
    return -1;
}
