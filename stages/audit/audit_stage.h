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
    int64_t n_clusters;                              /* 0: by the number of pictures */
    double least_gain;                               /* of a fact over the largest class, a share of rows */
    double class_ratio;                              /* to the median of the other classes */
    int64_t least_rows;                              /* of a class */
};
#define AUDIT_DEFAULTS                                                                                       \
    {                                                                                                        \
        .common = COMMON_OPTIONS_DEFAULTS, .least_gain = 0.05, .class_ratio = 10, .least_rows = 20           \
    }

/* manifest NULL or "-" is standard input. Prints findings about the whole set as warnings. */
int audit_run(const struct audit_options *opt, const char *manifest, struct stage_counts *n,
              struct error *err);

#endif
