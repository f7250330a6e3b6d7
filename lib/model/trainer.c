/* trainer.c: the epoch loop; see trainer.h. */
#include "model/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/io.h"
#include "io/signals.h"
#include "model/sampler.h"
#include "model/trainer_internal.h"

/*
 * A loss this many times that of the first step is an explosion and not a bad batch. Cross-entropy begins
 * near ln(classes), and with a float32 softmax its mean cannot exceed about 100. Only the penalty of
 * exploding weights is larger.
 */
#define EXPLODED 1000.0

const char *trainer_select_name(enum trainer_select s)
{
    return s == SELECT_ACCURACY ? "accuracy" : s == SELECT_LOSS ? "loss" : "balanced-accuracy";
}

int trainer_measure(struct trainer_metrics *out, const float *probabilities, const int *labels,
                    const uint32_t *rows, size_t n, int n_classes, struct error *err)
{
    double loss = 0, recall = 0;
    size_t correct = 0, occurring = 0;
    size_t *seen = mem_zalloc((size_t)n_classes * 2, sizeof *seen, err),
           *right = seen ? seen + n_classes : NULL;
    *out = (struct trainer_metrics){NAN, NAN, NAN};
    if (!seen || !n) {
        free(seen);
        return n ? -1 : 0;
    }
    for (size_t i = 0; i < n; i++) {
        const float *p = probabilities + i * (size_t)n_classes;
        int label = labels[rows[i]], best = 0;
        for (int c = 1; c < n_classes; c++)
            if (p[c] > p[best]) best = c;
        loss -= log(fmax(p[label], 1e-30));
        seen[label]++;
        right[label] += best == label;
        correct += best == label;
    }
    for (int c = 0; c < n_classes; c++)
        if (seen[c]) {
            recall += (double)right[c] / (double)seen[c];
            occurring++;
        }
    out->loss = loss / (double)n;
    out->accuracy = (double)correct / (double)n;
    out->balanced_accuracy = recall / (double)occurring;
    free(seen);
    return 0;
}

int trainer_predict(struct engine *engine, struct batch_loader *loader, struct dist *dist,
                    const uint32_t *rows, size_t n, int n_classes, float *probabilities, struct error *err)
{
    struct engine_batch in;
    const uint32_t *batch_rows;
    double waited = 0;
    size_t rank = (size_t)dist_rank(dist), size = (size_t)dist_size(dist);
    size_t first = n * rank / size, done = first, last = n * (rank + 1) / size;
    int more, signal;
    memset(probabilities, 0, n * (size_t)n_classes * sizeof *probabilities);
    batch_loader_deal(loader, 0, 1);
    batch_loader_start(loader, rows + first, last - first, 0, 0, false, true);
    while ((more = batch_loader_next(loader, &in, &batch_rows, &waited, err)) > 0) {
        if (engine_forward(engine, &in, err) ||
            engine_probabilities(engine, probabilities + done * (size_t)n_classes, err))
            return -1;
        done += (size_t)in.n;
        if (signals_asked_to_stop()) break;
    }
    if (more < 0) return -1;
    batch_loader_stop(loader);
    /* When one rank has a value, all others have 0, so the sum is exact. */
    if (trainer_asked_to_stop(dist, &signal, err) ||
        (!signal && dist_sum_f32(dist, probabilities, n * (size_t)n_classes, err)))
        return -1;
    return signal ? 1 : 0;
}

/* Computes the moving statistics from batches of training rows, without augmentation,
 * in an order that never changes. */
