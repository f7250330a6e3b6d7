/*
 * reader.c: reads one block at a time and splits the rows in place, by replacing tabs with NULs. Only a row
 * with a backslash is examined byte by byte. It reads hundreds of megabytes a second, and its memory is one
 * block and the longest row.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file_kind.h"
#include "manifest/manifest.h"
#include "manifest/tsv.h"

#define BLOCK_BYTES (256u << 10)

struct manifest_input {
    int fd;       /* -1: memory */
    char *buffer; /* n_bytes of data from `at` on, and room for one NUL */
    size_t capacity, at, end;
    bool ended;
    bool edited; /* edited by people; see manifest_reader_open_edited */
};

static int data_error(const struct manifest_reader *r, struct error *err, const char *what)
{
    char shown[256];
    if (r->row == 0)
        return error_set(err, EX_DATAERR, "'%s', header: %s", text_for_people(shown, sizeof shown, r->name),
                         what);
    return error_set(err, EX_DATAERR, "'%s', row %llu: %s", text_for_people(shown, sizeof shown, r->name),
                     (unsigned long long)r->row, what);
}

/* Reads the next line, and sets *line (NUL-terminated, without LF) and *n. Returns 1, 0 at the end, or -1
 * with err set. */
static int next_line(struct manifest_reader *r, char **line, size_t *n, struct error *err)
{
    struct manifest_input *in = r->input;
    size_t scanned = 0;
    for (;;) {
        char *start = in->buffer + in->at;
        char *lf = memchr(start + scanned, '\n', in->end - in->at - scanned);
        if (lf) {
            *line = start;
            *n = (size_t)(lf - start);
            *lf = 0;
            in->at += *n + 1;
            return 1;
        }
        scanned = in->end - in->at;
        if (in->ended) {
            if (scanned == 0) return 0;
            return data_error(
                r, err,
                "the row is incomplete: the file ends without a line feed (was it copied completely?)");
        }
        if (scanned > MANIFEST_MAX_ROW_BYTES) return data_error(r, err, "longer than 16 MiB: not a manifest");
        if (in->at > 0) {
            memmove(in->buffer, start, scanned);
            in->at = 0;
            in->end = scanned;
        }
        if (in->capacity - in->end < BLOCK_BYTES + 1 &&
            mem_grow(&in->buffer, &in->capacity, in->end + BLOCK_BYTES + 1, 1, err))
            return -1;
        ssize_t got = io_read_some(in->fd, in->buffer + in->end, BLOCK_BYTES, r->name, err);
        if (got < 0) return -1;
        in->end += (size_t)got;
        in->ended = got == 0;
    }
}

/* Cuts line (n bytes) at its tabs into at most max fields. Returns their
 * number, max + 1 when there are more. */
static size_t split(char *line, size_t n, const char **fields, size_t max)
{
    size_t count = 0;
    for (char *end = line + n;;) {
        char *tab = memchr(line, '\t', (size_t)(end - line));
        if (count == max) return max + 1;
        fields[count++] = line;
        if (!tab) return count;
        *tab = 0;
        line = tab + 1;
    }
}

/* Does the same for lines from a spreadsheet. Returns 0 with *bad set when a field begins with a quote and
 * does not end with one. */
static size_t split_quoted(char *line, size_t n, const char **fields, size_t max, size_t *bad)
{
    size_t count = 0;
    *bad = 0;
    for (char *end = line + n;;) {
        if (count == max) return max + 1;
        fields[count++] = line;
        if (*line == '"') {
            char *to = line;
            for (line++; *line && (*line != '"' || line[1] == '"'); line++) {
                *to++ = *line;
                line += *line == '"';
            }
            if (*line != '"' || (line[1] && line[1] != '\t')) {
                *bad = count;
                return count;
            }
            *to = 0;
            line++;
        } else {
            while (*line && *line != '\t')
                line++;
        }
        if (line == end) return count;
        *line++ = 0;
    }
}

