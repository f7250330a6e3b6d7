/*
 * robots.h: reads robots.txt as RFC 9309 defines it: groups by product token; the longest matching rule
 * decides, and of two equally long ones Allow; '*' and a final '$' in patterns. Crawl-delay, which is not in
 * the RFC but in many files, gives the time between two requests. Content-Usage and Content-Signal are
 * statements about training (rights.h) and belong to a group as its rules do.
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
    char *pattern;
    bool allow;
}; /* in the arena */

struct robots {
    struct robots_rule *rules;
    size_t n_rules, capacity;
    struct rights_rule *usages, *signals; /* Content-Usage, Content-Signal */
    size_t n_usages, usages_capacity, n_signals, signals_capacity;
    double crawl_delay_s;
    struct arena arena;
};
#define ROBOTS_EMPTY ((struct robots){0}) /* allows everything */

/*
 * Takes the rules for `token` (our product token, in lower case) from the bytes of the file, or those for
 * '*' when no group names us. Bytes after ROBOTS_MAX_BYTES are ignored. A file in UTF-16 is read as well,
 * though RFC 9309 asks for UTF-8. Returns 0, or -1 with err set (memory).
 * Release r in both cases.
 */
int robots_parse(struct robots *r, const char *bytes, size_t n_bytes, const char *token, struct error *err);
bool robots_allows(const struct robots *r, const char *path_and_query);
/* What Content-Usage and Content-Signal say about the path. */
uint32_t robots_rights(const struct robots *r, const char *path_and_query);
bool robots_is_empty(const struct robots *r); /* says nothing at all */
void robots_release(struct robots *r);

#endif
