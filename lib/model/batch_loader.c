/*
 * batch_loader.c: each job of the ordered pool makes one whole batch. At most `ahead` jobs are submitted, in
 * order. Their buffers form a ring of ahead + 1; the additional one is the buffer that the caller is
 * reading.
 */
#include "model/batch_loader.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/io.h"
#include "io/ordered_pool.h"

struct loaded_batch {
    int n, n_whole, first_row;
    uint32_t *rows; /* [batch] */
    uint8_t *pixels;
    float *values[FROZEN_MAX_LAYERS];
    float *row; /* scratch: one cache row before it is split */
    uint64_t epoch;
    bool plain;
    struct error err;
};

struct batch_loader {
    struct batch_source source;
    int batch;
    unsigned n_threads, n_ring;
    size_t pixel_bytes; /* a picture */
    struct ordered_pool *pool;
    struct loaded_batch *ring;
    unsigned next_free;
    struct augment_scratch *scratch; /* [max(n_threads, 1)] */
    uint8_t **decoded;               /* the same: a decoded record of a JPEG set */
    const uint32_t *order;
    size_t n_order, n_batches, submitted, taken;
    uint64_t epoch;
    bool whole, plain;
    /* Of each batch of n_ranks * batch rows, the part of this rank is loaded. */
    size_t rank, n_ranks;
    const float *borrowed[FROZEN_MAX_LAYERS]; /* what *out points to */
};

size_t batch_loader_bytes(const struct batch_source *source, int batch, unsigned n_threads, unsigned ahead)
{
    size_t side = (size_t)source->data->info->side_px;
    size_t each = source->cache ? source->boundary->total * sizeof(float) : side * side * 3;
    return (ahead + 1) * (size_t)batch * each;
}

static int load_pixels(struct batch_loader *l, struct loaded_batch *b, unsigned worker, struct error *err)
{
    for (int i = 0; i < b->n; i++) {
        struct shard_record r;
        uint8_t *out = b->pixels + (size_t)i * l->pixel_bytes;
        if (shard_set_read(l->source.data->shards, b->rows[i], l->decoded[worker], &r, err)) return -1;
        if (b->plain || !l->source.augment)
            memcpy(out, r.pixels, l->pixel_bytes);
        else /* a variant uses another random stream, or it would be augmented exactly like its original */
            if (augment_pixels(l->source.augment, l->source.seed, r.xxh128,
                               (b->epoch + 1) * 4096 + (uint64_t)r.variant, r.pixels, out,
                               l->source.data->info->side_px, &l->scratch[worker], err))
                return -1;
    }
    return 0;
}

static int load_activations(struct batch_loader *l, struct loaded_batch *b, struct error *err)
{
    const struct frozen_boundary *f = l->source.boundary;
    for (int i = 0; i < b->n; i++) {
        int64_t row = activation_cache_find(l->source.cache, &l->source.data->keys[b->rows[i]]);
        if (row < 0)
            return error_set(err, EX_SOFTWARE, "record %u is not in the activation cache", b->rows[i]);
        if (f->n_layers == 1) {
            activation_cache_get(l->source.cache, row, b->values[0] + (size_t)i * f->total);
            continue;
        }
        activation_cache_get(l->source.cache, row, b->row);
        size_t first = 0;
        for (int k = 0; k < f->n_layers; k++) {
            memcpy(b->values[k] + (size_t)i * f->sizes[k], b->row + first, f->sizes[k] * sizeof(float));
            first += f->sizes[k];
        }
    }
    return 0;
}

static void work(void *context, unsigned worker, void *job)
{
    struct batch_loader *l = context;
    struct loaded_batch *b = job;
    int rc = l->source.cache ? load_activations(l, b, &b->err) : load_pixels(l, b, worker, &b->err);
    if (rc && !b->err.code) b->err.code = EX_SOFTWARE;
}

int batch_loader_open(struct batch_loader **out, const struct batch_source *source, int batch,
                      unsigned n_threads, unsigned ahead, struct error *err)
{
    *out = NULL;
    struct batch_loader *l = mem_zalloc(1, sizeof *l, err);
    if (!l) return -1;
    size_t side = (size_t)source->data->info->side_px, n = (size_t)batch;
    l->source = *source;
    if (source->augment && augment_spec_is_none(source->augment)) l->source.augment = NULL;
    l->batch = batch;
    l->n_ranks = 1;
    l->n_threads = n_threads;
    l->n_ring = (ahead ? ahead : 1) + 1;
    l->pixel_bytes = side * side * 3;
    if (!(l->ring = mem_zalloc(l->n_ring, sizeof *l->ring, err)) ||
        !(l->scratch = mem_zalloc(n_threads ? n_threads : 1, sizeof *l->scratch, err)) ||
        !(l->decoded = mem_zalloc(n_threads ? n_threads : 1, sizeof *l->decoded, err)))
        goto fail;
    for (unsigned i = 0; !source->cache && i < (n_threads ? n_threads : 1); i++)
        if (!(l->decoded[i] = mem_zalloc(1, l->pixel_bytes + 64, err))) goto fail;
    for (unsigned i = 0; i < l->n_ring; i++) {
        struct loaded_batch *b = &l->ring[i];
        if (!(b->rows = mem_zalloc(n, sizeof *b->rows, err))) goto fail;
        if (!source->cache) {
            if (!(b->pixels = mem_zalloc(n, l->pixel_bytes, err))) goto fail;
            continue;
        }
        if (source->boundary->n_layers > 1 &&
            !(b->row = mem_zalloc(source->boundary->total, sizeof *b->row, err)))
            goto fail;
        for (int k = 0; k < source->boundary->n_layers; k++)
            if (!(b->values[k] = mem_zalloc(n, source->boundary->sizes[k] * sizeof(float), err))) goto fail;
    }
    if (ordered_pool_open(&l->pool, n_threads, l->n_ring - 1, work, l, err)) goto fail;
    *out = l;
    return 0;
fail:
    batch_loader_close(l);
    return -1;
}

