/*
 * frozen.h: the frozen part of a network as a function from pictures to activations that a cache can keep.
 */
#ifndef WINNOW_MODEL_FROZEN_H
#define WINNOW_MODEL_FROZEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "model/activation_cache.h"
#include "model/dataset.h"
#include "net/net.h"
#include "tensor/engine.h"

#define FROZEN_MAX_LAYERS 16

/* Where the frozen part of a net ends, as engine_boundary finds it. */
struct frozen {
    int layers[FROZEN_MAX_LAYERS]; /* in net order */
    int n_layers;
    size_t sizes[FROZEN_MAX_LAYERS]; /* floats a picture of each */
    size_t total;                    /* their sum: values of a cache row, layer after layer */
    bool is_input;                   /* nothing is frozen: the boundary is the picture itself */
};
int frozen_find(struct frozen *f, const struct net *net, struct error *err);

/*
 * 32 hex digits over all that the activations depend on besides the picture: every layer before the boundary
 * with its settings and weights, the scaling, the device's kind and the precision.
 */
int frozen_identity(const struct frozen *f, const struct net *net, const char *device,
                    enum backend_precision precision, char out[33], struct error *err);

/* Called after each batch: pictures done of total; non-zero ends the work early (what is done is kept). */
typedef int frozen_progress(void *context, size_t done, size_t total);

/* One cache to fill, and the boundary whose activations it keeps. */
struct frozen_target {
    struct activation_cache *cache;
    const struct frozen *frozen;
};
#define FROZEN_MAX_TARGETS 2

/*
 * Makes sure that every cache has every row listed. A picture that any of them lacks goes through the net
 * once for all (options: device, threads, batch, precision), in the order given, each distinct key once,
 * batch by batch, what a batch adds to a cache being one block of it, so that a run cut short and begun again
 * computes the same batches. *computed gets the number of pictures computed, *stopped whether progress asked
 * to end. Boundaries are layers of the one net. With options->dist each rank computes every size-th batch and
 * rank 0 writes them all, in order: the caches have to lie where all ranks see them. Progress of any rank
 * ends it for all.
 */
int frozen_fill(const struct frozen_target *targets, int n_targets, const struct net *net, struct dataset *d,
                const uint32_t *rows, size_t n_rows, const struct engine_options *options,
                frozen_progress *progress, void *context, size_t *computed, bool *stopped, struct error *err);

#endif