/* Cuts a row into r->fields, or the header into fields. Returns their number, or -1. */
static int64_t cut_fields(struct manifest_reader *r, char *line, size_t n, const char **fields, size_t max,
                          struct error *err)
{
    size_t bad, count;
    char what[64];
    if (!r->input->edited) return (int64_t)split(line, n, fields, max);
    count = split_quoted(line, n, fields, max, &bad);
    if (!bad) return (int64_t)count;
    snprintf(what, sizeof what, "field %zu: a quote that is not closed", bad);
    return data_error(r, err, what);
}

/* Returns 0, or -1 with err naming the row. NUL bytes are refused, because they would silently shorten a
 * field. */
static int check_line(struct manifest_reader *r, char *line, size_t n, struct error *err)
{
    if (memchr(line, 0, n)) return data_error(r, err, "holds a NUL byte: not a manifest");
    return 0;
}

static int read_header(struct manifest_reader *r, const char *const *required, struct error *err)
{
    static const char bom[] = "\xEF\xBB\xBF";
    const char **fields = NULL;
    char *line, shown[256], what[128];
    size_t n;
    int got = next_line(r, &line, &n, err);
    /* The first bytes are unchanged, since a line is only cut at its end. */
    if (got < 0 && err->code != EX_DATAERR) return -1;
    if (file_kind_refuse(r->name, r->input->buffer, r->input->end, err) || got < 0) return -1;
    if (got == 0)
        return error_set(err, EX_DATAERR, "'%s' is empty: a manifest begins with a line of column names",
                         text_for_people(shown, sizeof shown, r->name));
    if (check_line(r, line, n, err)) return -1;
    if (r->input->edited) {
        size_t n_bom = n >= 3 && memcmp(line, bom, 3) == 0 ? 3 : 0;
        line += n_bom;
        n -= n_bom;
        if (n > 0 && line[n - 1] == '\r') line[--n] = 0;
        if (memchr(line, '\r', n))
            return data_error(r, err, "lines end in CR alone; save the file with LF or CR LF");
    }
    if (n >= 3 && memcmp(line, bom, 3) == 0)
        return data_error(r, err, "begins with a byte order mark; save the file as UTF-8 without one");
    if (n > 0 && line[n - 1] == '\r')
        return data_error(r, err, "lines end in CR LF; save the file with LF only");
    if (!(fields = mem_zalloc(MANIFEST_MAX_COLUMNS, sizeof *fields, err))) return -1;
    int64_t cut = cut_fields(r, line, n, fields, MANIFEST_MAX_COLUMNS, err);
    size_t count = cut < 0 ? 0 : (size_t)cut;
    if (cut < 0) goto fail;
    if (count > MANIFEST_MAX_COLUMNS) {
        data_error(r, err, "more than 4096 columns");
        goto fail;
    }
    if (count == 1 && required && *required && fields[0][strcspn(fields[0], ",;")]) {
        data_error(r, err,
                   "fields are separated by commas or semicolons; save the file with tabs between them");
        goto fail;
    }
    if (!(r->schema.names = mem_zalloc(count, sizeof *r->schema.names, err)) ||
        !(r->fields = mem_zalloc(count, sizeof *r->fields, err)))
        goto fail;
    for (size_t i = 0; i < count; i++) {
        if (!tsv_unescape((char *)fields[i]) || !fields[i][0]) {
            data_error(r, err, fields[i][0] ? "a bad escape in a column name" : "an empty column name");
            goto fail;
        }
        if (manifest_column(&r->schema, fields[i]) >= 0) {
            snprintf(what, sizeof what, "column '%.60s' occurs twice", fields[i]);
            data_error(r, err, what);
            goto fail;
        }
        if (!(r->schema.names[i] = mem_strdup(fields[i], err))) goto fail;
        r->schema.n++;
    }
    free(fields);
    for (; required && *required; required++)
        if (manifest_column(&r->schema, *required) < 0)
            return error_set(err, EX_DATAERR, "'%s' has no column '%s'",
                             text_for_people(shown, sizeof shown, r->name), *required);
    return 0;
fail:
    free(fields);
    return -1;
}

