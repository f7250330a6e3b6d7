/* audit_findings.h: what audit found, and the page that shows it. */
#ifndef WINNOW_AUDIT_FINDINGS_H
#define WINNOW_AUDIT_FINDINGS_H

#include <stddef.h>

#include "audit_map.h"
#include "base/error.h"
#include "label_next.h"
#include "picture_checks.h"

/* Those that need all pictures come after the checks of single ones, and those of the set last. */
enum audit_check {
    CHECK_SOFT_EDGES = N_CHECKS,
    CHECK_OFF_TOPIC,
    CHECK_NEAR_EMPTY,
    CHECK_OVER_FULL,
    CHECK_PREDICTS,
    CHECK_WEAK_CLUSTER,
    N_ALL_CHECKS
};
const char *audit_check_name(int check);

struct finding {
    int check;
    double score, threshold;            /* threshold below 0: none */
    const char *path, *label, *measure; /* path "": a finding of the set */
};

/*
 * One HTML file, from web/audit, that shows findings [n], which stand check by check, and the map, which may
 * be NULL, with the pictures to label next [n_next]; labels are the names of its labels. Pictures are not
 * inside: it refers to them by the way from its folder to root. They are blurred until they are asked for.
 * Labels and paths come from strangers: they are data of the page's script, never code, and its policy allows
 * its own script and style and local pictures only. EX_CANTCREAT.
 */
int audit_page_write(const char *path, const char *root, const struct finding *findings, size_t n,
                     const struct audit_map *map, const struct label_next *next, size_t n_next,
                     const char *const *labels, size_t n_labels, struct error *err);

#endif
