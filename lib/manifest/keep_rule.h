/* keep_rule.h: decides which of several copies is kept, by the options --keep, --prefer and --prefer-label.
 * Any two copies have a definite order, so the result does not depend on the order in which copies are
 * compared. */
#ifndef WINNOW_MANIFEST_KEEP_RULE_H
#define WINNOW_MANIFEST_KEEP_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/options.h"

enum keep_rule {
    KEEP_FIRST,
    KEEP_LAST,
    KEEP_OLDEST,
    KEEP_NEWEST,
    KEEP_SHORTEST_PATH,
    KEEP_LONGEST_PATH,
    KEEP_LARGEST,
    KEEP_SMALLEST,
    KEEP_PATH,
};
#define KEEP_RULES "first|last|oldest|newest|shortest-path|longest-path|largest|smallest|path"

struct keep_order {
    enum keep_rule rule;
    const struct option_strings *prefer, *prefer_label; /* path prefixes and labels, best first; NULL: none */
};

/* A field that a stage does not know is 0 for all of its copies. */
struct keep_copy {
    bool against, protected, link, no_time; /* no_time: mtime_ns is not known */
    const char *path, *label;               /* label "": none */
    int64_t mtime_ns;
    uint64_t pixels, bytes;
    const void *id; /* 16 bytes that identify the content, or NULL */
    uint32_t row;
};

/* Returns less than 0 when a is kept rather than b. It compares, in this order: whether the copy is of
 * --against, protected, or not a symbolic link; --prefer; --prefer-label; whether it has a label; the rule of
 * --keep (between equal sizes the older copy is kept); path; id; row. */
int keep_compare(const struct keep_order *order, const struct keep_copy *a, const struct keep_copy *b);

#endif
