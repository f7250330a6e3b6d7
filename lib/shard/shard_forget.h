/*
 * shard_forget.h: takes pictures out of a shard set for good: their rows, and the bytes of their records,
 * whether a row still refers to them or not.
 */
#ifndef WINNOW_SHARD_SHARD_FORGET_H
#define WINNOW_SHARD_SHARD_FORGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/*
 * Whether a record is of a picture that has to go: its path, the path it was made from (or ""), its content.
 */
typedef bool shard_listed_fn(void *context, const char *path, const char *source, const char *xxh128);

/*
 * *n_records: how many records it overwrote (with dry_run: would). The set is then one without them, in the
 * second format; the rows of its files' own tables are left to the caller. After an error the set is the old
 * one, or the new one with records that are not overwritten yet; doing it again puts it right.
 */
int shard_set_forget(const char *folder, bool dry_run, shard_listed_fn *listed, void *context,
                     uint64_t *n_records, struct error *err);

#endif
