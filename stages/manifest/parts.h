/*
 * parts.h: splits a manifest into parts and merges their results. Runs over the parts give the same bytes as
 * one run over the whole. split adds a column with the number of each row, which every stage copies. merge
 * sorts the rows by this number and removes the column.
 */
#ifndef WINNOW_MANIFEST_PARTS_H
#define WINNOW_MANIFEST_PARTS_H

#include <stdint.h>

#include "base/error.h"
#include "cli/options.h"
#include "cli/stage.h"

#define PART_ROW_COLUMN "part_row"
/* All parts are open at once, each with a stdio buffer. A process may have about a
 * thousand files open by default. */
#define MAX_PARTS 1000

struct parts_options {
    struct common_options common;
    int64_t parts;
    const char *by; /* column, or "host" (of url), or "row" */
};
#define PARTS_DEFAULTS                                                                                       \
    {                                                                                                        \
        .common = COMMON_OPTIONS_DEFAULTS, .parts = 8, .by = "auto"                                          \
    }

/*
 * Splits input into <prefix>000.tsv, <prefix>001.tsv and so on. The part of a row depends only on its key, so
 * a picture stays in its part when others are added or removed. Empty parts are written, too.
 */
int parts_split(const struct parts_options *o, const char *input, const char *prefix, struct stage_counts *n,
                struct error *err);

/* Merges the inputs into one manifest in the order of the row numbers. Each input must be in this order, and
 * their columns must agree. */
int parts_merge(const struct parts_options *o, char **inputs, int n_inputs, struct stage_counts *n,
                struct error *err);

/* Writes the rows of several manifests one after another. Columns are joined by
 * name, and missing ones are empty. */
int parts_concatenate(const struct parts_options *o, char **inputs, int n_inputs, struct stage_counts *n,
                      struct error *err);

/* Writes each row as a line with one JSON object. Its keys are the columns in their order, and its values are
 * strings or null. */
int parts_to_jsonl(const struct parts_options *o, const char *input, struct stage_counts *n,
                   struct error *err);

#endif
