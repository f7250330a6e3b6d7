/*
 * http_cookie.h: collects the cookies of one chain of redirects, in the form of a Cookie header: "a=1; b=2".
 * Some hosts set a cookie, redirect to the same address and expect the cookie there. Cookies are sent back
 * only to the host that set them, whatever their attributes Domain and Path say, and are deleted at the end
 * of the chain.
 */
#ifndef WINNOW_HTTP_HTTP_COOKIE_H
#define WINNOW_HTTP_HTTP_COOKIE_H

#include "base/text.h"

#define HTTP_COOKIES_MAX_BYTES 4096 /* total for one host; a cookie that would exceed it is ignored */

/*
 * Parses a Set-Cookie value and adds the cookie. The new cookie replaces one with the same name. If its
 * Max-Age is 0 or less, it only deletes that one. Invalid cookies, and those over the limit, are ignored.
 * Returns 0, or -1 with err set when memory runs out.
 */
int http_cookie_add(struct text *jar, const char *value, size_t n_bytes, struct error *err);
/* Adds every cookie of `fresh` to jar. */
int http_cookies_merge(struct text *jar, const char *fresh, struct error *err);

#endif
