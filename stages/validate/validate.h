/* validate.h: checks the rules that a picture must meet; see main.c. */
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
    /* results for later stages that the same decoding can provide: "pdq,stats", or NULL */
    const char *with;
    const char *memory; /* a picture_memory, or NULL */
    int markers;        /* off, record, obey */
    struct picture_rules rules;
    bool header_only, frames, icc, allow_truncated, no_sandbox;
};
/* The limits in bytes are those of the scripts that this program replaces, which removed files under 6 KB and
 * over 10 MB. */
#define VALIDATE_DEFAULTS                                                                                    \
    {                                                                                                        \
        .common = COMMON_OPTIONS_DEFAULTS, .min_bytes = 6 << 10, .max_bytes = 10 << 20                       \
    }

/* The largest number of added columns: format, width, height, orientation, frames and mode, then those of
 * --icc, --markers and --with. */
#define VALIDATE_MOST_ADDS 21
const char *const *validate_adds(const struct validate_options *opt,
                                 const char *names[VALIDATE_MOST_ADDS + 1]);

/* Checks the names in --formats, --modes and --with. Fails with EX_USAGE for an unknown name. */
int validate_check_options(const struct validate_options *opt, struct error *err);
int validate_run(const struct validate_options *opt, struct manifest_filter *f, struct stage_counts *n,
                 struct error *err);

#endif