static int start(struct manifest_reader *r, const char *name, const char *const *required, struct error *err)
{
    if (!(r->name = mem_strdup(name, err)) || read_header(r, required, err)) {
        manifest_reader_close(r);
        return -1;
    }
    return 0;
}

static int open_path(struct manifest_reader *r, const char *path, bool edited, const char *const *required,
                     struct error *err)
{
    bool standard_input = !path || strcmp(path, "-") == 0;
    *r = MANIFEST_READER_EMPTY;
    if (!(r->input = mem_zalloc(1, sizeof *r->input, err))) return -1;
    r->input->edited = edited;
    r->input->fd = standard_input ? STDIN_FILENO : io_open_read(path, err);
    if (r->input->fd < 0 || mem_grow(&r->input->buffer, &r->input->capacity, BLOCK_BYTES + 1, 1, err)) {
        manifest_reader_close(r);
        return -1;
    }
    return start(r, standard_input ? "standard input" : path, required, err);
}

static int open_memory(struct manifest_reader *r, const char *bytes, size_t n_bytes, const char *name,
                       bool edited, const char *const *required, struct error *err)
{
    *r = MANIFEST_READER_EMPTY;
    if (!(r->input = mem_zalloc(1, sizeof *r->input, err))) return -1;
    r->input->fd = -1;
    r->input->ended = true;
    r->input->edited = edited;
    if (!(r->input->buffer = mem_alloc(n_bytes + 1, err))) {
        manifest_reader_close(r);
        return -1;
    }
    memcpy(r->input->buffer, bytes, n_bytes);
    r->input->end = n_bytes;
    return start(r, name, required, err);
}

int manifest_reader_open(struct manifest_reader *r, const char *path, const char *const *required,
                         struct error *err)
{
    return open_path(r, path, false, required, err);
}

int manifest_reader_open_memory(struct manifest_reader *r, const char *bytes, size_t n_bytes,
                                const char *name, const char *const *required, struct error *err)
{
    return open_memory(r, bytes, n_bytes, name, false, required, err);
}

int manifest_reader_open_edited(struct manifest_reader *r, const char *path, const char *bytes,
                                size_t n_bytes, const char *const *required, struct error *err)
{
    return bytes ? open_memory(r, bytes, n_bytes, path, true, required, err)
                 : open_path(r, path, true, required, err);
}

int manifest_reader_next(struct manifest_reader *r, struct error *err)
{
    char *line, what[96];
    size_t n;
    do {
        r->row++;
        int got = next_line(r, &line, &n, err);
        if (got <= 0) return got;
        if (r->input->edited && n > 0 && line[n - 1] == '\r') line[--n] = 0;
    } while (r->input->edited && n == 0 && r->schema.n > 1);
    if (check_line(r, line, n, err)) return -1;
    bool escaped = memchr(line, '\\', n) != NULL;
    int64_t cut = cut_fields(r, line, n, r->fields, r->schema.n, err);
    size_t count = (size_t)cut;
    if (cut < 0) return -1;
    if (count != r->schema.n) {
        if (count > r->schema.n)
            snprintf(what, sizeof what, "more than the header's %zu fields", r->schema.n);
        else
            snprintf(what, sizeof what, "%zu fields where the header has %zu", count, r->schema.n);
        return data_error(r, err, what);
    }
    for (size_t i = 0; escaped && i < count; i++)
        if (!tsv_unescape((char *)r->fields[i])) {
            snprintf(what, sizeof what, "column '%.40s': a backslash before anything but t n r \\",
                     r->schema.names[i]);
            return data_error(r, err, what);
        }
    return 1;
}

void manifest_reader_close(struct manifest_reader *r)
{
    int saved = errno;
    for (size_t i = 0; i < r->schema.n; i++)
        free(r->schema.names[i]);
    free(r->schema.names);
    free(r->fields);
    free(r->name);
    if (r->input) {
        if (r->input->fd > STDERR_FILENO) close(r->input->fd);
        free(r->input->buffer);
        free(r->input);
    }
    *r = MANIFEST_READER_EMPTY;
    errno = saved;
}

int manifest_column(const struct manifest_schema *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->names[i], name) == 0) return (int)i;
    return -1;
}
