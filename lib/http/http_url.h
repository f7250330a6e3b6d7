/*
 * http_url.h: gives each web address one spelling, so that two spellings are fetched once, and finds its
 * parts. Only http and https are accepted. Canonical means: scheme and host in lower case, no default port,
 * no fragment, "/" for an empty path, dot segments ("/a/../b", also as %2e) resolved as browsers do, and %XX
 * for blanks, control bytes and bytes above 126 of path and query. Nothing else is changed, because servers
 * may distinguish "%7E" from "~". Host names are not validated here: the address is checked when a socket
 * connects (http_address.h).
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
    /* Offset and length in the canonical text. An IPv6 literal includes its brackets. */
    size_t host, host_bytes;
    size_t path; /* offset of the path; path and query run to the end */
};

/*
 * Sets out (cleared first) to the canonical form of the n_bytes at url, without surrounding blanks. 1: out
 * and parts are set. 0: the address cannot be fetched, and *why is a short constant sentence. -1: out of
 * memory.
 */
int http_url_canonical(const char *url, size_t n_bytes, struct text *out, struct http_url_parts *parts,
                       const char **why, struct error *err);

/*
 * A form for comparing addresses that very probably lead to the same picture. It is the canonical form,
 * without the scheme, without the ports 80 and 443, without a dot at the end of the host, with an
 * internationalised host as punycode. In path and query each %XX of a printable byte is replaced by the
 * byte, unless the byte has a meaning there (%25 %2F %3F %23 %26 %3D %2B %3B); other %XX are in upper case.
 * Example: "example.org/caf%C3%A9.jpg". It cannot be requested. Returns as http_url_canonical.
 */
int http_url_comparable(const char *url, size_t n_bytes, struct text *out, struct error *err);
/* Whether the host is this machine, by name or number: "localhost", 127.0.0.0/8, [::1]. DNS is not asked. */
bool http_url_is_loopback(const char *canonical, const struct http_url_parts *parts);

#endif
