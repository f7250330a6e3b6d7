/*
 * model_json_fuzz.c: a TFJS model folder from a stranger: the input is model.json, a NUL byte, the bytes of
 * w.bin. What can be read must survive being planned, hashed, copied, given a new head, and written and read
 * again with the same weights.
 */
/* needs: net io base */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/io.h"
#include "net/net.h"

static char folder[64];

static void clean_up(void)
{
    char path[128];
    static const char *const names[] =
        {"in/model.json", "in/w.bin", "in", "out/model.json", "out/group1-shard1of1.bin", "out"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        remove(path);
    }
    rmdir(folder);
}

static void put(const char *name, const uint8_t *bytes, size_t n)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (!f || (n && fwrite(bytes, 1, n, f) != n) || fclose(f)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net n, copy;
    struct error err = {0};
    char path[128], id[33], again[33], *classes[] = {"a", "b", "c"};
    if (!folder[0]) {
        snprintf(folder, sizeof folder, "%s/winnow-fuzz-XXXXXX",
                 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
        if (!mkdtemp(folder)) abort();
        snprintf(path, sizeof path, "%s/in/x", folder);
        if (io_mkdirs_for(path, &err)) abort();
        atexit(clean_up);
    }
    const uint8_t *nul = memchr(data, 0, size);
    size_t n_json = nul ? (size_t)(nul - data) : size;
    put("in/model.json", data, n_json);
    put("in/w.bin", nul ? nul + 1 : data, nul ? size - n_json - 1 : 0);
    snprintf(path, sizeof path, "%s/in", folder);
    if (net_open(&n, path, &err)) {
        if (!err.text[0] || !err.code) abort(); /* an error must say something */
        return 0;
    }
    if (net_hash(&n, id, &err)) abort();
    if (net_infer_shapes(&n, 32, 32, &err) == 0 && net_copy(&copy, &n, &err) == 0) {
        (void)net_replace_head(&copy, 3, classes, 1, &err);
        net_release(&copy);
    }
    if (net_count_parameters(&n, false) < 100000) {
        snprintf(path, sizeof path, "%s/out", folder);
        if (net_write_tfjs(&n, path, &err)) abort();
        net_release(&n);
        if (net_open(&n, path, &err)) abort(); /* what was written must be readable */
        if (net_hash(&n, again, &err)) abort();
        if (strcmp(id, again) != 0) abort();
    }
    net_release(&n);
    return 0;
}
