/*
 * predictions.c: reads and checks a predictions file; see predictions.h.
 */
#include "metric/predictions.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/names.h"
#include "base/number.h"
#include "io/spill.h"
#include "metric/slice_columns.h"
#include "metric/sort.h"

/* 1 - (0.66 + 0.33) is slightly more than 0.01 in binary. This allows for such rounding in addition to the
 * tolerance. */
#define ROUNDING 1e-12

struct reading {
    struct predictions *p;
    struct manifest_reader *r;
    int id, label, path, group; /* group: -1 unless asked for */
    struct names group_names;
    int *p_columns, *z_columns;
    struct slice_columns slices;
};

int predictions_row_error(const struct manifest_reader *r, int id_column, struct error *err, const char *what)
{
    char shown[128], id[128], text[512];
    text_for_people(shown, sizeof shown, r->name);
    text_for_people(id, sizeof id, manifest_field(r, id_column));
    text_for_people(text, sizeof text, what);
    return error_set(err, EX_DATAERR, "'%s', row %llu (id '%s'): %s", shown, (unsigned long long)r->row, id,
                     text);
}

static int class_of(const struct predictions *p, const char *label, int last)
{
    if (last >= 0 && strcmp(p->classes[last], label) == 0) return last;
    for (int k = 0; k < p->n_classes; k++)
        if (strcmp(p->classes[k], label) == 0) return k;
    return -1;
}

static int find_columns(struct reading *x, const struct predictions_options *o, struct error *err)
{
    const struct manifest_schema *s = &x->r->schema;
    struct predictions *p = x->p;
    char shown[256];
    int n_z = 0;
    text_for_people(shown, sizeof shown, x->r->name);
    if ((x->id = id_column_find(x->r, true, err)) < 0) return -1;
    if ((x->label = manifest_column(s, "label")) < 0)
        return error_set(err, EX_DATAERR, "'%s' has no column 'label'", shown);
    x->path = manifest_column(s, "path");
    x->group = o->keep_groups ? manifest_column(s, "group") : -1;
    if (!(p->classes = mem_zalloc(s->n, sizeof *p->classes, err)) ||
        !(x->p_columns = mem_zalloc(s->n, sizeof *x->p_columns, err)) ||
        !(x->z_columns = mem_zalloc(s->n, sizeof *x->z_columns, err)))
        return -1;
    for (size_t i = 0; i < s->n; i++)
        if (text_starts(s->names[i], "p_") && s->names[i][2]) {
            if (!(p->classes[p->n_classes] = mem_strdup(s->names[i] + 2, err))) return -1;
            x->p_columns[p->n_classes++] = (int)i;
        }
    if (p->n_classes == 0)
        return error_set(err, EX_DATAERR,
                         "'%s' has no class column: one 'p_<class>' for each class is needed", shown);
    if (p->n_classes == 1)
        return error_set(err, EX_DATAERR, "'%s' has only one class column ('p_%s'): at least two are needed",
                         shown, p->classes[0]);
    if (p->n_classes > PREDICTIONS_MAX_CLASSES)
        return error_set(err, EX_DATAERR, "'%s' has %d class columns; the limit is %d", shown, p->n_classes,
                         PREDICTIONS_MAX_CLASSES);
    for (int k = 0; k < p->n_classes; k++) {
        char name[512];
        snprintf(name, sizeof name, "z_%s", p->classes[k]);
        x->z_columns[k] = manifest_column(s, name);
        n_z += x->z_columns[k] >= 0;
    }
    if (n_z > 0 && n_z < p->n_classes)
        return error_set(err, EX_DATAERR, "'%s' has logits (z_<class>) for %d of its %d classes", shown, n_z,
                         p->n_classes);
    if (n_z == 0) {
        free(x->z_columns);
        x->z_columns = NULL;
    }
    return slice_columns_find(&x->slices, x->r, o, err);
}

static int number_error(const struct reading *x, int column, const char *text, double value, bool number,
                        struct error *err)
{
    char what[400], shown[64];
    const char *name = x->r->schema.names[column];
    text_for_people(shown, sizeof shown, text);
    if (!*text)
        snprintf(what, sizeof what, "%.200s is empty", name);
    else if (!number)
        snprintf(what, sizeof what, "%.200s is '%s', which is not a number", name, shown);
    else if (value < 0)
        snprintf(what, sizeof what, "%.200s is %s, below 0: probabilities are expected, not logits", name,
                 shown);
    else
        snprintf(what, sizeof what,
                 "%.200s is %s, above 1: probabilities are expected, not logits or percentages", name, shown);
    return predictions_row_error(x->r, x->id, err, what);
}

