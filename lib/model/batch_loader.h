/*
 * batch_loader.h: prepares batches ahead of the engine, on separate threads and in bounded memory. A batch
 * consists of rows of a data set: pixels (augmented or not), or activations from a cache. At most `ahead`
 * batches are in preparation or ready, and the caller has one more. The contents of a batch depend on (rows,
 * seed, epoch), and never on threads.
 */
#ifndef WINNOW_MODEL_BATCH_LOADER_H
#define WINNOW_MODEL_BATCH_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "image/augment.h"
#include "model/activation_cache.h"
#include "model/dataset.h"
#include "model/frozen_features.h"
#include "tensor/engine.h"

struct batch_source {
    struct dataset *data; /* borrowed */
    /* NULL: the rows are pixels. Otherwise the rows come from this cache, which must contain all of them. */
    const struct activation_cache *cache;
    const struct frozen_boundary *boundary; /* with cache: how a row splits into the engine's inputs */
    const struct augment_spec *augment;     /* pixels only; NULL = none */
    uint64_t seed;                          /* of augmentation */
};

struct batch_loader;

/* Starts the threads. With n_threads 0, batch_loader_next prepares the batches itself, which is faster when
 * the cache is in memory. */
int batch_loader_open(struct batch_loader **out, const struct batch_source *source, int batch,
                      unsigned n_threads, unsigned ahead, struct error *err);
/* Returns the number of bytes that the buffers of such a loader take. */
size_t batch_loader_bytes(const struct batch_source *source, int batch, unsigned n_threads, unsigned ahead);

/*
 * Begins a pass over order [n] (row numbers, borrowed until the pass ends), from batch number first_batch
 * on. whole: the last batch is filled up with rows from the start of the order, since batch norm needs whole
 * batches; otherwise it is short. plain: no augmentation (validation, statistics). epoch: determines the
 * augmentations.
 */
void batch_loader_start(struct batch_loader *l, const uint32_t *order, size_t n, uint64_t epoch,
                        size_t first_batch, bool whole, bool plain);
/*
 * Makes this loader prepare only one rank's part of each batch, from the next start on. Batches are then
 * n_ranks times as large. The part has p rows, from row rank * p on, where p is the number of rows in the
 * batch divided by n_ranks and rounded up. In a short last batch the part may be short or empty (out->n = 0).
 * A new loader is rank 0 of 1 and loads whole batches.
 */
void batch_loader_deal(struct batch_loader *l, int rank, int n_ranks);
/* number of batches in the pass that was started */
size_t batch_loader_batches(const struct batch_loader *l);

/* Sets *out and *rows (out->n row numbers) to the next batch, borrowed until the next call. Returns 1, or 0
 * when the pass has ended, or -1 with err set. Adds the seconds that it waited to *waited_s. */
int batch_loader_next(struct batch_loader *l, struct engine_batch *out, const uint32_t **rows,
                      double *waited_s, struct error *err);
/* Ends a pass early: waits for batches in preparation, and drops them. */
void batch_loader_stop(struct batch_loader *l);
void batch_loader_close(struct batch_loader *l);

#endif
