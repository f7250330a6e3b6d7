#include "metric/picked_rows.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/io.h"
#include "io/spill.h"

struct picked_at {
    uint32_t row, index;
};

static int compare_picked_at(const void *x, const void *y)
{
    const struct picked_at *a = x, *b = y;
    return a->row < b->row ? -1 : a->row > b->row ? 1 : a->index < b->index ? -1 : a->index > b->index;
}

static int write_out(struct picked_rows *out, struct error *err)
{
    if (out->fd < 0 && (out->fd = io_temporary("keep rows in", err)) < 0) return -1;
    if (io_write_full(out->fd, out->text, out->n_bytes, "temporary copy of rows", err)) return -1;
    out->in_file += out->n_bytes;
    out->n_bytes = 0;
    return 0;
}

static int keep_row(struct picked_rows *out, const struct manifest_reader *r, struct error *err)
{
    for (size_t c = 0; c < r->schema.n; c++) {
        size_t bytes = strlen(r->fields[c]) + 1;
        if (mem_grow(&out->text, &out->capacity, out->n_bytes + bytes, 1, err)) return -1;
        memcpy(out->text + out->n_bytes, r->fields[c], bytes);
        out->n_bytes += bytes;
    }
    return 0;
}

/* Reads the picked rows. Returns 0 when all rows were found. */
static int read_picked(struct picked_rows *out, struct manifest_reader *r, const struct predictions *p,
                       const struct picked_at *at, size_t n, int id, struct error *err)
{
    char shown[256];
    for (size_t next = 0; next < n;) {
        int got = manifest_reader_next(r, err);
        if (got < 0) return -1;
        bool wanted = got > 0 && r->row - 1 == at[next].row;
        struct id_key key = wanted ? id_key_of(r->fields[id]) : (struct id_key){{0}};
        if (got == 0 || (wanted && id_key_compare(&key, &p->keys[at[next].row])))
            return error_set(err, EX_DATAERR, "'%s' changed while it was read",
                             text_for_people(shown, sizeof shown, r->name));
        if (!wanted) continue;
        uint64_t begin = out->in_file + out->n_bytes;
        if (keep_row(out, r, err) || (out->n_bytes > PICKED_ROWS_MEMORY_BYTES && write_out(out, err)))
            return -1;
        for (uint32_t row = at[next].row; next < n && at[next].row == row; next++)
            out->at[at[next].index] = begin;
        if (next % 4096 == 0) spill_breathe();
    }
    return out->fd >= 0 ? write_out(out, err) : 0;
}

int picked_rows_read(struct picked_rows *out, const struct predictions *p, struct manifest_source *source,
                     const uint32_t *rows, size_t n, struct error *err)
{
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    struct picked_at *at = NULL;
    int rc = -1, id;
    *out = PICKED_ROWS_EMPTY;
    if (manifest_source_read(source, &r, NULL, err)) return -1;
    if ((id = id_column_find(&r, true, err)) < 0 || !(at = mem_alloc((n ? n : 1) * sizeof *at, err)) ||
        !(out->at = mem_alloc((n ? n : 1) * sizeof *out->at, err)) ||
        !(out->cells = mem_zalloc(r.schema.n, sizeof *out->cells, err)))
        goto out;
    for (size_t i = 0; i < n; i++)
        at[i] = (struct picked_at){rows[i], (uint32_t)i};
    qsort(at, n, sizeof *at, compare_picked_at);
    if (read_picked(out, &r, p, at, n, id, err)) goto out;
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

/* Reads the row at `begin` in the file, with all its fields. */
static int fetch_row(struct picked_rows *p, uint64_t begin, struct error *err)
{
    for (size_t wanted = 1024, columns = 0;; wanted *= 4) {
        if (wanted > p->in_file - begin) wanted = (size_t)(p->in_file - begin);
        if (mem_grow(&p->text, &p->capacity, wanted, 1, err) ||
            io_pread_full(p->fd, p->text, wanted, begin, "temporary copy of rows", err))
            return -1;
        columns = 0;
        for (size_t i = 0; i < wanted && columns < p->schema.n; i++)
            columns += p->text[i] == 0;
        if (columns == p->schema.n) return 0;
        if (wanted == p->in_file - begin)
            return error_set(err, EX_IOERR, "the temporary copy of rows was cut off");
    }
}

const char *const *picked_row(struct picked_rows *p, size_t i, struct error *err)
{
    const char *at;
    if (p->fd >= 0 && fetch_row(p, p->at[i], err)) return NULL;
    at = p->fd >= 0 ? p->text : p->text + p->at[i];
    for (size_t c = 0; c < p->schema.n; c++, at += strlen(at) + 1)
        p->cells[c] = at;
    return p->cells;
}

void picked_rows_release(struct picked_rows *p)
{
    for (size_t i = 0; i < p->schema.n; i++)
        free(p->schema.names[i]);
    free(p->schema.names);
    free(p->at);
    free(p->cells);
    free(p->text);
    if (p->fd >= 0) close(p->fd);
    *p = PICKED_ROWS_EMPTY;
}
