/* run.c: runs train: opens the folder, takes the lock, makes the plan, runs the phase and writes the
 * outputs. */
#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/ordered_pool.h"
#include "io/signals.h"
#include "model/base_net.h"
#include "train.h"

/*
 * With fewer steps in an epoch than this, a batch norm with Keras' momentum of 0.99 still has more than 0.6
 * % (0.99^500) of its old statistics at the end of the epoch. On a small set, as users often begin with, it
 * still has most of them.
 */
#define REFRESH_BELOW_STEPS 500

int train_options_complete(struct train_options *o, struct error *err)
{
    bool head = o->phase == PHASE_HEAD;
    if (!o->shards || !o->base || (!o->out && !o->features_only))
        return error_set(err, EX_USAGE, "--%s is needed (--help lists all options)",
                         !o->shards ? "shards"
                         : !o->base ? "base"
                                    : "out");
    if (o->features_only && features_part_check(o, err)) return -1;
    if (o->epochs < 0) o->epochs = head ? 60 : 4;
    if (o->rate < 0) o->rate = (head ? 0.01 : 0.002) * (o->optimizer == ENGINE_ADAM ? 0.1 : 1);
    if (!o->schedule) o->schedule = head ? "cosine" : "exp:0.5";
    if (o->patience < 0) o->patience = head ? 20 : 5;
    if (!head && (o->folds || o->export_features || o->feature_layer))
        return error_set(err, EX_USAGE, "--%s can be used only with --phase head",
                         o->folds             ? "folds"
                         : o->export_features ? "export-features"
                                              : "feature-layer");
    if (o->fold_rows != FOLD_TRAIN_ROWS && !o->folds)
        return error_set(err, EX_USAGE, "--fold-rows needs --folds K");
    if (o->fold_passes > 1 && !o->folds) return error_set(err, EX_USAGE, "--fold-passes needs --folds K");
    if (o->folds == 1) return error_set(err, EX_USAGE, "--folds 1: two or more");
    struct augment_spec spec;
    if (augment_spec_parse(o->augment, &spec, err)) return error_prefix(err, "--augment");
    if (o->freeze_bn && (head || o->refresh == REFRESH_ON))
        return error_set(
            err, EX_USAGE,
            head
                ? "--freeze-bn can be used only with --phase fine-tune; phase head never unlocks a batch norm"
                : "--freeze-bn keeps the base's statistics, --refresh-bn on computes new ones: choose one");
    if (head && !augment_spec_is_none(&spec))
        return error_set(
            err, EX_USAGE,
            "--augment can be used only with --phase fine-tune, because phase head learns from features "
            "that are computed once: make more pictures with winnow augment");
    if (o->boundary && !augment_spec_is_none(&spec))
        return error_set(
            err, EX_USAGE,
            "--boundary-cache keeps one result of the frozen layers for each picture, and --augment "
            "changes the picture in every epoch: choose one");
    struct schedule s;
    return schedule_parse(&s, o->schedule, o->rate, (double)o->epochs, o->warmup, err);
}

/* --- the run's folder --- */

static int make_paths(struct train_run *run, struct error *err)
{
    const char *out = run->options->out;
    const struct {
        struct text *path;
        const char *name;
    } paths[] = {
        {&run->path_lock, "lock"},
        {&run->path_done, "done.tsv"},
        {&run->path_checkpoint, "checkpoint"},
        {&run->path_log, "log.tsv"},
        {&run->path_events, "events.out.tfevents.winnow"},
        {&run->path_model, "model"},
        {&run->path_oof, "oof.tsv"},
        {&run->path_margins, "margins.tsv"},
        {&run->path_cache, "cache"},
    };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (text_printf(paths[i].path, err, "%s/%s", out, paths[i].name)) return -1;
    return train_is_first(run) ? io_mkdirs(out, err) : 0;
}

static int remove_if_there(const char *path, struct error *err)
{
    return unlink(path) && io_exists(path) ? error_errno(err, EX_CANTCREAT, "cannot remove '%s'", path) : 0;
}

