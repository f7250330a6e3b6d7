/*
 * tdmrep.h: reads /.well-known/tdmrep.json of the W3C TDM Reservation Protocol (final community group report
 * of 10 May 2024): an array of {"location": "/pattern", "tdm-reservation": 0 or 1, "tdm-policy": "URL"}. The
 * longest location that matches counts. A file that is not valid JSON says nothing, like a missing file; an
 * element of another form is skipped.
 */
#ifndef WINNOW_HTTP_TDMREP_H
#define WINNOW_HTTP_TDMREP_H

#include "base/error.h"
#include "base/mem.h"
#include "http/rights.h"

#define TDMREP_PATH "/.well-known/tdmrep.json"
#define TDMREP_MAX_BYTES (500u << 10) /* as for robots.txt; a longer file counts as invalid */
#define TDMREP_MAX_RULES 10000
#define TDMREP_MAX_DEPTH 32 /* the format needs two */

struct tdmrep {
    struct rights_rule *rules;
    size_t n_rules, capacity;
    struct arena arena;
};
#define TDMREP_EMPTY ((struct tdmrep){0})

/* Returns 1 when the file was read (it may have no rules), 0 when it is not such a file, and -1 without
 * memory; for 0 and -1 t is empty. Release t in every case. */
int tdmrep_parse(struct tdmrep *t, const char *bytes, size_t n_bytes, struct error *err);
/* RIGHTS_TDM_1_FILE, RIGHTS_TDM_0_FILE, both (two locations are equally long), or 0. */
uint32_t tdmrep_match(const struct tdmrep *t, const char *path_and_query);
void tdmrep_release(struct tdmrep *t);

#endif
