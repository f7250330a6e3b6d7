/* audit_findings.h: the findings of audit, and the page that shows them. */
#ifndef WINNOW_AUDIT_FINDINGS_H
#define WINNOW_AUDIT_FINDINGS_H

#include <stddef.h>

#include "audit_map.h"
#include "base/error.h"
#include "label_next.h"
#include "picture_checks.h"

/* Checks that need all pictures come after the checks of single pictures, and checks of the set come last. */
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
 * Writes one HTML file, from web/audit. It shows findings [n], sorted by check, and the map (may be NULL)
 * with the pictures to label next [n_next]. labels are the names of the labels in the map. The page does not
 * contain the pictures: it refers to them by the relative path from its folder to root. They are blurred
 * until the user shows them. Labels and paths are untrusted. They are data for the script of the page, never
 * code, and the page's policy allows only its own script and style and local pictures. Returns 0, or -1 with
 * err set (EX_CANTCREAT).
 */
int audit_page_write(const char *path, const char *root, const struct finding *findings, size_t n,
                     const struct audit_map *map, const struct label_next *next, size_t n_next,
                     const char *const *labels, size_t n_labels, struct error *err);

#endif
