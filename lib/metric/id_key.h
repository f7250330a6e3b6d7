/*
 * id_key.h: ids of rows as 16 bytes, for tables of ten million of them. 32 lower-case hex digits stay what
 * they are, a plain decimal number is that number, anything else is hashed. Two rows are the same when their
 * keys are. Compared as bytes, keys order hex ids as text and numbers by value: ties are broken by it, so
 * that the order of the rows in a file decides nothing.
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

/*
 * The column that identifies a row: 'id', else 'xxh128'; else 'path' if may_be_path. EX_DATAERR when there is
 * none.
 */
int id_column_find(const struct manifest_reader *r, bool may_be_path, struct error *err);

#endif
