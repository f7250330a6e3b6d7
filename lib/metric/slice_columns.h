/* slice_columns.h: collects, while rows are read, the columns of a predictions file that divide its rows into
 * slices. predictions.c and slice_file.c share it. Internal to lib/metric. */
#ifndef WINNOW_METRIC_SLICE_COLUMNS_H
#define WINNOW_METRIC_SLICE_COLUMNS_H

#include "metric/predictions.h"

struct slice_columns {
    struct slice_column *items;
    size_t n;
};
#define SLICE_COLUMNS_EMPTY ((struct slice_columns){0})

/* Finds the columns that options name, and those that may turn out to be slices. Returns 0, or -1 with err
 * set (EX_DATAERR) when a named column is missing. */
int slice_columns_find(struct slice_columns *c, const struct manifest_reader *r,
                       const struct predictions_options *options, struct error *err);
/* Stores the slice values of the reader's current row. row is its number among the predictions, from 0. */
int slice_columns_row(struct slice_columns *c, const struct manifest_reader *r, int id_column, size_t row,
                      struct error *err);
/* Call it after the last row. Adds the slices to p, in the order in which their values were first seen. */
int slice_columns_finish(const struct slice_columns *c, const struct manifest_schema *s,
                         struct predictions *p, struct error *err);
void slice_columns_release(struct slice_columns *c);

/* Adds an empty slice to p and returns it, or NULL with err set. */
struct slice *predictions_slice_add(struct predictions *p, const char *family, const char *value,
                                    struct error *err);

/* Sets EX_DATAERR "'FILE', row N (id 'X'): what". Returns -1. */
int predictions_row_error(const struct manifest_reader *r, int id_column, struct error *err,
                          const char *what);

#endif
