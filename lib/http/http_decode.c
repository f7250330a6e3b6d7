/* http_decode.c: see http_decode.h. */
#include "http/http_decode.h"

#include <stdlib.h>
#include <strings.h>
#include <zlib.h>

#include "base/mem.h"

#define INITIAL_CAPACITY (64u << 10)
#define ANY_WRAPPER (15 + 32) /* zlib finds out from the first bytes whether it is gzip or zlib */
#define NO_WRAPPER (-15)      /* raw deflate data, which some servers send as "deflate" */

static bool is_gzip(const uint8_t *b, size_t n)
{
    return n >= 3 && b[0] == 0x1f && b[1] == 0x8b && b[2] == 8;
}

static bool is_zlib(const uint8_t *b, size_t n)
{
    return n >= 2 && (b[0] & 15) == 8 && b[0] >> 4 <= 7 && (b[0] * 256 + b[1]) % 31 == 0;
}

bool http_can_decode(const char *encoding, const uint8_t *bytes, size_t n)
{
    if (is_gzip(bytes, n)) return strcasecmp(encoding, "gzip") == 0 || strcasecmp(encoding, "x-gzip") == 0;
    return n > 0 && strcasecmp(encoding, "deflate") == 0;
}

enum http_decoded http_decode(const uint8_t *bytes, size_t n, size_t limit, uint8_t **out, size_t *n_out,
                              size_t *capacity, struct error *err)
{
    z_stream z = {.next_in = (Bytef *)bytes, .avail_in = (uInt)n};
    enum http_decoded result = HTTP_DECODED;
    *out = NULL;
    *n_out = *capacity = 0;
    if (n > UINT32_MAX) {
        error_set(err, EX_OSERR, "compressed body is too large");
        return HTTP_DECODE_FAILED;
    }
    if (inflateInit2(&z, is_gzip(bytes, n) || is_zlib(bytes, n) ? ANY_WRAPPER : NO_WRAPPER) != Z_OK) {
        error_set(err, EX_OSERR, "cannot start zlib");
        return HTTP_DECODE_FAILED;
    }
    for (;;) {
        /* One byte over the limit shows that the data is larger than the limit, not equal to it. */
        if (*n_out == limit + 1) {
            result = HTTP_DECODE_TOO_LARGE;
            *n_out = limit;
            break;
        }
        if (mem_grow(out, capacity, *n_out < INITIAL_CAPACITY ? INITIAL_CAPACITY : *n_out + 1, 1, err)) {
            result = HTTP_DECODE_FAILED;
            break;
        }
        size_t room = *capacity < limit + 1 ? *capacity - *n_out : limit + 1 - *n_out;
        z.next_out = *out + *n_out;
        z.avail_out = (uInt)(room < UINT32_MAX ? room : UINT32_MAX);
        size_t before = z.avail_out;
        int rc = inflate(&z, Z_NO_FLUSH);
        *n_out += before - z.avail_out;
        if (rc == Z_STREAM_END) {
            /* A gzip file may consist of several members. Anything else after the end is padding. */
            if (!is_gzip(z.next_in, z.avail_in) || inflateReset(&z) != Z_OK) break;
        } else if (rc != Z_OK) {
            if (rc == Z_BUF_ERROR && z.avail_out == 0) continue;
            result = HTTP_DECODE_DAMAGED; /* Z_BUF_ERROR: the input is cut short */
            break;
        }
    }
    if (result == HTTP_DECODED && *n_out > limit) {
        result = HTTP_DECODE_TOO_LARGE;
        *n_out = limit;
    }
    inflateEnd(&z);
    if (result == HTTP_DECODE_FAILED) {
        free(*out);
        *out = NULL;
    }
    return result;
}
