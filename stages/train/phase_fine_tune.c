/*
 * phase_fine_tune.c: trains the last layers of the base together with the head from phase head. The frozen
 * part runs as an inference plan inside the training engine. With --boundary-cache it ran once, and its
 * outputs come from disk.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "model/base_net.h"
#include "train.h"

int train_unlock(const struct train_run *run, struct net *net, const char **from, struct error *err)
{
    return base_net_unlock(net, run->options->unlock_from, run->options->base, from, err);
}

int phase_fine_tune_prepare(struct train_run *run, struct error *err)
{
    const char *from;
    struct net *net = &run->net;
    if (train_unlock(run, net, &from, err)) return -1;
    for (int i = 0; i < net->n_layers; i++) {
        struct net_layer *l = &net->layers[i];
        if (run->options->head_l2 >= 0 && l->kind == LAYER_DENSE && l->l2 > 0) l->l2 = run->options->head_l2;
        if (run->options->freeze_bn && l->kind == LAYER_BATCH_NORM) l->trainable = false;
    }
    stage_note(&run->options->common, "layers from '%s' on learn: %zu of %zu parameters", from,
               net_count_parameters(net, true), net_count_parameters(net, false));
    return 0;
}

struct disk_need {
    const struct frozen_boundary *boundary;
    enum activation_dtype dtype;
    const struct activation_cache *cache;
};

/* Prints how large the cache will be before a byte is written. Fails when the disk has too little space. */
static int check_disk(struct train_run *run, void *disk_need, struct error *err)
{
    const struct disk_need *need = disk_need;
    enum activation_dtype dtype = need->dtype;
    const char *folder = train_cache_folder(run);
    uint64_t n = (run->data.n_split[SHARD_TRAIN] + run->data.n_split[SHARD_VAL]) /
                 (run->n_parts ? (uint64_t)run->n_parts : 1);
    uint64_t bytes = activation_cache_bytes(need->boundary->total, dtype, n),
             there = activation_cache_bytes(need->boundary->total, dtype, activation_cache_rows(need->cache));
    struct statvfs fs;
    stage_note(&run->options->common, "boundary cache: %llu pictures x %.3g MiB = %.3g GiB in '%s'",
               (unsigned long long)n,
               (double)activation_cache_bytes(need->boundary->total, dtype, 1) / 1048576,
               (double)bytes / 1073741824, folder);
    if (statvfs(folder, &fs) == 0 && bytes > there && (bytes - there) > (uint64_t)fs.f_bavail * fs.f_frsize)
        return error_set(err, EX_CANTCREAT,
                         "--boundary-cache needs %.2f GiB in '%s', %.2f are free: use --boundary-cache %s, "
                         "or --cache on another disk",
                         (double)(bytes - there) / 1073741824, folder,
                         (double)fs.f_bavail * (double)fs.f_frsize / 1073741824,
                         dtype == ACTIVATION_F32 ? "f16 or none" : "none");
    return 0;
}

int train_open_boundary(struct train_run *run, const struct frozen_boundary *f,
                        struct activation_cache **cache, struct error *err)
{
    enum activation_dtype dtype = run->options->boundary == BOUNDARY_F16 ? ACTIVATION_F16 : ACTIVATION_F32;
    struct disk_need need = {.boundary = f, .dtype = dtype};
    if (train_open_cache(run, f, "boundary", dtype, cache, err)) return -1;
    need.cache = *cache;
    return train_on(run, ON_FIRST, check_disk, &need, err);
}

/* With -v, prints before the first step how much memory training takes, and what other settings would take.
 * Planning is fast. */
static void say_memory(const struct train_run *run, const struct engine_options *options,
                       const struct engine *engine, size_t loader_bytes)
{
    struct engine_options o = *options;
    struct error ignored = {0};
    size_t need, limit = options->memory_limit_bytes;
    if (!run->options->common.verbose) return;
    stage_note(&run->options->common, "%s (%s): %.0f MiB for batch %d, batches made ahead %.0f MiB",
               engine_device(engine), engine_description(engine),
               (double)engine_memory_bytes(engine) / 1048576, o.batch, (double)loader_bytes / 1048576);
    for (int fits = o.batch; limit && o.batch <= 4096; fits = o.batch) {
        o.batch *= 2;
        if (engine_memory_need(&run->net, &o, &need, &ignored) || need + loader_bytes > limit) {
            stage_note(&run->options->common, "batch %d fits --memory-limit, batch %d does not", fits,
                       o.batch);
            break;
        }
    }
}

int phase_fine_tune(struct train_run *run, struct trainer *t, struct error *err)
{
    struct dataset *d = &run->data;
    struct engine_options o = train_engine_options(run);
    struct batch_source source = {.data = d,
                                  .augment = &run->augment,
                                  .seed = (uint64_t)run->options->common.seed};
    struct activation_cache *cache = NULL;
    struct engine *engine = NULL;
    struct batch_loader *loader = NULL;
    struct frozen_boundary f;
    unsigned loader_threads = (unsigned)run->options->loader_threads, ahead = 2;
    int rc = -1;
    if (frozen_boundary_find(&f, &run->net, err)) goto out;
    if (run->options->boundary && !f.is_input) {
        if (train_open_boundary(run, &f, &cache, err)) goto out;
        if ((rc =
                 train_fill_caches(run, &(struct frozen_target){cache, &f}, 1, "boundary cache", false, err)))
            goto out;
        source.cache = cache;
        source.boundary = &f;
        o.inputs = f.layers;
        o.n_inputs = f.n_layers;
        if (loader_threads > 1)
            loader_threads = 1; /* reading and converting rows takes only a part of one thread's time, */
        ahead = 1;              /* and a batch of them is large */
    }
    o.mode = ENGINE_TRAIN;
    rc = -1;
    if (train_open_engine(run, &o, &source, loader_threads, ahead, &engine, &loader, err)) goto out;
    say_memory(run, &o, engine, batch_loader_bytes(&source, o.batch, loader_threads, ahead));
    *t = (struct trainer){.engine = engine,
                          .loader = loader,
                          .data = d,
                          .train_rows = d->rows[SHARD_TRAIN],
                          .n_train = d->n_split[SHARD_TRAIN],
                          .val_rows = d->rows[SHARD_VAL],
                          .n_val = d->n_split[SHARD_VAL],
                          .batch = run->batch};
    if (train_settings(run, (int)run->options->epochs, engine_has_batch_norm(engine), t->n_train,
                       &t->settings, err))
        goto out;
    stage_note(&run->options->common, "batch norm statistics: %s",
               !engine_has_batch_norm(engine) ? "the base's, none are unlocked"
               : t->settings.refresh          ? "recomputed from training pictures before each validation"
                                              : "moving averages, as trained");
    rc = train_with_log(run, t, err);
    if (!rc && strstr(engine_description(engine), "no CUDA graph"))
        stage_note(&run->options->common, "%s", engine_description(engine));
    if (!rc) {
        if (t->best_epoch == 0 && train_is_first(run))
            stage_warn("no epoch was better on validation than the base model (accuracy %.4f): the base is "
                       "kept",
                       t->base.accuracy);
        rc = engine_read_net(engine, ENGINE_WEIGHTS, &run->net, err);
    }
out:
    batch_loader_close(loader);
    engine_close(engine);
    activation_cache_close(cache);
    return rc;
}
