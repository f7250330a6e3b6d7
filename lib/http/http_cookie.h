/*
 * http_cookie.h: the cookies of one chain of redirects, "a=1; b=2", as the Cookie header has them. Some hosts
 * set one, redirect to the same address and wait for it. They go back to the host that set them, whatever
 * Domain and Path say, and are forgotten with the chain.
 */
#ifndef WINNOW_HTTP_HTTP_COOKIE_H
#define WINNOW_HTTP_HTTP_COOKIE_H

#include "base/text.h"

#define HTTP_COOKIES_MAX_BYTES 4096 /* of one host; more are not kept */

/* The value of a Set-Cookie header: replaces the cookie of that name, or removes it (Max-Age=0). 0 or -1. */
int http_cookie_add(struct text *jar, const char *value, size_t n_bytes, struct error *err);
/* Every cookie of `fresh` into jar. */
int http_cookies_merge(struct text *jar, const char *fresh, struct error *err);

#endif
