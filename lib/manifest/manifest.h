/*
 * manifest.h: reads and writes the TSV manifests of all stages; docs/formats.md lists the columns. The first
 * line has the names of the columns, and each other line is the row of a picture; UTF-8, LF. The escapes are
 * \t \n \r \\; a backslash before another character makes a row malformed. Columns are found by name. Unknown
 * columns are copied and keep their position; new columns are added on the right. Fields are unescaped when
 * read and escaped when written. Every row is either kept or rejected.
 */
#ifndef WINNOW_MANIFEST_MANIFEST_H
#define WINNOW_MANIFEST_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/names.h"
#include "cli/options.h"
#include "io/io.h"

/* Limits for untrusted manifests: a longer row is an attack or a binary file. */
#define MANIFEST_MAX_ROW_BYTES (16u << 20)
#define MANIFEST_MAX_COLUMNS 4096

struct manifest_schema {
    char **names;
    size_t n;
}; /* owned by the reader, writer or table that holds it */

/* --- reading --- */

struct manifest_reader {
    struct manifest_schema schema;
    const char **fields; /* the current row: n schema fields, unescaped, NUL-terminated; never NULL */
    uint64_t row;        /* number of the current row, 1 for the first after the header */
    char *name;          /* for messages: the path or "standard input" */
    struct manifest_input *input; /* internal */
};
#define MANIFEST_READER_EMPTY ((struct manifest_reader){0})

/*
 * Opens path (NULL or "-": standard input) and reads the header. `required` is NULL, or a list of columns
 * that must exist, ended by NULL. Returns 0, or -1 with err set: EX_NOINPUT when there is no such file;
 * EX_DATAERR for an empty file, a column that occurs twice, or a missing column.
 */
int manifest_reader_open(struct manifest_reader *r, const char *path, const char *const *required,
                         struct error *err);
/* Does the same for a manifest in memory, which is borrowed until close. For tests and fuzzing. */
int manifest_reader_open_memory(struct manifest_reader *r, const char *bytes, size_t n_bytes,
                                const char *name, const char *const *required, struct error *err);
/*
 * Does the same for files that people edit (decisions, reports, truth, slices) and that a spreadsheet may
 * have saved. A byte order mark, the CR of CR LF, and quotes around fields are removed ("" inside is one
 * quote), and empty lines are skipped. bytes is the whole file, which messages call path; when bytes is NULL,
 * path is opened.
 */
int manifest_reader_open_edited(struct manifest_reader *r, const char *path, const char *bytes,
                                size_t n_bytes, const char *const *required, struct error *err);
/*
 * Reads the next row. Returns 1 with the row in r->fields, borrowed until the next call, or 0 at the end.
 * Returns -1 with err set; the message names the file and the row. It is EX_DATAERR for a wrong number of
 * fields, a wrong escape, a NUL byte, or a last line without LF, which is a sign of a truncated file.
 */
int manifest_reader_next(struct manifest_reader *r, struct error *err);
void manifest_reader_close(struct manifest_reader *r);

int manifest_column(const struct manifest_schema *s, const char *name); /* index or -1 */
/* Returns the field of the column with this index; "" for index -1. */
static inline const char *manifest_field(const struct manifest_reader *r, int column)
{
    return column < 0 ? "" : r->fields[column];
}

/* --- writing --- */

/* Counts rows by a word. */
struct row_counts {
    int column; /* index in the schema of the column that is counted; -1: no rows are counted */
    struct names words;
    uint64_t *rows; /* of each word */
    size_t capacity;
};

struct manifest_writer {
    /* the input's columns, then the added columns that the input does not have */
    struct manifest_schema schema;
    size_t n_base; /* columns of the input */
    /* The index of adds[i] in the schema. A column that exists already is overwritten in its place. */
    int *added_column;
    size_t n_added;
    struct atomic_file file;
    struct text line; /* reused */
    bool off;         /* opened by manifest_rejects_open with path NULL: rows are only counted */
    uint64_t n_rows;
    /* numbers of rows by label (of the input); for rejects also by reason */
    struct row_counts labels, reasons;
};
#define MANIFEST_WRITER_EMPTY ((struct manifest_writer){.file = ATOMIC_FILE_EMPTY})

/* Opens path (NULL or "-": standard output) and writes the header: the columns of base (NULL: none), then
 * those of adds, a list ended by NULL. */
int manifest_writer_open(struct manifest_writer *w, const char *path, const struct manifest_schema *base,
                         const char *const *adds, struct error *err);
/* Does the same for --rejects. It adds the columns reject_stage, reject_reason and reject_detail. With path
 * NULL, rows are only counted. */
int manifest_rejects_open(struct manifest_writer *w, const char *path, const struct manifest_schema *base,
                          struct error *err);

/* Writes one row: base->n fields, then one value for each added column in the
 * order of `adds`. NULL means empty. */
int manifest_writer_row(struct manifest_writer *w, const char *const *base_fields, const char *const *added,
                        struct error *err);
int manifest_writer_reject(struct manifest_writer *w, const char *const *base_fields, const char *reason,
                           const char *detail, struct error *err);
int manifest_writer_commit(struct manifest_writer *w, struct error *err);
/*
 * Commits the rejects, and then out, for which make waits. out is NULL when the stage writes its kept rows
 * elsewhere; n_kept is then their number. When all rows were rejected, or all rows of a class, or more than
 * half, a line on standard error says so although the exit status is 0, because such a loss is seldom
 * intended. common->quiet suppresses the line.
 */
int manifest_commit(struct manifest_writer *out, struct manifest_writer *rejects, uint64_t n_kept,
                    const struct common_options *common, struct error *err);
/* Frees memory, and removes the file if it was not committed. Call it in every case. */
void manifest_writer_discard(struct manifest_writer *w);

/* --- whole manifests in memory (for stages that must see every row) --- */

struct manifest_table {
    struct manifest_schema schema;
    const char **cells; /* row-major, n_rows x schema.n, in the arena */
    size_t n_rows, capacity;
    struct arena arena;
    char *name;
};
#define MANIFEST_TABLE_EMPTY ((struct manifest_table){0})
int manifest_table_read(struct manifest_table *t, const char *path, const char *const *required,
                        struct error *err);
static inline const char *const *manifest_table_row(const struct manifest_table *t, size_t row)
{
    return t->cells + row * t->schema.n;
}
static inline const char *manifest_cell(const struct manifest_table *t, size_t row, int column)
{
    return column < 0 ? "" : t->cells[row * t->schema.n + (size_t)column];
}
void manifest_table_release(struct manifest_table *t);

#endif
