/*
 * net_file_fuzz.h: opens the bytes as a model file, for formats whose reader needs a path. The includer
 * defines EXTENSION. The library may run in a child that dies; this process must not, and must report the
 * error.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/net.h"

static char path[64];

static void clean_up(void) { unlink(path); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net n;
    struct error err = {0};
    char id[33];
    if (!path[0]) {
        snprintf(path, sizeof path, "%s/winnow-fuzz-XXXXXX" EXTENSION,
                 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
        int fd = mkstemps(path, sizeof EXTENSION - 1);
        if (fd < 0) abort();
        close(fd);
        atexit(clean_up);
    }
    FILE *f = fopen(path, "wb");
    if (!f || (size && fwrite(data, 1, size, f) != size) || fclose(f)) abort();
    if (net_open(&n, path, &err)) {
        if (!err.text[0] || !err.code) abort();
        return 0;
    }
    if (net_hash(&n, id, &err)) abort();
    net_release(&n);
    return 0;
}
