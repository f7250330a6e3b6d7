/*
 * http_probe.h: is the network there at all? A downloader whose every host suddenly fails has to know whether
 * the hosts are dead or the cable is out. Asked in a thread of its own, because resolvers wait for seconds.
 * Yes means that a name server answered about one of the names, even with "no such name", or an address
 * accepted or refused a connection. Nothing is sent over a connection. Only addresses that transfers may
 * connect to are tried.
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
    bool witness;     /* answered before: its silence means something */
    bool must_accept; /* a proxy: one that refuses connections is not there */
};
struct http_probe;
enum http_reach { HTTP_REACH_ASKING, HTTP_REACH_YES, HTTP_REACH_NO };

/*
 * Starts asking about n hosts (at most HTTP_PROBE_HOSTS) in order until one says yes. allow_private, allowed
 * and whether there is a proxy (then the hosts are it) count of o; all is copied. e is woken when the answer
 * is there.
 */
int http_probe_start(struct http_probe **out, const struct http_probe_target *targets, size_t n,
                     const struct http_options *o, struct http_engine *e, struct error *err);
enum http_reach http_probe_result(struct http_probe *p);
/* Does not wait: a thread that hangs in a resolver ends by itself later and
 * touches nothing of the caller's. */
void http_probe_close(struct http_probe *p);

#endif
