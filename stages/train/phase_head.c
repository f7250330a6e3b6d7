/*
 * phase_head.c: a new head on the frozen base. Every picture goes through the base once; its pooled features are kept in a
 * cache, and all epochs, folds included, run from there.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/checkpoint.h"
#include "model/sampler.h"
#include "train.h"

int phase_head_prepare(struct train_run *run, struct error *err)
{
    const struct shard_set_info *info = run->data.info;
    struct net *net = &run->net;
    int last = -1;
    if (net_replace_head(net, info->n_classes, info->classes, (uint64_t)run->options->common.seed, err) ||
        net_infer_shapes(net, info->side_px, info->side_px, err))
        return error_prefix(err, "--base '%s'", run->options->base);
    for (int i = 0; i < net->n_layers; i++)     /* the head is what follows the last convolution or batch norm */
        if (net->layers[i].kind == LAYER_CONV2D || net->layers[i].kind == LAYER_DEPTHWISE_CONV2D ||
            net->layers[i].kind == LAYER_BATCH_NORM)
            last = i;
    for (int i = 0; i < net->n_layers; i++)
        net->layers[i].trainable = i > last && net->layers[i].n_weights > 0;
    if (run->options->head_l2 >= 0)
        for (int i = last + 1; i < net->n_layers; i++)
            if (net->layers[i].kind == LAYER_DENSE && net->layers[i].l2 > 0)
                net->layers[i].l2 = run->options->head_l2;
    return 0;
}

/* The head's engine over cached features, and a loader for it. */
struct head_engine { struct engine *engine; struct batch_loader *loader; };

static int open_head(struct train_run *run, const struct frozen *f, const struct activation_cache *cache, struct head_engine *h,
                     struct error *err)
{
    struct engine_options o = train_engine_options(run);
    struct batch_source source = {.data = &run->data, .cache = cache, .frozen = f};
    *h = (struct head_engine){0};
    o.mode = ENGINE_TRAIN;
    o.inputs = f->layers;
    o.n_inputs = f->n_layers;
    int rc = engine_open(&h->engine, &run->net, &o, err) || batch_loader_open(&h->loader, &source, o.batch, 0, 1, err) ? -1 : 0;
    return dist_agree(run->dist, rc, err);
}

static void close_head(struct head_engine *h)
{
    batch_loader_close(h->loader);
    engine_close(h->engine);
    *h = (struct head_engine){0};
}

/* --- folds --------------------------------------------------------------------------------------------------------- */

static int compare_rows(const void *x, const void *y)
{
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
    return (a > b) - (a < b);
}

static int choose_fold_rows(struct train_run *run, struct error *err)
{
    const struct dataset *d = &run->data;
    if (!(run->fold_rows = mem_zalloc(d->n_rows, sizeof *run->fold_rows, err)))
        return -1;
    for (int s = 0; s < SHARD_SPLITS; s++)
        for (size_t i = 0; i < d->n_split[s] && (s == SHARD_TRAIN || run->options->fold_rows == FOLD_ALL_ROWS); i++)
            run->fold_rows[run->n_fold_rows++] = d->rows[s][i];
    qsort(run->fold_rows, run->n_fold_rows, sizeof *run->fold_rows, compare_rows);
    return 0;
}

/* Which fold each of these rows is in: the manifest's own folds where all of them have one of 0..K-1, else cut here. */
static int assign_folds(struct train_run *run, struct error *err)
{
    size_t n = run->n_fold_rows;
    int k = (int)run->options->folds, rc = -1;
    const uint32_t *rows = run->fold_rows;
    struct fold_row *fold_rows = mem_zalloc(n, sizeof *fold_rows, err);
    int *fold = mem_zalloc(n, sizeof *fold, err);
    bool *used = mem_zalloc((size_t)k, sizeof *used, err), given = true;
    run->folds = mem_zalloc(run->data.n_rows, sizeof *run->folds, err);
    if (!fold_rows || !fold || !used || !run->folds)
        goto out;
    for (size_t i = 0; i < n; i++) {
        struct shard_record r;
        if (shard_set_describe(run->data.shards, rows[i], &r, err))
            goto out;
        fold_rows[i] = (struct fold_row){.group = r.group[0] ? r.group : r.source[0] ? r.source : r.path, .label = r.label};
        fold[i] = r.fold;
        given = given && r.fold >= 0 && r.fold < k;
        if (given)
            used[r.fold] = true;
    }
    for (int f = 0; f < k; f++)
        given = given && used[f];
    if (!given && sampler_folds(fold, fold_rows, n, run->data.info->n_classes, k, (uint64_t)run->options->common.seed, err))
        goto out;
    for (size_t i = 0; i < n; i++)
        run->folds[rows[i]] = fold[i];
    rc = 0;
out:
    free(fold_rows);
    free(fold);
    free(used);
    return rc;
}

/*
 * Trains on all folds but one, exactly as the main run is trained (same start, schedule and choice of epoch by the validation
 * split, which belongs to no fold; where it does, the last epoch is taken), and predicts the held-out rows. Margins of the rows that
 * taught, as means over the epochs, are added to margins. A finished fold is kept in RUN/fold-K until the run is complete.
 */
