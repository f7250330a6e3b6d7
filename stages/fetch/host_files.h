/*
 * host_files.h: reads the files with the rules of a host: robots.txt and /.well-known/tdmrep.json. They are
 * requested once in a run, before anything else on that host; for tdmrep.json no redirect is followed. It
 * also combines the rules of both files, the response's header fields and --rights for one address.
 */
#ifndef WINNOW_FETCH_HOST_FILES_H
#define WINNOW_FETCH_HOST_FILES_H

#include "fetch.h"

/* Whether a file of the host is not known yet and must be requested first. */
bool host_files_wanted(const struct fetch *f, const struct host *h);
/* Requests that file from the origin of url. */
int host_files_ask(struct fetch *f, uint32_t host, const char *url, struct error *err);
/* Called when the transfer of such a file is over. host_files_ask set t->token. */
void host_files_done(struct fetch *f, struct http_transfer *t);
/* Called when a robots.txt could not be read. This counts as no permission (RFC 9309 2.3.1.4). The breaker
 * limits the attempts. */
void host_files_failed(struct fetch *f, uint32_t host, enum http_outcome outcome, int64_t retry_after_s);
/* Sets *host to the host of a token. Returns false when the request went to another host, to which a redirect
 * from *host led. */
bool host_files_token(const void *token, uint32_t *host);

/* Returns what the files of the host state about an address, a set of rights.h. With --rights ignore it is
 * 0. */
uint32_t host_files_rights(const struct fetch *f, const struct host *h, const char *url);
/* Returns the same, together with the statements of its redirects and of the header fields h (may be
 * NULL). */
uint32_t fetch_rights(const struct fetch *f, const struct entry *e, const struct http_headers *h);
/* Whether the set forbids keeping the picture. This is possible only with --rights obey. X-Robots-Tag is left
 * out, because --ignore-robots controls it. */
bool fetch_rights_refuse(const struct fetch *f, uint32_t set);

#endif
