/*
 * http_url.h: one spelling for an address, so that two spellings are fetched once, and its parts.
 * Only http and https. Canonical means: scheme and host in lower case, no default port, no fragment, "/" for
 * an empty path, dot segments ("/a/../b", also as %2e) resolved as a browser does, blanks, control bytes and
 * bytes above 126 of path and query as %XX. Nothing else is touched: servers may tell "%7E" from "~". Not a
 * validator of host names; the socket is checked when it connects (http_address.h).
 */
#ifndef WINNOW_HTTP_HTTP_URL_H
#define WINNOW_HTTP_HTTP_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

#define HTTP_URL_MAX_BYTES 8192 /* most servers refuse request lines beyond 8 KiB */
#define HTTP_HOST_MAX_BYTES 253 /* RFC 1035 */

struct http_url_parts {
    bool https;
    uint16_t port; /* 80 or 443 where none was given */
    /* offset and length in the canonical text; an IPv6 literal includes its brackets */
    size_t host, host_bytes;
    size_t path; /* offset of the path; path and query run to the end */
};

/*
 * Appends nothing but sets out (cleared first) to the canonical form of the n_bytes at url; surrounding
 * blanks are dropped. 1: out and parts are set. 0: not an address that can be fetched, *why is a short
 * constant sentence. -1: out of memory.
 */
int http_url_canonical(const char *url, size_t n_bytes, struct text *out, struct http_url_parts *parts,
                       const char **why, struct error *err);

/*
 * The form in which addresses are compared that lead to the same picture for all anybody can tell: canonical,
 * without the scheme, ports 80 and 443 dropped, no dot at the end of the host, an internationalised host as
 * punycode; in path and query every %XX of a printable byte undone unless it has a meaning of its own there
 * (%25 %2F %3F %23 %26 %3D %2B %3B), the others in upper case: "example.org/caf%C3%A9.jpg". Not to be asked
 * for. Returns as http_url_canonical.
 */
int http_url_comparable(const char *url, size_t n_bytes, struct text *out, struct error *err);
/*
 * Whether the host is the machine itself by name or literal: "localhost", 127.0.0.0/8, [::1]. Says nothing
 * about DNS.
 */
bool http_url_is_loopback(const char *canonical, const struct http_url_parts *parts);

#endif
