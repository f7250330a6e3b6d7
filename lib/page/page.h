/*
 * page.h: what the HTML pages of this product have in common. A page is one file that opens from file://
 * without a server: styles and scripts inside, nothing fetched, and a content security policy that names the
 * hash of each script, so that nothing a manifest or a file name carries can ever run.
 */
#ifndef WINNOW_PAGE_PAGE_H
#define WINNOW_PAGE_PAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

/* s as text or as a double-quoted attribute: & < > " ' escaped; control characters and invalid UTF-8 as
 * U+FFFD. */
int page_escape(struct text *out, const char *s, struct error *err);

/* s as a JSON string with quotes, safe inside a <script> element: < > & as
 * \u003c, line separators escaped. */
int page_json(struct text *out, const char *s, struct error *err);

/* The bytes of a path as a relative URL: all but unreserved characters and '/' as %XX. */
int page_url(struct text *out, const char *path, struct error *err);

int page_base64(struct text *out, const void *bytes, size_t n_bytes, struct error *err);

#define SHA256_BYTES 32
void sha256_of(uint8_t out[SHA256_BYTES], const void *bytes, size_t n_bytes);

/* 'sha256-...' with the quotes, as a policy wants it for an inline script or style of exactly these bytes. */
int page_csp_hash(struct text *out, const char *bytes, size_t n_bytes, struct error *err);

#endif
