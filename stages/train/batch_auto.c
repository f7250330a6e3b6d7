/*
 * batch_auto.c: --batch auto: finds the largest power of two for which the plan fits into the memory of the
 * device. Plans are made but not run: engine_memory_need computes the exact size of arenas, weights and
 * workspaces. A batch is at most an eighth of the training pictures, because training with only a few steps
 * in an epoch is bad.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"
#include "base/text.h"
#include "train.h"

static size_t memory_limit(const struct train_run *run)
{
    struct backend_options options = {.threads = run->threads,
                                      .device_index = train_device_index(run),
                                      .deterministic = true,
                                      .precision = run->precision};
    const struct backend_table *table;
    struct backend *b = NULL;
    struct error ignored = {0};
    size_t bytes = 0;
    if (run->options->memory_limit) return run->options->memory_limit;
    if (!backend_open(run->device, &options, &table, &b, &ignored)) {
        bytes = table->memory_available(b);
        table->close(b);
    }
    if (!bytes) bytes = (size_t)sysconf(_SC_AVPHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    return (size_t)((double)bytes * BATCH_SHARE_USED);
}

/* Returns the batch of a run that was begun or completed in this folder, or 0. A run that continues on
 * another machine keeps its batch. */
static int batch_so_far(const struct train_run *run)
{
    char *plan = NULL;
    struct error ignored = {0};
    size_t n;
    uint64_t batch = 0;
    if (io_exists(run->path_done.data) ? io_read_file(run->path_done.data, 1 << 20, &plan, &n, &ignored)
                                       : !(plan = trainer_checkpoint_plan(run->path_checkpoint.data)))
        return 0;
    const char *value = train_plan_value(plan, "batch", &n);
    if (!value || !parse_digits(value, n, &batch) || batch > 65536) batch = 0;
    free(plan);
    return (int)batch;
}

int train_parse_batch(const struct train_options *o, int *batch, struct error *err)
{
    int64_t n = 0;
    if (strcmp(o->batch, "auto") && parse_i64(o->batch, 1, 65536, &n, "--batch", err))
        return error_set(err, EX_USAGE, "--batch '%s': a number from 1 to 65536, or auto", o->batch);
    *batch = (int)n;
    return 0;
}

int train_choose_batch(struct train_run *run, struct error *err)
{
    const struct train_options *o = run->options;
    struct net net = NET_EMPTY;
    const char *from;
    if (train_parse_batch(o, &run->batch, err)) return -1;
    if (run->batch) return 0;
    int ranks = dist_size(run->dist);
    /* Only rank 0 has the files. */
    int so_far = train_is_first(run) && run->path_done.data ? batch_so_far(run) : 0;
    if (ranks > 1 && dist_broadcast(run->dist, &so_far, sizeof so_far, err)) return -1;
    if (so_far && so_far % ranks == 0) {
        run->batch = so_far;
        stage_note(&o->common, "--batch auto: %d, as '%s' was started with", so_far, o->out);
        return 0;
    }
    size_t limit = memory_limit(run), most = run->data.n_split[SHARD_TRAIN] / 8 / (size_t)ranks;
    if (!strcmp(run->device, "cpu") || !strcmp(run->device, "ref"))
        /* Each rank has its own GPU, but the ranks on a machine share its host memory. */
        limit /= (size_t)dist_local_size(run->dist);
    struct engine_options e = train_engine_options(run);
    int rc = net_copy(&net, &run->net, err);
    e.mode = o->phase == PHASE_HEAD ? ENGINE_INFERENCE : ENGINE_TRAIN;
    e.memory_limit_bytes = 0;
    if (!rc && o->phase != PHASE_HEAD) rc = train_unlock(run, &net, &from, err);
    run->batch = 0;
    for (int batch = 1; !rc && batch <= BATCH_MOST && (batch == 1 || (size_t)batch <= most); batch *= 2) {
        size_t need;
        e.batch = batch;
        rc = engine_memory_need(&net, &e, &need, err);
        if (rc || need > limit) break;
        run->batch = batch;
    }
    net_release(&net);
    if (rc) return error_prefix(err, "--batch auto");
    if (!run->batch)
        return error_set(err, EX_OSERR, "--batch auto: not even one picture fits into %zu MiB", limit >> 20);
    run->batch *= ranks;
    stage_note(&o->common, "--batch auto: %d (%zu MiB may be used)", run->batch, limit >> 20);
    return 0;
}
