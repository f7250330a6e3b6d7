/*
 * onnx_fuzz.c: an ONNX file from a stranger. What can be read must survive being planned, hashed, copied and
 * given a new head; and a small network is written again.
 */
/* needs: onnx net io base */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "onnx/onnx.h"

static char path[64];

static void clean_up(void) { unlink(path); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net n, copy, back;
    struct error err = {0};
    struct onnx_read_options options = {.height = 32, .width = 32};
    const struct onnx_form form = ONNX_FORM_DEFAULTS;
    char id[33], *classes[] = {"a", "b", "c"};
    if (!path[0]) {
        snprintf(path, sizeof path, "%s/winnow-fuzz-XXXXXX.onnx",
                 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
        int fd = mkstemps(path, 5);
        if (fd < 0) abort();
        close(fd);
        atexit(clean_up);
    }
    FILE *f = fopen(path, "wb");
    if (!f || (size && fwrite(data, 1, size, f) != size) || fclose(f)) abort();
    if (onnx_read(&n, path, &options, &err) &&
        (error_clear(&err), options = (struct onnx_read_options){0}, onnx_read(&n, path, &options, &err))) {
        if (!err.text[0] || !err.code) abort(); /* an error must say something */
        return 0;
    }
    if (net_hash(&n, id, &err)) abort();
    if (!net_infer_shapes(&n, 0, 0, &err) && net_count_parameters(&n, false) < 100000 &&
        !net_copy(&copy, &n, &err)) {
        if (onnx_write(&copy, path, &form, &err) == 0) {
            if (onnx_read(&back, path, &options, &err)) abort(); /* what was written must be readable */
            net_release(&back);
        }
        (void)net_replace_head(&copy, 3, classes, 1, &err);
        net_release(&copy);
    }
    net_release(&n);
    return 0;
}
