/*
 * engine_train.c: computes the loss, the backward pass and the steps of the optimiser. The loss and its
 * gradient are computed on the host in double from the logits. So all devices agree, and a NaN is noticed in
 * the step in which it appears. On a device for which the host would have to wait, the device computes the
 * gradient, and the host computes the loss one step later, when the logits have arrived (engine_train_begin).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/engine_internal.h"

/* fp16 has no positive number below 6e-8, and none above 65504. So the loss is multiplied by this factor, and
 * the gradients are divided by it again, without rounding. When a gradient overflows, the step is repeated
 * with an eighth of the factor. */
#define FP16_LOSS_SCALE 4096.0
#define FP16_LEAST_SCALE (1.0 / 4096)

static struct slot start_of(struct backend_buffer *b) { return (struct slot){b, 0}; }
static size_t weights_of(const struct engine *e) { return e->plan.weights_bytes / sizeof(float); }

/* Computes from e->logits the probabilities, this rank's share of the loss, the number of correct
 * predictions, and the gradient of the loss, scale * weight/n_whole * (p - t). Padding rows get 0. */
static void softmax_loss(struct engine *e, const struct engine_target *target, int n, int n_whole,
                         double scale, struct engine_result *r)
{
    int n_classes = e->plan.n_classes;
    double loss = 0;
    memset(e->targets_gradient, 0, (size_t)e->plan.batch * (size_t)n_classes * sizeof(float));
    for (int i = 0; i < n; i++) {
        const float *z = e->logits + (size_t)i * (size_t)n_classes,
                    *t = target->targets + (size_t)i * (size_t)n_classes;
        float *p = e->probabilities + (size_t)i * (size_t)n_classes,
              *g = e->targets_gradient + (size_t)i * (size_t)n_classes;
        double sum = 0, weight = target->weights ? target->weights[i] : 1, row = 0, all = 0;
        int best = 0, wanted = 0;
        for (int c = 1; c < n_classes; c++) {
            if (z[c] > z[best]) best = c;
            if (t[c] > t[wanted]) wanted = c;
        }
        double top = z[best];
        for (int c = 0; c < n_classes; c++)
            sum += exp(z[c] - top);
        for (int c = 0; c < n_classes; c++)
            all += t[c];
        for (int c = 0; c < n_classes; c++) {
            double log_p = z[c] - top - log(sum), q = exp(log_p);
            if (t[c] != 0) row -= t[c] * log_p;
            p[c] = (float)q;
            g[c] = (float)(scale * weight / n_whole * (q * all - t[c]));
        }
        loss += weight * row;
        r->n_correct += best == wanted;
    }
    r->data_loss = loss / n_whole;
    e->probabilities_ready = true;
}

/* n_rows = 0: this rank has no row of the batch, and only takes part in the sums. on_device: the device
 * has already computed the gradient of the loss. */
static int run_backward(struct engine *e, int n_rows, bool on_device, struct error *err)
{
    const struct plan *p = &e->plan;
    struct slot workspace = start_of(e->workspace);
    int logits_storage = p->values[p->logits].storage, rc = -1;
    bool parts = engine_is_a_part(e);
    size_t from = p->weights_bytes;
    struct tensor_shape shape = engine_shape(e, p->logits, p->batch);
    bool *written = mem_zalloc(p->n_storages + 1, sizeof *written, err);
    if (!written) return -1;
    int g = p->storages[logits_storage].gradient;
    if (!on_device &&
        e->table->tensor_upload(e->backend, engine_slot(e, g), &shape, e->targets_gradient, p->batch, err))
        goto out;
    if (e->table->gradients_from_zero && n_rows &&
        e->table->fill_zero(e->backend, start_of(e->gradients), weights_of(e), err))
        goto out;
    for (size_t i = p->n_nodes; i-- > 0;) {
        const struct node *n = &p->nodes[i];
        struct op_io io;
        if (!n->backward) continue;
        if (!n_rows) {
            if (parts && engine_sum_gradients(e, i, &from, err)) goto out;
            continue;
        }
        engine_node_io(e, n, 0, &io);
        io.dy = engine_slot(e, p->storages[p->values[n->y].storage].gradient);
        for (int k = 0; k < n->d.n_x; k++) {
            const struct value *v = &p->values[n->x[k]];
            if (!v->needs_gradient) continue;
            int to = p->storages[v->storage].gradient;
            io.dx[k] = engine_slot(e, to);
            io.accumulate[k] = written[to];
            written[to] = true;
        }
        int kernel = n->d.kind == OP_BATCH_NORM ? P_GAMMA : P_KERNEL,
            bias = n->d.kind == OP_BATCH_NORM ? P_BETA : P_BIAS;
        if (n->param[kernel] != NO) io.dw = (struct slot){e->gradients, p->params[n->param[kernel]].offset};
        if (n->param[bias] != NO) io.dbias = (struct slot){e->gradients, p->params[n->param[bias]].offset};
        if (n->d.kind == OP_BATCH_NORM && e->exchange.x.sum) io.exchange = &e->exchange.x;
        if (e->table->op_backward(e->backend, n->op, &io, workspace, err)) {
            error_prefix(err, "layer '%s', backward", n->d.name);
            goto out;
        }
        if (e->exchange.err.code) {
            *err = e->exchange.err;
            goto out;
        }
        if (parts && engine_sum_gradients(e, i, &from, err)) goto out;
    }
    rc = parts ? engine_finish_gradients(e, &from, err) : 0;
out:
    free(written);
    return rc;
}

