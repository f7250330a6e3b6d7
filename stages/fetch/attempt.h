/*
 * attempt.h: one request after another for an entry: robots.txt first, redirects as requests of their own (so
 * that each hop passes the address check, the target host's limits and its robots.txt), and what an answer
 * means.
 */
#ifndef WINNOW_FETCH_ATTEMPT_H
#define WINNOW_FETCH_ATTEMPT_H

#include "fetch.h"

/* The host, which schedule_next gave, starts the request that it may start now. */
int fetch_start_one(struct fetch *f, uint32_t host, struct error *err);
/* An entry whose wait is over is queued, or fails with its host. */
void fetch_queue_again(struct fetch *f, uint32_t entry);
/*
 * A deferred failure was one (count), or was the network's and is forgotten. entry NO_INDEX: the host's
 * robots.txt.
 */
void fetch_resolve_deferred(struct fetch *f, const struct deferred *d, bool count);
bool fetch_token_entry(const struct http_transfer *t, uint32_t *entry); /* false: a robots.txt */

/* The engine's callbacks; context is the struct fetch. */
bool fetch_accept_headers(void *context, const struct http_transfer *t);
bool fetch_admit(void *context, struct http_transfer *t, const struct sockaddr *address, socklen_t n_bytes);
void fetch_done(void *context, struct http_transfer *t);

#endif