static int run_fold(struct train_run *run, const struct frozen *f, const struct activation_cache *cache, int fold, double *margins,
                    struct error *err)
{
    struct dataset *d = &run->data;
    bool all = run->options->fold_rows == FOLD_ALL_ROWS;
    size_t n = run->n_fold_rows, n_classes = (size_t)d->info->n_classes, n_in = 0, n_out = 0;
    uint32_t *in = mem_zalloc(n, sizeof *in, err), *out = mem_zalloc(n, sizeof *out, err);
    float *p = NULL;
    double *own = mem_zalloc(d->n_rows, sizeof *own, err);
    struct text path = TEXT_EMPTY;
    struct checkpoint kept = CHECKPOINT_EMPTY;
    struct head_engine h = {0};
    struct trainer t = {0};
    int rc = -1, is_kept = 0;
    if (!in || !out || !own || text_printf(&path, err, "%s/fold-%d", run->options->out, fold))
        goto done;
    for (size_t i = 0; i < n; i++) {
        uint32_t row = run->fold_rows[i];
        if (run->folds[row] != fold)
            in[n_in++] = row;
        else if (d->variants[row] == 0)
            out[n_out++] = row;
    }
    if (!n_in || !n_out) {
        error_set(err, EX_DATAERR, "fold %d of %lld is empty or holds everything", fold, (long long)run->options->folds);
        goto done;
    }
    if (!(p = mem_zalloc(n_out, n_classes * sizeof *p, err)))
        goto done;
    if (train_is_first(run))
        is_kept = io_exists(path.data) && !trainer_checkpoint_is_other(path.data, run->plan.data);
    if (dist_any(run->dist, &is_kept, err))
        goto done;
    if (is_kept) {
        int read = train_is_first(run) && (checkpoint_read(&kept, path.data, err) ||
                                           checkpoint_copy(&kept, "probabilities", p, n_out * n_classes * sizeof *p, err) ||
                                           checkpoint_copy(&kept, "margins", own, d->n_rows * sizeof *own, err)) ? -1 : 0;
        if (dist_agree(run->dist, read, err) || dist_broadcast(run->dist, p, n_out * n_classes * sizeof *p, err) ||
            dist_broadcast(run->dist, own, d->n_rows * sizeof *own, err))
            goto done;
    } else {
        if (open_head(run, f, cache, &h, err))
            goto done;
        t = (struct trainer){.engine = h.engine, .loader = h.loader, .dist = run->dist, .data = d, .train_rows = in, .n_train = n_in,
                             .val_rows = d->rows[SHARD_VAL], .n_val = all ? 0 : d->n_split[SHARD_VAL], .batch = run->batch, .margins = own};
        if (train_settings(run, (int)run->options->epochs, false, n_in, &t.settings, err))
            goto done;
        rc = trainer_run(&t, err);
        if (!rc)
            rc = trainer_predict(h.engine, h.loader, run->dist, out, n_out, (int)n_classes, p, err);
        if (rc > 0)
            rc = train_common_signal(run, err);
        if (rc) {
            if (rc < 0)
                error_prefix(err, "fold %d", fold);
            goto done;
        }
        rc = -1;
        for (size_t i = 0; i < n_in; i++)
            own[in[i]] /= t.epochs_done;
        struct checkpoint_section sections[] = {{.name = "plan", .bytes = run->plan.data, .n_bytes = run->plan.n_bytes},
                                                {.name = "probabilities", .bytes = p, .n_bytes = n_out * n_classes * sizeof *p},
                                                {.name = "margins", .bytes = own, .n_bytes = d->n_rows * sizeof *own}};
        if (dist_agree(run->dist, train_is_first(run) ? checkpoint_write(path.data, sections, 3, err) : 0, err))
            goto done;
    }
    struct trainer_metrics m;
    if (trainer_measure(&m, p, d->labels, out, n_out, (int)n_classes, err)) {
        rc = -1;
        goto done;
    }
    stage_note(&run->options->common, "fold %d of %lld: %zu pictures held out, accuracy %.4f", fold + 1, (long long)run->options->folds,
               n_out, m.accuracy);
    for (size_t i = 0; i < n_out; i++)
        memcpy(run->oof + out[i] * n_classes, p + i * n_classes, n_classes * sizeof *p);
    for (size_t i = 0; i < n_in; i++)
        margins[in[i]] += own[in[i]] / (double)(run->options->folds - 1);    /* each row teaches in all folds but its own */
    rc = 0;
done:
    trainer_release(&t);
    close_head(&h);
    checkpoint_release(&kept);
    text_release(&path);
    free(in);
    free(out);
    free(p);
    free(own);
    return rc;
}

/*
 * All folds, then their outputs. The margins written are means over the folds' models: a single training's depend on its dropout and
 * order, and with --fold-rows all they are there for every picture.
 */