/* Removes the files from which an unfinished run would continue. */
static int forget_checkpoints(struct train_run *run, struct error *err)
{
    const char *out = run->options->out;
    struct text path = TEXT_EMPTY;
    int rc = remove_if_there(run->path_checkpoint.data, err);
    DIR *d = rc ? NULL : opendir(out);
    if (!rc && !d) rc = error_errno(err, EX_CANTCREAT, "cannot look into '%s'", out);
    for (struct dirent *e; !rc && (e = io_next_entry(d, out, &rc, err));) {
        text_clear(&path);
        /* Files of folds are removed for any number of folds and passes. */
        if (text_starts(e->d_name, "fold-") && isdigit((unsigned char)e->d_name[5]))
            rc = text_printf(&path, err, "%s/%s", out, e->d_name) || remove_if_there(path.data, err) ? -1 : 0;
    }
    if (d) closedir(d);
    text_release(&path);
    return rc;
}

/* Removes the progress of the run, which then begins again. The old model is kept until the new one replaces
 * it. */
static int forget_progress(struct train_run *run, struct error *err)
{
    return remove_if_there(run->path_done.data, err) || forget_checkpoints(run, err) ? -1 : 0;
}

/* Returns 1 when the run is complete and has this plan, 0 when there is work to do, or -1 with err set. */
static int compare_with_done(struct train_run *run, struct error *err)
{
    char *done = NULL, difference[400];
    size_t n_done;
    struct text model = TEXT_EMPTY;
    int rc = 0;
    if (!io_exists(run->path_done.data)) return 0;
    if (io_read_file(run->path_done.data, 1 << 20, &done, &n_done, err) ||
        text_printf(&model, err, "%s/model.json", run->path_model.data))
        rc = -1;
    else if (train_plan_same(done, run->plan.data))
        rc = io_exists(model.data) ? 1 : forget_progress(run, err);
    else {
        train_plan_difference(done, run->plan.data, "%s was '%s' and is now '%s'", difference,
                              sizeof difference);
        if (run->options->on_change == CHANGE_REFUSE)
            rc = error_set(err, EX_USAGE,
                           "'%s' holds a complete run with another plan: %s; use another --out, or "
                           "--on-change restart",
                           run->options->out, difference);
        else {
            stage_warn("training '%s' from the beginning: %s", run->options->out, difference);
            rc = forget_progress(run, err);
        }
    }
    free(done);
    text_release(&model);
    return rc;
}

/* --- the plan: a line "key\tvalue" for each setting on which the result depends --- */

static int make_plan(struct train_run *run, struct error *err)
{
    static const char *const phases[] = {"head", "fine-tune"};
    static const char *const optimizers[] = {"sgd", "adam"}, *const boundaries[] = {"none", "f16", "f32"};
    static const char *const modes[] = {"auto", "on", "off"};
    const struct train_options *o = run->options;
    struct text *p = &run->plan;
    if (text_printf(p, err,
                    "train\t1\nphase\t%s\ndata\t%s\nbase\t%s\nepochs\t%lld\nbatch\t%lld\nlr\t%."
                    "15g\nschedule\t%s\n"
                    "warmup\t%.15g\nseed\t%lld\n",
                    phases[o->phase], run->data.hash, run->base_hash, (long long)o->epochs,
                    (long long)run->batch, o->rate, o->schedule, o->warmup, (long long)o->common.seed) ||
        text_printf(p, err,
                    "optimizer\t%s\nmomentum\t%.15g\nnesterov\t%d\n"
                    "label-smoothing\t%.15g\nclass-weights\t%s\n"
                    "clip-norm\t%.15g\nema\t%.15g\nhead-l2\t%.15g\nselect\t%s\npatience\t%lld\n",
                    optimizers[o->optimizer], o->momentum, o->nesterov, o->smoothing, o->class_weights,
                    o->clip_norm, o->ema, o->head_l2, trainer_select_name((enum trainer_select)o->select),
                    (long long)o->patience) ||
        text_printf(p, err, "device\t%s\nprecision\t%s\nthreads\t%u\n", run->device,
                    precision_name(run->precision), run->threads) ||
        /* The batch norm of each GPU uses the pictures of that GPU. */
        (o->devices &&
         text_printf(p, err, "devices\t%s\n%s", o->devices, o->sync_bn ? "sync-bn\t1\n" : "")) ||
        (o->input && text_printf(p, err, "input\t%s\n", o->input)) ||
        (o->feature_layer && text_printf(p, err, "feature-layer\t%s\n", o->feature_layer)))
        return -1;
    bool differ;
    if (train_statistics_differ(run, &differ, err) ||
        (differ && text_printf(p, err, "ranks\t%d\n", dist_size(run->dist))))
        return -1;
    /* When phase head also keeps a boundary, this can only change rounding, if the boundary separates layers
     * that would be fused. */
    if (o->phase == PHASE_HEAD)
        return text_printf(p, err, "folds\t%lld\n%s", (long long)o->folds,
                           o->fold_rows == FOLD_ALL_ROWS ? "fold-rows\tall\n" : "") ||
                       (o->fold_passes > 1 &&
                        text_printf(p, err, "fold-passes\t%lld\n", (long long)o->fold_passes))
                   ? -1
                   : 0;
    return text_printf(p, err,
                       "unlock-from\t%s\nfreeze-bn\t%d\naugment\t%s\nboundary-cache\t%s\nrefresh-bn\t%"
                       "s\nrefresh-batches\t%d\n",
                       o->unlock_from, o->freeze_bn, o->augment, boundaries[o->boundary], modes[o->refresh],
                       TRAINER_REFRESH_BATCHES);
}

