/*
 * predictions.h: reads a predictions file into memory, column by column. All measures are computed from it.
 * These columns are read: id (or xxh128, or path: the first that exists), label, p_<class> for each class,
 * z_<class> (logits) if there are any, and slice columns. The other columns stay in the file, which is read
 * again for the few rows that are shown. A row takes 24 bytes, plus 8 for each class and 4 for each slice
 * column: 300,000 rows of five classes need 20 MB, and the columns of ten million rows are kept in files
 * (io/spill.h). An index of the ids takes 13 bytes a row of memory; without predictions_find only some
 * 500,000 rows have one. Every row is checked. Errors name the file, the row and the id: a probability that
 * is not a number between 0 and 1, a row whose sum is not about 1, an unknown or missing label, a repeated
 * id.
 */
#ifndef WINNOW_METRIC_PREDICTIONS_H
#define WINNOW_METRIC_PREDICTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hash_index.h"
#include "base/text.h"
#include "manifest/manifest.h"
#include "manifest/source.h"
#include "metric/id_key.h"

#define PREDICTIONS_MAX_CLASSES 1000 /* matrices are K x K: 8 MB each at the limit */
/* A column with more values than this does not divide the rows into slices, unless an option names it. */
#define PREDICTIONS_MAX_AUTO_SLICES 64
#define PREDICTIONS_MAX_SLICES 10000
#define PREDICTIONS_SUM_TOLERANCE 0.01 /* three decimals and five classes may miss 1 by 0.0025 */

/* A slice: rows that have something in common. A row may be in any number of slices. */
struct slice {
    char *name; /* the value of the column, or "column=value" for a column that is not called slice */
    /* the column, or "slices" for a slices file; differences are computed between slices of one family */
    char *family;
    uint32_t *rows; /* ascending */
    size_t n_rows, capacity;
};

struct predictions {
    char *name; /* the path, for messages */
    size_t n_rows;
    int n_classes;
    char **classes; /* in the order of the p_ columns */
    double *p;      /* n_rows x n_classes */
    double *z;      /* logits n_rows x n_classes, or NULL */
    int32_t *label; /* class index of the given label */
    int32_t *pred;  /* argmax of p, the lowest index on a tie */
    struct id_key *keys;
    struct slice *slices;
    size_t n_slices, slices_capacity;
    struct hash_index index; /* of the keys */
    size_t capacity;
    struct id_key *path_keys; /* with keep_path_keys: the keys of the path column; otherwise NULL */
    /* On request, if the column `group` has any values: a number that is equal for near duplicates. Otherwise
     * NULL. */
    uint32_t *groups;
};
#define PREDICTIONS_EMPTY ((struct predictions){0})

struct predictions_options {
    const char *const *slice_columns; /* columns that an option names; they must exist */
    size_t n_slice_columns;
    bool auto_slices; /* also unknown columns of 2..64 values, and `slice` */
    bool keep_path_keys, keep_groups;
    bool no_find; /* predictions_find is not needed: millions of rows then go without an index */
};

/* Returns 0, or -1 with err set; the message says what is wrong and in which row. A file without rows or with
 * fewer than two classes is an error (EX_DATAERR). */
int predictions_read(struct predictions *out, struct manifest_source *source,
                     const struct predictions_options *options, struct error *err);
int predictions_read_memory(struct predictions *out, const char *bytes, size_t n_bytes,
                            const struct predictions_options *options, struct error *err);
void predictions_release(struct predictions *p);

/* The row of an id, or -1. */
int64_t predictions_find(const struct predictions *p, const struct id_key *key);

/*
 * Adds slices from a TSV with two columns, id (or xxh128 or path) and slice. An id may be in several slices.
 * Ids that are not among the predictions are counted in *n_unknown and left out. Needs keep_path_keys when
 * the file names pictures by path.
 */
int predictions_add_slices(struct predictions *p, const char *path, size_t *n_unknown, struct error *err);

#endif