static int refresh_statistics(struct trainer *t, struct error *err)
{
    struct engine_batch in;
    const uint32_t *rows;
    double waited = 0;
    size_t wanted = (size_t)TRAINER_REFRESH_BATCHES * (size_t)t->batch;
    int more, signal;
    sampler_order(t->state->refresh_order, t->n_train, t->settings.seed, UINT64_MAX);
    for (size_t i = 0; i < t->n_train; i++)
        t->state->refresh_order[i] = t->train_rows[t->state->refresh_order[i]];
    if (engine_refresh_begin(t->engine, err)) return -1;
    batch_loader_deal(t->loader, dist_rank(t->dist), dist_size(t->dist));
    batch_loader_start(t->loader, t->state->refresh_order, t->n_train < wanted ? t->n_train : wanted, 0, 0,
                       true, true);
    while ((more = batch_loader_next(t->loader, &in, &rows, &waited, err)) > 0) {
        if (engine_refresh_run(t->engine, &in, err) || trainer_asked_to_stop(t->dist, &signal, err))
            return -1;
        if (signal) {
            batch_loader_stop(t->loader);
            return 1;
        }
    }
    return more;
}

static bool better(const struct trainer *t, const struct trainer_metrics *m)
{
    const struct trainer_position *at = &t->state->at;
    if (!at->has_best || !t->n_val) return true;
    const struct trainer_metrics *b = &at->best;
    if (t->settings.select == SELECT_LOSS) return m->loss < b->loss;
    double now = t->settings.select == SELECT_ACCURACY ? m->accuracy : m->balanced_accuracy;
    double was = t->settings.select == SELECT_ACCURACY ? b->accuracy : b->balanced_accuracy;
    return now > was || (now == was && m->loss < b->loss);
}

/*
 * Validates the weights that would be kept: their moving average if there is one, with recomputed statistics
 * if that is enabled. Keeps a copy if they are the best so far. Afterwards the engine has its running weights
 * again. Its moving statistics are those that were validated; training steps do not read them. Returns 0, 1
 * when a signal came before the result was known, or -1 with err set.
 */
static int validate(struct trainer *t, bool base, struct trainer_epoch *row, struct error *err)
{
    struct trainer_state *s = t->state;
    bool average = t->settings.ema_decay > 0 && !base;
    int rc = trainer_compare_ranks(t, err);
    if (rc) return rc;
    if (average && (trainer_get_state(t, ENGINE_WEIGHTS, &s->spare[ENGINE_WEIGHTS], err) ||
                    trainer_get_state(t, ENGINE_EMA, &s->spare[ENGINE_EMA], err) ||
                    engine_state_set(t->engine, ENGINE_WEIGHTS, s->spare[ENGINE_EMA], err)))
        return -1;
    row->batch_norm = engine_has_batch_norm(t->engine);
    row->refreshed = !base && t->settings.refresh && row->batch_norm;
    if (row->refreshed) rc = refresh_statistics(t, err);
    row->val = (struct trainer_metrics){NAN, NAN, NAN};
    if (!rc && t->n_val) {
        rc = trainer_predict(t->engine, t->loader, t->dist, t->val_rows, t->n_val, t->data->info->n_classes,
                             s->probabilities, err);
        if (!rc)
            rc = trainer_measure(&row->val, s->probabilities, t->data->labels, t->val_rows, t->n_val,
                                 t->data->info->n_classes, err);
    }
    if (!rc && better(t, &row->val)) {
        if (trainer_get_state(t, ENGINE_WEIGHTS, &s->best[ENGINE_WEIGHTS], err) ||
            trainer_get_state(t, ENGINE_STATISTICS, &s->best[ENGINE_STATISTICS], err))
            return -1;
        s->at.has_best = 1;
        s->at.best = row->val;
        s->at.best_epoch = row->epoch;
        row->best = true;
    }
    if (average && engine_state_set(t->engine, ENGINE_WEIGHTS, s->spare[ENGINE_WEIGHTS], err)) return -1;
    return rc;
}

static void make_targets(struct trainer *t, const uint32_t *rows, int n)
{
    int n_classes = t->data->info->n_classes;
    float off = (float)(t->settings.label_smoothing / n_classes);
    float on = (float)(1 - t->settings.label_smoothing + t->settings.label_smoothing / n_classes);
    for (int i = 0; i < n; i++) {
        int label = t->data->labels[rows[i]];
        float *target = t->state->targets + (size_t)i * (size_t)n_classes;
        for (int c = 0; c < n_classes; c++)
            target[c] = c == label ? on : off;
        t->state->weights[i] = (float)t->settings.class_weights[label];
    }
}

