/* needs: model */
/*
 * activation_cache_fuzz.c: a cache of features that another process wrote, or what a crash left of it. The
 * bytes follow a right file header. When the first byte is odd, heads of blocks and their payloads get right
 * hashes (whoever writes a file can compute hashes), so that the counts in them are looked at. What is found
 * is read, and a block can still be appended.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hash/content_hash.h"
#include "model/activation_cache.h"

#define VALUES 8
#define ROW_BYTES 64
#define HEAD_BYTES 64
#define HASHED_BYTES 48 /* of a head: its own hash follows */
#define KEY_BYTES 40
#define IDENTITY "00112233445566778899aabbccddeeff"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[64], path[128];
static uint8_t file_head[HEAD_BYTES];

static void clean_up(void)
{
    unlink(path);
    rmdir(folder);
}

/* The head as the writer makes it, out of a new cache. */
static void begin(void)
{
    struct activation_cache *c;
    struct error err = {0};
    snprintf(folder, sizeof folder, "%s/winnow-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    if (!mkdtemp(folder)) abort();
    snprintf(path, sizeof path, "%s/features-%.16s.cache", folder, IDENTITY);
    atexit(clean_up);
    if (activation_cache_open(&c, folder, "features", IDENTITY, VALUES, ACTIVATION_F32, &err)) abort();
    activation_cache_close(c);
    FILE *f = fopen(path, "rb");
    if (!f || fread(file_head, 1, sizeof file_head, f) != sizeof file_head || fclose(f)) abort();
}

static void make_hashes_right(uint8_t *body, size_t n)
{
    for (size_t at = 0; n - at >= HEAD_BYTES;) {
        uint64_t rows, bytes;
        struct xxh128 h;
        memcpy(&rows, body + at + 8, sizeof rows);
        rows = rows % 5 ? rows % 5 : rows; /* mostly a number that fits */
        bytes = (rows * KEY_BYTES + 63) / 64 * 64 + rows * ROW_BYTES;
        memcpy(body + at, "WNACTBLK", 8);
        memcpy(body + at + 8, &rows, sizeof rows);
        if (body[at + 16] & 1) memcpy(&bytes, body + at + 16, sizeof bytes);
        memcpy(body + at + 16, &bytes, sizeof bytes);
        if (bytes <= n - at - HEAD_BYTES) {
            xxh128_of(&h, body + at + HEAD_BYTES, bytes);
            memcpy(body + at + 24, &h, sizeof h);
        }
        xxh128_of(&h, body + at, HASHED_BYTES);
        memcpy(body + at + HASHED_BYTES, &h, sizeof h);
        if (bytes > n - at - HEAD_BYTES) break;
        at += HEAD_BYTES + bytes;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const float values[VALUES] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct activation_cache *c;
    struct activation_key key = {.content = {1}, .pixels = {2}, .variant = 3};
    struct error err = {0};
    float out[VALUES];
    if (size < 1 || size > 1 << 16) return 0;
    if (!folder[0]) begin();
    uint8_t *body = malloc(size);
    if (!body) abort();
    memcpy(body, data + 1, size - 1);
    if (data[0] & 1) make_hashes_right(body, size - 1);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(file_head, 1, sizeof file_head, f) != sizeof file_head ||
        (size > 1 && fwrite(body, 1, size - 1, f) != size - 1) || fclose(f))
        abort();
    free(body);
    if (activation_cache_open(&c, folder, "features", IDENTITY, VALUES, ACTIVATION_F32, &err))
        abort(); /* a damaged cache is a smaller one, never an error */
    size_t n = activation_cache_rows(c);
    for (size_t i = 0; i < n; i++)
        activation_cache_get(c, (int64_t)i, out);
    if (activation_cache_append(c, &key, values, 1, &err) || activation_cache_flush(c, &err) ||
        activation_cache_reread(c, &err))
        abort();
    int64_t row = activation_cache_find(c, &key);
    if (row < 0 || activation_cache_rows(c) != n + 1) abort();
    activation_cache_get(c, row, out);
    if (memcmp(out, values, sizeof values) != 0) abort();
    activation_cache_close(c);
    return 0;
}
