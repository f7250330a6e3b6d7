/*
 * shard.h: reads the packed training set: records of one size in shard files, and a small index file without
 * which there is no set. docs/formats.md has the format. The files are mapped: a raw record needs no system
 * call once it is in memory. A set may come from a stranger: everything in its index is checked against the
 * files before it is used.
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
    bool rows_apart;             /* the second format: files of earlier sets, and a table of rows */
    char made[SHARD_MADE_BYTES]; /* other settings that the records depend on; "" for the usual ones */
};

/* What of them decides how a picture has to be opened to look like the records. */
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
/* The same for callers that never need the pixels of a JPEG: no workers are started, and
 * shard_set_read of a JPEG set is EX_SOFTWARE. */
int shard_set_open_stored(struct shard_set **out, const char *folder, struct error *err);
const struct shard_set_info *shard_set_info(const struct shard_set *s);
/* Gives everything about a record except its pixels (NULL), without reading the shard file. This function
 * and the next two may be called from any thread. */
int shard_set_describe(const struct shard_set *s, uint64_t index, struct shard_record *out,
                       struct error *err);
/* Gives the record with its pixels in the mapped file. A JPEG set is EX_DATAERR here: use shard_set_read. */
int shard_set_record(struct shard_set *s, uint64_t index, struct shard_record *out, struct error *err);
/* The same for either encoding. A JPEG is decoded in a sandboxed worker process into scratch, which the
 * caller owns and which has side*side*3 + 64 bytes; raw sets do not use it. */
int shard_set_read(struct shard_set *s, uint64_t index, uint8_t *scratch, struct shard_record *out,
                   struct error *err);
/* The number of a record with this content hash and variant (-1: any variant), or -1.
 * May be called from any thread. */
int64_t shard_set_find(const struct shard_set *s, const char *xxh128, int variant);
int shard_set_check(struct shard_set *s, struct error *err); /* every checksum, of shards and of records */
void shard_set_close(struct shard_set *s);

#endif
