/* url_host.h: the host in the URL of a manifest's row, for grouping rows. No check that it is a host: what
 * connects to hosts parses URLs with lib/http. */
#ifndef WINNOW_MANIFEST_URL_HOST_H
#define WINNOW_MANIFEST_URL_HOST_H

#include <stddef.h>

/* "http://user@Host:80/x" gives "Host" as *n bytes inside url; its case stays. An IPv6 address keeps its
 * brackets. */
const char *url_host(const char *url, size_t *n);

#endif
