/*
 * page.h: functions for the HTML pages of winnow. A page is one file that can be opened from the disk without
 * a server. It contains its styles and scripts, and loads no other. Its content security policy names the
 * hash of each script, so no text from a manifest or a file name can run as a script.
 */
#ifndef WINNOW_PAGE_PAGE_H
#define WINNOW_PAGE_PAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

/* Appends s as text or as an attribute in double quotes: & < > " ' are escaped, and control characters
 * and invalid UTF-8 become U+FFFD. */
int page_escape(struct text *out, const char *s, struct error *err);

/* Appends s as a JSON string with quotes that is safe inside a <script> element: < > & become \u003c and
 * so on, and line separators are escaped. */
int page_json(struct text *out, const char *s, struct error *err);

/* Appends the bytes of a path as a relative URL: %XX for all bytes but unreserved characters and '/'. */
int page_url(struct text *out, const char *path, struct error *err);

/* Appends the relative path from the folder of the file `page` to the folder `root`: "", or "../data/", and
 * so on. A page contains no absolute path, so that its folder can be moved. Fails with EX_CANTCREAT when one
 * of the two folders is missing. */
int page_way_to_root(struct text *out, const char *page, const char *root, struct error *err);

int page_base64(struct text *out, const void *bytes, size_t n_bytes, struct error *err);

#define SHA256_BYTES 32
void sha256_of(uint8_t out[SHA256_BYTES], const void *bytes, size_t n_bytes);

/* Appends 'sha256-...' with its quotes. With this entry, a policy allows an inline script or style of exactly
 * these bytes. */
int page_csp_hash(struct text *out, const char *bytes, size_t n_bytes, struct error *err);

#endif
