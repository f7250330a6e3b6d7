/*
 * parts.h: splits a manifest into parts and merges their results, so that runs over parts give the bytes of
 * one run. split puts the number of each row into a column of its own, which every stage copies. merge
 * restores the order of the rows by it and removes the column.
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
 * Splits input into <prefix>000.tsv, <prefix>001.tsv and so on. The part of a row depends on its key alone,
 * so that a picture stays in its part when others are added or removed. Every part is written, also an empty
 * one.
 */
int parts_split(const struct parts_options *o, const char *input, const char *prefix, struct stage_counts *n,
                struct error *err);

/* Merges the inputs, each in the order of its row numbers, into one in that
 * order. Their columns must agree. */
int parts_merge(const struct parts_options *o, char **inputs, int n_inputs, struct stage_counts *n,
                struct error *err);

/* Writes the rows of several manifests one after another. Columns are joined by
 * name, and missing ones are empty. */
int parts_concatenate(const struct parts_options *o, char **inputs, int n_inputs, struct stage_counts *n,
                      struct error *err);

/* Writes each row as one line with a JSON object, columns in order, values as strings or null. */
int parts_to_jsonl(const struct parts_options *o, const char *input, struct stage_counts *n,
                   struct error *err);

#endif
