/*
 * torch_state_fuzz.c: an old PyTorch checkpoint from a stranger. What is taken must have every tensor within
 * the file: the first and the last value of each is read. The same bytes then go the whole way as a model.
 */
/* needs: net io base */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/torch_state.h"

static char path[64];

static void clean_up(void) { unlink(path); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct torch_state s;
    struct net n;
    struct error err = {0};
    volatile float sum = 0;
    if (!path[0]) {
        snprintf(path, sizeof path, "%s/winnow-fuzz-XXXXXX.pth",
                 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
        int fd = mkstemps(path, 4);
        if (fd < 0) abort();
        close(fd);
        atexit(clean_up);
    }
    FILE *f = fopen(path, "wb");
    if (!f || (size && fwrite(data, 1, size, f) != size) || fclose(f)) abort();
    if (torch_state_open(&s, path, &err)) {
        if (!err.text[0] || !err.code) abort(); /* an error must say something */
    } else {
        for (size_t i = 0; i < s.n_tensors; i++) {
            const struct torch_tensor *t = &s.tensors[i];
            int last[NET_MAX_RANK] = {0};
            for (int k = 0; k < t->rank; k++)
                last[k] = t->dim[k] - 1;
            if (t->dtype == TORCH_FLOAT)
                sum +=
                    torch_tensor_at(t, 0, 0, 0, 0) + torch_tensor_at(t, last[0], last[1], last[2], last[3]);
        }
        torch_state_release(&s);
    }
    if (!net_open(&n, path, &err)) net_release(&n);
    return 0;
}
