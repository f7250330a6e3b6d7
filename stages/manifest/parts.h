/*
 * parts.h: splits a manifest into parts and merges their results, so that part-wise runs give the bytes of
 * one run. split puts the number of each row into a column of its own, which every stage passes through;
 * merge brings the rows back in that order and drops the column.
 */
#ifndef WINNOW_MANIFEST_PARTS_H
#define WINNOW_MANIFEST_PARTS_H

#include <stdint.h>

#include "base/error.h"
#include "cli/options.h"
#include "cli/stage.h"

#define PART_ROW_COLUMN "part_row"
/* Parts are open at once, each with a stdio buffer: a thousand is what a process may have by default. */
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
 * input into <prefix>000.tsv, <prefix>001.tsv, ...: a row's part is a function of its key alone, so a picture
 * stays in its part when others come and go. Every part is written, empty ones too.
 */
int parts_split(const struct parts_options *o, const char *input, const char *prefix, struct stage_counts *n,
                struct error *err);

/* The inputs, each in the order of its row numbers, into one in that order. Their columns must agree. */
int parts_merge(const struct parts_options *o, char **inputs, int n_inputs, struct stage_counts *n,
                struct error *err);

/* The rows of several manifests one after the other; columns by name, missing ones empty. */
int parts_concatenate(const struct parts_options *o, char **inputs, int n_inputs, struct stage_counts *n,
                      struct error *err);

#endif
