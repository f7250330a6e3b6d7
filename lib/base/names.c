#include "base/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"

static int grow(struct names *t, struct error *err)
{
    size_t size = t->size ? t->size * 2 : 1024;
    uint32_t *table = mem_zalloc(size, sizeof *table, err);
    if (!table) return -1;
    for (size_t i = 0; i < t->n; i++) {
        size_t at = t->keys[i] & (size - 1);
        while (table[at])
            at = (at + 1) & (size - 1);
        table[at] = (uint32_t)i + 1;
    }
    free(t->table);
    t->table = table;
    t->size = size;
    return 0;
}

int names_find(struct names *t, const char *text, uint32_t *out, struct error *err)
{
    size_t n_bytes = strlen(text);
    uint64_t key = random_key(text, n_bytes);
    if (t->n * 2 >= t->size && grow(t, err)) return -1;
    size_t at = key & (t->size - 1);
    for (; t->table[at]; at = (at + 1) & (t->size - 1))
        if (t->keys[t->table[at] - 1] == key && !strcmp(t->text[t->table[at] - 1], text))
            return *out = t->table[at] - 1, 0;
    if (t->n >= UINT32_MAX - 1) return error_set(err, EX_DATAERR, "more than 4 billion different names");
    if (mem_grow(&t->keys, &t->keys_capacity, t->n + 1, sizeof *t->keys, err) ||
        mem_grow(&t->text, &t->capacity, t->n + 1, sizeof *t->text, err) ||
        !(t->text[t->n] = arena_strndup(&t->arena, text, n_bytes, err)))
        return -1;
    t->keys[t->n] = key;
    *out = (uint32_t)t->n++;
    t->table[at] = (uint32_t)t->n;
    return 0;
}

void names_release(struct names *t)
{
    free(t->text);
    free(t->keys);
    free(t->table);
    arena_release(&t->arena);
    *t = NAMES_EMPTY;
}
