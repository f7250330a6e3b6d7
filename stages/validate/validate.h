/* validate.h: the rules that a picture has to meet; see main.c. */
#ifndef WINNOW_VALIDATE_H
#define WINNOW_VALIDATE_H

#include "cli/options.h"
#include "cli/stage.h"
#include "image/picture_rules.h"
#include "manifest/filter.h"

enum validate_markers { MARKERS_OFF, MARKERS_RECORD, MARKERS_OBEY };

struct validate_options {
    struct common_options common;
    uint64_t min_bytes, max_bytes;
    int64_t min_side, max_side, max_pixels, max_frames;
    double max_aspect;
    const char *formats, *modes; /* comma lists, NULL: all */
    const char *with;            /* what later stages need of the same decode: "pdq,stats", or NULL */
    const char *memory;          /* a picture_memory, or NULL */
    int markers;                 /* off, record, obey */
    struct picture_rules rules;
    bool header_only, frames, icc, allow_truncated, no_sandbox;
};
/* In bytes, as in the scripts that this program replaces: they removed files under 6 KB and over 10 MB. */
#define VALIDATE_DEFAULTS                                                                                    \
    {                                                                                                        \
        .common = COMMON_OPTIONS_DEFAULTS, .min_bytes = 6 << 10, .max_bytes = 10 << 20                       \
    }

/* format width height orientation frames mode, then the columns of --icc, --markers and --with. */
#define VALIDATE_MOST_ADDS 21
const char *const *validate_adds(const struct validate_options *opt,
                                 const char *names[VALIDATE_MOST_ADDS + 1]);

/* Checks that --formats, --modes and --with name things that exist. EX_USAGE otherwise. */
int validate_check_options(const struct validate_options *opt, struct error *err);
int validate_run(const struct validate_options *opt, struct manifest_filter *f, struct stage_counts *n,
                 struct error *err);

#endif