static int find_device(struct train_run *run, struct error *err)
{
    const struct train_options *o = run->options;
    if ((o->devices || getenv("WINNOW_CUDA_DEVICES")) && run->dist)
        return error_set(
            err, EX_USAGE,
            "--devices (or WINNOW_CUDA_DEVICES) shares a batch among the GPUs of one process, and each "
            "rank has one GPU: use --devices or ranks, not both");
    /* The plug-in reads it when it is opened. */
    if (o->devices && setenv("WINNOW_CUDA_DEVICES", o->devices, 1))
        return error_errno(err, EX_OSERR, "--devices");
    return base_net_device(o->device, o->precision, run->threads, train_device_index(run), &run->device,
                           &run->precision, err);
}

/* --- for the phases --- */

struct engine_options train_engine_options(const struct train_run *run)
{
    struct engine_options o = ENGINE_DEFAULTS;
    o.device = run->device;
    o.threads = run->threads;
    o.precision = run->precision;
    o.batch = run->batch / dist_size(run->dist);
    o.device_index = train_device_index(run);
    o.dist = run->dist;
    o.sync_statistics = run->options->sync_bn;
    o.optimizer = (enum engine_optimizer)run->options->optimizer;
    o.ema = run->options->ema > 0;
    o.memory_limit_bytes = run->options->memory_limit;
    return o;
}

const char *train_cache_folder(const struct train_run *run)
{
    return run->part_folder.n_bytes ? run->part_folder.data
           : run->options->cache    ? run->options->cache
                                    : run->path_cache.data;
}

struct cache_request {
    const struct frozen_boundary *boundary;
    const char *name;
    enum activation_dtype dtype;
    struct activation_cache **cache;
};

static int open_cache(struct train_run *run, void *request, struct error *err)
{
    const struct cache_request *r = request;
    char identity[33];
    return frozen_boundary_identity(r->boundary, &run->net, run->device, run->precision, identity, err) ||
                   activation_cache_open(r->cache, train_cache_folder(run), r->name, identity,
                                         r->boundary->total, r->dtype, err)
               ? -1
               : 0;
}

int train_open_cache(struct train_run *run, const struct frozen_boundary *f, const char *name,
                     enum activation_dtype dtype, struct activation_cache **cache, struct error *err)
{
    struct cache_request request = {f, name, dtype, cache};
    return train_on(run, ON_FIRST, open_cache, &request, err) || /* it creates the file when there is none */
                   train_on(run, ON_OTHERS, open_cache, &request, err)
               ? -1
               : 0;
}

