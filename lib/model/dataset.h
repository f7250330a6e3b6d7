/* dataset.h: opens a shard set for training. It gives the rows of each split, their labels, keys for caches,
 * and one hash of all data that could change a result. A row is the number of a record in the set. */
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
    /* Record numbers, ascending. For validation and test, only records with variant 0. */
    uint32_t *rows[SHARD_SPLITS];
    size_t n_split[SHARD_SPLITS];
    /* Hash of the records' checksums, content hashes, labels, splits, variants, groups and folds, and of the
     * classes. */
    char hash[33];
};
#define DATASET_EMPTY ((struct dataset){0})

/* Opens the set and reads its index (the checksums of the records are keys of the caches). EX_DATAERR when
 * there are no training rows, when a class has none, or when there are more than 2^32-2 records. */
int dataset_open(struct dataset *d, const char *folder, struct error *err);
void dataset_release(struct dataset *d);

/* Sets *key to the key of a picture's activations. It is made of the content hash (32 digits; any other name
 * is hashed), the checksum of the stored bytes of its pixels, their kind and size, and the variant. */
void dataset_key(struct activation_key *key, const char *xxh128, uint64_t checksum, int side_px,
                 enum shard_encoding encoding, int variant);

/*
 * Sets weights [n_classes] from "none", "balanced" (n / (classes * rows of the class), so that the mean over
 * rows is 1), or a list with one number for each class, separated by commas, in the order of the classes.
 * EX_USAGE.
 */
int dataset_class_weights(const struct dataset *d, const char *spec, double *weights, struct error *err);

#endif
