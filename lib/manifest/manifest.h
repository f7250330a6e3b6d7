/*
 * manifest.h: the TSV manifest that every stage reads and writes; docs/formats.md has all columns.
 * One header line of names, then one row for each picture; UTF-8, LF. \t \n \r \\ are the only escapes; a
 * backslash before anything else is a malformed row. Columns are found by name, unknown ones pass through in
 * place, new ones go on the right. Fields are unescaped when read and escaped when written. Every row is
 * either kept or rejected.
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

/* Limits on untrusted manifests: a longer row is an attack or a binary file. */
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
 * Opens path (NULL or "-": standard input) and reads the header. `required` is a NULL-terminated list of
 * columns that must be there (may be NULL). EX_NOINPUT, EX_DATAERR (empty file, a column twice, a missing
 * column named).
 */
int manifest_reader_open(struct manifest_reader *r, const char *path, const char *const *required,
                         struct error *err);
/* Over a whole manifest in memory (borrowed until close). For tests and fuzzing. */
int manifest_reader_open_memory(struct manifest_reader *r, const char *bytes, size_t n_bytes,
                                const char *name, const char *const *required, struct error *err);
/*
 * The same for files that people edit (decisions, reports, truth, slices): what a spreadsheet saves is read,
 * too. A byte order mark and CR LF are dropped, a field in quotes is taken out of them ("" is one quote),
 * empty lines are skipped. bytes: the whole file in memory, with path as its name; NULL: path is opened.
 */
int manifest_reader_open_edited(struct manifest_reader *r, const char *path, const char *bytes,
                                size_t n_bytes, const char *const *required, struct error *err);
/*
 * 1: a row is in r->fields, borrowed until the next call; 0: the end; -1: err names file and row (wrong
 * number of fields, bad escape, NUL byte, a last line without LF is a torn row: EX_DATAERR).
 */
int manifest_reader_next(struct manifest_reader *r, struct error *err);
void manifest_reader_close(struct manifest_reader *r);

int manifest_column(const struct manifest_schema *s, const char *name); /* index or -1 */
/* The field of a column index; "" for index -1. */
static inline const char *manifest_field(const struct manifest_reader *r, int column)
{
    return column < 0 ? "" : r->fields[column];
}

/* --- writing --- */

/* How many rows there were of each of some words. */
struct row_counts {
    int column; /* of the schema; -1: none, nothing is counted */
    struct names words;
    uint64_t *rows; /* of each word */
    size_t capacity;
};

struct manifest_writer {
    struct manifest_schema schema; /* the input's columns, then the added ones that were not there yet */
    size_t n_base;                 /* columns of the input */
    /* where adds[i] sits in the schema (an existing column is overwritten in place) */
    int *added_column;
    size_t n_added;
    struct atomic_file file;
    struct text line; /* reused */
    bool off;         /* opened with path NULL for rejects: counts only */
    uint64_t n_rows;
    struct row_counts labels, reasons; /* rows by label (of the input), rejects also by reason */
};
#define MANIFEST_WRITER_EMPTY ((struct manifest_writer){.file = ATOMIC_FILE_EMPTY})

/* NULL or "-" is stdout. base may be NULL (a new manifest); adds is a NULL-terminated list. Writes the
 * header. */
int manifest_writer_open(struct manifest_writer *w, const char *path, const struct manifest_schema *base,
                         const char *const *adds, struct error *err);
/* The same for --rejects: path NULL means rows are counted and dropped. Adds reject_stage, reject_reason,
 * reject_detail. */
int manifest_rejects_open(struct manifest_writer *w, const char *path, const struct manifest_schema *base,
                          struct error *err);

/* One row: base fields (base->n of them), then one value for each added column in the order of `adds`. NULL
 * is empty. */
int manifest_writer_row(struct manifest_writer *w, const char *const *base_fields, const char *const *added,
                        struct error *err);
int manifest_writer_reject(struct manifest_writer *w, const char *const *base_fields, const char *reason,
                           const char *detail, struct error *err);
int manifest_writer_commit(struct manifest_writer *w, struct error *err);
/*
 * The end of a filter: commits the rejects, then out (NULL: the stage keeps its rows elsewhere, n_kept of
 * them), the file that make waits for. A stage that rejected every row, every row of a class or more than
 * half says so in one line, although it ends with 0: such a loss is seldom meant. common->quiet silences it.
 */
int manifest_commit(struct manifest_writer *out, struct manifest_writer *rejects, uint64_t n_kept,
                    const struct common_options *common, struct error *err);
/* nothing to do after a commit but free memory: always call */
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
