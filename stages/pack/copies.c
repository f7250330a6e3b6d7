#include "copies.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"

int copies_add(struct copies *c, const char *xxh128, const char *label, uint64_t row, uint64_t *first,
               bool *same_label, struct error *err)
{
    struct packed_copy new = {.label = random_key(label, strlen(label)), .row = row};
    uint32_t i;
    *first = 0;
    /* the manifest's column has a hash of another kind */
    if (xxh128_from_hex(&new.content, xxh128)) return 0;
    uint64_t hash = xxh128_u64(&new.content);
    for (struct hash_walk w = hash_walk(&c->index, hash); hash_walk_next(&c->index, &w, &i);)
        if (memcmp(&c->items[i].content, &new.content, sizeof new.content) == 0) {
            *first = c->items[i].row;
            *same_label = c->items[i].label == new.label;
            c->n_copies++;
            return 0;
        }
    if (mem_grow(&c->items, &c->capacity, c->n + 1, sizeof *c->items, err) ||
        hash_index_add(&c->index, hash, (uint32_t)c->n, err))
        return -1;
    c->items[c->n++] = new;
    return 0;
}

void copies_release(struct copies *c)
{
    free(c->items);
    hash_index_release(&c->index);
    *c = (struct copies){0};
}
