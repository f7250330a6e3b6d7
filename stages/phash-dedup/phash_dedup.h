/*
 * phash_dedup.h: finds near duplicates in a manifest by their perceptual hashes. phash_rows.c reads the rows
 * and hashes pictures, phash_pairs.c finds near pairs, blocklist.c compares with a list of pictures, and
 * lib/dedup decides which rows are kept.
 *
 * Memory: 88 bytes for each row (224 more with --dihedral), 32 bytes for each distinct hash and 30 more while
 * hashes are compared, 12 bytes for each near pair, and the paths of rows that have a near neighbour.
 */
#ifndef WINNOW_PHASH_DEDUP_H
#define WINNOW_PHASH_DEDUP_H

#include "dedup/near_dedup.h"
#include "hash/pdq.h"
#include "image/decode_pool.h"
#include "image/picture_rules.h"
#include "store/pdq_index.h"

struct phash_options {
    struct dedup_options dedup;
    int family; /* enum pdq_family */
    struct picture_rules rules;
    bool hash_only, dihedral, allow_truncated, exact_groups;
    int64_t min_quality;
    const char *index, *near_pairs;
};
/*
 * The authors of PDQ advise the distance 31 for "the same picture". 63 is for pictures that only have to be
 * in the same split. Crops by 2.5 % a side and rotations by 2 degrees are mostly beyond 31 and within 63. No
 * two of 558 different photographs were nearer than 94. Charts and drawings in the same style are nearer and
 * form groups of a dozen, which does no harm in a split. docs/notes/dedup.md has these figures.
 */
#define PHASH_DEFAULTS                                                                                       \
    {                                                                                                        \
        .dedup = {.common = COMMON_OPTIONS_DEFAULTS,                                                         \
                  .distance = PDQ_DEFAULT_DISTANCE,                                                          \
                  .group_distance = 63,                                                                      \
                  .keep = KEEP_LARGEST,                                                                      \
                  .block_distance = PDQ_DEFAULT_DISTANCE},                                                   \
        .min_quality = PDQ_MIN_QUALITY                                                                       \
    }

#define N_TURNED PDQ_TURNED

struct phash_dedup {
    const struct phash_options *opt;
    struct dedup d;        /* the state that lib/dedup uses */
    struct pdq_hash *pdqs; /* of each row */
    size_t pdqs_capacity;
    struct pdq_hash (*turned)[N_TURNED]; /* with --dihedral: of each row */
    size_t turned_capacity;
    struct pdq_index index;
    struct file_lock index_lock;
    struct pdq_hash *nodes; /* phash_pairs.c: the distinct hashes */
    size_t nodes_capacity;
    /* Numbers of pictures that were hashed; of hashes that came from the rows or from --index; and of rows
     * that are not compared, because their quality is below min_quality. */
    uint64_t n_decoded, n_reused, n_flat;
};

/* phash_rows.c: reads the rows of the manifest into s->d and their hashes into s->pdqs. against: it is the
 * manifest of --against, which is read first and must have the column pdq. A picture that fails is noted in
 * s->d.failures. Returns 0, or -1 with err set. */
int phash_read_rows(struct phash_dedup *s, struct manifest_source *in, bool against, struct error *err);
/* --hash-only: hashes every picture and writes each row at once, to f->out or f->rejects, without keeping it
 * in memory. Counts the rows in n. */
int phash_hash_only(struct phash_dedup *s, struct dedup_files *f, struct stage_counts *n, struct error *err);

/* phash_pairs.c */
/* Returns whether the row is compared: it has a hash of at least the quality min_quality, and is not
 * rejected. */
bool phash_comparable(const struct phash_dedup *s, uint32_t row);
/* Finds the near pairs of all rows: sets the nodes, the pairs, the neighbour lists, and ROW_PATH for each row
 * that has a neighbour. Returns 0, or -1 with err set. */
int phash_find_pairs(struct phash_dedup *s, struct error *err);

/* phash_index.c: --index, the hashes that are kept from one run to the next. phash_index_open takes the lock
 * of the file and reads it. */
int phash_index_open(struct phash_dedup *s, struct error *err);
/* Returns the entry for the picture with this content, borrowed until the next change, or NULL. */
const struct pdq_index_entry *phash_index_find(const struct phash_dedup *s, const struct xxh128 *id);
/* Adds the hash of the row. It is in the file after pdq_index_save. */
int phash_index_add(struct phash_dedup *s, uint32_t row, struct error *err);

/* blocklist.c: rejects the rows whose pictures are on the list of --blocklist; those of --against are only
 * counted. Call it after phash_read_rows and before phash_find_pairs. */
int phash_block(struct phash_dedup *s, struct manifest_source *in, struct error *err);

/* phash_dedup.c: a whole run, from the input to the written rows; the caller commits the outputs. */
int phash_run(struct phash_dedup *s, struct dedup_files *f, struct stage_counts *n, struct error *err);
/* The same for --check-leak. *n_leaks becomes the number of pictures that have a near copy in another
 * split. */
int phash_run_check_leak(struct phash_dedup *s, struct manifest_source *in, uint64_t *n_leaks,
                         struct error *err);
void phash_release(struct phash_dedup *s);

#endif
