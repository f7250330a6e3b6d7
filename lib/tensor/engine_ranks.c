/*
 * engine_ranks.c: several ranks share one batch. Their gradients are summed while the backward pass still
 * runs. The statistics of their batch norms are exchanged (in the middle of the operation, with
 * sync_statistics) or averaged.
 *
 * The backward pass goes from the last layer to the first, and parameters are stored in the order of the net.
 * The gradient arena therefore becomes final from its end to its beginning. As soon as a few MiB are final,
 * their sum is begun. When the memory of the device is not host memory, everything goes through one array on
 * the host at the end.
 */
#include <stdlib.h>
#include <string.h>

#include "tensor/engine_internal.h"

/* Small enough that most sums are complete when the backward pass ends, and large enough that the time of
 * a sum depends on its bytes and not on latency. */
#define BUCKET_BYTES ((size_t)4 << 20)

bool engine_has_ranks(const struct engine *e) { return dist_size(e->options.dist) > 1; }

static void exchange_sum(struct op_exchange *x, double *values, size_t n)
{
    struct exchange *all = (struct exchange *)x; /* x is its first member */
    if (!all->err.code) dist_sum_f64(all->dist, values, n, &all->err);
}

/* Computes for each node i from which byte on the arena is final after its backward pass: the end of the
 * part that earlier nodes write. */
static void find_final(struct engine *e)
{
    const struct plan *p = &e->plan;
    static const int written[] = {P_KERNEL, P_BIAS, P_GAMMA, P_BETA};
    size_t end = 0;
    for (size_t i = 0; i < p->n_nodes; i++) {
        e->final_from[i] = end;
        for (size_t k = 0; p->nodes[i].backward && k < sizeof written / sizeof *written; k++) {
            for (int j = p->nodes[i].param[written[k]]; j != NO; j = p->params[j].next)
                if (p->params[j].offset + p->params[j].bytes > end)
                    end = p->params[j].offset + p->params[j].bytes;
        }
    }
}

int engine_exchange_open(struct engine *e, struct error *err)
{
    const struct plan *p = &e->plan;
    size_t most = p->weights_bytes > p->statistics_bytes ? p->weights_bytes : p->statistics_bytes;
    if (!engine_has_ranks(e) || e->options.mode != ENGINE_TRAIN) return 0;
    if (e->options.sync_statistics && p->has_batch_norm) {
        if (!e->table->exchanges_statistics)
            return error_set(err, EX_UNAVAILABLE,
                             "device '%s' cannot synchronise batch norm statistics between ranks: omit "
                             "--sync-bn, or use --freeze-bn",
                             e->table->name);
        e->exchange =
            (struct exchange){.x = {dist_size(e->options.dist), exchange_sum}, .dist = e->options.dist};
    }
    if (!(e->final_from = mem_zalloc(p->n_nodes + 1, sizeof *e->final_from, err)) ||
        (!e->table->host_memory && !(e->flat = mem_zalloc(1, most, err))))
        return -1;
    find_final(e);
    return 0;
}

int engine_sum_gradients(struct engine *e, size_t node, size_t *from, struct error *err)
{
    size_t final = node ? e->final_from[node] : 0;
    if (!e->table->host_memory || final >= *from || (*from - final < BUCKET_BYTES && final))
        return e->table->host_memory ? dist_poll(e->options.dist, err) : 0;
    if (e->table->sync(e->backend, err) ||
        dist_sum_begin(e->options.dist, e->table->host_memory((struct slot){e->gradients, final}),
                       (*from - final) / sizeof(float), err))
        return -1;
    *from = final;
    return 0;
}

/* Sums n values of a buffer over all ranks, through the host. */
static int sum_flat(struct engine *e, struct backend_buffer *buffer, size_t n, struct error *err)
{
    struct slot all = {buffer, 0};
    struct param_shape shape = {PARAM_VECTOR, 1, 1, 1, (int)n};
    if (e->table->host_memory)
        return e->table->sync(e->backend, err) ||
                       dist_sum_f32(e->options.dist, e->table->host_memory(all), n, err)
                   ? -1
                   : 0;
    return e->table->param_download(e->backend, all, &shape, e->flat, err) ||
                   dist_sum_f32(e->options.dist, e->flat, n, err) ||
                   e->table->param_upload(e->backend, all, &shape, e->flat, err)
               ? -1
               : 0;
}

int engine_finish_gradients(struct engine *e, size_t *from, struct error *err)
{
    if (!e->table->host_memory) return sum_flat(e, e->gradients, e->plan.weights_bytes / sizeof(float), err);
    return engine_sum_gradients(e, 0, from, err) || dist_finish(e->options.dist, err) ? -1 : 0;
}

/* A moving average is linear, so that the mean of the ranks' averages is the moving
 * average of the mean of their batches. */
int engine_mean_statistics(struct engine *e, struct error *err)
{
    size_t n = e->plan.statistics_bytes / sizeof(float);
    if (!engine_has_ranks(e) || !e->plan.has_batch_norm || e->exchange.x.sum) return 0;
    return sum_flat(e, e->statistics, n, err) ||
                   e->table->scale(e->backend, (struct slot){e->statistics, 0}, n,
                                   1.0f / (float)dist_size(e->options.dist), err)
               ? -1
               : 0;
}
