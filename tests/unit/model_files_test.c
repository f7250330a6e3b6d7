/* needs: model */
/* Checkpoints, the activation cache, half precision, the event file: written, read back, damaged, cut off. */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/half.h"
#include "base/text.h"
#include "io/io.h"
#include "model/activation_cache.h"
#include "model/checkpoint.h"
#include "model/event_file.h"
#include "tap.h"

static const char *in_tmp(const char *name)
{
    static char path[4][512];
    static int at;
    at = (at + 1) % 4;
    snprintf(path[at], sizeof path[at], "%s/%s", tap_tmpdir(), name);
    return path[at];
}

static long file_bytes(const char *path)
{
    struct stat st;
    return stat(path, &st) ? -1 : (long)st.st_size;
}

static void poke(const char *path, long offset, int xor)
{
    FILE *f = fopen(path, "r+b");
    if (!f) return;
    fseek(f, offset, SEEK_SET);
    int c = fgetc(f);
    fseek(f, offset, SEEK_SET);
    fputc(c ^ xor, f);
    fclose(f);
}

static int fill_weights(void *context, int which, void *buffer, struct error *err)
{
    memcpy(buffer, context, 3 * sizeof(float));
    return which;
}

static void test_checkpoint(void)
{
    const char *path = in_tmp("ckpt");
    struct error err = {0};
    struct checkpoint c;
    float weights[3] = {1, -2, 3.5f}, back[3];
    size_t n;
    struct checkpoint_section s[] =
        {{.name = "plan", .bytes = "a\tb\n", .n_bytes = 4},
         {.name = "weights", .n_bytes = sizeof weights, .fill = fill_weights, .context = weights},
         {.name = "empty", .bytes = "", .n_bytes = 0}};
    CHECK(checkpoint_write(path, s, 3, &err) == 0);
    CHECK(checkpoint_read(&c, path, &err) == 0);
    CHECK(checkpoint_copy(&c, "weights", back, sizeof back, &err) == 0 &&
          !memcmp(back, weights, sizeof back));
    CHECK(checkpoint_find(&c, "empty", &n) && n == 0);
    CHECK(!checkpoint_find(&c, "none", &n));
    CHECK(checkpoint_copy(&c, "weights", back, 4, &err) == -1);
    checkpoint_release(&c);
    long bytes = file_bytes(path);
    int accepted = 0;
    for (long at = 0; at < bytes; at++) { /* padding between blocks is not covered, and need not be */
        poke(path, at, 0x10);
        if (checkpoint_read(&c, path, &err) == 0) {
            bool same = checkpoint_copy(&c, "weights", back, sizeof back, &err) == 0 &&
                        !memcmp(back, weights, sizeof back);
            accepted += !same;
            checkpoint_release(&c);
        }
        poke(path, at, 0x10);
    }
    CHECK_SAY(accepted == 0, "no flipped bit gives other values");
    CHECK(truncate(path, bytes - 1) == 0 && checkpoint_read(&c, path, &err) == -1 && err.code == EX_DATAERR);
    CHECK(truncate(path, 10) == 0 && checkpoint_read(&c, path, &err) == -1 &&
          strstr(err.text, "damaged or cut off"));
    CHECK(checkpoint_read(&c, in_tmp("nothing"), &err) == -1 && err.code == EX_NOINPUT);
}

static struct activation_key key_of(int i)
{
    struct activation_key k = {.variant = (uint32_t)i % 3};
    memset(k.content, i, sizeof k.content);
    memset(k.pixels, 255 - i, sizeof k.pixels);
    return k;
}

#define IDENTITY "00112233445566778899aabbccddeeff"
#define VALUES 5