static bool has_l2(const struct param *q) { return !q->statistic && q->l2 > 0; }

/* gradient += 2 * l2 * w. If norms is NULL also loss += l2 * sum w^2; otherwise norms gets the weights
 * whose norms are needed for that sum. */
static int add_l2(struct engine *e, struct engine_result *r, struct step_norm *norms, struct error *err)
{
    for (size_t i = 0; i < e->plan.n_params; i++) {
        const struct param *q = &e->plan.params[i];
        double squares = 0;
        if (!has_l2(q)) continue;
        struct slot w = {e->weights, q->offset}, g = {e->gradients, q->offset};
        if ((!norms && e->table->sum_of_squares(e->backend, w, q->bytes / sizeof(float), &squares, err)) ||
            e->table->axpy(e->backend, g, w, q->bytes / sizeof(float), (float)(2 * q->l2), err))
            return -1;
        if (norms) *norms++ = (struct step_norm){w, q->bytes / sizeof(float)};
        r->l2_loss += q->l2 * squares;
    }
    return 0;
}

/* Sums the loss and the number of correct predictions over all ranks. */
static int sum_results(struct engine *e, struct engine_result *r, struct error *err)
{
    double both[] = {r->data_loss, r->n_correct};
    if (dist_sum_f64(e->options.dist, both, 2, err)) return -1;
    r->data_loss = both[0];
    r->n_correct = (int)both[1];
    return 0;
}

/* kind: RUN_AGAIN when the batch has already changed the moving statistics. */
static int scaled_gradients(struct engine *e, const struct engine_batch *in,
                            const struct engine_target *target, const struct engine_step *step,
                            enum run_kind kind, double scale, struct engine_result *result, struct error *err)
{
    double squares = 0;
    *result = (struct engine_result){0};
    if (in->n || !engine_has_ranks(e)) {
        if (engine_run_forward(e, in, kind, step, err)) return -1;
        struct tensor_shape shape = engine_shape(e, e->plan.logits, e->plan.batch);
        if (engine_wait_for_ranks(e, err) ||
            e->table->tensor_download(e->backend, engine_slot(e, e->plan.values[e->plan.logits].storage),
                                      &shape, e->logits, in->n, err))
            return -1;
    } else {
        e->rows = 0;
        if (e->table->fill_zero(e->backend, start_of(e->gradients), weights_of(e), err)) return -1;
    }
    softmax_loss(e, target, in->n, in->n_whole > 0 ? in->n_whole : in->n, scale, result);
    if (run_backward(e, in->n, false, err) || sum_results(e, result, err) ||
        (kind == RUN_TRAIN && engine_mean_statistics(e, err)) ||
        (scale != 1 &&
         e->table->scale(e->backend, start_of(e->gradients), weights_of(e), (float)(1 / scale), err)) ||
        add_l2(e, result, NULL, err) ||
        e->table->sum_of_squares(e->backend, start_of(e->gradients), weights_of(e), &squares, err))
        return -1;
    result->loss = result->data_loss + result->l2_loss;
    result->gradient_norm = sqrt(squares);
    result->finite = isfinite(result->loss) && isfinite(result->gradient_norm);
    return 0;
}

