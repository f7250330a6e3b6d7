/*
 * host_files.h: what a host says about everything on it, asked before anything else there, once a run:
 * robots.txt, and /.well-known/tdmrep.json with one request that follows no redirect. And what both, the
 * answer's header fields and --rights make of one address.
 */
#ifndef WINNOW_FETCH_HOST_FILES_H
#define WINNOW_FETCH_HOST_FILES_H

#include "fetch.h"

/* true: the host's files are not all known; the next of them has to be asked first. */
bool host_files_wanted(const struct fetch *f, const struct host *h);
/* Asks for it, at the origin of url. */
int host_files_ask(struct fetch *f, uint32_t host, const char *url, struct error *err);
/* The transfer of one is over; t->token is what host_files_ask gave it. */
void host_files_done(struct fetch *f, struct http_transfer *t);
/* A robots.txt could not be read: no permission (RFC 9309 2.3.1.4). The breaker paces the attempts. */
void host_files_failed(struct fetch *f, uint32_t host, enum http_outcome outcome, int64_t retry_after_s);
/* Of a token: the host; false when it was asked elsewhere, where a redirect of *host's led. */
bool host_files_token(const void *token, uint32_t *host);

/* What the host's files say about an address of it: a set of rights.h. Nothing with --rights ignore. */
uint32_t host_files_rights(const struct fetch *f, const struct host *h, const char *url);
/* And with it what its redirects met and the header fields say; h may be NULL. */
uint32_t fetch_rights(const struct fetch *f, const struct entry *e, const struct http_headers *h);
/* Whether the set forbids to keep it: --rights obey, X-Robots-Tag left to --ignore-robots. */
bool fetch_rights_refuse(const struct fetch *f, uint32_t set);

#endif
