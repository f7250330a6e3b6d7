/*
 * shard.h: the packed training set: fixed-size records in shard files and one index that commits them.
 * Format in docs/formats.md. Readers map the files: a record costs no system call once it is warm.
 */
#ifndef WINNOW_SHARD_SHARD_H
#define WINNOW_SHARD_SHARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum shard_split { SHARD_TRAIN, SHARD_VAL, SHARD_TEST, SHARD_SPLITS };
const char *shard_split_name(enum shard_split s);       /* "train", "val", "test" */

struct shard_set_info {
    int side_px;                /* records are side*side*3 bytes, RGB */
    char resize[16];
    char **classes;             /* sorted by name; the label index refers to it */
    int n_classes;
    uint64_t n_records;
    char data_hash[33];         /* over content hashes, labels, splits, variants in record order */
};

struct shard_record {           /* borrowed from the set */
    const uint8_t *pixels;      /* side*side*3, in the mapping */
    const char *path;           /* as in the manifest */
    const char *xxh128;         /* content hash of the source picture, 32 digits */
    const char *group;          /* near-duplicate group, "" if none */
    int label;
    enum shard_split split;
    int fold;                   /* -1 if none */
    int variant;                /* 0 for the picture itself, 1.. for made ones */
};

struct shard_set;
/* Maps a set and checks its index (sizes, hashes of the index); record checksums are checked on first read, or by shard_set_check. */
int shard_set_open(struct shard_set **out, const char *folder, struct error *err);
const struct shard_set_info *shard_set_info(const struct shard_set *s);
int shard_set_record(struct shard_set *s, uint64_t index, struct shard_record *out, struct error *err);  /* thread-safe */
int shard_set_check(struct shard_set *s, struct error *err);    /* every checksum */
void shard_set_close(struct shard_set *s);

#endif
