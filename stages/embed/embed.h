/*
 * embed.h: computes the pooled features of the base for each row of a manifest. They are kept in the cache
 * that phase head of train uses, under the same keys, so that each program uses the features that the other
 * computed. targets.c opens the net and its caches, embed.c processes the pictures, and embed_output.c writes
 * the folder.
 */
#ifndef WINNOW_STAGE_EMBED_H
#define WINNOW_STAGE_EMBED_H

#include "cli/options.h"
#include "cli/stage.h"
#include "image/picture_rules.h"
#include "manifest/manifest.h"
#include "model/activation_cache.h"
#include "model/frozen_features.h"
#include "net/net.h"
#include "vector/vector_folder.h"
#include "vector/vector_reduce.h"

enum embed_boundary { EMBED_BOUNDARY_NONE, EMBED_BOUNDARY_F16, EMBED_BOUNDARY_F32 };

struct embed_options {
    struct common_options common;
    const char *base, *folder, *cache, *unlock_from, *device, *reduce, *fit, *resize, *input, *feature_layer;
    int64_t size, batch;
    int boundary, precision;
    struct picture_rules rules;
    bool allow_truncated, no_sandbox;
};
#define EMBED_DEFAULTS                                                                                       \
    {                                                                                                        \
        .common = COMMON_OPTIONS_DEFAULTS, .device = "auto", .unlock_from = "auto", .batch = 32              \
    }

/* Fails with EX_USAGE when options contradict each other. */
int embed_check_options(const struct embed_options *o, struct error *err);

struct embed {
    const struct embed_options *opt;
    struct net net;
    int side_px;
    struct resize_rule rule;
    const char *device;
    enum backend_precision precision;
    char identity[33]; /* of the pooled features */
    struct frozen_boundary boundary[FROZEN_MAX_TARGETS];
    struct activation_cache *cache[FROZEN_MAX_TARGETS];
    int n_targets;
    struct vector_fit fit;       /* n_values 0: none */
    struct activation_key *keys; /* of each row kept */
    size_t n_keys, keys_capacity, n_computed;
    struct progress progress;
};
#define EMBED_EMPTY ((struct embed){.net = NET_EMPTY})

/* targets.c: opens the net, the device, the boundaries, the caches and the reduction of --fit. */
int embed_open(struct embed *e, struct error *err);
/* embed.c: computes the features of every row's picture into the caches, and writes the rows to rows.tsv
 * (out) or to rejects. */
int embed_run(struct embed *e, struct manifest_reader *in, struct manifest_writer *out,
              struct manifest_writer *rejects, struct stage_counts *n, struct error *err);
/* embed_output.c: embed_write writes reduce.fit and features.npy; embed_finish writes info.tsv, after
 * rows.tsv. */
int embed_write(struct embed *e, struct error *err);
int embed_finish(const struct embed *e, struct error *err);
void embed_release(struct embed *e);

#endif
