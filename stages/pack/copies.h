/*
 * copies.h: which pictures were packed already, by content. One picture is one record: train, eval and
 * mine-errors know rows by their content hash, and a copy in another split would let the test set be learnt.
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

/* 36 to 44 bytes a picture. */
struct copies {
    struct packed_copy *items;
    size_t n, capacity;
    struct hash_index index;
    uint64_t n_copies;
};

/*
 * Takes the picture of a row in, unless its content is there: *first is then the row that has it, and
 * *same_label whether under the same label. *first 0: it was taken.
 */
int copies_add(struct copies *c, const char *xxh128, const char *label, uint64_t row, uint64_t *first,
               bool *same_label, struct error *err);
void copies_release(struct copies *c);

#endif
