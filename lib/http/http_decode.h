/*
 * http_decode.h: decompresses gzip and deflate, up to a limit. This is needed because our requests have no
 * Accept-Encoding. A server may then use any encoding (RFC 9110 12.5.3), and some servers send compressed
 * files.
 */
#ifndef WINNOW_HTTP_HTTP_DECODE_H
#define WINNOW_HTTP_HTTP_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum http_decoded {
    HTTP_DECODED,
    HTTP_DECODE_DAMAGED,   /* *out has the bytes before the damage or the cut */
    HTTP_DECODE_TOO_LARGE, /* *out has the first `limit` bytes */
    HTTP_DECODE_FAILED     /* out of memory, or the input is too large: err is set, *out NULL */
};

/* Whether http_decode can decompress a body with this Content-Encoding that begins with these bytes. Returns
 * true if the name is gzip or x-gzip and the gzip signature is present, or the name is deflate and it is
 * absent. */
bool http_can_decode(const char *encoding, const uint8_t *bytes, size_t n_bytes);
/* Decompresses a body into *out, which has *n_out bytes in a block of *capacity bytes. The caller frees *out,
 * except after HTTP_DECODE_FAILED. */
enum http_decoded http_decode(const uint8_t *bytes, size_t n_bytes, size_t limit, uint8_t **out,
                              size_t *n_out, size_t *capacity, struct error *err);

#endif
