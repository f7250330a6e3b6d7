/* needs: base io hash */
/* The content hash against the published test values of XXH3-128 and against itself in pieces. */
#include "hash/content_hash.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"

int main(void)
{
    struct xxh128 h, again;
    struct error err = {0};
    char hex[XXH128_HEX_BYTES];

    xxh128_of(&h, "", 0);
    xxh128_hex(hex, &h);
    /* as `xxhsum -H2 /dev/null` */
    CHECK_SAY(!strcmp(hex, "99aa06d3014798d86001c324468d497f"), "empty input: %s", hex);
    xxh128_of(&h, "abc", 3);
    xxh128_hex(hex, &h);
    CHECK_SAY(!strcmp(hex, "06b05ab6733a618578af5f94892f3950"), "abc: %s", hex);

    CHECK(xxh128_from_hex(&again, hex) == 0 && !memcmp(&h, &again, sizeof h));
    CHECK(xxh128_from_hex(&again, "06b0") != 0);
    CHECK(xxh128_from_hex(&again, "06b05ab6733a618578af5f94892f395g") != 0);

    /* Pieces of odd sizes, and a file longer than one read, give the hash of the whole. */
    size_t n = 700001;
    unsigned char *bytes = malloc(n);
    unsigned x = 1;
    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)((x = x * 1664525 + 1013904223) >> 24);
    xxh128_of(&h, bytes, n);
    struct xxh128_stream *s;
    CHECK(xxh128_stream_open(&s, &err) == 0);
    for (size_t at = 0, step = 1; at < n; at += step, step = step * 3 % 4099 + 1)
        xxh128_stream_add(s, bytes + at, step < n - at ? step : n - at);
    xxh128_stream_end(s, &again);
    CHECK(!memcmp(&h, &again, sizeof h));
    xxh128_stream_reset(s);
    xxh128_stream_add(s, "abc", 3);
    xxh128_stream_end(s, &again);
    xxh128_hex(hex, &again);
    CHECK(!strcmp(hex, "06b05ab6733a618578af5f94892f3950"));
    xxh128_stream_close(s);

    char path[4096];
    snprintf(path, sizeof path, "%s/bytes", tap_tmpdir());
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    CHECK(write(fd, bytes, n) == (ssize_t)n);
    close(fd);
    uint64_t n_bytes = 0;
    CHECK(xxh128_of_file(&again, &n_bytes, path, &err) == 0 && n_bytes == n && !memcmp(&h, &again, sizeof h));
    CHECK(xxh128_of_file(&again, NULL, "/nonexistent/file", &err) == -1 && err.code == EX_NOINPUT);
    free(bytes);
    return tap_done();
}
