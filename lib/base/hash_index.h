/*
 * hash_index.h: from a 64-bit hash to the numbers (places in the caller's array) stored under it.
 * The table keeps 8 bytes a slot: 32 bits of the hash and the number. It never sees the keys themselves: the
 * caller walks over the few candidates and compares. Open addressing with linear probing, at most two thirds
 * full, no removal of a single number. Tens of millions of numbers are the design size.
 *
 *     uint32_t i;
 *     for (struct hash_walk w = hash_walk(&index, hash); hash_walk_next(&index, &w, &i);)
 *         if (!strcmp(things[i].name, name)) return i;
 *
 * Any number of threads may walk while none adds.
 */
#ifndef WINNOW_BASE_HASH_INDEX_H
#define WINNOW_BASE_HASH_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct hash_slot {
    uint32_t tag;    /* of the hash; its low bits choose the slot */
    uint32_t number; /* + 1; 0: free */
};

struct hash_index {
    struct hash_slot *slots;
    size_t n, n_slots; /* n_slots: 0 or a power of two */
};
#define HASH_INDEX_EMPTY ((struct hash_index){0})

/* Makes room for n numbers in all: adding them then cannot fail. 0, or -1 (EX_OSERR) and nothing changed. */
int hash_index_reserve(struct hash_index *t, size_t n, struct error *err);

/*
 * Stores number under hash, beside those already there: a caller that wants it once looks first. 0, or -1 and
 * nothing changed: no memory (EX_OSERR), or a number that 32 bits do not hold (EX_DATAERR).
 */
int hash_index_add(struct hash_index *t, uint64_t hash, size_t number, struct error *err);

/* Forgets all numbers and keeps the memory. */
void hash_index_clear(struct hash_index *t);
void hash_index_release(struct hash_index *t);

/* Multiplied, so that a weak hash (a counter, an address) spreads, too. */
static inline uint32_t hash_tag(uint64_t hash)
{
    return (uint32_t)((hash ^ hash >> 32) * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

struct hash_walk {
    size_t at; /* the next slot to look at */
    uint32_t tag;
};

static inline struct hash_walk hash_walk(const struct hash_index *t, uint64_t hash)
{
    uint32_t tag = hash_tag(hash);
    return (struct hash_walk){tag & (t->n_slots - 1), tag};
}

/*
 * The next candidate: true with *number set, false after the last. Two different hashes may have one tag, so
 * the caller compares keys. Adding to the table ends the walk.
 */
static inline bool hash_walk_next(const struct hash_index *t, struct hash_walk *w, uint32_t *number)
{
    while (t->n_slots) {
        const struct hash_slot *slot = &t->slots[w->at];
        if (!slot->number) return false;
        w->at = (w->at + 1) & (t->n_slots - 1);
        if (slot->tag == w->tag) {
            *number = slot->number - 1;
            return true;
        }
    }
    return false;
}

/* Puts number in place of the candidate that hash_walk_next gave last. */
static inline void hash_walk_replace(struct hash_index *t, const struct hash_walk *w, uint32_t number)
{
    t->slots[(w->at - 1) & (t->n_slots - 1)].number = number + 1;
}

#endif