static int fill_progress(void *context, size_t done, size_t total)
{
    struct train_run *run = context;
    if (!run->progress_begun) {
        progress_start(&run->progress, &run->options->common, total, "pictures through the frozen layers");
        run->progress_begun = true;
    }
    progress_update(&run->progress, done, NULL);
    return signals_asked_to_stop();
}

int train_fill_caches(struct train_run *run, const struct frozen_target *targets, int n_targets,
                      const char *what, bool with_test, struct error *err)
{
    struct engine_options o = train_engine_options(run);
    uint32_t *rows = mem_zalloc(run->data.n_rows, sizeof *rows, err);
    struct frozen_fill fill = {.targets = targets,
                               .n_targets = n_targets,
                               .net = &run->net,
                               .data = &run->data,
                               .rows = rows,
                               .options = &o,
                               .progress = fill_progress,
                               .context = run};
    if (!rows) return -1;
    for (size_t s = 0; s < SHARD_SPLITS; s++)
        if (s != SHARD_TEST || with_test)
            for (size_t i = 0; i < run->data.n_split[s]; i++)
                if (features_part_has(run, &run->data.keys[run->data.rows[s][i]]))
                    rows[fill.n_rows++] = run->data.rows[s][i];
    double began = clock_seconds();
    run->progress_begun = false;
    int rc = frozen_features_fill(&fill, err);
    free(rows);
    if (run->progress_begun) progress_end(&run->progress);
    run->progress_begun = false;
    if (rc) return -1;
    if (fill.stopped) return train_common_signal(run, err);
    double seconds = clock_seconds() - began;
    stage_note(&run->options->common, "%s: %zu pictures, %zu of them computed now%s", what, fill.n_rows,
               fill.n_computed, fill.n_computed ? "" : ", the rest was cached");
    if (fill.n_computed)
        stage_note(&run->options->common, "%s: %.1f s, %.1f pictures/s", what, seconds,
                   (double)fill.n_computed / seconds);
    return 0;
}

int train_settings(const struct train_run *run, int epochs, bool has_batch_norm, size_t n_train,
                   struct trainer_settings *out, struct error *err)
{
    const struct train_options *o = run->options;
    size_t steps = (n_train + (size_t)run->batch - 1) / (size_t)run->batch;
    *out = (struct trainer_settings){
        .epochs = epochs,
        .seed = (uint64_t)o->common.seed,
        .optimizer = (enum engine_optimizer)o->optimizer,
        .momentum = o->momentum,
        .nesterov = o->nesterov,
        .label_smoothing = o->smoothing,
        .class_weights = run->class_weights,
        .clip_norm = o->clip_norm,
        .ema_decay = o->ema,
        .patience = (int)o->patience,
        .select = (enum trainer_select)o->select,
        .refresh = has_batch_norm &&
                   (o->refresh == REFRESH_ON || (o->refresh == REFRESH_AUTO && steps < REFRESH_BELOW_STEPS)),
        .keep_base = o->phase == PHASE_FINE_TUNE,
        .checkpoint_s = o->checkpoint_s,
    };
    return schedule_parse(&out->schedule, o->schedule, o->rate, epochs, o->warmup, err);
}

static int on_begin(void *context, const struct trainer *t, struct error *err)
{
    struct train_run *run = context;
    if (t->resumed_threads)
        stage_note(&run->options->common,
                   "started with %u threads, resumed with %u: the last bits of what follows may differ from "
                   "those of an uninterrupted run",
                   t->resumed_threads, run->threads);
    if (event_file_open(&run->events, run->path_events.data, t->resumed_epoch >= 0 ? run->event_bytes : 0,
                        err))
        return -1;
    run->event_bytes = run->events.n_bytes;
    return outputs_log_write(run, err);
}

static void on_step(void *context, int epoch, uint64_t done, uint64_t total, double waited_share, double loss,
                    double accuracy)
{
    struct train_run *run = context;
    char extra[128];
    if (!run->progress_begun) {
        run->images_before = done;
        progress_start(&run->progress, &run->options->common, total > done ? total - done : 1, "images");
        run->progress_begun = true;
        return;
    }
    snprintf(extra, sizeof extra, "epoch %d, loss %.4f, accuracy %.4f, waiting %.1f%%", epoch, loss, accuracy,
             100 * waited_share);
    progress_update(&run->progress, done - run->images_before, extra);
}

