#include <stdlib.h>
#include <string.h>

#include "manifest/manifest.h"

int manifest_table_read(struct manifest_table *t, const char *path, const char *const *required,
                        struct error *err)
{
    struct manifest_reader r;
    int got;
    *t = MANIFEST_TABLE_EMPTY;
    if (manifest_reader_open(&r, path, required, err)) return -1;
    size_t n = r.schema.n;
    while ((got = manifest_reader_next(&r, err)) > 0) {
        /* The fields of a row are contiguous in the reader's buffer: copy all of them at once, and set the
         * pointers accordingly. */
        const char *first = r.fields[0], *last = r.fields[n - 1];
        size_t n_bytes = (size_t)(last - first) + strlen(last) + 1;
        char *copy = arena_alloc(&t->arena, n_bytes, err);
        size_t capacity = t->capacity;
        if (!copy || mem_grow(&t->cells, &capacity, (t->n_rows + 1) * n, sizeof *t->cells, err)) goto fail;
        t->capacity = capacity;
        memcpy(copy, first, n_bytes);
        for (size_t i = 0; i < n; i++)
            t->cells[t->n_rows * n + i] = copy + (r.fields[i] - first);
        t->n_rows++;
    }
    if (got < 0) goto fail;
    /* The schema and the name are taken over from the reader. */
    t->schema = r.schema;
    t->name = r.name;
    r.schema = (struct manifest_schema){0};
    r.name = NULL;
    manifest_reader_close(&r);
    return 0;
fail:
    manifest_reader_close(&r);
    manifest_table_release(t);
    return -1;
}

void manifest_table_release(struct manifest_table *t)
{
    for (size_t i = 0; i < t->schema.n; i++)
        free(t->schema.names[i]);
    free(t->schema.names);
    free(t->cells);
    free(t->name);
    arena_release(&t->arena);
    *t = MANIFEST_TABLE_EMPTY;
}
