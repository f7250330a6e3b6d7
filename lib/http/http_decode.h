/*
 * http_decode.h: decompresses gzip and deflate, up to a limit. Our requests ask for no compression, but some
 * servers have compressed files, and a request without Accept-Encoding permits any encoding (RFC 9110
 * 12.5.3).
 */
#ifndef WINNOW_HTTP_HTTP_DECODE_H
#define WINNOW_HTTP_HTTP_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum http_decoded {
    HTTP_DECODED,
    HTTP_DECODE_DAMAGED,   /* *out is what came before the damage or the cut */
    HTTP_DECODE_TOO_LARGE, /* *out is the first `limit` bytes */
    HTTP_DECODE_FAILED     /* out of memory: err is set, *out NULL */
};

/* Whether a body that begins with these bytes can be decompressed here. Its signature decides, since the
 * name of the encoding may be wrong. */
bool http_can_decode(const char *encoding, const uint8_t *bytes, size_t n_bytes);
/* *out has *n_out bytes, and *capacity are allocated. The caller frees it,
 * except after HTTP_DECODE_FAILED. */
enum http_decoded http_decode(const uint8_t *bytes, size_t n_bytes, size_t limit, uint8_t **out,
                              size_t *n_out, size_t *capacity, struct error *err);

#endif