/*
 * Adds to the area under the margin (Pleiss et al. 2020). Differences of log-probabilities are those of the
 * logits. rows [n]: the batch of all ranks, without the rows that fill it up (n_whole with them). Every rank
 * adds all rows, so all ranks have the same sums.
 */
static int add_margins(struct trainer *t, const uint32_t *rows, size_t n, int n_whole, struct error *err)
{
    int n_classes = t->data->info->n_classes;
    if (trainer_gather_probabilities(t, n_whole, err)) return -1;
    for (size_t i = 0; i < n; i++) {
        const float *p = t->state->probabilities + i * (size_t)n_classes;
        int label = t->data->labels[rows[i]];
        float other = 0;
        for (int c = 0; c < n_classes; c++)
            if (c != label && p[c] > other) other = p[c];
        t->margins[rows[i]] += log(fmax(p[label], 1e-30)) - log(fmax(other, 1e-30));
    }
    return 0;
}

static int diverged(struct trainer *t, const struct engine_result *r, double rate, struct error *err)
{
    const struct trainer_position *at = &t->state->at;
    char where[ERROR_TEXT_BYTES / 2] = "there is no checkpoint yet";
    if (t->checkpoint_path && io_exists(t->checkpoint_path))
        snprintf(where, sizeof where, "the last good checkpoint is '%s'", t->checkpoint_path);
    error_set(err, EX_DATAERR,
              "the loss is %g at step %llu of epoch %lld with learning rate %g: training has diverged; %s; "
              "try a lower --lr, --warmup or --clip-norm",
              r->loss, (unsigned long long)at->step + 1, (long long)at->epoch + 1, rate, where);
    return trainer_all_failed(t, err); /* the loss is that of all ranks, so all ranks reach this place */
}

/* Steps of the epoch that have begun and not ended. On devices for which the trainer would have to wait,
 * results arrive one step later. */
struct ahead {
    int n, most;
    double rate[2];
    int n_whole[2];
    size_t n_batches;
    double began, waited;
};

static int begin_step(struct trainer *t, struct ahead *a, const struct engine_batch *in, const uint32_t *rows,
                      struct error *err)
{
    struct trainer_state *s = t->state;
    const struct trainer_position *at = &s->at;
    const struct trainer_settings *o = &t->settings;
    struct engine_step step = ENGINE_STEP_DEFAULTS;
    struct engine_target target = {.targets = s->targets, .weights = s->weights};
    uint64_t batch = at->batch_in_epoch + (uint64_t)a->n;
    step.rate = schedule_rate(&o->schedule, (double)at->epoch + (double)batch / (double)a->n_batches);
    step.momentum = o->momentum;
    step.nesterov = o->nesterov;
    step.clip_norm = o->clip_norm;
    step.ema_decay = o->ema_decay;
    step.seed = o->seed;
    step.step = at->step + (uint64_t)a->n;
    make_targets(t, rows, in->n);
    a->rate[a->n] = step.rate;
    a->n_whole[a->n++] = in->n_whole;
    return engine_train_begin(t->engine, in, &target, &step, err);
}

