/* picked_rows.h: reads a few rows of a predictions file again, with all columns, to show or write them.
 * The other rows are not kept in memory. */
#ifndef WINNOW_METRIC_PICKED_ROWS_H
#define WINNOW_METRIC_PICKED_ROWS_H

#include "metric/predictions.h"

struct picked_rows {
    struct manifest_schema schema;
    const char *const **cells; /* [n][schema.n], in the arena */
    size_t n;
    struct arena arena;
};
#define PICKED_ROWS_EMPTY ((struct picked_rows){0})

/* Sets cells[i] to the row rows[i] of the file from which p was read. rows may be in any order and may
 * repeat. EX_DATAERR when the file has changed since p was read. */
int picked_rows_read(struct picked_rows *out, const struct predictions *p, struct manifest_source *source,
                     const uint32_t *rows, size_t n, struct error *err);
static inline const char *picked_cell(const struct picked_rows *p, size_t i, int column)
{
    return column < 0 ? "" : p->cells[i][column];
}
void picked_rows_release(struct picked_rows *p);

#endif
