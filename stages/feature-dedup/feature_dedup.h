/*
 * feature_dedup.h: finds near duplicates that hashes miss (crops, captions, borders, rotations), with the
 * vectors that embed wrote. feature_rows.c finds the vector of each row, feature_pairs.c finds the rows that
 * may be copies and verifies each pair on its pixels, and lib/dedup decides which rows are kept.
 *
 * Memory: 100 bytes a row; 6 bytes a value of a vector; 256 bytes a row for its neighbours; 17 KB a
 * picture that may be a copy; 12 bytes a pair.
 */
#ifndef WINNOW_FEATURE_DEDUP_H
#define WINNOW_FEATURE_DEDUP_H

#include "dedup/near_dedup.h"
#include "image/picture_rules.h"
#include "vector/copy_check.h"
#include "vector/vector_folder.h"
#include "vector/vector_join.h"

struct feature_options {
    struct dedup_options dedup;
    struct option_strings features;
    int64_t neighbours;
    struct picture_rules rules;
    bool allow_truncated, no_sandbox;
};
/*
 * Distances are thousandths of 1 - cosine. For ten kinds of alterations, all but a few percent of the copies
 * are within 450. So are a few percent of the pairs of different pictures of one kind, so the pixels decide.
 * A picture on a block list has no pixels here, so its limit is much smaller. tests/bench/feature-dedup.sh
 * measures these figures.
 */
#define FEATURE_DEFAULTS                                                                                     \
    {                                                                                                        \
        .dedup = {.common = COMMON_OPTIONS_DEFAULTS,                                                         \
                  .distance = 450,                                                                           \
                  .group_distance = 450,                                                                     \
                  .keep = KEEP_LARGEST,                                                                      \
                  .block_distance = 50},                                                                     \
        .neighbours = 32                                                                                     \
    }

struct feature_dedup {
    const struct feature_options *opt;
    struct dedup d;
    struct vector_set *sets; /* the sets that --features names, in that order */
    size_t n_sets;
    size_t n_values;
    const float **vectors; /* of each node, borrowed from sets */
    size_t vectors_capacity;
    uint64_t n_without; /* number of rows without a vector in any folder */
    size_t n_candidates, n_unseen;
};

/* feature_rows.c */
int feature_read_sets(struct feature_dedup *s, struct error *err);
int feature_read_rows(struct feature_dedup *s, struct manifest_source *in, bool against, struct error *err);
/* Makes the nodes; rows with the same content are one node. Call it after the last feature_read_rows. */
int feature_make_nodes(struct feature_dedup *s, struct error *err);

/* feature_pairs.c: these need the nodes. feature_find_pairs sets the pairs, the neighbour lists and
 * ROW_PATH. */
int feature_block(struct feature_dedup *s, struct error *err);
int feature_find_pairs(struct feature_dedup *s, struct manifest_source *in, struct manifest_source *against,
                       struct error *err);

int feature_run(struct feature_dedup *s, struct dedup_files *f, struct stage_counts *n, struct error *err);
int feature_run_check_leak(struct feature_dedup *s, struct manifest_source *in, uint64_t *n_leaks,
                           struct error *err);
void feature_release(struct feature_dedup *s);

#endif
