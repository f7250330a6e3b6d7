/* needs: model */
/*
 * checkpoint_fuzz.c: the checkpoint reader, on bytes in a block of just their size. When the first byte is
 * odd the header's own fields are made right first (magic, size, hash of the table), so that the table after
 * them is reached.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hash/content_hash.h"
#include "model/checkpoint.h"

#define HEADER_BYTES 40
#define ENTRY_BYTES 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct checkpoint c;
    struct error err = {0};
    size_t n_bytes;
    if (size < 1) return 0;
    char *copy = malloc(size > 1 ? size - 1 : 1);
    if (!copy) return 0;
    memcpy(copy, data + 1, size - 1);
    if (data[0] & 1 && size - 1 >= HEADER_BYTES) {
        uint64_t file_bytes = size - 1;
        uint32_t n;
        struct xxh128 h;
        memcpy(copy, "WNCKPT01", 8);
        memcpy(copy + 16, &file_bytes, sizeof file_bytes);
        memcpy(&n, copy + 8, sizeof n);
        n %= CHECKPOINT_MAX_SECTIONS + 1;
        memcpy(copy + 8, &n, sizeof n);
        size_t table = n * ENTRY_BYTES < size - 1 - HEADER_BYTES ? n * ENTRY_BYTES : size - 1 - HEADER_BYTES;
        xxh128_of(&h, copy + HEADER_BYTES, table);
        memcpy(copy + 24, &h, sizeof h);
    }
    if (!checkpoint_take(&c, copy, size - 1, "fuzz", &err)) { /* c owns copy, even when it fails */
        volatile char sum = 0;
        const char *bytes = checkpoint_find(&c, "plan", &n_bytes);
        for (size_t i = 0; bytes && i < n_bytes; i++)
            sum ^= bytes[i];
        checkpoint_release(&c);
    }
    return 0;
}
