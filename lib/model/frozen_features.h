/* frozen_features.h: computes the features of pictures for a cache: the outputs of the layers at the
 * boundary, which are the last layers of the frozen part of a net (see engine.h). */
#ifndef WINNOW_MODEL_FROZEN_FEATURES_H
#define WINNOW_MODEL_FROZEN_FEATURES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "model/activation_cache.h"
#include "model/dataset.h"
#include "net/net.h"
#include "tensor/engine.h"

#define FROZEN_MAX_LAYERS 16

/* The boundary, as engine_boundary returns it. */
struct frozen_boundary {
    int layers[FROZEN_MAX_LAYERS]; /* in net order */
    int n_layers;
    size_t sizes[FROZEN_MAX_LAYERS]; /* floats per image of each */
    /* sum of `each`: the number of values of a cache row, layer after layer */
    size_t total;
    bool is_input; /* nothing is frozen: the boundary is the image itself */
};
/* Finds the boundary of a net. Returns 0, or -1 with err set: EX_DATAERR when no layer is trainable, the
 * boundary has more than FROZEN_MAX_LAYERS layers, or the size of a layer is unknown. */
int frozen_boundary_find(struct frozen_boundary *b, const struct net *net, struct error *err);

/* Writes 32 hexadecimal digits, a hash of all that the features depend on besides the picture: every layer up
 * to the boundary with its settings and weights, the scaling, the kind of device and the precision. */
int frozen_boundary_identity(const struct frozen_boundary *b, const struct net *net, const char *device,
                             enum backend_precision precision, char out[33], struct error *err);

/* A cache to fill, and the boundary whose features it keeps. */
struct frozen_target {
    struct activation_cache *cache;
    const struct frozen_boundary *boundary;
};
#define FROZEN_MAX_TARGETS 2

struct frozen_fill {
    /* given, borrowed */
    const struct frozen_target *targets; /* one for each boundary; all boundaries are of the same net */
    int n_targets;
    const struct net *net;
    struct dataset *data;
    const uint32_t *rows; /* rows of the data that every cache must contain afterwards */
    size_t n_rows;
    const struct engine_options *options; /* device, threads, batch, precision, dist */
    /* Called after each batch; may be NULL. A value other than 0 ends the work early; the features computed
     * so far are kept. */
    int (*progress)(void *context, size_t n_done, size_t n_total);
    void *context;
    /* results */
    size_t n_computed; /* images */
    bool stopped;      /* progress asked to end */
};
/*
 * Computes the features that any of the caches lacks. Each such picture goes through the net once, in the
 * order of rows, batch by batch. Every batch becomes one block of each cache, so a run that is stopped and
 * started again computes the same batches. With n ranks, each rank computes every n-th batch, and rank 0
 * writes all of them in order. All ranks must have access to the folder of the caches. When progress ends the
 * work on one rank, it ends on all.
 */
int frozen_features_fill(struct frozen_fill *f, struct error *err);

#endif
