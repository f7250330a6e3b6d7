/*
 * mine_inputs.c: reads the data about a row other than its prediction: the path of the picture, its
 * near-duplicate group and split (from the predictions or from a manifest), its margin over the epochs, and
 * reports from users.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "io/spill.h"
#include "mine_errors.h"

static int keep(struct mine_inputs *f, const char **slot, const char *value, struct error *err)
{
    /* Adjacent rows with equal values share one copy: split and group are often the same from row to row. */
    if (slot[0] && strcmp(slot[0], value) == 0) return 0;
    return (slot[0] = arena_strdup(&f->arena, value, err)) ? 0 : -1;
}

static int has_column(const char ***array, size_t n_rows, struct error *err)
{
    return *array || (*array = spill_zalloc(n_rows, sizeof **array, err)) ? 0 : -1;
}

/* A short value that repeats ("test") shares the copy of the last row that had it. */
static int take(struct mine_inputs *f, const char **array, size_t row, const char *value, const char **last,
                struct error *err)
{
    if (!value[0] || (array[row] && array[row][0])) return 0;
    if (!*last || strcmp(*last, value) != 0) {
        const char *copy = NULL;
        if (keep(f, &copy, value, err)) return -1;
        *last = copy;
    }
    array[row] = *last;
    return 0;
}

enum { READ_PATH = 1, READ_GROUP = 2, READ_SPLIT = 4 };

/*
 * Reads some of path, group and split (bits) from the rows of r: the predictions themselves (by_row), or
 * a manifest matched by id. wanted [n_rows] or NULL: only of these rows.
 */
static int read_manifest(struct mine_inputs *f, struct manifest_reader *r, const struct predictions *p,
                         bool by_row, unsigned which, const uint8_t *wanted, struct error *err)
{
    static const char *const names[] = {"path", "group", "split"};
    const char ***arrays[] = {&f->path, &f->group, &f->split}, *last[3] = {NULL, NULL, NULL};
    int columns[3], got, id = 0;
    bool any = false;
    for (int i = 0; i < 3; i++)
        any |= (columns[i] = which >> i & 1 ? manifest_column(&r->schema, names[i]) : -1) >= 0;
    if (!by_row && (id = id_column_find(r, false, err)) < 0) return -1;
    if (!any && (by_row || which != (READ_PATH | READ_GROUP | READ_SPLIT))) return 0;
    while ((got = manifest_reader_next(r, err)) > 0) {
        int64_t row = (int64_t)r->row - 1;
        if (!by_row) {
            struct id_key key = id_key_of(r->fields[id]);
            row = predictions_find(p, &key);
        }
        if (row < 0 || row >= (int64_t)p->n_rows) continue;
        for (int i = 0; i < 3; i++)
            if (columns[i] >= 0 && (has_column(arrays[i], p->n_rows, err) ||
                                    ((!wanted || wanted[row]) &&
                                     take(f, *arrays[i], (size_t)row, r->fields[columns[i]], &last[i], err))))
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

static int read_tables(struct mine_inputs *f, const struct mine_options *o, const struct predictions *p,
                       struct manifest_source *source, bool by_row, unsigned which, const uint8_t *wanted,
                       struct error *err)
{
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    int rc = 0;
    if (by_row) {
        if (manifest_source_read(source, &r, NULL, err)) return -1;
        rc = read_manifest(f, &r, p, true, which, wanted, err);
        manifest_reader_close(&r);
    }
    if (rc == 0 && o->manifest) {
        if (manifest_reader_open(&r, o->manifest, NULL, err)) return -1;
        rc = read_manifest(f, &r, p, false, which, wanted, err);
        manifest_reader_close(&r);
    }
    f->has_path = f->path != NULL;
    f->has_group = f->group != NULL;
    f->has_split = f->split != NULL;
    return rc;
}

int mine_inputs_read(struct mine_inputs *f, const struct mine_options *o, const struct predictions *p,
                     struct manifest_source *source, struct error *err)
{
    *f = MINE_INPUTS_EMPTY;
    /* Groups are needed for all rows only if methods are chosen; columns that are only shown are read for
     * suspects only. */
    if ((o->budget > 0 || o->methods) && read_tables(f, o, p, source, true, READ_GROUP, NULL, err)) goto fail;
    if ((o->margins && read_margins(f, o->margins, p, err)) ||
        (o->reports && read_reports(f, o->reports, p, err)))
        goto fail;
    return 0;
fail:
    mine_inputs_release(f);
    return -1;
}

int mine_inputs_read_shown(struct mine_inputs *f, const struct mine_options *o, const struct predictions *p,
                           struct manifest_source *source, const struct suspects *s, struct error *err)
{
    /* only the page needs these columns; the table has those of the predictions */
    if (!o->review && !o->manifest) return 0;
    uint8_t *wanted = spill_zalloc(p->n_rows, 1, err);
    if (!wanted) return -1;
    for (size_t i = 0; i < s->n; i++)
        wanted[s->items[i].row] = 1;
    int rc = read_tables(f, o, p, source, o->review != NULL || o->budget > 0 || o->methods,
                         READ_PATH | READ_GROUP | READ_SPLIT, wanted, err);
    spill_free(wanted);
    return rc;
}

void mine_inputs_release(struct mine_inputs *f)
{
    spill_free(f->path);
    spill_free(f->group);
    spill_free(f->split);
    free(f->aum);
    free(f->reported);
    free(f->distance);
    arena_release(&f->arena);
    *f = MINE_INPUTS_EMPTY;
}
