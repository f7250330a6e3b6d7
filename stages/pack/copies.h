/*
 * copies.h: remembers which pictures were packed, by content. Each picture becomes one record: train, eval
 * and mine-errors identify rows by content hash, and with a copy in another split the model would learn a
 * test picture.
 */
#ifndef WINNOW_PACK_COPIES_H
#define WINNOW_PACK_COPIES_H

#include "base/hash_index.h"
#include "hash/content_hash.h"

struct packed_copy {
    struct xxh128 content;
    uint64_t label; /* hash of the label */
    uint64_t row;   /* of the manifest */
};

/* Takes 36 to 44 bytes a picture. */
struct copies {
    struct packed_copy *items;
    size_t n, capacity;
    struct hash_index index;
    uint64_t n_copies;
};

/* Remembers the picture of a row, unless its content is known already. Then *first is the row that has it,
 * and *same_label says whether the labels are equal. *first is 0 when the picture is new. */
int copies_add(struct copies *c, const char *xxh128, const char *label, uint64_t row, uint64_t *first,
               bool *same_label, struct error *err);
void copies_release(struct copies *c);

#endif
