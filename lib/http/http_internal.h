/* http_internal.h: declarations that only the files of lib/http share. */
#ifndef WINNOW_HTTP_HTTP_INTERNAL_H
#define WINNOW_HTTP_HTTP_INTERNAL_H

#include <stdbool.h>
#include <sys/socket.h>

#include "http/http.h"

/* Whether a socket may be connected to this address. With a proxy, every socket is connected to the proxy. */
bool http_may_connect(const struct http_options *o, const struct sockaddr *address, socklen_t n_bytes);

#endif
