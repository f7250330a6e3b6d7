/* dedup_protect.c: --protect: marks pictures that are never rejected. */
#include "dedup/near_dedup.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Reads the manifest of --protect and marks the rows that it names by path or xxh128. */
int dedup_read_protected(struct dedup *s, struct manifest_source *in, struct error *err)
{
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    uint64_t *keys = NULL;
    size_t n = 0, capacity = 0;
    int got, rc = -1;
    if (manifest_reader_open(&r, s->opt->protect, NULL, err)) return -1;
    int path = manifest_column(&r.schema, "path"), hash = manifest_column(&r.schema, "xxh128");
    if (path < 0 && hash < 0) {
        error_set(err, EX_DATAERR, "'%s' has neither a column 'path' nor 'xxh128'", s->opt->protect);
        goto out;
    }
    while ((got = manifest_reader_next(&r, err)) > 0)
        for (int i = 0; i < 2; i++) {
            const char *text = manifest_field(&r, i ? hash : path);
            if (!*text) continue;
            if (mem_grow(&keys, &capacity, n + 1, sizeof *keys, err)) goto out;
            keys[n++] = random_key(text, strlen(text)) ^ (uint64_t)i;
        }
    if (got < 0) goto out;
    if (n) qsort(keys, n, sizeof *keys, compare_u64);
    manifest_reader_close(&r);
    if (manifest_source_read(in, &r, NULL, err)) goto out;
    path = manifest_column(&r.schema, "path");
    for (size_t row = s->n_against; (got = manifest_reader_next(&r, err)) > 0 && row < s->n_rows; row++) {
        char id[XXH128_HEX_BYTES];
        const char *text = manifest_field(&r, path);
        uint64_t by_path = random_key(text, strlen(text)), by_hash;
        xxh128_hex(id, &s->rows[row].id);
        by_hash = random_key(id, strlen(id)) ^ 1;
        if (n &&
            (bsearch(&by_path, keys, n, sizeof *keys, compare_u64) ||
             ((s->rows[row].flags & ROW_NAMED) && bsearch(&by_hash, keys, n, sizeof *keys, compare_u64))))
            s->rows[row].flags |= ROW_PROTECTED;
    }
    rc = got < 0 ? -1 : manifest_source_check(in, err);
out:
    manifest_reader_close(&r);
    free(keys);
    return rc;
}
