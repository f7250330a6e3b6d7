/*
 * shard_forget.h: permanently removes pictures from a shard set: their rows, and the bytes of their records,
 * even of records that no row refers to.
 */
#ifndef WINNOW_SHARD_SHARD_FORGET_H
#define WINNOW_SHARD_SHARD_FORGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/*
 * Whether a record belongs to a picture that must be removed, given its path, the path of its original (or
 * ""), and its content.
 */
typedef bool shard_listed_fn(void *context, const char *path, const char *source, const char *xxh128);

/*
 * Overwrites the listed records. *n_records becomes their number; with dry_run they are only counted.
 * Afterwards the set is in the second format and has no rows for them. The caller removes their rows from the
 * tables of the files. After an error the set is either unchanged, or has no rows for them but some records
 * that are not overwritten yet; call the function again to overwrite the others.
 */
int shard_set_forget(const char *folder, bool dry_run, shard_listed_fn *listed, void *context,
                     uint64_t *n_records, struct error *err);

#endif
