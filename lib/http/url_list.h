/*
 * url_list.h: reads plain lists of addresses, one in each line, as they are found on the web: with LF or
 * CRLF, a byte order mark, empty lines, comments after '#', additional blanks and Latin-1 bytes. A tab ends
 * the address, because no address contains one; what follows it is a comment.
 */
#ifndef WINNOW_HTTP_URL_LIST_H
#define WINNOW_HTTP_URL_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* line is the number, from 1, of the entry that was returned last. */
struct url_list_cursor {
    const char *at, *end;
    size_t line;
};

void url_list_start(struct url_list_cursor *c, const char *bytes, size_t n_bytes);
/* Gives the next entry, without surrounding blanks, borrowed from the bytes.
 * Comments and empty lines are skipped. */
bool url_list_next(struct url_list_cursor *c, const char **entry, size_t *n_bytes);
/* Whether a first line looks like the header of a manifest: "url" alone, or several
 * fields of which none is an address. */
bool url_list_is_manifest(const char *bytes, size_t n_bytes);

#endif