static int grow_rows(struct predictions *p, bool logits, bool paths, bool groups, struct error *err)
{
    size_t capacity = p->capacity ? p->capacity + p->capacity / 2 : 4096, k = (size_t)p->n_classes;
    void *grown;
    if (capacity >= UINT32_MAX) return error_set(err, EX_DATAERR, "more than 4 billion rows");
#define GROW(field, each)                                                                                    \
    do {                                                                                                     \
        if (!(grown = spill_realloc(p->field, p->capacity * (each), capacity * (each), err))) return -1;     \
        p->field = grown;                                                                                    \
    } while (0)
    GROW(p, k * sizeof *p->p);
    if (logits) GROW(z, k * sizeof *p->z);
    GROW(label, sizeof *p->label);
    GROW(pred, sizeof *p->pred);
    GROW(keys, sizeof *p->keys);
    if (paths) GROW(path_keys, sizeof *p->path_keys);
    if (groups) GROW(groups, sizeof *p->groups);
#undef GROW
    p->capacity = capacity;
    return 0;
}

static int read_row(struct reading *x, struct error *err)
{
    struct predictions *p = x->p;
    const char **f = x->r->fields;
    size_t i = p->n_rows;
    int best = 0, last = i > 0 ? p->label[i - 1] : -1;
    double sum = 0, value = 0, *row = p->p + i * (size_t)p->n_classes;
    char what[400], shown[128], known[200];
    if (!f[x->id][0]) return predictions_row_error(x->r, x->id, err, "the id is empty");
    p->keys[i] = id_key_of(f[x->id]);
    if (p->path_keys) p->path_keys[i] = id_key_of(manifest_field(x->r, x->path));
    for (int k = 0; k < p->n_classes; k++) {
        const char *text = f[x->p_columns[k]];
        bool number = parse_number(text, &value);
        if (!number || value < 0 || value > 1 + 1e-6)
            return number_error(x, x->p_columns[k], text, value, number, err);
        row[k] = value;
        sum += value;
        if (value > row[best]) best = k;
    }
    if (fabs(sum - 1) > PREDICTIONS_SUM_TOLERANCE + ROUNDING) {
        snprintf(what, sizeof what, "the probabilities sum to %.12g, which is not within %g of 1", sum,
                 PREDICTIONS_SUM_TOLERANCE);
        return predictions_row_error(x->r, x->id, err, what);
    }
    for (int k = 0; x->z_columns && k < p->n_classes; k++) {
        if (!parse_number(f[x->z_columns[k]], &value) || !isfinite(value)) {
            snprintf(what, sizeof what, "%.200s is '%s', which is not a finite number",
                     x->r->schema.names[x->z_columns[k]],
                     text_for_people(shown, sizeof shown, f[x->z_columns[k]]));
            return predictions_row_error(x->r, x->id, err, what);
        }
        p->z[i * (size_t)p->n_classes + (size_t)k] = value;
    }
    if (p->groups) {
        p->groups[i] = UINT32_MAX - (uint32_t)i; /* a row without a group has no copies */
        if (f[x->group][0] && names_find(&x->group_names, f[x->group], &p->groups[i], err)) return -1;
    }
    p->pred[i] = best;
    p->label[i] = class_of(p, f[x->label], last);
    if (p->label[i] < 0) {
        if (f[x->label][0])
            snprintf(what, sizeof what, "the label '%s' is not one of the classes (no column p_%s): %s",
                     text_for_people(shown, sizeof shown, f[x->label]), shown,
                     text_names_for_people(known, sizeof known, (const char *const *)p->classes,
                                           (size_t)p->n_classes));
        else
            snprintf(what, sizeof what, "the label is empty");
        return predictions_row_error(x->r, x->id, err, what);
    }
    if (slice_columns_row(&x->slices, x->r, x->id, i, err)) return -1;
    p->n_rows++;
    return 0;
}

/* Fills the index. A key that occurs twice is an error that names both rows. */
static int index_rows(struct predictions *p, struct error *err)
{
    char shown[256];
    if (hash_index_reserve(&p->index, p->n_rows, err)) return -1;
    for (size_t i = 0; i < p->n_rows; i++) {
        int64_t there = predictions_find(p, &p->keys[i]);
        if (there >= 0)
            return error_set(err, EX_DATAERR,
                             "'%s', row %zu: the same id as row %lld: keep one row for each picture",
                             text_for_people(shown, sizeof shown, p->name), i + 1, (long long)there + 1);
        if (hash_index_add(&p->index, id_key_hash(&p->keys[i]), (uint32_t)i, err)) return -1;
    }
    return 0;
}