static int on_epoch(void *context, const struct trainer_epoch *e, struct error *err)
{
    struct train_run *run = context;
    char train[128] = "the base as it came", val[160] = "";
    if (e->epoch)
        snprintf(train, sizeof train, "loss %.4f, accuracy %.4f, %.1f images/s, waiting %.1f%%",
                 e->train_loss, e->train_accuracy, e->images_per_s, 100 * e->waited_share);
    if (run->data.n_split[SHARD_VAL])
        snprintf(val, sizeof val, "; validation loss %.4f, accuracy %.4f, balanced %.4f%s%s", e->val.loss,
                 e->val.accuracy, e->val.balanced_accuracy, e->best ? ", best" : "",
                 e->refreshed ? ", statistics recomputed" : "");
    stage_note(&run->options->common, "epoch %d: %s%s", e->epoch, train, val);
    return outputs_log_row(run, e, err) || outputs_events(run, e, err) ? -1 : 0;
}

static void on_lost(void *context, const struct error *err)
{
    struct train_run *run = context;
    stage_warn("%s; saving the last whole step in '%s'", err->text, run->path_checkpoint.data);
}

int train_with_log(struct train_run *run, struct trainer *t, struct error *err)
{
    t->dist = run->dist;
    t->plan = run->plan.data;
    t->checkpoint_path = run->path_checkpoint.data;
    if (train_is_first(run)) {
        t->callbacks = (struct trainer_callbacks){.context = run,
                                                  .begin = on_begin,
                                                  .step = on_step,
                                                  .epoch = on_epoch,
                                                  .lost = on_lost};
        t->log = &run->log;
        t->event_bytes = &run->event_bytes;
    }
    int rc = trainer_run(t, err);
    if (run->progress_begun) progress_end(&run->progress);
    run->progress_begun = false;
    if (rc > 0) run->stop_signal = t->stop_signal;
    if (rc == 0 && t->n_val)
        stage_note(&run->options->common, "best is epoch %d of %d: validation accuracy %.4f, loss %.4f%s",
                   t->best_epoch, t->epochs_done, t->best.accuracy, t->best.loss,
                   t->stopped_early ? " (ended early)" : "");
    return rc;
}

/* --- the run --- */

int train_open_base(struct train_run *run, int side, struct error *err)
{
    const struct train_options *o = run->options;
    if (base_net_open(&run->net, o->base, o->input, side, err) || net_hash(&run->net, run->base_hash, err))
        return -1;
    const char *rule = run->net.metadata.resize;
    if (strchr(rule, '+') && run->data.info && strcmp(rule, run->data.info->resize) != 0)
        stage_warn("--base '%s' sees pictures as pack --resize '%s' makes them, and those of '%s' are '%s'",
                   o->base, rule, o->shards, run->data.info->resize);
    if (net_infer_shapes(&run->net, side, side, err))
        return error_prefix(err, "--base '%s' with pictures of %d x %d (pack --size sets it)", o->base, side,
                            side);
    return base_net_end_at(&run->net, o->feature_layer, o->base, err);
}

static int check_classes_same(const struct train_run *run, struct error *err)
{
    const struct net_metadata *m = &run->net.metadata;
    const struct shard_set_info *info = run->data.info;
    bool same = m->n_classes == info->n_classes;
    for (int i = 0; same && i < m->n_classes; i++)
        same = !strcmp(m->classes[i], info->classes[i]);
    if (!same)
        return error_set(err, EX_DATAERR,
                         "--base '%s' was not trained for the classes of '%s': run --phase head first and "
                         "give its RUN/model here",
                         run->options->base, run->options->shards);
    return 0;
}

