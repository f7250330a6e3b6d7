/* url_host.h: finds the host in a URL, for grouping the rows of a manifest. It does not check that the host
 * is valid. Code that connects to hosts must parse URLs with lib/http. */
#ifndef WINNOW_MANIFEST_URL_HOST_H
#define WINNOW_MANIFEST_URL_HOST_H

#include <stddef.h>

/* Returns the host, *n bytes inside url: "Host" in "http://user@Host:80/x". Its case is kept, and an IPv6
 * address keeps its brackets. */
const char *url_host(const char *url, size_t *n);

#endif