/* Whether an id may occur twice, that is, whether two ids have the same 64-bit hash. 1: yes. */
static int maybe_repeated(const struct predictions *p, struct error *err)
{
    uint64_t *hashes = spill_alloc((p->n_rows + 1) * sizeof *hashes, err);
    bool equal = false;
    if (!hashes) return -1;
    for (size_t i = 0; spill_step(i) < p->n_rows; i++)
        hashes[i] = id_key_hash(&p->keys[i]);
    if (sort_keys_ascending(hashes, p->n_rows, err)) {
        spill_free(hashes);
        return -1;
    }
    for (size_t i = 1; i < p->n_rows && !equal; i++)
        equal = hashes[i - 1] == hashes[i];
    spill_free(hashes);
    return equal;
}

/* An index needs random access and must be in memory. If no ids are looked up, sorting is enough to find
 * repeated ones. */
static int check_ids(struct predictions *p, bool no_find, struct error *err)
{
    int repeated = 1;
    if (no_find && spill_is_large(p->n_rows * sizeof *p->keys) && (repeated = maybe_repeated(p, err)) < 0)
        return -1;
    return repeated ? index_rows(p, err) : 0;
}

int64_t predictions_find(const struct predictions *p, const struct id_key *key)
{
    uint32_t row;
    assert(p->index.n_slots || p->n_rows == 0); /* no_find */
    for (struct hash_walk w = hash_walk(&p->index, id_key_hash(key)); hash_walk_next(&p->index, &w, &row);)
        if (id_key_compare(&p->keys[row], key) == 0) return row;
    return -1;
}

static int read_all(struct predictions *p, struct manifest_reader *r, const struct predictions_options *o,
                    struct error *err)
{
    struct reading x = {.p = p, .r = r};
    char shown[256];
    int rc = -1, got;
    if (!(p->name = mem_strdup(r->name, err)) || find_columns(&x, o, err)) goto out;
    while ((got = manifest_reader_next(r, err)) > 0)
        if ((p->n_rows == p->capacity &&
             grow_rows(p, x.z_columns != NULL, o->keep_path_keys && x.path >= 0, x.group >= 0, err)) ||
            read_row(&x, err))
            goto out;
    if (got < 0) goto out;
    if (p->n_rows == 0) {
        error_set(err, EX_DATAERR, "'%s' has a header but no rows",
                  text_for_people(shown, sizeof shown, r->name));
        goto out;
    }
    if (x.group_names.n == 0) { /* the column has no values */
        spill_free(p->groups);
        p->groups = NULL;
    }
    if (check_ids(p, o->no_find, err) || slice_columns_finish(&x.slices, &r->schema, p, err)) goto out;
    rc = 0;
out:
    free(x.p_columns);
    free(x.z_columns);
    names_release(&x.group_names);
    slice_columns_release(&x.slices);
    if (rc) predictions_release(p);
    return rc;
}

int predictions_read(struct predictions *out, struct manifest_source *source,
                     const struct predictions_options *options, struct error *err)
{
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    int rc;
    *out = PREDICTIONS_EMPTY;
    if (manifest_source_read(source, &r, NULL, err)) return -1;
    rc = read_all(out, &r, options, err);
    manifest_reader_close(&r);
    return rc;
}

int predictions_read_memory(struct predictions *out, const char *bytes, size_t n_bytes,
                            const struct predictions_options *options, struct error *err)
{
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    int rc;
    *out = PREDICTIONS_EMPTY;
    if (manifest_reader_open_memory(&r, bytes, n_bytes, "memory", NULL, err)) return -1;
    rc = read_all(out, &r, options, err);
    manifest_reader_close(&r);
    return rc;
}

void predictions_release(struct predictions *p)
{
    for (int k = 0; p->classes && k < p->n_classes; k++)
        free(p->classes[k]);
    free(p->classes);
    for (size_t i = 0; i < p->n_slices; i++) {
        free(p->slices[i].name);
        free(p->slices[i].family);
        spill_free(p->slices[i].rows);
    }
    free(p->slices);
    spill_free(p->p);
    spill_free(p->z);
    spill_free(p->label);
    spill_free(p->pred);
    spill_free(p->keys);
    spill_free(p->path_keys);
    spill_free(p->groups);
    hash_index_release(&p->index);
    free(p->name);
    *p = PREDICTIONS_EMPTY;
}
