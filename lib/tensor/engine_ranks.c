/*
 * engine_ranks.c: several parts share one batch: ranks, or the GPUs of one process. Their gradients are
 * summed while the backward pass still runs. The statistics of their batch norms are exchanged (in the middle
 * of the operation, with sync_statistics) or averaged.
 *
 * The backward pass goes from the last layer to the first, and parameters are stored in the order of the net.
 * The gradient arena therefore becomes final from its end to its beginning. As soon as a few MiB are final,
 * their sum is begun: by the device itself (sum_begin), where it can, or by lib/dist on memory of the host. A
 * device that can do neither sends everything through one array on the host at the end.
 */
#include <stdlib.h>
#include <string.h>

#include "tensor/engine_internal.h"

/* Small enough that most sums are complete when the backward pass ends, and large enough that the time of
 * a sum depends on its bytes and not on latency. */
#define BUCKET_BYTES ((size_t)4 << 20)

bool engine_has_ranks(const struct engine *e) { return dist_size(e->options.dist) > 1; }

/* 0: the device does not sum. */
static size_t device_bucket(const struct engine *e)
{
    return e->table->sum_bytes ? e->table->sum_bytes(e->backend) : 0;
}

bool engine_is_a_part(const struct engine *e) { return engine_has_ranks(e) || device_bucket(e); }

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
    if (!engine_is_a_part(e) || e->options.mode != ENGINE_TRAIN) return 0;
    if (engine_has_ranks(e) && e->options.sync_statistics && p->has_batch_norm &&
        e->table->exchanges_statistics)
        e->exchange =
            (struct exchange){.x = {dist_size(e->options.dist), exchange_sum}, .dist = e->options.dist};
    if (!(e->final_from = mem_zalloc(p->n_nodes + 1, sizeof *e->final_from, err))) return -1;
    find_final(e);
    return 0;
}

/* --- a device that joins the ranks by itself --- */

static int test_queued(void *context, bool *done, struct error *err)
{
    struct engine *e = context;
    int rc = e->table->ranks_test(e->backend, false, done, err);
    /* Before it has joined, a rank that gives up is not a lost one: the host takes over. */
    if (rc && !e->joined) err->code = EX_UNAVAILABLE;
    return rc;
}

static int test_finished(void *context, bool *done, struct error *err)
{
    struct engine *e = context;
    return e->table->ranks_test(e->backend, true, done, err);
}

static int wait_until(struct engine *e, int (*test)(void *, bool *, struct error *), struct error *err)
{
    if (!dist_wait_for(e->options.dist, test, e, err)) return 0;
    e->table->ranks_leave(e->backend); /* or nobody could read the weights any more */
    return -1;
}

static int wait_for_queued(void *context, struct error *err) { return wait_until(context, test_queued, err); }

int engine_wait_for_ranks(struct engine *e, struct error *err)
{
    return engine_has_ranks(e) && device_bucket(e) ? wait_until(e, test_finished, err) : 0;
}

struct attempt {
    bool failed;
    char text[ERROR_TEXT_BYTES], id[RANKS_ID_BYTES];
};

/* Every rank says what came of its attempt. 1: one failed, and *why says which. id becomes that of rank 0. */
static int compare_attempts(struct engine *e, int rc, char *id, struct error *why, struct error *err)
{
    struct dist *d = e->options.dist;
    struct attempt *all = mem_zalloc((size_t)dist_size(d), sizeof *all, err), *mine = all + dist_rank(d);
    if (!all) return -1;
    mine->failed = rc != 0;
    memcpy(mine->text, why->text, sizeof mine->text);
    memcpy(mine->id, id, sizeof mine->id);
    rc = dist_gather(d, all, sizeof *all, err);
    memcpy(id, all[0].id, sizeof all[0].id);
    for (int i = 0; !rc && i < dist_size(d); i++)
        if (all[i].failed) {
            error_set(why, EX_UNAVAILABLE, "rank %d: %s", i, all[i].text);
            rc = 1; /* which ends the loop */
        }
    free(all);
    return rc;
}

