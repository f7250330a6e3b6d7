/*
 * phash-dedup --near-pairs: a file from an earlier run. What is read has places inside the list and distances
 * that are right, and joins without reading outside. The input is also taken with the checksum that it lacks.
 */
/* needs: base io hash */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "hash/content_hash.h"
#include "hash/near_kept.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *bytes, size_t n)
{
    struct near_kept k;
    struct near_pairs found = NEAR_PAIRS_EMPTY;
    struct error err = {0};
    size_t n_new;
    if (near_kept_read_memory(&k, bytes, n, "file", 63, 1, &err)) {
        if (err.code != EX_DATAERR || k.n || k.hashes) abort();
        return;
    }
    for (size_t i = 0; i < k.n_pairs; i++)
        if (k.pairs[i].a >= k.n || k.pairs[i].b >= k.n || k.pairs[i].distance > 63) abort();
    if (k.n && k.n < 300) {
        if (near_kept_join(&k, k.hashes, k.n, 63, 1, 1, NULL, &found, &n_new, &err) || n_new ||
            found.n != k.n_pairs)
            abort();
    }
    near_pairs_release(&found);
    near_kept_release(&k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    check((const char *)data, size);
    char *copy = mem_alloc(size + 8, &err);
    if (!copy) return 0;
    memcpy(copy, data, size);
    uint64_t sum = xxh64_of(copy, size);
    memcpy(copy + size, &sum, sizeof sum);
    check(copy, size + 8);
    free(copy);
    return 0;
}
