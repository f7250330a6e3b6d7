/*
 * id_key.h: converts the ids of rows to keys of 16 bytes, for tables of ten million ids. The key of 32
 * lower-case hexadecimal digits, or of a plain decimal number, is its value; any other id is hashed. Ids with
 * equal keys are the same. When keys are compared as bytes, hexadecimal ids have the order of their texts,
 * and numbers that of their values. This order breaks ties, so that the order of the rows in a file does not
 * matter.
 */
#ifndef WINNOW_METRIC_ID_KEY_H
#define WINNOW_METRIC_ID_KEY_H

#include <stdint.h>

#include "base/error.h"
#include "manifest/manifest.h"

struct id_key {
    uint8_t bytes[16];
};

struct id_key id_key_of(const char *id);
int id_key_compare(const struct id_key *a, const struct id_key *b);
uint64_t id_key_hash(const struct id_key *key);

/* Returns the index of the column that identifies a row: 'id', or else 'xxh128', or else 'path' if
 * may_be_path. Returns -1 with err set (EX_DATAERR) when there is none. */
int id_column_find(const struct manifest_reader *r, bool may_be_path, struct error *err);

#endif
