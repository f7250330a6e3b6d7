/*
 * http_proxy.h: checks for transfers through a proxy. Because the proxy resolves names, the check of the
 * connected address (http_address.h) sees only the proxy's own address. Numeric addresses and local names are
 * refused here, before the proxy is asked. Public names that resolve to private addresses have to be refused
 * by the proxy.
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
 * Reads and checks the proxy given by the user: an address (http, https, socks4, socks4a, socks5 or socks5h;
 * the scheme may be absent), or "@FILE", whose first line is the address, so that a password is neither in
 * process lists nor in the log of make. The caller frees *out. Returns 0, or -1 with err set: EX_USAGE,
 * EX_DATAERR, or the code of a file that cannot be read. Error messages never quote the address.
 */
int http_proxy_from_option(char **out, const char *text, struct error *err);
/* Sets host and port from the address of a proxy. The default port is 1080, as in libcurl. */
int http_proxy_host_port(const char *proxy, char host[HTTP_HOST_MAX_BYTES + 3], uint16_t *port,
                         struct error *err);

/*
 * Whether the host of a canonical address may be given to a proxy. Refused are: numeric addresses that are
 * not public, in any spelling that inet_aton accepts; localhost and names for private use (.local,
 * .internal, .home.arpa and others); names without a dot; and names with bytes above 127, which could become
 * any of these.
 */
bool http_proxy_may_ask(const struct http_options *o, const char *canonical,
                        const struct http_url_parts *parts);

#endif
