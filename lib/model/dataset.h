/*
 * dataset.h: a shard set as training sees it: rows by split, labels, cache keys, and one hash over everything
 * that could change a result. Rows are record numbers of the set.
 */
#ifndef WINNOW_MODEL_DATASET_H
#define WINNOW_MODEL_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "model/activation_cache.h"
#include "shard/shard.h"

struct dataset {
    struct shard_set *shards;
    const struct shard_set_info *info; /* borrowed from shards */
    size_t n_rows;
    int *labels;                 /* [n_rows] */
    int *variants;               /* [n_rows] */
    struct activation_key *keys; /* [n_rows] */
    /* record numbers, ascending; validation and test only have variant 0 */
    uint32_t *rows[SHARD_SPLITS];
    size_t n_split[SHARD_SPLITS];
    /* over the records' checksums, content hashes, labels, splits, variants, groups, folds, classes */
    char hash[33];
};
#define DATASET_EMPTY ((struct dataset){0})

/*
 * Opens the set and reads its index (the records' checksums are the keys of the caches). EX_DATAERR when
 * there are no training rows or a class has none; more than 2^32-2 records are refused.
 */
int dataset_open(struct dataset *d, const char *folder, struct error *err);
void dataset_release(struct dataset *d);

/*
 * The key of a picture's activations: its content hash (32 digits; another name is hashed), the checksum of
 * the bytes that its pixels are kept in, their kind and size, and the variant.
 */
void dataset_key(struct activation_key *key, const char *xxh128, uint64_t checksum, int side_px,
                 enum shard_encoding encoding, int variant);

/*
 * weights [n_classes] from "none", "balanced" (n / (classes * rows of the class), so that the mean over rows
 * is 1) or a comma list with one number a class in the classes' order. EX_USAGE.
 */
int dataset_class_weights(const struct dataset *d, const char *spec, double *weights, struct error *err);

#endif
