/* phase_head.c: trains a new head on the frozen base. Every picture goes through the base once. Its pooled
 * features are kept in a cache, and all epochs and folds read them from there. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/base_net.h"
#include "train.h"

int phase_head_prepare(struct train_run *run, struct error *err)
{
    const struct shard_set_info *info = run->data.info;
    struct net *net = &run->net;
    if (net_replace_head(net, info->n_classes, info->classes, (uint64_t)run->options->common.seed, err) ||
        net_infer_shapes(net, info->side_px, info->side_px, err))
        return error_prefix(err, "--base '%s'", run->options->base);
    int last = base_net_freeze(net);
    if (run->options->head_l2 >= 0)
        for (int i = last + 1; i < net->n_layers; i++)
            if (net->layers[i].kind == LAYER_DENSE && net->layers[i].l2 > 0)
                net->layers[i].l2 = run->options->head_l2;
    return 0;
}

int head_engine_open(struct head_engine *h, struct train_run *run, const struct frozen_boundary *f,
                     const struct activation_cache *cache, struct error *err)
{
    struct engine_options o = train_engine_options(run);
    struct batch_source source = {.data = &run->data, .cache = cache, .boundary = f};
    *h = (struct head_engine){0};
    o.mode = ENGINE_TRAIN;
    o.inputs = f->layers;
    o.n_inputs = f->n_layers;
    return train_open_engine(run, &o, &source, 0, 1, &h->engine, &h->loader, err);
}

void head_engine_close(struct head_engine *h)
{
    batch_loader_close(h->loader);
    engine_close(h->engine);
    *h = (struct head_engine){0};
}

/* --- the phase --- */

int phase_head_targets(struct train_run *run, struct head_targets *t, struct error *err)
{
    struct net unlocked = NET_EMPTY;
    const char *from;
    int rc = -1;
    *t = (struct head_targets){0};
    if (frozen_boundary_find(&t->boundary[0], &run->net, err) ||
        train_open_cache(run, &t->boundary[0], "features", ACTIVATION_F32, &t->cache[0], err))
        return -1;
    t->n = 1;
    if (run->options->boundary) {
        if (net_copy(&unlocked, &run->net, err) || train_unlock(run, &unlocked, &from, err) ||
            frozen_boundary_find(&t->boundary[1], &unlocked, err))
            goto out;
        if (!t->boundary[1].is_input) {
            if (train_open_boundary(run, &t->boundary[1], &t->cache[1], err)) goto out;
            t->n = 2;
        }
    }
    rc = 0;
out:
    net_release(&unlocked);
    return rc;
}

void phase_head_targets_close(struct head_targets *t)
{
    for (int i = 0; i < FROZEN_MAX_TARGETS; i++)
        activation_cache_close(t->cache[i]);
    *t = (struct head_targets){0};
}

int phase_head_fill(struct train_run *run, const struct head_targets *t, struct error *err)
{
    struct frozen_target targets[FROZEN_MAX_TARGETS];
    for (int i = 0; i < t->n; i++)
        targets[i] = (struct frozen_target){t->cache[i], &t->boundary[i]};
    int rc = train_fill_caches(run, targets, t->n, t->n > 1 ? "features and boundary cache" : "features",
                               run->options->export_features != NULL, err);
    /* The folds may need the features of test pictures, too. Fine-tuning never does. */
    if (!rc && run->options->fold_rows == FOLD_ALL_ROWS && !run->options->export_features)
        rc = train_fill_caches(run, targets, 1, "features of the test split", true, err);
    return rc;
}

/* Computes the features of every picture and opens their cache. The other cache, if there is one, is closed
 * again. */
static int open_features(struct train_run *run, struct frozen_boundary *f, struct activation_cache **cache,
                         struct error *err)
{
    struct head_targets t;
    int rc = phase_head_targets(run, &t, err);
    if (!rc) rc = phase_head_fill(run, &t, err);
    *f = t.boundary[0];
    *cache = t.cache[0];
    t.cache[0] = NULL;
    phase_head_targets_close(&t);
    return rc;
}

struct features {
    struct frozen_boundary boundary;
    struct activation_cache *cache;
};

static int export_features(struct train_run *run, void *features, struct error *err)
{
    const struct features *f = features;
    return outputs_features(run, &f->boundary, f->cache, err);
}

int phase_head_export(struct train_run *run, struct error *err)
{
    struct features f = {0};
    if (phase_head_prepare(run, err)) return -1;
    int rc = open_features(run, &f.boundary, &f.cache, err);
    if (!rc) rc = train_on(run, ON_FIRST, export_features, &f, err);
    activation_cache_close(f.cache);
    return rc;
}

int phase_head(struct train_run *run, struct trainer *t, struct error *err)
{
    struct dataset *d = &run->data;
    struct head_engine h = {0};
    struct features f = {0};
    int rc = open_features(run, &f.boundary, &f.cache, err);
    if (!rc && run->options->export_features) rc = train_on(run, ON_FIRST, export_features, &f, err);
    if (rc) goto out;
    rc = -1;
    if (!(run->margins = mem_zalloc(d->n_rows, sizeof *run->margins, err)) ||
        head_engine_open(&h, run, &f.boundary, f.cache, err))
        goto out;
    *t = (struct trainer){.engine = h.engine,
                          .loader = h.loader,
                          .data = d,
                          .train_rows = d->rows[SHARD_TRAIN],
                          .n_train = d->n_split[SHARD_TRAIN],
                          .val_rows = d->rows[SHARD_VAL],
                          .n_val = d->n_split[SHARD_VAL],
                          .batch = run->batch,
                          .margins = run->margins};
    if (train_settings(run, (int)run->options->epochs, false, t->n_train, &t->settings, err)) goto out;
    rc = train_with_log(run, t, err);
    /* The folds start from the untrained head, which is still in run->net. The
     * trained one is put there afterwards. */
    if (!rc && run->options->folds)
        rc = train_folds(run, &f.boundary, f.cache, err);
    else if (!rc && train_is_first(run))
        rc = outputs_margins(run, d->rows[SHARD_TRAIN], d->n_split[SHARD_TRAIN], t->epochs_done, err);
    if (!rc && engine_read_net(h.engine, ENGINE_WEIGHTS, &run->net, err)) rc = -1;
out:
    head_engine_close(&h);
    activation_cache_close(f.cache);
    return rc;
}
