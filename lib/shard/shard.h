/*
 * shard.h: reads a packed training set: records of one size in shard files, and a small index file, which
 * lists them. docs/formats.md has the format. The files are mapped: access to a raw record that is in memory
 * needs no system call. A set may come from a stranger, so all values of its index are checked against the
 * files before they are used.
 */
#ifndef WINNOW_SHARD_SHARD_H
#define WINNOW_SHARD_SHARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"

enum shard_split { SHARD_TRAIN, SHARD_VAL, SHARD_TEST, SHARD_SPLITS };
const char *shard_split_name(enum shard_split s); /* "train", "val", "test" */
bool shard_split_parse(const char *name, enum shard_split *out);

enum shard_encoding { SHARD_RAW, SHARD_JPEG };
static inline const char *shard_background_name(const char *recorded)
{
    return recorded[0] ? recorded : "white";
}
const char *shard_encoding_name(enum shard_encoding e); /* "raw", "jpeg" */

#define SHARD_MADE_BYTES 96

/* Limits for a set from a stranger: pictures are square and small, and a class is the name of a folder. */
#define SHARD_MAX_SIDE_PX 4096
#define SHARD_MAX_CLASSES 65536
#define SHARD_MAX_FILES 1000000
#define SHARD_MAX_SET_BYTES (256ull << 20) /* of index.tsv */
#define SHARD_MAX_INDEX_BYTES (1ull << 30) /* of one shard's index */

struct shard_set_info {
    int side_px; /* records are side*side*3 bytes, RGB */
    char resize[32];
    char background[8]; /* colour under transparent parts, "#rrggbb"; "" for white */
    char **classes;     /* sorted by name; the label index refers to it */
    int n_classes;
    uint64_t n_records;
    char data_hash[33]; /* over content hashes, labels, splits, variants in record order */
    enum shard_encoding encoding;
    /* the set is in the second format: it uses files of earlier sets, and has a table of rows */
    bool rows_apart;
    char made[SHARD_MADE_BYTES]; /* other settings that the records depend on; "" for the usual ones */
};

/* The settings of a set that decide how a picture must be decoded to look like its records. */
struct shard_made {
    bool srgb;               /* pack --color srgb */
    int frame;               /* pack --frame, from 1 */
    const char *orientation; /* "browser", "pillow" or "none" */
};
void shard_made_read(struct shard_made *out, const struct shard_set_info *info);

struct shard_record {      /* borrowed from the set */
    const uint8_t *pixels; /* side*side*3; readable a little beyond the end */
    const char *path;      /* as in the manifest */
    const char *xxh128;    /* content hash of the picture's file, 32 digits */
    const char *group;     /* near-duplicate group, "" if none */
    int label;
    enum shard_split split;
    int fold;               /* -1 if none */
    int variant;            /* 0 for the picture itself, 1.. for variants */
    const char *source;     /* variants: path of the original picture; otherwise "" */
    const char *params;     /* variants: the parameters that were drawn; otherwise "" */
    uint64_t checksum;      /* XXH3-64 of the stored bytes: equal records have equal pixels */
    const uint8_t *encoded; /* the stored bytes: the samples, or a JPEG */
    size_t n_encoded;
};

struct shard_set;
/*
 * Maps a set and checks sizes and hashes of its index. The checksum of a record is checked when it is first
 * read, or by shard_set_check. For a JPEG set this also forks the sandboxed workers that decode its records,
 * so open it before large allocations.
 */
int shard_set_open(struct shard_set **out, const char *folder, struct error *err);
/* Does the same for callers that never need the pixels of a JPEG. No workers are started, and shard_set_read
 * fails with EX_SOFTWARE on a JPEG set. */
int shard_set_open_stored(struct shard_set **out, const char *folder, struct error *err);
const struct shard_set_info *shard_set_info(const struct shard_set *s);
/* Sets *out to a record without its pixels (NULL), and does not read the shard file. Any thread may call this
 * function and the next two. */
int shard_set_describe(const struct shard_set *s, uint64_t index, struct shard_record *out,
                       struct error *err);
/* Sets *out to the record with its pixels in the mapped file. Fails with EX_DATAERR on a JPEG set; use
 * shard_set_read for it. */
int shard_set_record(struct shard_set *s, uint64_t index, struct shard_record *out, struct error *err);
/* Does the same for either encoding. A JPEG is decoded in a sandboxed worker process into scratch, which
 * belongs to the caller and has side*side*3 + 64 bytes. Raw sets do not use scratch. */
int shard_set_read(struct shard_set *s, uint64_t index, uint8_t *scratch, struct shard_record *out,
                   struct error *err);
/* Returns the number of a record with this content hash and variant (-1: any variant), or -1 when there is
 * none. Any thread may call it. */
int64_t shard_set_find(const struct shard_set *s, const char *xxh128, int variant);
/* verifies the checksums of all shards and records */
int shard_set_check(struct shard_set *s, struct error *err);
void shard_set_close(struct shard_set *s);

#endif
