/*
 * copies.h: remembers which pictures were packed, by content, so that each picture becomes only one record.
 * train, eval and mine-errors identify rows by content hash. If a copy were in another split, the model would
 * learn a test picture.
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

/* Takes 36 to 44 bytes for each picture. */
struct copies {
    struct packed_copy *items;
    size_t n, capacity;
    struct hash_index index;
    uint64_t n_copies;
};

/* Remembers the picture of a row. *first becomes 0 when its content is new. Otherwise *first is the row that
 * has this content, and *same_label whether the labels are equal. */
int copies_add(struct copies *c, const char *xxh128, const char *label, uint64_t row, uint64_t *first,
               bool *same_label, struct error *err);
void copies_release(struct copies *c);

#endif
