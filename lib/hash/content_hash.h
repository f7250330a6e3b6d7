/*
 * content_hash.h: computes the name of a picture, which is the XXH3-128 of the bytes of its file in canonical
 * (big-endian) form: 32 hexadecimal digits. The widest vectors are chosen at run time; the value is the same
 * on every machine.
 */
#ifndef WINNOW_HASH_CONTENT_HASH_H
#define WINNOW_HASH_CONTENT_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"

#define XXH128_BYTES 16
#define XXH128_HEX_BYTES 33 /* 32 digits and NUL */

struct xxh128 {
    uint8_t bytes[XXH128_BYTES];
}; /* canonical form: memcmp gives the same order as comparing the hexadecimal digits */

void xxh128_of(struct xxh128 *out, const void *bytes, size_t n_bytes);
void xxh128_hex(char out[XXH128_HEX_BYTES], const struct xxh128 *h);
/* Returns 0, or -1 when it is not exactly 32 hex digits */
int xxh128_from_hex(struct xxh128 *out, const char *hex);

/* Returns 64 bits of the hash, for a hash_index. */
static inline uint64_t xxh128_u64(const struct xxh128 *h)
{
    uint64_t u;
    memcpy(&u, h->bytes, sizeof u);
    return u;
}

/* XXH3-64. It serves as the checksum of parts of a file, such as the records of a shard, and is the same on
 * every machine. */
uint64_t xxh64_of(const void *bytes, size_t n_bytes);

/* Hashes data piece by piece: call open, then add any number of times, then end. reset begins the next hash,
 * and close frees the state. */
struct xxh128_stream;
int xxh128_stream_open(struct xxh128_stream **out, struct error *err);
void xxh128_stream_reset(struct xxh128_stream *s);
void xxh128_stream_add(struct xxh128_stream *s, const void *bytes, size_t n_bytes);
/* more data may be added afterwards */
void xxh128_stream_end(const struct xxh128_stream *s, struct xxh128 *out);
void xxh128_stream_close(struct xxh128_stream *s);

/* Hashes the bytes of fd from its current position to its end. *n_bytes becomes their number; n_bytes may be
 * NULL. Messages call the file name. */
int xxh128_of_fd(struct xxh128 *out, uint64_t *n_bytes, int fd, const char *name, struct error *err);
int xxh128_of_file(struct xxh128 *out, uint64_t *n_bytes, const char *path, struct error *err);

#endif
