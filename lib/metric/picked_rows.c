#include "metric/picked_rows.h"

#include <stdlib.h>

#include "base/mem.h"

struct picked_at {
    uint32_t row, index;
};

static int compare_picked_at(const void *x, const void *y)
{
    const struct picked_at *a = x, *b = y;
    return a->row < b->row ? -1 : a->row > b->row ? 1 : a->index < b->index ? -1 : a->index > b->index;
}

int picked_rows_read(struct picked_rows *out, const struct predictions *p, struct manifest_source *source,
                     const uint32_t *rows, size_t n, struct error *err)
{
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    struct picked_at *at = NULL;
    size_t next = 0;
    int rc = -1, id;
    char shown[256];
    *out = PICKED_ROWS_EMPTY;
    if (manifest_source_read(source, &r, NULL, err)) return -1;
    if ((id = id_column_find(&r, true, err)) < 0 || !(at = mem_alloc((n ? n : 1) * sizeof *at, err)) ||
        !(out->cells = mem_zalloc(n ? n : 1, sizeof *out->cells, err)))
        goto out;
    for (size_t i = 0; i < n; i++)
        at[i] = (struct picked_at){rows[i], (uint32_t)i};
    qsort(at, n, sizeof *at, compare_picked_at);
    while (next < n) {
        int got = manifest_reader_next(&r, err);
        if (got < 0) goto out;
        bool wanted = got > 0 && r.row - 1 == at[next].row;
        struct id_key key = wanted ? id_key_of(r.fields[id]) : (struct id_key){{0}};
        if (got == 0 || (wanted && id_key_compare(&key, &p->keys[at[next].row]))) {
            error_set(err, EX_DATAERR, "'%s' changed while it was read",
                      text_for_people(shown, sizeof shown, r.name));
            goto out;
        }
        if (!wanted) continue;
        const char **cells = arena_alloc(&out->arena, r.schema.n * sizeof *cells, err);
        if (!cells) goto out;
        for (size_t c = 0; c < r.schema.n; c++)
            if (!(cells[c] = arena_strdup(&out->arena, r.fields[c], err))) goto out;
        for (uint32_t row = at[next].row; next < n && at[next].row == row; next++)
            out->cells[at[next].index] = cells;
    }
    out->n = n;
    out->schema = r.schema; /* the names move over */
    r.schema = (struct manifest_schema){0};
    rc = 0;
out:
    free(at);
    manifest_reader_close(&r);
    if (rc) picked_rows_release(out);
    return rc;
}

void picked_rows_release(struct picked_rows *p)
{
    for (size_t i = 0; i < p->schema.n; i++)
        free(p->schema.names[i]);
    free(p->schema.names);
    free(p->cells);
    arena_release(&p->arena);
    *p = PICKED_ROWS_EMPTY;
}
