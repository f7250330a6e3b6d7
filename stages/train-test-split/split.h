/* split.h: decides in which split a picture is. The decision is a function of seed and group, and of the few
 * options below. */
#ifndef WINNOW_SPLIT_H
#define WINNOW_SPLIT_H

#include "cli/options.h"
#include "cli/stage.h"
#include "manifest/manifest.h"
#include "manifest/source.h"

enum split_part { SPLIT_TRAIN, SPLIT_VAL, SPLIT_TEST, SPLIT_PARTS };

struct split_options {
    struct common_options common;
    double val, test;     /* shares, 0..1, together below 1 */
    int64_t folds;        /* 0: no fold column */
    const char *group_by; /* column */
    const char *previous; /* a manifest whose splits are kept */
    bool exact, check;
};
#define SPLIT_DEFAULTS                                                                                       \
    {                                                                                                        \
        .common = COMMON_OPTIONS_DEFAULTS, .val = 0.1, .test = 0.1, .group_by = "group"                      \
    }

/* Reads the source twice, and writes every row with split (and fold) to out.
 * Returns 0, or -1 with err set. */
int split_run(const struct split_options *opt, struct manifest_source *in, struct manifest_writer *out,
              struct stage_counts *n, struct error *err);

/* --check: writes the rows of groups that are in more than one split (or fold) to out. Returns 0 when there
 * are none, or 1 when there are n->n_rejected such rows. Returns -1 with err set otherwise: EX_DATAERR for a
 * row with an empty or unknown split. */
int split_check(const struct split_options *opt, struct manifest_source *in, struct manifest_writer *out,
                struct stage_counts *n, struct error *err);

#endif
