/* internal.h: what reader and writer of shard sets share. */
#ifndef WINNOW_SHARD_INTERNAL_H
#define WINNOW_SHARD_INTERNAL_H

#include "shard/shard.h"

#define SHARD_FORMAT "winnow-shards-1"
#define SHARD_MAGIC "winnow shard 1\n"          /* first bytes of a .bin file, then zeros up to SHARD_ALIGN */
#define SHARD_ALIGN 64                          /* records start at multiples: cache lines, and vector loads */
#define SHARD_TAIL 64                           /* zeros behind the last record, so that loads may run over */

/* Over one record: what data_hash chains. hash has room for 33 bytes and starts as SHARD_HASH_START. */
#define SHARD_HASH_START "00000000000000000000000000000000"
void shard_chain_hash(char hash[33], const char *xxh128, const char *label, enum shard_split split, int fold, int variant,
                      uint64_t checksum);
uint64_t shard_checksum(const void *bytes, size_t n_bytes);

#endif
