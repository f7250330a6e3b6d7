/* corpus.h: the work of demo-corpus. */
#ifndef WINNOW_DEMO_CORPUS_H
#define WINNOW_DEMO_CORPUS_H

#include <stdint.h>

#include "base/error.h"
#include "cli/options.h"
#include "cli/stage.h"

struct corpus_options {
    struct common_options common;
    const char *packages, *sources, *known, *out, *base_url;
    int64_t side_px, limit;
    double wrong_labels, exact_copies, near_copies, cross_copies, dead_links, broken, altered_copies;
};
/* 200 px: the smaller side of most of the drawings and clip art, so that no class is recognised by having
 * been enlarged. */
#define CORPUS_DEFAULTS                                                                                      \
    {                                                                                                        \
        .common = COMMON_OPTIONS_DEFAULTS, .base_url = "http://127.0.0.1:8137", .side_px = 200,              \
        .wrong_labels = 0.05, .exact_copies = 0.04, .near_copies = 0.06, .cross_copies = 0.015,              \
        .altered_copies = 0.04, .dead_links = 0.03, .broken = 0.006                                          \
    }

/* n: pictures found, used, left out (unreadable, too small). Same packages,
 * options and seed: the same bytes. */
int corpus_make(const struct corpus_options *opt, struct stage_counts *n, struct error *err);

#endif
