/*
 * attempt.h: makes the requests for an entry one after another and interprets the responses. robots.txt comes
 * first. Each redirect is a separate request, to which the address check, the limits of its host and its
 * robots.txt apply.
 */
#ifndef WINNOW_FETCH_ATTEMPT_H
#define WINNOW_FETCH_ATTEMPT_H

#include "fetch.h"

/* Starts the next request of a host that schedule_next returned. */
int fetch_start_one(struct fetch *f, uint32_t host, struct error *err);
/* Queues an entry whose wait is over, or lets it fail with its host. */
void fetch_queue_again(struct fetch *f, uint32_t entry);
/* Ends the deferral of a failure: with count it counts as a failure; otherwise the network was down and it
 * is forgotten. entry NO_INDEX: the host's robots.txt. */
void fetch_resolve_deferred(struct fetch *f, const struct deferred *d, bool count);
bool fetch_token_entry(const struct http_transfer *t, uint32_t *entry); /* false: a robots.txt */

/* The engine's callbacks; context is the struct fetch. */
bool fetch_accept_headers(void *context, const struct http_transfer *t);
bool fetch_admit(void *context, struct http_transfer *t, const struct sockaddr *address, socklen_t n_bytes);
void fetch_done(void *context, struct http_transfer *t);

#endif
