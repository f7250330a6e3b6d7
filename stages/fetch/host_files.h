/*
 * host_files.h: reads the files with the rules of a host: robots.txt and /.well-known/tdmrep.json. They are
 * requested once in a run, before anything else on that host; for tdmrep.json no redirect is followed. It
 * also combines the rules of both files, the response's header fields and --rights for one address.
 */
#ifndef WINNOW_FETCH_HOST_FILES_H
#define WINNOW_FETCH_HOST_FILES_H

#include "fetch.h"

/* True: a file of the host is not known yet and must be requested first. */
bool host_files_wanted(const struct fetch *f, const struct host *h);
/* Asks for it, at the origin of url. */
int host_files_ask(struct fetch *f, uint32_t host, const char *url, struct error *err);
/* Called when the transfer of such a file is over. t->token is what host_files_ask gave it. */
void host_files_done(struct fetch *f, struct http_transfer *t);
/* A robots.txt could not be read, which counts as no permission (RFC 9309 2.3.1.4).
 * The breaker limits the attempts. */
void host_files_failed(struct fetch *f, uint32_t host, enum http_outcome outcome, int64_t retry_after_s);
/* Gives the host of a token. Returns false when the file was asked for elsewhere, where a redirect from *host
 * led. */
bool host_files_token(const void *token, uint32_t *host);

/* What the files of the host say about an address: a set of rights.h. Nothing with --rights ignore. */
uint32_t host_files_rights(const struct fetch *f, const struct host *h, const char *url);
/* The same, and what its redirects and the header fields say. h may be NULL. */
uint32_t fetch_rights(const struct fetch *f, const struct entry *e, const struct http_headers *h);
/* Whether the set forbids to keep the picture: with --rights obey, without X-Robots-Tag,
 * which --ignore-robots controls. */
bool fetch_rights_refuse(const struct fetch *f, uint32_t set);

#endif