/* Ends the oldest of them. */
static int end_step(struct trainer *t, struct ahead *a, struct error *err)
{
    struct trainer_state *s = t->state;
    struct trainer_position *at = &s->at;
    struct engine_result result;
    double rate = a->rate[0];
    int n_whole = a->n_whole[0];
    a->rate[0] = a->rate[1];
    a->n_whole[0] = a->n_whole[1];
    a->n--;
    if (engine_train_end(t->engine, &result, err)) return -1;
    if (at->step == 0) at->first_loss = result.loss;
    if (!result.finite || !(result.loss <= EXPLODED * fmax(at->first_loss, 1)))
        return diverged(t, &result, rate, err);
    if (t->margins) {
        size_t first = at->batch_in_epoch * (size_t)t->batch, left = t->n_train - first;
        if (add_margins(t, s->order + first, left < (size_t)t->batch ? left : (size_t)t->batch, n_whole, err))
            return -1;
    }
    at->rate = rate;
    at->sum_loss += result.loss * n_whole;
    at->sum_correct += result.n_correct;
    at->sum_seen += n_whole;
    at->step++;
    at->batch_in_epoch++;
    double spent = clock_seconds() - a->began;
    if (t->callbacks.step)
        t->callbacks.step(t->callbacks.context, (int)at->epoch + 1,
                          (uint64_t)at->epoch * t->n_train + at->batch_in_epoch * (uint64_t)t->batch,
                          (uint64_t)t->settings.epochs * t->n_train, spent > 0 ? a->waited / spent : 0,
                          at->sum_loss / at->sum_seen, at->sum_correct / at->sum_seen);
    return 0;
}

static int end_steps(struct trainer *t, struct ahead *a, int but, struct error *err)
{
    while (a->n > but)
        if (end_step(t, a, err)) return -1;
    return 0;
}

/* Trains one epoch. Returns 0 when it is complete, 1 when a signal came, or -1 with err set. */
static int train_epoch(struct trainer *t, struct trainer_epoch *row, struct error *err)
{
    struct trainer_state *s = t->state;
    struct trainer_position *at = &s->at;
    const struct trainer_settings *o = &t->settings;
    struct engine_batch in;
    const uint32_t *rows;
    double seen_before = at->sum_seen;
    bool whole = engine_has_batch_norm(t->engine);
    struct ahead a = {.most = engine_steps_ahead(t->engine), .began = clock_seconds()};
    int more, signal;

    batch_loader_deal(t->loader, dist_rank(t->dist), dist_size(t->dist));
    sampler_order(s->order, t->n_train, o->seed, (uint64_t)at->epoch);
    for (size_t i = 0; i < t->n_train; i++)
        s->order[i] = t->train_rows[s->order[i]];
    batch_loader_start(t->loader, s->order, t->n_train, (uint64_t)at->epoch, at->batch_in_epoch, whole,
                       false);
    a.n_batches = batch_loader_batches(t->loader);
    while ((more = batch_loader_next(t->loader, &in, &rows, &a.waited, err)) > 0) {
        if (t->dist && whole && trainer_get_state(t, ENGINE_STATISTICS, &s->statistics_before, err))
            return -1;
        if (begin_step(t, &a, &in, rows, err)) return trainer_save_after_loss(t, false, err);
        if (end_steps(t, &a, a.most, err)) return -1;
        if (trainer_asked_to_stop(t->dist, &signal, err)) return trainer_save_after_loss(t, true, err);
        if (signal) {
            if (end_steps(t, &a, 0, err)) return -1;
            t->stop_signal = signal;
            batch_loader_stop(t->loader);
            return 1;
        }
        if (t->checkpoint_path && clock_seconds() - s->checkpoint_at > o->checkpoint_s &&
            (end_steps(t, &a, 0, err) || trainer_save(t, err)))
            return -1;
    }
    if (more == 0 && end_steps(t, &a, 0, err)) return -1;
    row->seconds = clock_seconds() - a.began;
    row->images_per_s = row->seconds > 0 ? (at->sum_seen - seen_before) / row->seconds : 0;
    row->waited_share = row->seconds > 0 ? a.waited / row->seconds : 0;
    return more;
}

static int prepare(struct trainer *t, struct error *err)
{
    size_t n_classes = (size_t)t->data->info->n_classes, batch = (size_t)t->batch;
    size_t most = t->n_val > batch ? t->n_val : batch;
    struct trainer_state *s = t->state = mem_zalloc(1, sizeof *s, err);
    if (!s || !(s->order = mem_zalloc(t->n_train, sizeof *s->order, err)) ||
        !(s->refresh_order = mem_zalloc(t->n_train, sizeof *s->refresh_order, err)) ||
        !(s->targets = mem_zalloc(batch * n_classes, sizeof *s->targets, err)) ||
        !(s->weights = mem_zalloc(batch, sizeof *s->weights, err)) ||
        !(s->probabilities = mem_zalloc(most * n_classes, sizeof *s->probabilities, err)))
        return -1;
    s->checkpoint_at = clock_seconds();
    return 0;
}