int train_open_inputs(struct train_run *run, struct error *err)
{
    const struct train_options *o = run->options;
    run->threads = stage_threads(&o->common);
    return find_device(run, err) || dataset_open(&run->data, o->shards, err) ||
                   augment_spec_parse(o->augment, &run->augment, err) ||
                   !(run->class_weights =
                         mem_zalloc((size_t)run->data.info->n_classes, sizeof(double), err)) ||
                   dataset_class_weights(&run->data, o->class_weights, run->class_weights, err) ||
                   train_open_base(run, run->data.info->side_px, err)
               ? -1
               : 0;
}

static int open_all(struct train_run *run, void *unused, struct error *err)
{
    (void)unused;
    return make_paths(run, err) ||
                   (train_is_first(run) && file_lock_take(&run->lock, run->path_lock.data, err)) ||
                   train_open_inputs(run, err)
               ? -1
               : 0;
}

/* Called on rank 0, for all ranks. Returns 1 when the run is complete, 0 when there is work to do, or -1 with
 * err set. */
static int decide(struct train_run *run, void *unused, struct error *err)
{
    (void)unused;
    const struct train_options *o = run->options;
    int rc = compare_with_done(run, err), answer = rc > 0;
    if (rc > 0) {
        stage_note(&o->common, "'%s' is complete, nothing to do", o->out);
        /* A run that was killed after it wrote its last file left its checkpoints. */
        return forget_checkpoints(run, err) ? -1 : 1;
    }
    if (!rc && o->on_change == CHANGE_RESTART &&
        trainer_checkpoint_is_other(run->path_checkpoint.data, run->plan.data)) {
        stage_warn("training '%s' from the beginning: its checkpoint is of other options or data, or damaged",
                   o->out);
        rc = forget_progress(run, err);
    }
    if (!rc && !run->data.n_split[SHARD_VAL])
        stage_warn("'%s' has no validation pictures: the last epoch is kept, good or bad", o->shards);
    return rc ? -1 : answer;
}

static int plan_batch(struct train_run *run, void *unused, struct error *err)
{
    (void)unused;
    return train_choose_batch(run, err) || make_plan(run, err) ? -1 : 0;
}

static int prepare(struct train_run *run, void *unused, struct error *err)
{
    (void)unused;
    if (run->options->phase == PHASE_HEAD) return phase_head_prepare(run, err);
    return check_classes_same(run, err) || phase_fine_tune_prepare(run, err) ? -1 : 0;
}

static int finish(struct train_run *run, void *trainer, struct error *err)
{
    const struct trainer *t = trainer;
    return outputs_model(run, t, err) ||
                   atomic_file_write(run->path_done.data, run->plan.data, run->plan.n_bytes, err) ||
                   forget_checkpoints(run, err)
               ? -1
               : 0;
}

int train_run(struct train_run *run, struct error *err)
{
    const struct train_options *o = run->options;
    struct trainer trainer = {0};
    if (o->features_only) return features_part_run(run, err);
    if (train_on(run, ON_ALL, open_all, NULL, err) || train_on(run, ON_ALL, plan_batch, NULL, err) ||
        train_check_ranks(run, err))
        return -1;
    int rc = train_on(run, ON_FIRST, decide, NULL, err);
    if (rc > 0) return o->export_features ? phase_head_export(run, err) : 0;
    if (!rc) rc = train_on(run, ON_ALL, prepare, NULL, err);
    if (!rc)
        rc = o->phase == PHASE_HEAD ? phase_head(run, &trainer, err) : phase_fine_tune(run, &trainer, err);
    if (!rc) rc = train_on(run, ON_FIRST, finish, &trainer, err);
    trainer_release(&trainer);
    return rc;
}

void train_run_release(struct train_run *run)
{
    struct text *texts[] = {&run->path_lock,  &run->path_done,    &run->path_checkpoint,
                            &run->path_log,   &run->path_events,  &run->path_model,
                            &run->path_oof,   &run->path_margins, &run->path_cache,
                            &run->plan,       &run->log,          &run->note,
                            &run->part_folder};
    event_file_close(&run->events);
    net_release(&run->net);
    dataset_release(&run->data);
    free(run->class_weights);
    free(run->margins);
    free(run->oof);
    free(run->folds);
    free(run->fold_rows);
    file_lock_release(&run->lock);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        text_release(texts[i]);
}
