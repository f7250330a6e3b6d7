/*
 * batch_loader.h: prepares batches ahead of the engine, on its own threads, in bounded memory.
 * A batch is made from rows of a data set: pixels (augmented or not), or activations read from a cache.
 * `ahead` batches are in work or ready; the caller holds one more. What a batch holds is a function of (rows,
 * seed, epoch), never of threads.
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
    /* NULL: pixels; else rows come from here (all must be in it) */
    const struct activation_cache *cache;
    const struct frozen_boundary *boundary; /* with cache: how a row splits into the engine's inputs */
    const struct augment_spec *augment;     /* pixels only; NULL = none */
    uint64_t seed;                          /* of augmentation */
};

struct batch_loader;

/* n_threads 0: batches are made in batch_loader_next (for caches in memory, where a thread would cost more
 * than it hides). */
int batch_loader_open(struct batch_loader **out, const struct batch_source *source, int batch,
                      unsigned n_threads, unsigned ahead, struct error *err);
/* Bytes its buffers take. */
size_t batch_loader_bytes(const struct batch_source *source, int batch, unsigned n_threads, unsigned ahead);

/*
 * Begins a pass over order [n] (row numbers; borrowed until the pass ends), from batch number first_batch on.
 * whole: the last batch is filled up with rows from the start of the order (batch norm needs whole batches);
 * else it is short. plain: no augmentation (validation, statistics). epoch: which augmentations are drawn.
 */
void batch_loader_start(struct batch_loader *l, const uint32_t *order, size_t n, uint64_t epoch,
                        size_t first_batch, bool whole, bool plain);
/*
 * From the next start on, batches are n_ranks times as large and this loader makes the part of one rank: rows
 * rank * p.. of each, where p is the batch's rows divided by n_ranks and rounded up: a part of a short last
 * batch may be short or empty (out->n = 0). rank 0 of 1 loads everything, as at first.
 */
void batch_loader_deal(struct batch_loader *l, int rank, int n_ranks);
size_t batch_loader_batches(const struct batch_loader *l); /* of the pass that was started */

/*
 * 1: *out and *rows (out->n row numbers) are the next batch, borrowed until the next call; 0: the pass is
 * over; -1: err. The seconds spent waiting here are added to *waited_s.
 */
int batch_loader_next(struct batch_loader *l, struct engine_batch *out, const uint32_t **rows,
                      double *waited_s, struct error *err);
/* Ends a pass early: waits for what is in work and forgets it. */
void batch_loader_stop(struct batch_loader *l);
void batch_loader_close(struct batch_loader *l);

#endif
