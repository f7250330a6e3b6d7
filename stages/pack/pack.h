/* pack.h: packs pictures into shards; see main.c. */
#ifndef WINNOW_PACK_H
#define WINNOW_PACK_H

#include "cli/options.h"
#include "cli/stage.h"
#include "image/decode_pool.h"
#include "image/picture_rules.h"
#include "manifest/manifest.h"
#include "manifest/source.h"
#include "shard/shard.h"
#include "shard/shard_writer.h"

enum pack_format { PACK_WINNOW, PACK_WEBDATASET };
enum { PACK_AUTO = SHARD_JPEG + 1 }; /* value of pack_options.encoding before pack_choose_encoding */

struct pack_options {
    struct common_options common;
    const char *folder, *check, *reuse, *resize;
    struct picture_rules rules;
    int64_t size, quality;
    int format, encoding; /* enum pack_format, shard_encoding */
    uint64_t shard_bytes;
    bool append, allow_truncated, no_sandbox;
};
#define PACK_DEFAULTS                                                                                        \
    {                                                                                                        \
        .common = COMMON_OPTIONS_DEFAULTS, .resize = "bilinear", .size = 299, .quality = 95,                 \
        .shard_bytes = SHARD_DEFAULT_BYTES                                                                   \
    }

/* Fields of a manifest row that are stored with its record; borrowed from the row. */
struct pack_columns {
    int path, label, split, group, fold, variant, source, params, xxh128;
};

/* The sorted labels of a manifest. WebDataset needs their numbers before the first record is written. */
struct pack_classes {
    char **names;
    int n;
    size_t capacity;
};
int pack_classes_read(struct pack_classes *c, struct manifest_reader *in, struct error *err);
void pack_classes_release(struct pack_classes *c);

/*
 * Decides --encoding auto for n_rows rows: raw if the set takes at most a quarter of the memory and half of
 * the free disk. An existing set, or the one that --reuse names, keeps its encoding, except that a raw set
 * becomes JPEG above twice these limits.
 */
int pack_choose_encoding(struct pack_options *opt, uint64_t n_rows, struct error *err);

/* Converts --resize and the picture rules to settings of the decoder, and the background to the form that the
 * set records. Fails with EX_USAGE; the message names the option. */
int pack_picture_rules(const struct pack_options *opt, struct resize_rule *rule,
                       struct decode_options *decode, char background[BACKGROUND_TEXT_BYTES],
                       struct error *err);

/* Packs the pictures of a manifest. classes is used for PACK_WEBDATASET only. */
int pack_run(const struct pack_options *opt, const struct pack_classes *classes, struct manifest_reader *in,
             struct manifest_writer *rejects, struct stage_counts *n, struct error *err);

/* tar.c: writes a folder of <split>-00000.tar for WebDataset, img2dataset and DALI. Its functions are
 * used like those of shard_writer. */
struct tar_writer;
int tar_writer_open(struct tar_writer **out, const char *folder, uint64_t shard_bytes, char *const *classes,
                    int n_classes, struct error *err);
int tar_writer_add(struct tar_writer *w, const struct shard_writer_record *record, struct error *err);
int tar_writer_commit(struct tar_writer *w, struct error *err);
void tar_writer_close(struct tar_writer *w);

#endif