int engine_gradients(struct engine *e, const struct engine_batch *in, const struct engine_target *target,
                     const struct engine_step *step, struct engine_result *result, struct error *err)
{
    bool scaled = e->options.precision == PRECISION_F16;
    double scale = scaled ? FP16_LOSS_SCALE : 1;
    int rc = scaled_gradients(e, in, target, step, RUN_TRAIN, scale, result, err);
    /* Loss and norm are those of all ranks, so all ranks repeat the step together. */
    while (!rc && scaled && !result->finite && isfinite(result->loss) && (scale /= 8) >= FP16_LEAST_SCALE)
        rc = scaled_gradients(e, in, target, step, RUN_AGAIN, scale, result, err);
    return rc;
}

static struct adam_step adam_of(const struct engine_step *step)
{
    return (struct adam_step){(float)step->rate, (float)step->beta1, (float)step->beta2, (float)step->epsilon,
                              step->step + 1};
}

int engine_apply(struct engine *e, const struct engine_step *step, struct engine_result *result,
                 struct error *err)
{
    const struct backend_table *t = e->table;
    struct backend *b = e->backend;
    struct slot w = start_of(e->weights), g = start_of(e->gradients), s = start_of(e->state[0]);
    size_t n = weights_of(e);
    if (!result->finite) return 0;
    /* a recorded step was already clipped by keep_norms, and has no gradient_norm here */
    if (step->clip_norm > 0 && result->gradient_norm > step->clip_norm &&
        t->scale(b, g, n, (float)(step->clip_norm / result->gradient_norm), err))
        return -1;
    if (e->options.optimizer == ENGINE_ADAM) {
        struct adam_step a = adam_of(step);
        if (t->adam(b, w, g, s, start_of(e->state[1]), n, &a, err)) return -1;
    } else {
        struct sgd_step a = {(float)step->rate, (float)step->momentum, step->nesterov};
        if (t->sgd(b, w, g, s, n, &a, err)) return -1;
    }
    if (!e->ema) return 0;
    struct slot ema = start_of(e->ema);
    return t->scale(b, ema, n, (float)step->ema_decay, err) ||
                   t->axpy(b, ema, w, n, (float)(1 - step->ema_decay), err)
               ? -1
               : 0;
}

/* --- without waiting --- */

static int count_l2(const struct engine *e)
{
    int n = 0;
    for (size_t i = 0; i < e->plan.n_params; i++)
        n += has_l2(&e->plan.params[i]);
    return n;
}

int engine_steps_ahead(const struct engine *e)
{
    return e->options.mode == ENGINE_TRAIN && e->table->run_step && !engine_has_ranks(e) &&
           e->options.precision != PRECISION_F16 && /* the host looks for an overflow before the optimiser */
           1 + count_l2(e) <= STEP_MAX_NORMS;
}

/* Computes the factors and offsets for step_values: weight/n times the sum of a row's targets, and minus
 * weight/n times each target. */
static void loss_factors(struct engine *e, const struct engine_target *target, int n, int n_whole)
{
    size_t c = (size_t)e->plan.n_classes, all = (size_t)e->plan.batch * c;
    float *factors = e->targets_gradient, *offsets = factors + all;
    memset(factors, 0, 2 * all * sizeof *factors);
    for (size_t i = 0; i < (size_t)n; i++) {
        double scale = (target->weights ? target->weights[i] : 1.0) / n_whole, sum = 0;
        for (size_t k = 0; k < c; k++)
            sum += target->targets[i * c + k];
        for (size_t k = 0; k < c; k++) {
            factors[i * c + k] = (float)(scale * sum);
            offsets[i * c + k] = (float)(-scale * target->targets[i * c + k]);
        }
    }
}

struct queued_step { /* the arguments of step_body */
    struct engine *e;
    const struct engine_batch *in;
    const struct engine_step *step;
};

/* Queues the same work for every batch. Values that differ were uploaded before. */
static int step_body(void *context, struct error *err)
{
    struct queued_step *q = context;
    struct engine *e = q->e;
    const struct plan *p = &e->plan;
    struct step_norm norms[STEP_MAX_NORMS] = {{start_of(e->gradients), weights_of(e)}};
    struct tensor_shape shape = engine_shape(e, p->logits, p->batch);
    int logits = p->values[p->logits].storage;
    struct slot dz = engine_slot(e, p->storages[logits].gradient);
    struct engine_result r = {.finite = true};
    return engine_compute(e, q->in, RUN_TRAIN, q->step, err) ||
                   e->table->loss_gradient(e->backend, engine_slot(e, logits), dz, &shape, err) ||
                   run_backward(e, q->in->n, true, err) || engine_mean_statistics(e, err) ||
                   add_l2(e, &r, norms + 1, err) ||
                   e->table->keep_norms(e->backend, norms, 1 + count_l2(e), (float)q->step->clip_norm, err) ||
                   engine_apply(e, q->step, &r, err)
               ? -1
               : 0;
}

