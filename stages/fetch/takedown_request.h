/* takedown_request.h: reads the lines of --takedown files, and records what each of them matched. A line that
 * matches nothing may have a typing error, and must be reported. */
#ifndef WINNOW_FETCH_TAKEDOWN_REQUEST_H
#define WINNOW_FETCH_TAKEDOWN_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "hash/content_hash.h"

struct takedown_line {
    const char *path; /* borrowed */
    size_t line;
    char *text;        /* as written; owned */
    bool is_url;       /* then key counts, else digest */
    struct xxh128 key; /* journal_key of http_url_comparable */
    char digest[65];
    bool known; /* takedown.tsv had it already */
    /* the address was requested at some time or is in the input; or a picture was removed or not kept now */
    bool matched;
};

struct takedown_request {
    struct takedown_line *lines;
    size_t n, capacity;
};

int takedown_request_add(struct takedown_request *r, const struct takedown_line *line, size_t n_text,
                         struct error *err); /* line->text is copied */
void takedown_request_match_url(struct takedown_request *r, const struct xxh128 *key);
void takedown_request_match_digest(struct takedown_request *r, const char *digest_hex);
/*
 * Call it at the end. Warns of every line that matched nothing. With `table` it also writes a table to output
 * (a file, or NULL for standard output) with the columns list, line and outcome ("taken-down",
 * "taken-down-before" or "no-match"). Returns 0, or -1 with err set: EX_VERDICT_NO when a line matched
 * nothing.
 */
int takedown_request_report(const struct takedown_request *r, bool table, const char *output,
                            struct error *err);
void takedown_request_release(struct takedown_request *r);

#endif
