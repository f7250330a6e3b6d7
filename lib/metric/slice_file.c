/* slice_file.c: reads slices from a separate file, by id or by path. A picture may be in several. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/spill.h"
#include "metric/slice_columns.h"

static int compare_rows(const void *x, const void *y)
{
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
    return a < b ? -1 : a > b;
}

static struct slice *find_slice(struct predictions *p, size_t first, const char *name, struct error *err)
{
    char shown[128];
    for (size_t i = first; i < p->n_slices; i++)
        if (strcmp(p->slices[i].name, name) == 0) return &p->slices[i];
    if (p->n_slices - first >= PREDICTIONS_MAX_SLICES) {
        error_set(err, EX_DATAERR, "more than %d slices; the next is '%s'", PREDICTIONS_MAX_SLICES,
                  text_for_people(shown, sizeof shown, name));
        return NULL;
    }
    return predictions_slice_add(p, "slices", name, err);
}

/* Pairs of a path's key and a row, sorted, for a file that names pictures by path. */
struct path_row {
    struct id_key key;
    uint32_t row;
};

static int compare_path_rows(const void *x, const void *y)
{
    return id_key_compare(&((const struct path_row *)x)->key, &((const struct path_row *)y)->key);
}

int predictions_add_slices(struct predictions *p, const char *path, size_t *n_unknown, struct error *err)
{
    static const char *const required[] = {"slice", NULL};
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    struct path_row *paths = NULL;
    size_t first = p->n_slices;
    char shown[256];
    int rc = -1, got, id, slice;
    *n_unknown = 0;
    if (manifest_reader_open_edited(&r, path, NULL, 0, required, err)) return -1;
    slice = manifest_column(&r.schema, "slice");
    if ((id = id_column_find(&r, true, err)) < 0) goto out;
    if (strcmp(r.schema.names[id], "path") == 0) {
        if (!p->path_keys) {
            error_set(err, EX_DATAERR,
                      "'%s' names pictures by path, but the predictions have no column 'path'",
                      text_for_people(shown, sizeof shown, r.name));
            goto out;
        }
        if (!(paths = mem_alloc(p->n_rows * sizeof *paths, err))) goto out;
        for (size_t i = 0; i < p->n_rows; i++)
            paths[i] = (struct path_row){p->path_keys[i], (uint32_t)i};
        qsort(paths, p->n_rows, sizeof *paths, compare_path_rows);
    }
    while ((got = manifest_reader_next(&r, err)) > 0) {
        struct path_row wanted = {id_key_of(r.fields[id]), 0};
        int64_t row = -1;
        if (!r.fields[slice][0]) {
            predictions_row_error(&r, id, err, "the slice is empty");
            goto out;
        }
        if (paths) {
            struct path_row *found = bsearch(&wanted, paths, p->n_rows, sizeof *paths, compare_path_rows);
            row = found ? (int64_t)found->row : -1;
        } else {
            row = predictions_find(p, &wanted.key);
        }
        if (row < 0) {
            ++*n_unknown;
            continue;
        }
        struct slice *s = find_slice(p, first, r.fields[slice], err);
        if (!s || spill_grow(&s->rows, &s->capacity, s->n_rows + 1, sizeof *s->rows, err)) goto out;
        s->rows[s->n_rows++] = (uint32_t)row;
    }
    if (got < 0) goto out;
    /* The same picture and slice twice in the file count once. */
    for (size_t i = first; i < p->n_slices; i++) {
        struct slice *s = &p->slices[i];
        size_t kept = 0;
        qsort(s->rows, s->n_rows, sizeof *s->rows, compare_rows);
        for (size_t j = 0; j < s->n_rows; j++)
            if (kept == 0 || s->rows[kept - 1] != s->rows[j]) s->rows[kept++] = s->rows[j];
        s->n_rows = kept;
    }
    rc = 0;
out:
    free(paths);
    manifest_reader_close(&r);
    return rc;
}
