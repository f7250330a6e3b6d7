/*
 * http_proxy.h: what changes when a proxy makes the connections. It resolves the names, so the check on the
 * connected address (http_address.h) sees only the proxy. Literal addresses and local names are refused here,
 * before the proxy is asked; the proxy has to refuse public names that lead to private addresses.
 */
#ifndef WINNOW_HTTP_HTTP_PROXY_H
#define WINNOW_HTTP_HTTP_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "http/http.h"
#include "http/http_url.h"

/*
 * The proxy that a user named: an address (http, https, socks4, socks4a, socks5, socks5h; http when it has no
 * scheme), or "@FILE", whose first line is the address, so that a password appears neither in process lists
 * nor in the log of a make recipe. *out is the caller's to free. EX_USAGE, EX_DATAERR or EX_NOINPUT; messages
 * do not quote the address.
 */
int http_proxy_take(char **out, const char *text, struct error *err);
/* Its host, and its port, 1080 where none is given, as libcurl has it. */
int http_proxy_place(const char *proxy, char host[HTTP_HOST_MAX_BYTES + 3], uint16_t *port,
                     struct error *err);

/*
 * Whether the host of a canonical address may be named to a proxy: not a literal of an address that is not
 * public (in any spelling that inet_aton knows), not localhost or a name of private use (.local, .internal,
 * .home.arpa ...), not a name without a dot, not one with bytes above 127, which could become any of these.
 */
bool http_proxy_may_ask(const struct http_options *o, const char *canonical,
                        const struct http_url_parts *parts);

#endif
