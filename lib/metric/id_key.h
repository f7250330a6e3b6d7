/*
 * id_key.h: the ids of rows as 16 bytes, for tables of ten million ids. 32 lower-case hexadecimal digits are
 * their value, a plain decimal number is that number, and anything else is hashed. Two ids are the same when
 * their keys are. Keys compared as bytes order hexadecimal ids as text and numbers by value. Ties are broken
 * by this order, so that the order of the rows in a file does not matter.
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

/* Finds the column that identifies a row: 'id', or else 'xxh128', or else 'path' if may_be_path.
 * EX_DATAERR when there is none. */
int id_column_find(const struct manifest_reader *r, bool may_be_path, struct error *err);

#endif
