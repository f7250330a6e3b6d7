/*
 * http_probe.h: finds out whether the network works. When all its hosts suddenly fail, a downloader must know
 * whether the hosts are dead or the network is down. The test runs in a separate thread, because resolvers
 * take seconds. The answer is yes when a name server answered about one of the names, even with "no such
 * name", or when an address accepted or refused a connection. Nothing is sent over the connection. Only
 * addresses to which transfers may connect are tried.
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
    bool witness;     /* answered before, so that its silence is significant */
    bool must_accept; /* a proxy: one that refuses connections is not there */
};
struct http_probe;
enum http_reach { HTTP_REACH_ASKING, HTTP_REACH_YES, HTTP_REACH_NO };

/*
 * Begins to test n hosts (at most HTTP_PROBE_HOSTS), in order, until one answers. Of o it uses allow_private,
 * allowed, and whether there is a proxy (the hosts are then the proxy). Everything is copied. e is woken when
 * the answer is known.
 */
int http_probe_start(struct http_probe **out, const struct http_probe_target *targets, size_t n,
                     const struct http_options *o, struct http_engine *e, struct error *err);
enum http_reach http_probe_result(struct http_probe *p);
/* Returns at once: a thread that waits in a resolver ends by itself later,
 * and uses nothing of the caller's. */
void http_probe_close(struct http_probe *p);

#endif