static void test_cache(enum activation_dtype dtype)
{
    const char *folder = in_tmp(dtype == ACTIVATION_F16 ? "cache16" : "cache32");
    struct activation_cache *c, *other;
    struct error err = {0};
    struct activation_key keys[40], key;
    float values[40 * VALUES], row[VALUES];
    char path[600];
    snprintf(path, sizeof path, "%s/features-0011223344556677%s.cache", folder,
             dtype == ACTIVATION_F16 ? "-f16" : "");
    for (int i = 0; i < 40; i++) {
        keys[i] = key_of(i);
        for (int k = 0; k < VALUES; k++)
            values[i * VALUES + k] = (float)(i + k) / 4;
    }
    CHECK(activation_cache_open(&c, folder, "features", IDENTITY, VALUES, dtype, &err) == 0);
    CHECK(activation_cache_find(c, &keys[0]) == -1);
    CHECK(activation_cache_append(c, keys, values, 10, &err) == 0);
    CHECK(activation_cache_open(&other, folder, "features", IDENTITY, VALUES, dtype, &err) == 0);
    CHECK_SAY(activation_cache_rows(other) == 10, "a reader sees whole blocks while another writes");
    CHECK_SAY(activation_cache_append(other, keys + 10, values, 1, &err) == -1 && err.code == EX_TEMPFAIL,
              "a second writer is turned away");
    CHECK(activation_cache_append(c, keys + 10, values + 10 * VALUES, 10, &err) == 0 &&
          activation_cache_flush(c, &err) == 0);
    CHECK(activation_cache_append(other, keys + 20, values + 20 * VALUES, 10, &err) == 0);
    CHECK_SAY(activation_cache_rows(other) == 30 && activation_cache_find(other, &keys[15]) >= 0,
              "the next writer takes in what came meanwhile");
    activation_cache_close(other);
    activation_cache_close(c);

    CHECK(activation_cache_open(&c, folder, "features", IDENTITY, VALUES, dtype, &err) == 0);
    bool right = activation_cache_rows(c) == 30;
    for (int i = 0; i < 30; i++) {
        int64_t at = activation_cache_find(c, &keys[i]);
        if (at >= 0) activation_cache_get(c, at, row);
        right = right && at >= 0 && !memcmp(row, values + i * VALUES, sizeof row);
    }
    CHECK_SAY(right, "values come back (quarters are exact in half precision)");
    key = keys[3];
    key.variant++;
    CHECK_SAY(activation_cache_find(c, &key) == -1, "another variant is not found");
    key = keys[3];
    key.pixels[0] ^= 1;
    CHECK_SAY(activation_cache_find(c, &key) == -1, "other pixels of the same picture are not found");
    activation_cache_close(c);

    CHECK(activation_cache_open(&c, folder, "features", "ff112233445566778899aabbccddeeff", VALUES, dtype,
                                &err) == 0);
    CHECK_SAY(activation_cache_rows(c) == 0, "another base has a cache of its own");
    activation_cache_close(c);

    /* kill -9 in the middle of a write: any cut leaves whole blocks, and the next writer appends to them */
    long bytes = file_bytes(path);
    CHECK(truncate(path, bytes - 7) == 0);
    CHECK(activation_cache_open(&c, folder, "features", IDENTITY, VALUES, dtype, &err) == 0 &&
          activation_cache_rows(c) == 20);
    CHECK(activation_cache_append(c, keys + 20, values + 20 * VALUES, 20, &err) == 0 &&
          activation_cache_rows(c) == 40);
    activation_cache_close(c);
    CHECK(activation_cache_open(&c, folder, "features", IDENTITY, VALUES, dtype, &err) == 0 &&
          activation_cache_rows(c) == 40);
    activation_cache_close(c);

    /* one bit in the second block's payload: its ten pictures are gone, the others are there */
    poke(path, 64 + (bytes - 64) / 3 + 64 + 3, 1);
    CHECK(activation_cache_open(&c, folder, "features", IDENTITY, VALUES, dtype, &err) == 0);
    CHECK_SAY(activation_cache_rows(c) == 30 && activation_cache_find(c, &keys[15]) == -1 &&
                  activation_cache_find(c, &keys[25]) >= 0,
              "a damaged block is skipped");
    activation_cache_close(c);
    poke(path, 20, 1); /* the header */
    CHECK(activation_cache_open(&c, folder, "features", IDENTITY, VALUES, dtype, &err) == 0 &&
          activation_cache_rows(c) == 0);
    activation_cache_close(c);
}

/* Rows of a boundary: 80 KiB each, whose pages are let go after each use. */
static void test_large_rows(void)
{
    enum { N = 20001, ROWS = 5 };
    const char *folder = in_tmp("large");
    struct activation_cache *c;
    struct activation_key keys[ROWS];
    struct error err = {0};
    float *values = malloc(sizeof(float) * N * ROWS), *row = malloc(sizeof(float) * N);
    for (int i = 0; i < N * ROWS; i++)
        values[i] = (float)(i % 977) * 0.25f;
    for (int i = 0; i < ROWS; i++)
        keys[i] = key_of(i);
    CHECK(activation_cache_open(&c, folder, "boundary", IDENTITY, N, ACTIVATION_F32, &err) == 0);
    CHECK(activation_cache_append(c, keys, values, 3, &err) == 0 &&
          activation_cache_append(c, keys + 3, values + 3 * N, 2, &err) == 0);
    CHECK(activation_cache_flush(c, &err) == 0);
    activation_cache_close(c);
    CHECK(activation_cache_open(&c, folder, "boundary", IDENTITY, N, ACTIVATION_F32, &err) == 0 &&
          activation_cache_rows(c) == ROWS);
    bool right = true;
    for (int turn = 0; turn < 2; turn++)
        for (int i = 0; i < ROWS; i++) {
            activation_cache_get(c, activation_cache_find(c, &keys[i]), row);
            right = right && !memcmp(row, values + i * N, sizeof(float) * N);
        }
    CHECK_SAY(right, "large rows come back, twice");
    activation_cache_close(c);
    free(values);
    free(row);
}