int engine_join_ranks(struct engine *e, struct error *why, struct error *err)
{
    const struct backend_table *t = e->table;
    const struct plan *p = &e->plan;
    char id[RANKS_ID_BYTES] = "";
    int rank = dist_rank(e->options.dist), n_ranks = dist_size(e->options.dist), rc = 1;
    error_clear(why);
    if (n_ranks == 1 || e->options.mode != ENGINE_TRAIN || t->host_memory) return 0;
    if (t->ranks_id) rc = compare_attempts(e, t->ranks_id(e->backend, rank == 0, id, why), id, why, err);
    if (!rc && t->ranks_join) {
        int joined = t->ranks_join(e->backend, id, rank, n_ranks, wait_for_queued, e, why);
        if (joined && dist_lost(e->options.dist)) {
            *err = *why;
            return -1;
        }
        rc = compare_attempts(e, joined, id, why, err);
        if (rc) t->ranks_leave(e->backend);
        e->joined = !rc;
    }
    if (rc <= 0) return rc;
    if (p->has_batch_norm && e->options.sync_statistics) {
        error_set(err, EX_UNAVAILABLE,
                  "device '%s' synchronises batch norms itself, and cannot: %s; omit --sync-bn, or use "
                  "--freeze-bn",
                  t->name, why->text);
        return dist_agree(e->options.dist, -1, err);
    }
    size_t most = p->weights_bytes > p->statistics_bytes ? p->weights_bytes : p->statistics_bytes;
    return dist_agree(e->options.dist, (e->flat = mem_zalloc(1, most, err)) ? 0 : -1, err);
}

/* --- sums --- */

int engine_sum_gradients(struct engine *e, size_t node, size_t *from, struct error *err)
{
    size_t final = node ? e->final_from[node] : 0, bucket = device_bucket(e);
    bool on_device = bucket > 0;
    struct slot s = {e->gradients, final};
    if (!on_device) bucket = BUCKET_BYTES;
    if (!on_device && !e->table->host_memory) return 0;
    if (final >= *from || (*from - final < bucket && final))
        return on_device ? 0 : dist_poll(e->options.dist, err);
    size_t n = (*from - final) / sizeof(float);
    if (on_device ? e->table->sum_begin(e->backend, s, n, false, err)
                  : e->table->sync(e->backend, err) ||
                        dist_sum_begin(e->options.dist, e->table->host_memory(s), n, err))
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
    if (device_bucket(e))
        return engine_sum_gradients(e, 0, from, err) || e->table->sum_end(e->backend, err) ||
                       engine_wait_for_ranks(e, err)
                   ? -1
                   : 0;
    if (!e->table->host_memory) return sum_flat(e, e->gradients, e->plan.weights_bytes / sizeof(float), err);
    return engine_sum_gradients(e, 0, from, err) || dist_finish(e->options.dist, err) ? -1 : 0;
}

/* A moving average is linear, so that the mean of the parts' averages is the moving
 * average of the mean of their batches. */
int engine_mean_statistics(struct engine *e, struct error *err)
{
    struct slot all = {e->statistics, 0};
    size_t n = e->plan.statistics_bytes / sizeof(float);
    if (!engine_is_a_part(e) || !e->plan.has_batch_norm || e->options.sync_statistics) return 0;
    if (device_bucket(e))
        return e->table->sum_begin(e->backend, all, n, true, err) || e->table->sum_end(e->backend, err) ||
                       engine_wait_for_ranks(e, err)
                   ? -1
                   : 0;
    return sum_flat(e, e->statistics, n, err) ||
                   e->table->scale(e->backend, all, n, 1.0f / (float)dist_size(e->options.dist), err)
               ? -1
               : 0;
}
