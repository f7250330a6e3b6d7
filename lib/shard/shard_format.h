/* shard_format.h: the definitions that the reader and the writer of shard sets share. */
#ifndef WINNOW_SHARD_SHARD_FORMAT_H
#define WINNOW_SHARD_SHARD_FORMAT_H

#include "shard/shard.h"

#define SHARD_FORMAT "winnow-shards-1"
/*
 * The second format: a separate table of rows (SHARD_ROWS) refers to records anywhere in the files. Records
 * that no row of that table refers to are called dead.
 */
#define SHARD_FORMAT_ROWS "winnow-shards-2"
#define SHARD_ROWS "shard-rows.tsv"
#define SHARD_ROWS_HEADER                                                                                    \
    "path\tlabel\tsplit\tgroup\tfold\tvariant\tsource\tparams\txxh128\tshard\toffset\tbytes\tchecksum\n"
#define SHARD_MAGIC "winnow shard 1\n" /* first bytes of a .bin file, then zeros up to SHARD_ALIGN */
/* Records start at multiples of this, for cache lines and vector loads. */
#define SHARD_ALIGN 64
#define SHARD_TAIL 64 /* zeros after the last record, so that loads may overrun */

/* Includes one record in data_hash, the hash of the previous hash and the record. hash has 33 bytes and
 * begins as SHARD_HASH_START. */
#define SHARD_HASH_START "00000000000000000000000000000000"
void shard_chain_hash(char hash[33], const char *xxh128, const char *label, enum shard_split split, int fold,
                      int variant, uint64_t checksum);
uint64_t shard_checksum(const void *bytes, size_t n_bytes);

/* The entry of a file in the index of a set. The hashes are empty if a takedown changed the file. Strings are
 * borrowed. */
struct shard_listed {
    char name[64]; /* of the .bin */
    uint64_t records, bytes, table_bytes;
    char xxh128[33], table_xxh128[33];
    const char *path; /* of the .bin */
};
size_t shard_set_n_files(const struct shard_set *s);
const struct shard_listed *shard_set_file(const struct shard_set *s, size_t file);
const uint8_t *shard_set_bytes(const struct shard_set *s, size_t file);
/* Sets *file to the file of the set that contains a record, and *offset to the record's offset in it. */
void shard_set_place(const struct shard_set *s, uint64_t index, uint32_t *file, uint64_t *offset);

/* shard_decode.c: workers that decode JPEG records to squares of side_px. */
struct shard_decoders;
int shard_decoders_open(struct shard_decoders **out, int side_px, struct error *err);
/* Decodes a JPEG record into pixels (side*side*3 bytes). Any thread may call it. Returns 1, 0 when the record
 * cannot be decoded to that size (`why` then says why), or -1 with err set when no worker can be started. */
#define SHARD_WHY_BYTES 200
int shard_decoders_run(struct shard_decoders *d, const uint8_t *jpeg, size_t n_jpeg, uint8_t *pixels,
                       char why[SHARD_WHY_BYTES], struct error *err);
void shard_decoders_close(struct shard_decoders *d);

#endif