static int run_folds(struct train_run *run, const struct frozen *f, const struct activation_cache *cache, struct error *err)
{
    int rc = -1, k = (int)run->options->folds;
    double *margins = mem_zalloc(run->data.n_rows, sizeof *margins, err);
    if (!margins || !(run->oof = mem_zalloc(run->data.n_rows, (size_t)run->data.info->n_classes * sizeof(float), err)) || choose_fold_rows(run, err) ||
        assign_folds(run, err))
        goto out;
    progress_start(&run->progress, &run->options->common, (uint64_t)k, "folds");
    rc = 0;
    for (int fold = 0; !rc && fold < k; fold++) {
        rc = run_fold(run, f, cache, fold, margins, err);
        progress_update(&run->progress, (uint64_t)fold + 1, NULL);
    }
    progress_end(&run->progress);
    if (rc)
        goto out;
    memcpy(run->margins, margins, run->data.n_rows * sizeof *margins);
    rc = dist_agree(run->dist, train_is_first(run) && (outputs_oof(run, err) || outputs_margins(run, run->fold_rows, run->n_fold_rows, 1, err)) ? -1 : 0,
                    err);
out:
    free(margins);
    return rc;
}

/* --- the phase ----------------------------------------------------------------------------------------------------- */

int phase_head_targets(struct train_run *run, struct head_targets *t, struct error *err)
{
    struct net unlocked = NET_EMPTY;
    const char *from;
    int rc = -1;
    *t = (struct head_targets){0};
    if (frozen_find(&t->frozen[0], &run->net, err) || train_open_cache(run, &t->frozen[0], "features", ACTIVATION_F32, &t->cache[0], err))
        return -1;
    t->n = 1;
    if (run->options->boundary) {
        if (net_copy(&unlocked, &run->net, err) || train_unlock(run, &unlocked, &from, err) || frozen_find(&t->frozen[1], &unlocked, err))
            goto out;
        if (!t->frozen[1].is_input) {
            if (train_open_boundary(run, &t->frozen[1], &t->cache[1], err))
                goto out;
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
        targets[i] = (struct frozen_target){t->cache[i], &t->frozen[i]};
    int rc = train_fill_caches(run, targets, t->n, t->n > 1 ? "features and boundary cache" : "features", run->options->export_features != NULL,
                               err);
    /* The folds want the test pictures' features, too, but nobody will fine-tune on them. */
    if (!rc && run->options->fold_rows == FOLD_ALL_ROWS && !run->options->export_features)
        rc = train_fill_caches(run, targets, 1, "features of the test split", true, err);
    return rc;
}

/* Every picture through the base, once; what is kept of it beside the features is closed again. */
static int open_features(struct train_run *run, struct frozen *f, struct activation_cache **cache, struct error *err)
{
    struct head_targets t;
    int rc = phase_head_targets(run, &t, err);
    if (!rc)
        rc = phase_head_fill(run, &t, err);
    *f = t.frozen[0];
    *cache = t.cache[0];
    t.cache[0] = NULL;
    phase_head_targets_close(&t);
    return rc;
}

static int export_features(struct train_run *run, const struct frozen *f, const struct activation_cache *cache, struct error *err)
{
    return dist_agree(run->dist, train_is_first(run) ? outputs_features(run, f, cache, err) : 0, err);
}

int phase_head_export(struct train_run *run, struct error *err)
{
    struct frozen f;
    struct activation_cache *cache = NULL;
    if (phase_head_prepare(run, err))
        return -1;
    int rc = open_features(run, &f, &cache, err);
    if (!rc)
        rc = export_features(run, &f, cache, err);
    activation_cache_close(cache);
    return rc;
}

int phase_head(struct train_run *run, struct trainer *t, struct error *err)
{
    struct dataset *d = &run->data;
    struct activation_cache *cache = NULL;
    struct head_engine h = {0};
    struct frozen f;
    int rc = open_features(run, &f, &cache, err);
    if (rc || (run->options->export_features && (rc = export_features(run, &f, cache, err))))
        goto out;
    rc = -1;
    if (!(run->margins = mem_zalloc(d->n_rows, sizeof *run->margins, err)) || open_head(run, &f, cache, &h, err))
        goto out;
    *t = (struct trainer){.engine = h.engine, .loader = h.loader, .data = d, .train_rows = d->rows[SHARD_TRAIN],
                          .n_train = d->n_split[SHARD_TRAIN], .val_rows = d->rows[SHARD_VAL], .n_val = d->n_split[SHARD_VAL],
                          .batch = run->batch, .margins = run->margins};
    if (train_settings(run, (int)run->options->epochs, false, t->n_train, &t->settings, err))
        goto out;
    rc = train_with_log(run, t, err);
    /* The folds start from the untrained head, which run->net still is: the trained one goes in afterwards. */
    if (!rc && run->options->folds)
        rc = run_folds(run, &f, cache, err);
    else if (!rc && train_is_first(run))
        rc = outputs_margins(run, d->rows[SHARD_TRAIN], d->n_split[SHARD_TRAIN], t->epochs_done, err);
    if (!rc && engine_read_net(h.engine, ENGINE_WEIGHTS, &run->net, err))
        rc = -1;
out:
    close_head(&h);
    activation_cache_close(cache);
    return rc;
}