/* Returns the number of rows in batch number k, over all ranks. */
static size_t rows_of_batch(const struct batch_loader *l, size_t k)
{
    size_t together = l->n_ranks * (size_t)l->batch, left = l->n_order - k * together;
    return l->whole || left > together ? together : left;
}

static void submit_next(struct batch_loader *l)
{
    struct loaded_batch *b = &l->ring[l->next_free];
    /* A short batch is divided among the ranks, too. */
    size_t whole = rows_of_batch(l, l->submitted), part = (whole + l->n_ranks - 1) / l->n_ranks;
    size_t before = l->rank * part, first = l->submitted * l->n_ranks * (size_t)l->batch + before;
    l->next_free = (l->next_free + 1) % l->n_ring;
    b->n_whole = (int)whole;
    b->first_row = (int)before;
    b->n = before >= whole ? 0 : (int)(whole - before < part ? whole - before : part);
    for (int i = 0; i < b->n; i++)
        b->rows[i] = l->order[(first + (size_t)i) % l->n_order];
    b->epoch = l->epoch;
    b->plain = l->plain;
    b->err = (struct error){0};
    l->submitted++;
    ordered_pool_submit(l->pool, b);
}

void batch_loader_deal(struct batch_loader *l, int rank, int n_ranks)
{
    batch_loader_stop(l);
    l->rank = (size_t)rank;
    l->n_ranks = (size_t)n_ranks;
}

void batch_loader_start(struct batch_loader *l, const uint32_t *order, size_t n, uint64_t epoch,
                        size_t first_batch, bool whole, bool plain)
{
    batch_loader_stop(l);
    l->order = order;
    l->n_order = n;
    size_t together = l->n_ranks * (size_t)l->batch;
    l->n_batches = (n + together - 1) / together;
    l->submitted = l->taken = first_batch;
    l->epoch = epoch;
    l->whole = whole;
    l->plain = plain;
    while (l->submitted < l->n_batches && !ordered_pool_full(l->pool))
        submit_next(l);
}

size_t batch_loader_batches(const struct batch_loader *l) { return l->n_batches; }

int batch_loader_next(struct batch_loader *l, struct engine_batch *out, const uint32_t **rows,
                      double *waited_s, struct error *err)
{
    if (l->taken >= l->n_batches) return 0;
    double before = clock_seconds();
    struct loaded_batch *b = ordered_pool_take(l->pool);
    *waited_s += clock_seconds() - before;
    l->taken++;
    if (l->submitted < l->n_batches) /* it uses the buffer that the caller released by this call */
        submit_next(l);
    if (b->err.code) {
        *err = b->err;
        return -1;
    }
    *out = (struct engine_batch){.n = b->n,
                                 .pixels = b->pixels,
                                 .n_whole = b->n_whole,
                                 .first_row = b->first_row};
    if (l->source.cache) {
        for (int k = 0; k < l->source.boundary->n_layers; k++)
            l->borrowed[k] = b->values[k];
        out->values = l->borrowed;
    }
    *rows = b->rows;
    return 1;
}

void batch_loader_stop(struct batch_loader *l)
{
    while (!ordered_pool_empty(l->pool))
        ordered_pool_take(l->pool);
    l->taken = l->submitted = l->n_batches;
}

void batch_loader_close(struct batch_loader *l)
{
    if (!l) return;
    ordered_pool_close(l->pool);
    for (unsigned i = 0; l->ring && i < l->n_ring; i++) {
        free(l->ring[i].rows);
        free(l->ring[i].pixels);
        free(l->ring[i].row);
        for (int k = 0; k < FROZEN_MAX_LAYERS; k++)
            free(l->ring[i].values[k]);
    }
    for (unsigned i = 0; i < (l->n_threads ? l->n_threads : 1); i++) {
        if (l->scratch) augment_scratch_release(&l->scratch[i]);
        if (l->decoded) free(l->decoded[i]);
    }
    free(l->decoded);
    free(l->ring);
    free(l->scratch);
    free(l);
}
