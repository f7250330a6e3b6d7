/*
 * mine_inputs.c: reads what is known about a row in addition to its prediction: the path of the picture, its
 * near-duplicate group and split (from the predictions or from a manifest), its margin over the epochs,
 * reports from users.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "mine_errors.h"

static int keep(struct mine_inputs *f, const char **slot, const char *value, struct error *err)
{
    /* Equal neighbours share one copy: split and group are often the same from row to row. */
    if (slot[0] && strcmp(slot[0], value) == 0) return 0;
    return (slot[0] = arena_strdup(&f->arena, value, err)) ? 0 : -1;
}

/* A short value that repeats ("test") shares the copy of the last row that had it. */
static int take(struct mine_inputs *f, const char ***array, size_t n_rows, size_t row, const char *value,
                const char **last, struct error *err)
{
    if (!*array && !(*array = mem_zalloc(n_rows, sizeof **array, err))) return -1;
    if (!value[0] || ((*array)[row] && (*array)[row][0])) return 0;
    if (!*last || strcmp(*last, value) != 0) {
        const char *copy = NULL;
        if (keep(f, &copy, value, err)) return -1;
        *last = copy;
    }
    (*array)[row] = *last;
    return 0;
}

/* Reads path, group and split from the rows of r: the predictions themselves
 * (by_row), or a manifest matched by id. */
static int read_manifest(struct mine_inputs *f, struct manifest_reader *r, const struct predictions *p,
                         bool by_row, struct error *err)
{
    static const char *const names[] = {"path", "group", "split"};
    const char ***arrays[] = {&f->path, &f->group, &f->split}, *last[3] = {NULL, NULL, NULL};
    int columns[3], got, id = 0;
    bool any = false;
    for (int i = 0; i < 3; i++)
        any |= (columns[i] = manifest_column(&r->schema, names[i])) >= 0;
    if (!by_row && (id = id_column_find(r, false, err)) < 0) return -1;
    if (by_row && !any) return 0;
    while ((got = manifest_reader_next(r, err)) > 0) {
        int64_t row = (int64_t)r->row - 1;
        if (!by_row) {
            struct id_key key = id_key_of(r->fields[id]);
            row = predictions_find(p, &key);
        }
        for (int i = 0; row >= 0 && row < (int64_t)p->n_rows && i < 3; i++)
            if (columns[i] >= 0 &&
                take(f, arrays[i], p->n_rows, (size_t)row, r->fields[columns[i]], &last[i], err))
                return -1;
    }
    return got;
}

static int read_margins(struct mine_inputs *f, const char *path, const struct predictions *p,
                        struct error *err)
{
    static const char *const required[] = {"aum", NULL};
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    size_t n_found = 0;
    int rc = -1, got, id, aum;
    char shown[256], value[64];
    if (manifest_reader_open(&r, path, required, err)) return -1;
    aum = manifest_column(&r.schema, "aum");
    if ((id = id_column_find(&r, false, err)) < 0 || !(f->aum = mem_alloc(p->n_rows * sizeof *f->aum, err)))
        goto out;
    for (size_t i = 0; i < p->n_rows; i++)
        f->aum[i] = NAN;
    while ((got = manifest_reader_next(&r, err)) > 0) {
        struct id_key key = id_key_of(r.fields[id]);
        int64_t row = predictions_find(p, &key);
        double x;
        if (!parse_number(r.fields[aum], &x) || !isfinite(x)) {
            error_set(err, EX_DATAERR, "'%s', row %llu: aum is '%s', which is not a finite number",
                      text_for_people(shown, sizeof shown, r.name), (unsigned long long)r.row,
                      text_for_people(value, sizeof value, r.fields[aum]));
            goto out;
        }
        if (row >= 0 && !isnan(f->aum[row])) {
            error_set(err, EX_DATAERR, "'%s', row %llu: the id '%s' is repeated",
                      text_for_people(shown, sizeof shown, r.name), (unsigned long long)r.row,
                      text_for_people(value, sizeof value, r.fields[id]));
            goto out;
        }
        if (row >= 0) {
            n_found++;
            f->aum[row] = x;
        }
    }
    if (got < 0) goto out;
    if (n_found == 0) {
        error_set(err, EX_DATAERR, "'%s' has none of the ids of the predictions: is it about other data?",
                  text_for_people(shown, sizeof shown, r.name));
        goto out;
    }
    rc = 0;
out:
    manifest_reader_close(&r);
    return rc;
}

static int read_reports(struct mine_inputs *f, const char *path, const struct predictions *p,
                        struct error *err)
{
    static const char *const required[] = {"label_claimed", NULL};
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    int rc = -1, got, id, claimed;
    if (manifest_reader_open_edited(&r, path, NULL, 0, required, err)) return -1;
    claimed = manifest_column(&r.schema, "label_claimed");
    if ((id = id_column_find(&r, false, err)) < 0 || !(f->reported = mem_zalloc(p->n_rows, 1, err))) goto out;
    while ((got = manifest_reader_next(&r, err)) > 0) {
        struct id_key key = id_key_of(r.fields[id]);
        int64_t row = r.fields[id][0] ? predictions_find(p, &key) : -1;
        /* A report whose claim is the present label is about the model, not about the label. */
        if (row >= 0 && (!r.fields[claimed][0] || strcmp(r.fields[claimed], p->classes[p->label[row]]) != 0))
            f->reported[row] = 1;
    }
    rc = got;
out:
    manifest_reader_close(&r);
    return rc;
}

int mine_inputs_read(struct mine_inputs *f, const struct mine_options *o, const struct predictions *p,
                     struct manifest_source *source, struct error *err)
{
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    int rc = 0;
    *f = MINE_INPUTS_EMPTY;
    /* Otherwise nothing needs them, and a large file is read once less. */
    if (o->review || o->budget > 0 || o->methods) {
        if (manifest_source_read(source, &r, NULL, err)) goto fail;
        rc = read_manifest(f, &r, p, true, err);
        manifest_reader_close(&r);
    }
    if (rc == 0 && o->manifest) {
        if (manifest_reader_open(&r, o->manifest, NULL, err)) goto fail;
        rc = read_manifest(f, &r, p, false, err);
        manifest_reader_close(&r);
    }
    if (rc) goto fail;
    if ((o->margins && read_margins(f, o->margins, p, err)) ||
        (o->reports && read_reports(f, o->reports, p, err)))
        goto fail;
    f->has_path = f->path != NULL;
    f->has_group = f->group != NULL;
    f->has_split = f->split != NULL;
    return 0;
fail:
    mine_inputs_release(f);
    return -1;
}

void mine_inputs_release(struct mine_inputs *f)
{
    free(f->path);
    free(f->group);
    free(f->split);
    free(f->aum);
    free(f->reported);
    free(f->distance);
    arena_release(&f->arena);
    *f = MINE_INPUTS_EMPTY;
}
