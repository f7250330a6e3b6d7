#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"
#include "cli/stage.h"
#include "manifest/manifest.h"
#include "manifest/tsv.h"

static const char *const reject_columns[] = {"reject_stage", "reject_reason", "reject_detail", NULL};

static int put_line(struct manifest_writer *w, struct error *err)
{
    char shown[256];
    if (text_add(&w->line, "\n", 1, err)) return -1;
    if (fault_here(FAULT_WRITE) ||
        fwrite(w->line.data, 1, w->line.n_bytes, w->file.stream) != w->line.n_bytes)
        return error_errno(err, EX_IOERR, "cannot write '%s'",
                           text_for_people(shown, sizeof shown,
                                           w->file.path ? w->file.path : "standard output"));
    return 0;
}

static int put_fields(struct manifest_writer *w, const char *const *fields, size_t n, struct error *err)
{
    text_clear(&w->line);
    for (size_t i = 0; i < n; i++)
        if ((i && text_add(&w->line, "\t", 1, err)) || (fields[i] && tsv_escape(&w->line, fields[i], err)))
            return -1;
    return put_line(w, err);
}

static int count_row(struct row_counts *c, const char *word, struct error *err)
{
    uint32_t at;
    size_t before = c->words.n;
    if (names_find(&c->words, word ? word : "", &at, err)) return -1;
    if (c->words.n > before) {
        if (mem_grow(&c->rows, &c->capacity, c->words.n, sizeof *c->rows, err)) return -1;
        c->rows[at] = 0;
    }
    c->rows[at]++;
    return 0;
}

static int open_writer(struct manifest_writer *w, const char *path, bool off,
                       const struct manifest_schema *base, const char *const *adds, struct error *err)
{
    size_t n_adds = 0, n_base = base ? base->n : 0;
    *w = MANIFEST_WRITER_EMPTY;
    w->off = off;
    w->labels.column = base ? manifest_column(base, "label") : -1;
    while (adds && adds[n_adds])
        n_adds++;
    w->n_base = n_base;
    w->n_added = n_adds;
    w->schema.names = mem_zalloc(n_base + n_adds + 1, sizeof *w->schema.names, err);
    w->added_column = mem_zalloc(n_adds + 1, sizeof *w->added_column, err);
    if (!w->schema.names || !w->added_column) goto fail;
    for (size_t i = 0; i < n_base; i++, w->schema.n++)
        if (!(w->schema.names[i] = mem_strdup(base->names[i], err))) goto fail;
    for (size_t i = 0; i < n_adds; i++) {
        int at = manifest_column(&w->schema, adds[i]);
        if (at < 0) {
            at = (int)w->schema.n;
            if (!(w->schema.names[at] = mem_strdup(adds[i], err))) goto fail;
            w->schema.n++;
        }
        w->added_column[i] = at;
    }
    if (off) return 0;
    if (atomic_file_open(&w->file, path, err) ||
        put_fields(w, (const char *const *)w->schema.names, w->schema.n, err))
        goto fail;
    return 0;
fail:
    manifest_writer_discard(w);
    return -1;
}

int manifest_writer_open(struct manifest_writer *w, const char *path, const struct manifest_schema *base,
                         const char *const *adds, struct error *err)
{
    return open_writer(w, path, false, base, adds, err);
}

int manifest_rejects_open(struct manifest_writer *w, const char *path, const struct manifest_schema *base,
                          struct error *err)
{
    return open_writer(w, path, path == NULL, base, reject_columns, err);
}

int manifest_writer_row(struct manifest_writer *w, const char *const *base_fields, const char *const *added,
                        struct error *err)
{
    w->n_rows++;
    if (w->labels.column >= 0 && count_row(&w->labels, base_fields[w->labels.column], err)) return -1;
    if (w->off) return 0;
    if (w->n_added == 0) return put_fields(w, base_fields, w->n_base, err);
    const char *stack[64], **row = stack;
    if (w->schema.n > 64 && !(row = mem_alloc(w->schema.n * sizeof *row, err))) return -1;
    for (size_t i = 0; i < w->schema.n; i++)
        row[i] = i < w->n_base ? base_fields[i] : NULL;
    for (size_t i = 0; i < w->n_added; i++)
        row[w->added_column[i]] = added[i];
    int rc = put_fields(w, row, w->schema.n, err);
    if (row != stack) free(row);
    return rc;
}

int manifest_writer_reject(struct manifest_writer *w, const char *const *base_fields, const char *reason,
                           const char *detail, struct error *err)
{
    const char *const added[] = {stage_name(), reason, detail};
    assert(w->n_added == sizeof added / sizeof *added); /* opened by manifest_rejects_open */
    if (count_row(&w->reasons, reason, err)) return -1;
    return manifest_writer_row(w, base_fields, added, err);
}

int manifest_writer_commit(struct manifest_writer *w, struct error *err)
{
    return w->off ? 0 : atomic_file_commit(&w->file, err);
}

void manifest_writer_discard(struct manifest_writer *w)
{
    int saved = errno;
    atomic_file_discard(&w->file);
    for (size_t i = 0; i < w->schema.n; i++)
        free(w->schema.names[i]);
    free(w->schema.names);
    free(w->added_column);
    text_release(&w->line);
    names_release(&w->labels.words);
    names_release(&w->reasons.words);
    free(w->labels.rows);
    free(w->reasons.rows);
    *w = MANIFEST_WRITER_EMPTY;
    errno = saved;
}
