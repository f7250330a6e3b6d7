/*
 * http_proxy.h: what changes when a proxy makes the connections. It resolves the names, so the check on the
 * connected address (http_address.h) sees the proxy and nothing else. What can be told from an address itself
 * is told here, before the proxy is asked; that public names lead to public addresses is then the proxy's to
 * see to.
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
 * scheme), or "@FILE", whose first line is the address: so that a password stands in no process list and in
 * no log of a make recipe. *out is the caller's to free. EX_USAGE, EX_DATAERR or EX_NOINPUT; no message holds
 * a byte of the address.
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