static void test_half(void)
{
    static const struct {
        float in;
        uint16_t out;
    } cases[] = {
        {0, 0},
        {-0.0f, 0x8000},
        {1, 0x3c00},
        {-2, 0xc000},
        {65504, 0x7bff},
        {65519.996f, 0x7bff},
        {65520, 0x7c00},
        {INFINITY, 0x7c00},
        {0x1p-14f, 0x0400},
        {0x1p-24f, 0x0001},
        {0x1p-25f, 0},
        {0x1.000002p-25f, 1},
        {0x1.8p-24f, 2},
        {1.0f + 0x1p-11f, 0x3c00},
        {1.0f + 0x1.8p-10f, 0x3c02},
        {1e-10f, 0},
        {0x1.ff8p-15f, 0x03ff},
        {0x1.ffcp-15f, 0x0400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float many[9]; /* eight take the instruction where there is one, the ninth the plain path */
        uint16_t out[9];
        for (int k = 0; k < 9; k++)
            many[k] = cases[i].in;
        half_from_float(out, many, 9);
        CHECK_SAY(out[0] == cases[i].out && out[8] == cases[i].out, "half of %.9g: %04x %04x, want %04x",
                  cases[i].in, out[0], out[8], cases[i].out);
    }
    bool same = true;
    for (uint32_t h = 0; h < 0x10000; h++) {
        uint16_t many[9], back[9];
        float wide[9];
        for (int k = 0; k < 9; k++)
            many[k] = (uint16_t)h;
        half_to_float(wide, many, 9);
        half_from_float(back, wide, 9);
        bool nan = (h & 0x7c00) == 0x7c00 && (h & 0x3ff);
        same = same && (nan ? isnan(wide[0]) && isnan(wide[8])
                            : wide[0] == wide[8] && signbit(wide[0]) == signbit(wide[8]) && back[0] == h &&
                                  back[8] == h);
    }
    CHECK_SAY(same, "every half goes to float and back, by both paths");
}

static void test_events(void)
{
    const char *path = in_tmp("events");
    struct event_file f;
    struct error err = {0};
    char *bytes;
    size_t n;
    CHECK_SAY(crc32c("123456789", 9) == 0xe3069283u, "CRC-32C of the check string");
    CHECK(event_file_open(&f, path, 0, &err) == 0);
    uint64_t begun = f.n_bytes;
    CHECK(event_file_scalar(&f, "loss", 300, 1.5, 0.25f, &err) == 0);
    uint64_t one = f.n_bytes;
    event_file_close(&f);
    CHECK(io_read_file(path, 1 << 20, &bytes, &n, &err) == 0 && n == one);
    /* by hand: wall_time 1.5, step 300 (ac 02), summary { value { tag "loss", simple_value 0.25 } } */
    static const unsigned char event[] = {0x09, 0,    0,    0,    0,    0,    0,    0xf8, 0x3f,
                                          0x10, 0xac, 0x02, 0x2a, 0x0d, 0x0a, 0x0b, 0x0a, 0x04,
                                          'l',  'o',  's',  's',  0x15, 0,    0,    0x80, 0x3e};
    CHECK(n == begun + 12 + sizeof event + 4 && !memcmp(bytes + begun + 12, event, sizeof event) &&
          bytes[begun] == sizeof event);
    uint32_t crc = crc32c(event, sizeof event), masked = (crc >> 15 | crc << 17) + 0xa282ead8u, there;
    memcpy(&there, bytes + begun + 12 + sizeof event, 4);
    CHECK_SAY(there == masked, "the payload's checksum is masked as TFRecord wants it");
    CHECK_SAY(!memcmp(bytes + 12 + 9,
                      "\x1a\x0d"
                      "brain.Event:2",
                      15),
              "the first event names the version");
    free(bytes);
    CHECK(event_file_open(&f, path, one, &err) == 0 && event_file_scalar(&f, "loss", 301, 2, 1, &err) == 0 &&
          f.n_bytes > one);
    event_file_close(&f);
    CHECK_SAY(event_file_open(&f, path, one, &err) == 0 && file_bytes(path) == (long)one,
              "a resumed run cuts off what it will write again");
    event_file_close(&f);
    CHECK(event_file_open(&f, path, one + 100, &err) == 0 && f.n_bytes == begun);
    event_file_close(&f);
}

int main(void)
{
    test_checkpoint();
    test_cache(ACTIVATION_F32);
    test_cache(ACTIVATION_F16);
    test_large_rows();
    test_half();
    test_events();
    return tap_done();
}
