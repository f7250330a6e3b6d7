/* picked_rows.h: reads some rows of a predictions file again, with all columns, to show or write them. A few
 * rows are kept in memory; hundreds of thousands are kept in a file without a name in $TMPDIR. */
#ifndef WINNOW_METRIC_PICKED_ROWS_H
#define WINNOW_METRIC_PICKED_ROWS_H

#include "metric/predictions.h"

struct picked_rows {
    struct manifest_schema schema;
    size_t n;
    uint64_t *at;       /* [n] offset of the fields of each row, each with its NUL */
    const char **cells; /* [schema.n] cells of the row that picked_row returned last */
    char *text;         /* the text of all rows, or, when they are kept in a file, of the last row */
    size_t n_bytes, capacity;
    uint64_t in_file;
    int fd; /* -1: there is none */
};
#define PICKED_ROWS_EMPTY ((struct picked_rows){.fd = -1})
#define PICKED_ROWS_MEMORY_BYTES ((size_t)4 << 20) /* more go to the file */

/* Reads the rows rows[0..n) of the file from which p was read. They may be in any order and may repeat.
 * EX_DATAERR when the file has changed since p was read. */
int picked_rows_read(struct picked_rows *out, const struct predictions *p, struct manifest_source *source,
                     const uint32_t *rows, size_t n, struct error *err);
/* Returns the schema.n fields of row rows[i], valid until the next call, or NULL with err set when the file
 * cannot be read. */
const char *const *picked_row(struct picked_rows *p, size_t i, struct error *err);
void picked_rows_release(struct picked_rows *p);

#endif
