/* audit_findings.h: what audit found, and the page that shows it. */
#ifndef WINNOW_AUDIT_FINDINGS_H
#define WINNOW_AUDIT_FINDINGS_H

#include <stddef.h>

#include "base/error.h"
#include "picture_checks.h"

/* Checks of the set come after those of pictures. */
enum audit_check { CHECK_NEAR_EMPTY = N_CHECKS, CHECK_OVER_FULL, CHECK_PREDICTS, N_ALL_CHECKS };
const char *audit_check_name(int check);

struct finding {
    int check;
    double score, threshold;            /* threshold below 0: none */
    const char *path, *label, *measure; /* path "": a finding of the set */
};

/*
 * One HTML file without scripts that shows findings [n], which stand check by check. Pictures are not inside:
 * it refers to them by the way from its folder to root. They are blurred until they are asked for. Labels and
 * paths come from strangers: they are escaped, and the policy of the page allows its own style and local
 * pictures only. EX_CANTCREAT.
 */
int audit_sheet_write(const char *path, const char *root, const struct finding *findings, size_t n,
                      struct error *err);

#endif
