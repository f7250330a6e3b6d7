/*
 * http_decode.h: gzip and deflate, undone within a limit. We ask for no coding, but some servers store their
 * files compressed, and a request without Accept-Encoding permits any coding (RFC 9110 12.5.3).
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

/* Whether a body that begins with these bytes is in a coding we undo: by its signature, as names may lie. */
bool http_can_decode(const char *encoding, const uint8_t *bytes, size_t n_bytes);
/* *out: *n_out bytes, *capacity allocated; the caller's to free, unless HTTP_DECODE_FAILED. */
enum http_decoded http_decode(const uint8_t *bytes, size_t n_bytes, size_t limit, uint8_t **out,
                              size_t *n_out, size_t *capacity, struct error *err);

#endif
