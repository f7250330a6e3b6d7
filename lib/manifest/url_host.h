/* url_host.h: the host in the URL of a manifest's row, for grouping rows. It does not check that the
 * result is a valid host. Code that connects to hosts must parse URLs with lib/http. */
#ifndef WINNOW_MANIFEST_URL_HOST_H
#define WINNOW_MANIFEST_URL_HOST_H

#include <stddef.h>

/* "http://user@Host:80/x" gives "Host" as *n bytes inside url; its case stays. An IPv6 address keeps its
 * brackets. */
const char *url_host(const char *url, size_t *n);

#endif
