/* audit_stage.h: finds problems of a set of pictures that a person should see before training on it; see
 * main.c. */
#ifndef WINNOW_AUDIT_STAGE_H
#define WINNOW_AUDIT_STAGE_H

#include "cli/options.h"
#include "cli/stage.h"

struct audit_options {
    struct common_options common;
    const char *scores, *facts, *sheet, *map, *next; /* files to write, or NULL */
    const char *features, *predictions, *classified; /* to read, or NULL */
    int64_t n_clusters;                              /* 0: chosen from the number of pictures */
    /* smallest share of rows that a fact must predict correctly beyond the largest class */
    double least_gain;
    double class_ratio; /* to the median of the other classes */
    int64_t least_rows; /* of a class */
};
#define AUDIT_DEFAULTS                                                                                       \
    {                                                                                                        \
        .common = COMMON_OPTIONS_DEFAULTS, .least_gain = 0.05, .class_ratio = 10, .least_rows = 20           \
    }

/* Runs the audit. manifest NULL or "-" means standard input. Findings about the whole set are printed as
 * warnings. */
int audit_run(const struct audit_options *opt, const char *manifest, struct stage_counts *n,
              struct error *err);

#endif
