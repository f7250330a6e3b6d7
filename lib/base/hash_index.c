#include "base/hash_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static void put(struct hash_slot *slots, size_t n_slots, struct hash_slot slot)
{
    size_t at = slot.tag & (n_slots - 1);
    while (slots[at].number)
        at = (at + 1) & (n_slots - 1);
    slots[at] = slot;
}

int hash_index_reserve(struct hash_index *t, size_t n, struct error *err)
{
    size_t n_slots = t->n_slots ? t->n_slots : 64;
    while (n > n_slots / 3 * 2)
        n_slots *= 2;
    if (n_slots == t->n_slots) return 0;
    struct hash_slot *slots = mem_zalloc(n_slots, sizeof *slots, err);
    if (!slots) return -1;
    for (size_t i = 0; i < t->n_slots; i++)
        if (t->slots[i].number) put(slots, n_slots, t->slots[i]);
    free(t->slots);
    t->slots = slots;
    t->n_slots = n_slots;
    return 0;
}

int hash_index_add(struct hash_index *t, uint64_t hash, size_t number, struct error *err)
{
    if (number >= UINT32_MAX) return error_set(err, EX_DATAERR, "more than 4 billion entries");
    if (hash_index_reserve(t, t->n + 1, err)) return -1;
    put(t->slots, t->n_slots, (struct hash_slot){hash_tag(hash), (uint32_t)number + 1});
    t->n++;
    return 0;
}

void hash_index_clear(struct hash_index *t)
{
    if (t->n) memset(t->slots, 0, t->n_slots * sizeof *t->slots);
    t->n = 0;
}

void hash_index_release(struct hash_index *t)
{
    free(t->slots);
    *t = HASH_INDEX_EMPTY;
}