static int report(struct trainer *t, const struct trainer_epoch *row, struct error *err)
{
    return t->callbacks.epoch ? t->callbacks.epoch(t->callbacks.context, row, err) : 0;
}

static int stop_here(struct trainer *t, struct error *err)
{
    if (!t->stop_signal && trainer_asked_to_stop(t->dist, &t->stop_signal, err)) return -1;
    return trainer_save(t, err) ? -1 : 1;
}

int trainer_run(struct trainer *t, struct error *err)
{
    if (prepare(t, err)) return -1;
    struct trainer_position *at = &t->state->at;
    int restored = trainer_restore(t, err);
    if (restored < 0) return -1;
    t->resumed_epoch = restored ? (int)at->epoch : -1;
    t->resumed_step = restored ? at->step : 0;
    if (t->callbacks.begin && t->callbacks.begin(t->callbacks.context, t, err)) return -1;

    if (t->settings.keep_base && !at->base_done) {
        struct trainer_epoch row = {.train_loss = NAN, .train_accuracy = NAN, .rate = NAN};
        int rc = validate(t, true, &row, err);
        if (rc < 0) return -1;
        if (rc > 0) return stop_here(t, err);
        at->base_done = 1;
        at->base = row.val;
        if (report(t, &row, err)) return -1;
    }
    while (at->epoch < t->settings.epochs && !(t->settings.patience && at->stale >= t->settings.patience)) {
        struct trainer_epoch row = {.epoch = (int)at->epoch + 1};
        /* A stop during validation comes after the last batch of the epoch: the
         * resumed run validates at once. */
        int rc = train_epoch(t, &row, err);
        if (rc < 0) return -1;
        if (rc > 0) return stop_here(t, err);
        rc = validate(t, false, &row, err);
        if (rc < 0) return -1;
        if (rc > 0) return stop_here(t, err);
        row.step = at->step;
        row.rate = at->rate;
        row.train_loss = at->sum_loss / at->sum_seen;
        row.train_accuracy = at->sum_correct / at->sum_seen;
        at->stale = row.best ? 0 : at->stale + 1;
        at->epoch++;
        at->epochs_done = at->epoch;
        at->batch_in_epoch = 0;
        at->sum_loss = at->sum_correct = at->sum_seen = 0;
        if (report(t, &row, err)) return -1;
        if (t->checkpoint_path && clock_seconds() - t->state->checkpoint_at > t->settings.checkpoint_s &&
            trainer_save(t, err))
            return -1;
        if (trainer_asked_to_stop(t->dist, &t->stop_signal, err)) return -1;
        if (t->stop_signal) return stop_here(t, err);
    }
    t->epochs_done = (int)at->epochs_done;
    t->stopped_early = at->epoch < t->settings.epochs;
    t->best_epoch = (int)at->best_epoch;
    t->best = at->best;
    t->base = at->base;
    if (at->has_best &&
        (engine_state_set(t->engine, ENGINE_WEIGHTS, t->state->best[ENGINE_WEIGHTS], err) ||
         engine_state_set(t->engine, ENGINE_STATISTICS, t->state->best[ENGINE_STATISTICS], err)))
        return -1;
    return 0;
}

void trainer_release(struct trainer *t)
{
    struct trainer_state *s = t->state;
    if (!s) return;
    for (int i = 0; i < ENGINE_STATES; i++) {
        free(s->best[i]);
        free(s->spare[i]);
    }
    free(s->statistics_before);
    free(s->order);
    free(s->refresh_order);
    free(s->targets);
    free(s->weights);
    free(s->probabilities);
    free(s);
    t->state = NULL;
}
