/*
 * key_table.h: open addressing from a 64-bit hash to an index into somebody's array; whoever owns the array
 * compares the keys.
 */
#ifndef WINNOW_FETCH_KEY_TABLE_H
#define WINNOW_FETCH_KEY_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "hash/content_hash.h"

#define NO_INDEX UINT32_MAX

struct key_table {
    struct key_slot {
        uint64_t hash;
        uint32_t index;
    } * slots;
    size_t capacity; /* a power of two, or 0 */
};

/* Makes room for one more than n. 0, or -1 with err set and nothing changed. */
int key_table_grow(struct key_table *t, size_t n, struct error *err);

static inline uint64_t key_hash(const struct xxh128 *key)
{
    uint64_t h;
    memcpy(&h, key->bytes, sizeof h);
    return h;
}

#endif
