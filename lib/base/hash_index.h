/*
 * hash_index.h: finds, for a 64-bit hash, the numbers that were stored under it; a number is usually an
 * index in an array of the caller. A slot of the table has 8 bytes: 32 bits of the hash, and the number. The
 * table does not know the keys: the caller goes through the few candidates and compares. It uses open
 * addressing with linear probing, is at most two thirds full, and cannot remove a single number. It is made
 * for tens of millions of numbers.
 *
 *     uint32_t i;
 *     for (struct hash_walk w = hash_walk(&index, hash); hash_walk_next(&index, &w, &i);)
 *         if (!strcmp(things[i].name, name)) return i;
 *
 * Any number of threads may walk while no thread adds.
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

/* Makes space for n numbers in all, so that adding them cannot fail. Returns 0, or -1
 * (EX_OSERR) with nothing changed. */
int hash_index_reserve(struct hash_index *t, size_t n, struct error *err);

/*
 * Stores number under hash, in addition to the numbers that are stored under it already. A caller that wants
 * a number only once searches first. Returns 0, or -1 with nothing changed: no memory (EX_OSERR), or a number
 * that does not fit into 32 bits (EX_DATAERR).
 */
int hash_index_add(struct hash_index *t, uint64_t hash, size_t number, struct error *err);

/* Removes all numbers and keeps the memory. */
void hash_index_clear(struct hash_index *t);
void hash_index_release(struct hash_index *t);

/* The multiplication spreads hashes that vary little, such as counters and addresses. */
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

/* Finds the next candidate. Returns true with *number set, or false after the last candidate. Different
 * hashes may have the same tag, so the caller must compare keys. An addition to the table invalidates the
 * walk. */
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

/* Replaces the candidate that hash_walk_next gave last by number. */
static inline void hash_walk_replace(struct hash_index *t, const struct hash_walk *w, uint32_t number)
{
    t->slots[(w->at - 1) & (t->n_slots - 1)].number = number + 1;
}

#endif