static int queue_step(struct engine *e, const struct engine_batch *in, const struct engine_target *target,
                      const struct engine_step *step, struct begun_step *s, struct error *err)
{
    const struct plan *p = &e->plan;
    const struct backend_table *t = e->table;
    struct tensor_shape shape = engine_shape(e, p->logits, p->batch);
    int logits = p->values[p->logits].storage;
    struct slot z = engine_slot(e, logits), dz = engine_slot(e, p->storages[logits].gradient);
    struct adam_step a = adam_of(step);
    struct queued_step q = {e, in, step};
    /* The settings that are part of the recorded work. The rate is not among them, because it differs from
     * step to step. */
    const double key[] = {step->momentum, step->nesterov,  step->beta1,    step->beta2,
                          step->epsilon,  step->clip_norm, step->ema_decay};
    s->queued = true;
    s->result = (struct engine_result){.finite = true};
    if (engine_feed(e, in, RUN_TRAIN, step, err)) return -1;
    loss_factors(e, target, s->n, s->n_whole);
    return t->step_values(e->backend, dz, &shape, e->targets_gradient,
                          e->options.optimizer == ENGINE_ADAM ? adam_rate(&a) : (float)step->rate, err) ||
                   t->run_step(e->backend, key, sizeof key / sizeof *key, step_body, &q, err) ||
                   t->queue_results(e->backend, z, &shape, 1 + count_l2(e), err)
               ? -1
               : 0;
}

int engine_train_begin(struct engine *e, const struct engine_batch *in, const struct engine_target *target,
                       const struct engine_step *step, struct error *err)
{
    bool ahead = engine_steps_ahead(e);
    if (e->n_begun > ahead)
        return error_set(err, EX_SOFTWARE, "a step begins before an earlier one has ended");
    struct begun_step *s = &e->begun[(e->first_begun + e->n_begun) % 2];
    s->queued = false;
    s->n = in->n;
    s->n_whole = in->n_whole > 0 ? in->n_whole : in->n;
    if (!ahead) {
        if (engine_gradients(e, in, target, step, &s->result, err) || engine_apply(e, step, &s->result, err))
            return -1;
    } else {
        /* this call sets the error */
        if (in->n > e->plan.batch) return engine_run_forward(e, in, RUN_TRAIN, step, err);
        s->weighted = target->weights != NULL;
        memcpy(s->targets, target->targets, (size_t)s->n * (size_t)e->plan.n_classes * sizeof(float));
        if (s->weighted) memcpy(s->weights, target->weights, (size_t)s->n * sizeof(float));
        if (queue_step(e, in, target, step, s, err)) return -1;
    }
    e->n_begun++;
    return 0;
}

int engine_train_end(struct engine *e, struct engine_result *result, struct error *err)
{
    struct begun_step *s = &e->begun[e->first_begun];
    float norms[STEP_MAX_NORMS] = {0};
    int k = 0;
    if (!e->n_begun) return error_set(err, EX_SOFTWARE, "no step has begun");
    e->first_begun = (e->first_begun + 1) % 2;
    e->n_begun--;
    if (s->queued) {
        struct engine_target target = {s->targets, s->weighted ? s->weights : NULL};
        if (e->table->take_results(e->backend, e->logits, norms, err)) return -1;
        e->rows = s->n;
        softmax_loss(e, &target, s->n, s->n_whole, 1, &s->result);
        for (size_t i = 0; i < e->plan.n_params; i++)
            if (has_l2(&e->plan.params[i])) {
                k++;
                s->result.l2_loss += e->plan.params[i].l2 * (double)norms[k] * norms[k];
            }
        s->result.loss = s->result.data_loss + s->result.l2_loss;
        s->result.gradient_norm = norms[0];
        s->result.finite = isfinite(s->result.loss) && isfinite(s->result.gradient_norm);
    }
    *result = s->result;
    return 0;
}

int engine_train_step(struct engine *e, const struct engine_batch *in, const struct engine_target *target,
                      const struct engine_step *step, struct engine_result *result, struct error *err)
{
    return engine_train_begin(e, in, target, step, err) || engine_train_end(e, result, err) ? -1 : 0;
}
