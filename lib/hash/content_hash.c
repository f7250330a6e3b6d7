/* content_hash.c: XXH3-128 by libxxhash, which chooses the vector width at run time where it can. */
#include "hash/content_hash.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>
#define HASH_64 XXH3_64bits_dispatch
#define HASH_128 XXH3_128bits_dispatch
#define HASH_128_UPDATE XXH3_128bits_update_dispatch
#else
#define HASH_64 XXH3_64bits
#define HASH_128 XXH3_128bits
#define HASH_128_UPDATE XXH3_128bits_update
#endif

#include "base/mem.h"
#include "base/text.h"
#include "io/io.h"

/* It fits into the second-level cache, so that the bytes that the kernel has just copied are still in the
 * cache when they are hashed. */
#define READ_BYTES (256u << 10)

struct xxh128_stream {
    XXH3_state_t *state;
};

static void canonical(struct xxh128 *out, XXH128_hash_t h)
{
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, h);
    memcpy(out->bytes, c.digest, XXH128_BYTES);
}

uint64_t xxh64_of(const void *bytes, size_t n_bytes) { return HASH_64(bytes, n_bytes); }

void xxh128_of(struct xxh128 *out, const void *bytes, size_t n_bytes)
{
    canonical(out, HASH_128(bytes, n_bytes));
}

void xxh128_hex(char out[XXH128_HEX_BYTES], const struct xxh128 *h)
{
    hex_encode(out, h->bytes, XXH128_BYTES);
}

int xxh128_from_hex(struct xxh128 *out, const char *hex) { return hex_decode(out->bytes, XXH128_BYTES, hex); }

int xxh128_stream_open(struct xxh128_stream **out, struct error *err)
{
    struct xxh128_stream *s = mem_alloc(sizeof *s, err);
    *out = NULL;
    if (!s) return -1;
    s->state = XXH3_createState(); /* aligned as its vector code wants it */
    if (!s->state) {
        free(s);
        return error_set(err, EX_OSERR, "out of memory for a hash state");
    }
    XXH3_128bits_reset(s->state);
    *out = s;
    return 0;
}

void xxh128_stream_reset(struct xxh128_stream *s) { XXH3_128bits_reset(s->state); }

void xxh128_stream_add(struct xxh128_stream *s, const void *bytes, size_t n_bytes)
{
    HASH_128_UPDATE(s->state, bytes, n_bytes);
}

void xxh128_stream_end(const struct xxh128_stream *s, struct xxh128 *out)
{
    canonical(out, XXH3_128bits_digest(s->state));
}

void xxh128_stream_close(struct xxh128_stream *s)
{
    if (!s) return;
    XXH3_freeState(s->state);
    free(s);
}

int xxh128_of_fd(struct xxh128 *out, uint64_t *n_bytes, int fd, const char *name, struct error *err)
{
    struct xxh128_stream *s = NULL;
    char *buffer = NULL;
    uint64_t total = 0;
    int rc = -1;
    if (xxh128_stream_open(&s, err) || !(buffer = mem_alloc(READ_BYTES, err))) goto out;
    for (;;) {
        ssize_t got = io_read_some(fd, buffer, READ_BYTES, name, err);
        if (got < 0) goto out;
        if (got == 0) break;
        xxh128_stream_add(s, buffer, (size_t)got);
        total += (uint64_t)got;
    }
    xxh128_stream_end(s, out);
    if (n_bytes) *n_bytes = total;
    rc = 0;
out:
    free(buffer);
    xxh128_stream_close(s);
    return rc;
}

int xxh128_of_file(struct xxh128 *out, uint64_t *n_bytes, const char *path, struct error *err)
{
    int fd = io_open_read(path, err);
    if (fd < 0) return -1;
    int rc = xxh128_of_fd(out, n_bytes, fd, path, err);
    close(fd);
    return rc;
}
