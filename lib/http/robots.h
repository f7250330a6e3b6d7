/*
 * robots.h: reads robots.txt as RFC 9309 defines it. A file has groups of rules, each for some product
 * tokens. The rule with the longest pattern that matches a path decides about it; when an Allow and a
 * Disallow are equally long, Allow decides. A pattern may contain '*' (any bytes) and end in '$' (the end of
 * the path). Crawl-delay, the time between two requests, is not in the RFC but in many files, and is read as
 * well. Content-Usage and Content-Signal are statements about training (rights.h); like rules, they belong to
 * a group.
 */
#ifndef WINNOW_HTTP_ROBOTS_H
#define WINNOW_HTTP_ROBOTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/mem.h"
#include "http/rights.h"

#define ROBOTS_MAX_BYTES (500u << 10) /* RFC 9309 section 2.5: parsers must take at least this much */
#define ROBOTS_MAX_LINE_BYTES 16663   /* the rest of a longer line is cut off, as the reference parser does */
#define ROBOTS_MAX_RULES 10000  /* a match walks all rules; this many still takes well below a millisecond */
#define ROBOTS_MAX_DELAY_S 60.0 /* a longer Crawl-delay counts as this */

struct robots_rule {
    char *pattern; /* in the arena of struct robots */
    bool allow;
};

struct robots {
    struct robots_rule *rules;
    size_t n_rules, capacity;
    struct rights_rule *usages, *signals; /* Content-Usage, Content-Signal */
    size_t n_usages, usages_capacity, n_signals, signals_capacity;
    double crawl_delay_s; /* 0: none is given */
    struct arena arena;
};
#define ROBOTS_EMPTY ((struct robots){0}) /* allows everything */

/*
 * Fills r with the rules and statements for `token` (our product token, in lower case) in the bytes of the
 * file. When no group names the token, it takes those of the groups for '*'. Bytes after ROBOTS_MAX_BYTES are
 * ignored. A file in UTF-16 is read as well, though RFC 9309 asks for UTF-8. Returns 0, or -1 with err set
 * when there is no memory. Release r in both cases.
 */
int robots_parse(struct robots *r, const char *bytes, size_t n_bytes, const char *token, struct error *err);
/* Returns whether we may request the path. A path that no rule matches is allowed. */
bool robots_allows(const struct robots *r, const char *path_and_query);
/* Returns the set of signals (RIGHTS_BIT) that Content-Usage and Content-Signal give for the path. */
uint32_t robots_rights(const struct robots *r, const char *path_and_query);
/* Returns true when r has no rule, no statement and no Crawl-delay. */
bool robots_is_empty(const struct robots *r);
void robots_release(struct robots *r);

#endif
