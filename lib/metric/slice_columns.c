#include "metric/slice_columns.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "io/spill.h"

struct slice *predictions_slice_add(struct predictions *p, const char *family, const char *value,
                                    struct error *err)
{
    struct text name = TEXT_EMPTY;
    if (mem_grow(&p->slices, &p->slices_capacity, p->n_slices + 1, sizeof *p->slices, err)) return NULL;
    struct slice *s = &p->slices[p->n_slices];
    *s = (struct slice){0};
    bool plain = strcmp(family, "slice") == 0 || strcmp(family, "slices") == 0;
    if ((plain ? text_puts(&name, value, err) : text_printf(&name, err, "%s=%s", family, value)) ||
        !(s->family = mem_strdup(family, err))) {
        text_release(&name);
        return NULL;
    }
    s->name = name.data;
    p->n_slices++;
    return s;
}

enum { SLICE_NONE = -1 };

/* A column that may turn out to be a slice: its distinct values so far, and the value of each row. */
struct slice_column {
    int column;
    bool asked; /* an option names the column: it may have up to PREDICTIONS_MAX_SLICES values */
    bool off;   /* too many values */
    char **values;
    size_t n_values, values_capacity;
    uint32_t *codes; /* n_rows, 0 = empty, else index + 1 */
    size_t codes_capacity;
    struct hash_index index; /* of the values */
    uint32_t last;
};

/* Columns that winnow's programs write. They are not slices unless an option names them. */
static const char *const known_columns[] = {"id",          "path",        "xxh128",    "label",
                                            "label_given", "label_true",  "pred",      "split",
                                            "fold",        "group",       "keeper",    "distance",
                                            "pdq",         "pdq_quality", "url",       "bytes",
                                            "width",       "height",      "frames",    "http_status",
                                            "fetched_at",  "variant",     "source",    "params",
                                            "aum",         "kind",        "suggested", "score",
                                            "method",      "rank",        "rights",    "rights_signal",
                                            "markers",     NULL};

static bool is_known(const char *name)
{
    if (text_starts(name, "p_") || text_starts(name, "z_") || text_starts(name, "reject_")) return true;
    for (const char *const *k = known_columns; *k; k++)
        if (strcmp(*k, name) == 0) return true;
    return false;
}

void slice_columns_release(struct slice_columns *c)
{
    for (size_t j = 0; j < c->n; j++) {
        for (size_t i = 0; i < c->items[j].n_values; i++)
            free(c->items[j].values[i]);
        free(c->items[j].values);
        spill_free(c->items[j].codes);
        hash_index_release(&c->items[j].index);
    }
    free(c->items);
    *c = SLICE_COLUMNS_EMPTY;
}

/* Returns the index of the value, which is added when it is new. Returns SLICE_NONE with *full true when
 * there are too many values, or -2 on an error. */
static int64_t slice_value(struct slice_column *c, const char *value, bool *full, struct error *err)
{
    uint32_t i;
    if (c->n_values && strcmp(c->values[c->last], value) == 0) return c->last;
    uint64_t hash = random_key(value, strlen(value));
    for (struct hash_walk w = hash_walk(&c->index, hash); hash_walk_next(&c->index, &w, &i);)
        if (strcmp(c->values[i], value) == 0) return c->last = i;
    if (c->n_values >= (c->asked ? PREDICTIONS_MAX_SLICES : PREDICTIONS_MAX_AUTO_SLICES)) {
        *full = true;
        return SLICE_NONE;
    }
    if (mem_grow(&c->values, &c->values_capacity, c->n_values + 1, sizeof *c->values, err) ||
        !(c->values[c->n_values] = mem_strdup(value, err)))
        return -2;
    c->last = (uint32_t)c->n_values++;
    return hash_index_add(&c->index, hash, c->last, err) ? -2 : (int64_t)c->last;
}

int slice_columns_find(struct slice_columns *c, const struct manifest_reader *r,
                       const struct predictions_options *o, struct error *err)
{
    const struct manifest_schema *s = &r->schema;
    char shown[256];
    text_for_people(shown, sizeof shown, r->name);
    if (!(c->items = mem_zalloc(s->n, sizeof *c->items, err))) return -1;
    for (size_t i = 0; i < o->n_slice_columns; i++) {
        int column = manifest_column(s, o->slice_columns[i]);
        if (column < 0)
            return error_set(err, EX_DATAERR, "'%s' has no column '%s' to slice by", shown,
                             o->slice_columns[i]);
        bool there = false;
        for (size_t j = 0; j < c->n; j++)
            there = there || c->items[j].column == column;
        if (!there) c->items[c->n++] = (struct slice_column){.column = column, .asked = true};
    }
    for (size_t i = 0; o->auto_slices && i < s->n; i++) {
        bool asked = strcmp(s->names[i], "slice") == 0, there = false;
        for (size_t j = 0; j < c->n; j++)
            there = there || c->items[j].column == (int)i;
        if (!there && (asked || !is_known(s->names[i])))
            c->items[c->n++] = (struct slice_column){.column = (int)i, .asked = asked};
    }
    return 0;
}

int slice_columns_row(struct slice_columns *all, const struct manifest_reader *r, int id_column, size_t i,
                      struct error *err)
{
    const char **f = r->fields;
    char what[400];
    for (size_t j = 0; j < all->n; j++) {
        struct slice_column *c = &all->items[j];
        bool full = false;
        if (c->off) continue;
        int64_t v = f[c->column][0] ? slice_value(c, f[c->column], &full, err) : SLICE_NONE;
        if (v == -2 || spill_grow(&c->codes, &c->codes_capacity, i + 1, sizeof *c->codes, err)) return -1;
        if (full && c->asked) {
            snprintf(what, sizeof what, "the slice column '%.100s' has more than %d values",
                     r->schema.names[c->column], PREDICTIONS_MAX_SLICES);
            return predictions_row_error(r, id_column, err, what);
        }
        c->off = full;
        c->codes[i] = (uint32_t)(v + 1);
    }
    return 0;
}

int slice_columns_finish(const struct slice_columns *all, const struct manifest_schema *s,
                         struct predictions *p, struct error *err)
{
    for (size_t j = 0; j < all->n; j++) {
        const struct slice_column *c = &all->items[j];
        size_t first = p->n_slices;
        if (c->off || (c->n_values < 2 && !c->asked)) continue;
        for (size_t v = 0; v < c->n_values; v++)
            if (!predictions_slice_add(p, s->names[c->column], c->values[v], err)) return -1;
        assert(c->codes || p->n_rows == 0); /* each row that was read has a code */
        for (size_t i = 0; i < p->n_rows; i++)
            if (c->codes[i]) {
                struct slice *slice = &p->slices[first + c->codes[i] - 1];
                if (spill_grow(&slice->rows, &slice->capacity, slice->n_rows + 1, sizeof *slice->rows, err))
                    return -1;
                slice->rows[slice->n_rows++] = (uint32_t)i;
            }
    }
    return 0;
}
