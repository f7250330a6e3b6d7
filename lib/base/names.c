#include "base/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"

int names_find(struct names *t, const char *text, uint32_t *out, struct error *err)
{
    size_t n_bytes = strlen(text);
    uint64_t hash = random_key(text, n_bytes);
    for (struct hash_walk w = hash_walk(&t->index, hash); hash_walk_next(&t->index, &w, out);)
        if (!strcmp(t->text[*out], text)) return 0;
    if (mem_grow(&t->text, &t->capacity, t->n + 1, sizeof *t->text, err) ||
        !(t->text[t->n] = arena_strndup(&t->arena, text, n_bytes, err)) ||
        hash_index_add(&t->index, hash, t->n, err))
        return -1;
    *out = (uint32_t)t->n++;
    return 0;
}

void names_release(struct names *t)
{
    free(t->text);
    hash_index_release(&t->index);
    arena_release(&t->arena);
    *t = NAMES_EMPTY;
}
