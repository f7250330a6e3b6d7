/*
 * url_list.h: plain lists of addresses, one a line, as found on the web: LF or CRLF, a byte-order
 * mark, blank lines, '#' comments, stray blanks, Latin-1 bytes. What follows a tab is a remark: an address
 * holds none.
 */
#ifndef WINNOW_HTTP_URL_LIST_H
#define WINNOW_HTTP_URL_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* line: of the entry returned last, from 1 */
struct url_list_cursor {
    const char *at, *end;
    size_t line;
};

void url_list_start(struct url_list_cursor *c, const char *bytes, size_t n_bytes);
/* The next entry, borrowed from the bytes, without surrounding blanks;
 * comments and empty lines are skipped. */
bool url_list_next(struct url_list_cursor *c, const char **entry, size_t *n_bytes);
/* Whether a first line looks like a manifest's header: "url" alone, or several fields none of which is an
 * address. */
bool url_list_is_manifest(const char *bytes, size_t n_bytes);

#endif
