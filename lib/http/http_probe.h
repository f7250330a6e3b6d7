/*
 * http_probe.h: finds out whether the network works. When all its hosts suddenly fail, a downloader must know
 * whether the hosts are dead or the network is down. The test runs in a separate thread, because resolvers
 * take seconds. The network works when a name server responded about one of the names, even with "no such
 * name", or when an address accepted or refused a connection. The probe sends no data over the connection. It
 * tries only addresses to which transfers may connect.
 */
#ifndef WINNOW_HTTP_HTTP_PROBE_H
#define WINNOW_HTTP_HTTP_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "http/http.h"
#include "http/http_url.h"

#define HTTP_PROBE_HOSTS 8

struct http_probe_target {
    char name[HTTP_HOST_MAX_BYTES + 3]; /* as in addresses: an IPv6 literal has its brackets */
    uint16_t port;
    bool witness;     /* the host responded before, so its silence now is a sign that the network is down */
    bool must_accept; /* the target is a proxy: if it refuses a connection, it is not running */
};
struct http_probe;
enum http_reach { HTTP_REACH_ASKING, HTTP_REACH_YES, HTTP_REACH_NO };

/*
 * Starts a thread that tests n hosts (at most HTTP_PROBE_HOSTS), in order, until one responds. With a proxy
 * the only target is the proxy. Of o, the probe uses allow_private, allowed and whether proxy is set. All
 * arguments are copied. The thread wakes e when the result is known. Returns 0, or -1 with err set.
 */
int http_probe_start(struct http_probe **out, const struct http_probe_target *targets, size_t n,
                     const struct http_options *o, struct http_engine *e, struct error *err);
enum http_reach http_probe_result(struct http_probe *p);
/* Returns at once. A thread that still waits in a resolver ends by itself later, and uses no memory of the
 * caller. */
void http_probe_close(struct http_probe *p);

#endif
