/* engine.c: opens and closes an engine, runs forward passes, and copies data in and out. Training is in
 * engine_train.c, state in engine_state.c, and decisions in plan_*.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "tensor/engine_internal.h"

/* --- the boundary --- */

/* Whether it takes less time to compute the layer again than to store it: a frozen layer without weights that
 * reads only layers of the boundary. */
static bool is_cheap_to_recompute(const struct net *net, const bool *boundary, int layer)
{
    const struct net_layer *l = &net->layers[layer];
    if (l->n_weights || !l->n_inputs) return false;
    for (int k = 0; k < l->n_inputs; k++)
        if (!boundary[l->inputs[k]]) return false;
    return true;
}

int engine_boundary(const struct net *net, int **layers, int *n_layers, struct error *err)
{
    size_t n = (size_t)net->n_layers;
    bool *live = mem_zalloc(3 * n + 1, sizeof *live, err), any = false;
    *n_layers = 0;
    if (!live || !(*layers = mem_alloc((n + 1) * sizeof **layers, err))) {
        free(live);
        return -1;
    }
    bool *boundary = live + n, *needed = live + 2 * n;
    needed[net->output] = true;
    for (size_t i = n; i-- > 0;)
        for (int k = 0; needed[i] && k < net->layers[i].n_inputs; k++)
            needed[net->layers[i].inputs[k]] = true;
    for (size_t i = 0; i < n; i++) {
        const struct net_layer *l = &net->layers[i];
        bool learns = l->trainable && l->n_weights;
        if (!needed[i]) continue;
        any |= learns;
        live[i] = learns || plan_drops(l);
        for (int k = 0; k < l->n_inputs; k++)
            live[i] |= live[l->inputs[k]];
        for (int k = 0; live[i] && k < l->n_inputs; k++)
            boundary[l->inputs[k]] |= !live[l->inputs[k]];
    }
    for (size_t i = n; i-- > 0;)
        if (boundary[i] && is_cheap_to_recompute(net, boundary, (int)i)) boundary[i] = false;
    for (size_t i = 0; i < n; i++)
        if (boundary[i]) (*layers)[(*n_layers)++] = (int)i;
    free(live);
    if (!any) {
        free(*layers);
        *layers = NULL;
        return error_set(err, EX_DATAERR, "no layer of the net is trainable");
    }
    return 0;
}

/* --- opening --- */

struct slot engine_slot(const struct engine *e, int storage)
{
    return (struct slot){e->arena, e->plan.storages[storage].offset};
}

struct tensor_shape engine_shape(const struct engine *e, int value, int rows)
{
    struct tensor_shape s = e->plan.values[value].shape;
    s.n = rows;
    return s;
}

static int make_plan(struct plan *p, const struct net *net, const struct engine_options *o,
                     const struct backend_table *t, struct backend *b, struct error *err)
{
    *p = (struct plan){0};
    if (plan_build(p, net, o, t, b, err) || plan_finish(p, o, t, b, err)) {
        plan_release(p, t, b);
        return -1;
    }
    return 0;
}

static int check_net(const struct net *net, const struct engine_options *o, struct error *err)
{
    if (o->batch < 1) return error_set(err, EX_USAGE, "a batch of %d pictures", o->batch);
    for (int i = 0; i < net->n_layers; i++) {
        const struct net_layer *l = &net->layers[i];
        if (l->output.rank < 1 || l->output.rank > 3)
            return error_set(err, EX_DATAERR,
                             "layer '%s' (%s): its output shape is not known or not supported", l->name,
                             layer_kind_name(l->kind));
        for (int k = 0; k < l->n_inputs; k++)
            if (l->inputs[k] < 0 || l->inputs[k] >= i)
                return error_set(err, EX_DATAERR, "layer '%s' reads a layer that comes after it", l->name);
    }
    return 0;
}

static int alloc_all(struct engine *e, struct error *err)
{
    const struct backend_table *t = e->table;
    const struct plan *p = &e->plan;
    struct backend *b = e->backend;
    if (t->alloc(b, p->arena_bytes, &e->arena, err) || t->alloc(b, p->workspace_bytes, &e->workspace, err))
        return -1;
    if (e->options.mode != ENGINE_TRAIN) return 0;
    if (t->alloc(b, p->weights_bytes, &e->weights, err) ||
        t->alloc(b, p->weights_bytes, &e->gradients, err) ||
        t->alloc(b, p->weights_bytes, &e->state[0], err) ||
        t->alloc(b, p->statistics_bytes, &e->statistics, err) ||
        (e->options.optimizer == ENGINE_ADAM && t->alloc(b, p->weights_bytes, &e->state[1], err)) ||
        (e->options.ema && t->alloc(b, p->weights_bytes, &e->ema, err)))
        return -1;
    size_t n = (size_t)p->batch * (size_t)p->n_classes;
    for (size_t i = 0; i < p->n_nodes; i++)
        if (p->nodes[i].mask != NO && (size_t)p->batch * (size_t)p->nodes[i].d.y.c > e->mask_values)
            e->mask_values = (size_t)p->batch * (size_t)p->nodes[i].d.y.c;
    return (e->logits = mem_zalloc(n, sizeof(float), err)) &&
                   (e->probabilities = mem_zalloc(n, sizeof(float), err)) &&
                   (e->targets_gradient = mem_zalloc(2 * n, sizeof(float), err)) &&
                   (e->begun[0].targets = mem_zalloc(n, sizeof(float), err)) &&
                   (e->begun[1].targets = mem_zalloc(n, sizeof(float), err)) &&
                   (e->begun[0].weights = mem_zalloc((size_t)p->batch, sizeof(float), err)) &&
                   (e->begun[1].weights = mem_zalloc((size_t)p->batch, sizeof(float), err)) &&
                   (e->mask = mem_zalloc(e->mask_values + 1, sizeof(float), err))
               ? 0
               : -1;
}

int engine_open(struct engine **out, const struct net *net, const struct engine_options *options,
                struct error *err)
{
    struct engine *e = NULL;
    *out = NULL;
    if (check_net(net, options, err) || !(e = mem_zalloc(1, sizeof *e, err))) return -1;
    e->options = *options;
    e->n_layers = net->n_layers;
    e->input_scale = (float)(net->metadata.input_scale != 0 ? net->metadata.input_scale : 1.0 / 255);
    e->input_offset = (float)net->metadata.input_offset;
    struct backend_options bo = engine_backend_options(options, NULL);
    if (backend_open(options->device, &bo, &e->table, &e->backend, err)) goto fail;
    if (options->int8 && !e->table->has_int8) {
        error_set(err, EX_NODEVICE,
                  "device '%s' does not compute int8 models: --device cpu does, or --precision "
                  "fp32",
                  e->table->name);
        goto fail;
    }
    if (make_plan(&e->plan, net, options, e->table, e->backend, err)) goto fail;
    e->bytes = plan_bytes(&e->plan, options);
    size_t limit =
        options->memory_limit_bytes ? options->memory_limit_bytes : e->table->memory_available(e->backend);
    if (limit && e->bytes > limit) {
        plan_too_large(net, options, e->table, e->backend, e->bytes, limit, err);
        goto fail;
    }
    if (alloc_all(e, err) || engine_exchange_open(e, err) || engine_write_net(e, net, err)) goto fail;
    if (e->ema) {
        struct slot ema = {e->ema, 0}, w = {e->weights, 0};
        if (e->table->copy(e->backend, ema, w, e->plan.weights_bytes / sizeof(float), err)) goto fail;
    }
    e->options.inputs = e->options.outputs = NULL; /* were borrowed */
    e->options.int8 = NULL;
    e->options.spent = NULL;
    *out = e;
    return 0;
fail:
    engine_close(e);
    return -1;
}

void engine_close(struct engine *e)
{
    if (!e) return;
    if (e->backend) {
        struct backend_buffer *const all[] = {e->arena,    e->workspace, e->weights, e->gradients,
                                              e->state[0], e->state[1],  e->ema,     e->statistics};
        struct error ignored = {0};
        e->table->sync(e->backend, &ignored);
        plan_release(&e->plan, e->table, e->backend);
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            e->table->free(e->backend, all[i]);
        e->table->close(e->backend);
    }
    free(e->logits);
    free(e->probabilities);
    free(e->targets_gradient);
    for (int i = 0; i < 2; i++) {
        free(e->begun[i].targets);
        free(e->begun[i].weights);
    }
    free(e->mask);
    free(e->final_from);
    free(e->flat);
    free(e);
}

int engine_memory_need(const struct net *net, const struct engine_options *options, size_t *bytes,
                       struct error *err)
{
    struct backend_options bo = engine_backend_options(options, NULL);
    const struct backend_table *t;
    struct backend *b;
    struct plan p;
    *bytes = 0;
    if (check_net(net, options, err) || backend_open(options->device, &bo, &t, &b, err)) return -1;
    int rc = make_plan(&p, net, options, t, b, err);
    if (!rc) {
        *bytes = plan_bytes(&p, options);
        plan_release(&p, t, b);
    }
    t->close(b);
    return rc;
}

size_t engine_memory_bytes(const struct engine *e) { return e->bytes; }
const char *engine_device(const struct engine *e) { return e->table->name; }
const char *engine_description(const struct engine *e) { return e->table->describe(e->backend); }
bool engine_has_batch_norm(const struct engine *e) { return e->plan.has_batch_norm; }

/* --- constants --- */

static float *weight(const struct net *net, int layer, enum weight_role role)
{
    const struct net_layer *l = &net->layers[layer];
    for (int i = 0; i < l->n_weights; i++)
        if (l->weights[i].role == role) return l->weights[i].values;
    return NULL;
}

/* Computes scale[c] and shift[c] of a frozen batch norm, a Scale or a Rescaling, y = x * scale + shift, in
 * double, and rounds them once. */
static int norm_constants(const struct net *net, int layer, int n_c, double *scale, double *shift,
                          struct error *err)
{
    const struct net_layer *l = &net->layers[layer];
    const float *mean = weight(net, layer, WEIGHT_MOVING_MEAN),
                *variance = weight(net, layer, WEIGHT_MOVING_VARIANCE);
    const float *gamma = weight(net, layer, WEIGHT_GAMMA), *beta = weight(net, layer, WEIGHT_BETA);
    bool norm = l->kind == LAYER_BATCH_NORM;
    for (int c = 0; l->kind == LAYER_RESCALING && c < n_c; c++) {
        scale[c] = l->rescale;
        shift[c] = l->offset;
    }
    if (l->kind == LAYER_RESCALING) return 0;
    if ((norm && (!mean || !variance)) || (l->scale && !gamma) || (l->center && !beta))
        return error_set(err, EX_DATAERR, "layer '%s': a weight is missing", l->name);
    for (int c = 0; !norm && c < n_c; c++) {
        scale[c] = l->scale ? gamma[l->one_scale ? 0 : c] : 1;
        shift[c] = l->center ? beta[l->one_center ? 0 : c] : 0;
    }
    if (!norm) return 0;
    for (int c = 0; c < n_c; c++) {
        scale[c] = (l->scale ? gamma[c] : 1.0) / sqrt(variance[c] + l->epsilon);
        shift[c] = (l->center ? beta[c] : 0.0) - mean[c] * scale[c];
    }
    return 0;
}

/* own: whether the values of weight_layer may be changed, because nothing reads them afterwards. */
static int load_node(struct engine *e, const struct net *net, const struct node *n, bool own,
                     struct error *err)
{
    const struct op_desc *d = &n->d;
    int n_c = d->y.c, rc = -1;
    double *scale = mem_zalloc(2 * (size_t)n_c, sizeof *scale, err), *shift = scale + n_c;
    float *copy = NULL, *bias = scale ? mem_zalloc(2 * (size_t)n_c, sizeof *bias, err) : NULL, *w = NULL;
    if (!bias) goto out;
    bool line = n->norm_layer == NO && n->weight_layer == NO;
    for (int c = 0; c < n_c; c++) {
        scale[c] = line ? n->line[0] : 1;
        shift[c] = line ? n->line[1] : 0;
    }
    if (n->norm_layer != NO && norm_constants(net, n->norm_layer, n_c, scale, shift, err)) goto out;
    if (n->weight_layer == NO) {
        if (!(w = copy = mem_alloc((size_t)n_c * sizeof *copy, err))) goto out;
        for (int c = 0; c < n_c; c++)
            w[c] = (float)scale[c];
    } else {
        const struct net_layer *l = &net->layers[n->weight_layer];
        float *kernel =
            weight(net, n->weight_layer, d->kind == OP_DEPTHWISE ? WEIGHT_DEPTHWISE_KERNEL : WEIGHT_KERNEL);
        const float *own_bias = l->use_bias ? weight(net, n->weight_layer, WEIGHT_BIAS) : NULL;
        if (!kernel || (l->use_bias && !own_bias)) {
            error_set(err, EX_DATAERR, "layer '%s': a weight is missing", l->name);
            goto out;
        }
        w = kernel;
        if (n->norm_layer != NO && !d->whole_weights) {
            size_t n_w = (size_t)d->kernel_h * (size_t)d->kernel_w *
                         (d->kind == OP_DEPTHWISE ? 1 : (size_t)(d->x[0].c / conv_groups(d))) * (size_t)n_c;
            if (!own && !(w = copy = mem_alloc(n_w * sizeof *copy, err))) goto out;
            for (size_t i = 0; i < n_w; i++)
                w[i] = (float)(kernel[i] * scale[i % (size_t)n_c]);
        }
        for (int c = 0; own_bias && c < n_c; c++)
            shift[c] += own_bias[c] * scale[c];
    }
    float *to = bias;
    for (int c = 0; d->whole_weights && c < n_c; c++)
        *to++ = (float)scale[c];
    for (int c = 0; c < n_c; c++)
        to[c] = (float)shift[c];
    rc = e->table->op_load(e->backend, n->op, w, d->has_bias || d->kind == OP_AFFINE ? bias : NULL, err);
out:
    free(scale);
    free(bias);
    free(copy);
    return rc;
}

/* Returns, for each layer, the last node that loads its weights, or NO if they are needed later. NULL: no
 * memory. */
static int *last_loads(const struct engine *e, struct error *err)
{
    int *last = mem_alloc((size_t)(e->n_layers + 1) * sizeof *last, err);
    for (int i = 0; last && i < e->n_layers; i++)
        last[i] = NO;
    for (size_t i = 0; last && i < e->plan.n_nodes; i++) {
        const struct node *n = &e->plan.nodes[i];
        if (!n->d.constant_weights) continue;
        if (n->weight_layer != NO) last[n->weight_layer] = (int)i;
        if (n->norm_layer != NO) last[n->norm_layer] = (int)i;
    }
    for (size_t i = 0; last && i < e->plan.n_params; i++)
        last[e->plan.params[i].layer] = NO;
    return last;
}

int engine_load_constants(struct engine *e, const struct net *net, struct error *err)
{
    struct net *spent = e->options.spent;
    int *last = NULL, rc = 0;
    if (spent && !(last = last_loads(e, err))) return -1;
    for (size_t i = 0; rc == 0 && i < e->plan.n_nodes; i++) {
        const struct node *n = &e->plan.nodes[i];
        if (!n->d.constant_weights) continue;
        rc = load_node(e, net, n, spent && n->weight_layer != NO && last[n->weight_layer] == (int)i, err);
        const int layers[] = {n->weight_layer, n->norm_layer};
        for (int l = 0; rc == 0 && spent && l < 2; l++)
            if (layers[l] != NO && last[layers[l]] == (int)i) net_forget_values(spent, layers[l]);
    }
    free(last);
    return rc;
}

/* --- forward --- */

static struct slot rows_slot(const struct engine *e, const struct node *n, int value, int chunk_index)
{
    int storage = e->plan.values[value].storage;
    struct slot s = engine_slot(e, storage);
    if (n->segment == 0 && e->plan.storages[storage].whole_batch)
        s.offset += (size_t)chunk_index * (size_t)e->plan.chunk * e->plan.storages[storage].row_bytes;
    return s;
}

static struct slot param_slot(const struct engine *e, const struct node *n, int which,
                              struct backend_buffer *weights)
{
    if (n->param[which] == NO) return (struct slot){NULL, 0};
    const struct param *q = &e->plan.params[n->param[which]];
    return (struct slot){q->statistic ? e->statistics : weights, q->offset};
}

void engine_node_io(const struct engine *e, const struct node *n, int chunk_index, struct op_io *io)
{
    *io = (struct op_io){.momentum = n->momentum};
    for (int k = 0; k < n->d.n_x; k++)
        io->x[k] = rows_slot(e, n, n->x[k], chunk_index);
    io->y = rows_slot(e, n, n->y, chunk_index);
    io->w = param_slot(e, n, P_KERNEL, e->weights);
    io->bias = param_slot(e, n, P_BIAS, e->weights);
    io->gamma = param_slot(e, n, P_GAMMA, e->weights);
    io->beta = param_slot(e, n, P_BETA, e->weights);
    io->mean = param_slot(e, n, P_MEAN, e->weights);
    io->variance = param_slot(e, n, P_VARIANCE, e->weights);
    if (n->saved != NO) io->saved = engine_slot(e, n->saved);
    if (n->mask != NO) io->mask = engine_slot(e, n->mask);
}

/* Uploads value `which` for `rows` rows of the batch from `first` on, of which the caller supplied
 * `filled`. */
static int feed(struct engine *e, const struct engine_batch *in, int which, int first, int rows, int filled,
                struct error *err)
{
    int value = e->plan.fed[which];
    const struct storage *s = &e->plan.storages[e->plan.values[value].storage];
    struct tensor_shape shape = engine_shape(e, value, rows);
    struct slot to = engine_slot(e, e->plan.values[value].storage);
    size_t row = shape_row_values(&shape);
    if (s->begin == NO) return 0;             /* named as an input, but not read */
    if (!in->pixels && !in->values) return 0; /* keeps_input */
    if (in->pixels)
        return e->table->tensor_upload_u8(e->backend, to, &shape, in->pixels + (size_t)first * row, filled,
                                          e->input_scale, e->input_offset, err);
    return e->table->tensor_upload(e->backend, to, &shape, in->values[which] + (size_t)first * row, filled,
                                   err);
}

static int check_batch(const struct engine *e, const struct engine_batch *in, enum run_kind kind,
                       struct error *err)
{
    if (in->n < (in->n_whole > 0 ? 0 : 1) || in->n > e->plan.batch)
        return error_set(err, EX_USAGE, "%d pictures for an engine of batch %d", in->n, e->plan.batch);
    bool kept = e->plan.keeps_input && e->plan.chunk == e->plan.batch;
    if (in->pixels ? e->plan.n_fed != 1 : !in->values && !kept)
        return error_set(err, EX_USAGE, "the engine was opened for other inputs");
    if (kind != RUN_INFERENCE && e->options.mode != ENGINE_TRAIN)
        return error_set(err, EX_USAGE, "the engine was opened for inference");
    if (kind != RUN_INFERENCE && e->plan.has_batch_norm && in->n != e->plan.batch)
        return error_set(err, EX_USAGE, "%d pictures: unlocked batch norms need whole batches of %d", in->n,
                         e->plan.batch);
    return 0;
}

/* Makes the dropout of one node: 0 or 1/(1-rate), as a function of (seed, step, layer,
 * element of the whole batch) only. */
static int upload_mask(struct engine *e, const struct node *n, enum run_kind kind,
                       const struct engine_step *step, int first_row, struct error *err)
{
    size_t count = (size_t)e->plan.batch * (size_t)n->d.y.c;
    struct tensor_shape shape = {.n = 1, .h = 1, .w = 1, .c = (int)count, .parent_c = (int)count};
    struct slot to = engine_slot(e, n->mask);
    float keep = (float)(1 / (1 - n->rate));
    uint64_t limit = (uint64_t)(n->rate * 16777216.0);
    if (kind == RUN_TRAIN || kind == RUN_AGAIN) {
        struct random r = random_start(step->seed, step->step, (uint64_t)e->plan.values[n->y].layer);
        uint64_t base = random_u64(&r) + (uint64_t)first_row * (uint64_t)n->d.y.c * 0x9e3779b97f4a7c15u;
        for (size_t i = 0; i < count; i++)
            e->mask[i] = random_mix(base + i * 0x9e3779b97f4a7c15u) >> 40 >= limit ? keep : 0;
    } else {
        for (size_t i = 0; i < count; i++)
            e->mask[i] = 1;
    }
    return e->table->tensor_upload(e->backend, to, &shape, e->mask, 1, err);
}

int engine_feed(struct engine *e, const struct engine_batch *in, enum run_kind kind,
                const struct engine_step *step, struct error *err)
{
    const struct plan *p = &e->plan;
    if (check_batch(e, in, kind, err)) return -1;
    for (int i = 0; i < p->n_fed; i++)
        if ((p->chunk == p->batch || p->storages[p->values[p->fed[i]].storage].whole_batch) &&
            feed(e, in, i, 0, p->batch, in->n, err))
            return -1;
    for (size_t i = 0; e->table->run_step && i < p->n_nodes; i++)
        if (p->nodes[i].mask != NO && upload_mask(e, &p->nodes[i], kind, step, in->first_row, err)) return -1;
    e->rows = in->n;
    e->probabilities_ready = false;
    return 0;
}

int engine_compute(struct engine *e, const struct engine_batch *in, enum run_kind kind,
                   const struct engine_step *step, struct error *err)
{
    const struct plan *p = &e->plan;
    struct slot workspace = {e->workspace, 0};
    struct op_io io;
    size_t first1 = 0;
    while (first1 < p->n_nodes && p->nodes[first1].segment == 0)
        first1++;
    for (int first = 0, chunk = 0; first < in->n; first += p->chunk, chunk++) {
        int filled = in->n - first < p->chunk ? in->n - first : p->chunk;
        for (int i = 0; p->chunk < p->batch && i < p->n_fed; i++)
            if (!p->storages[p->values[p->fed[i]].storage].whole_batch &&
                feed(e, in, i, first, p->chunk, filled, err))
                return -1;
        for (size_t i = 0; i < first1; i++) {
            engine_node_io(e, &p->nodes[i], chunk, &io);
            if (e->table->op_forward(e->backend, p->nodes[i].op, &io, workspace, err))
                return error_prefix(err, "layer '%s'", p->nodes[i].d.name);
        }
    }
    for (size_t i = first1; i < p->n_nodes; i++) {
        const struct node *n = &p->nodes[i];
        if (n->mask != NO && !e->table->run_step && upload_mask(e, n, kind, step, in->first_row, err))
            return -1;
        engine_node_io(e, n, 0, &io);
        io.use_moving = kind == RUN_INFERENCE;
        if (kind == RUN_AGAIN) io.momentum = 1;
        if (kind == RUN_REFRESH) io.momentum = (double)(e->refresh_runs - 1) / (double)e->refresh_runs;
        if (kind != RUN_INFERENCE && n->d.kind == OP_BATCH_NORM && e->exchange.x.sum)
            io.exchange = &e->exchange.x;
        if (e->table->op_forward(e->backend, n->op, &io, workspace, err))
            return error_prefix(err, "layer '%s'", n->d.name);
        if (e->exchange.err.code) {
            *err = e->exchange.err;
            return -1;
        }
    }
    return 0;
}

int engine_run_forward(struct engine *e, const struct engine_batch *in, enum run_kind kind,
                       const struct engine_step *step, struct error *err)
{
    return engine_feed(e, in, kind, step, err) || engine_compute(e, in, kind, step, err) ? -1 : 0;
}

int engine_forward(struct engine *e, const struct engine_batch *in, struct error *err)
{
    return engine_run_forward(e, in, RUN_INFERENCE, NULL, err);
}

int engine_refresh_begin(struct engine *e, struct error *err)
{
    if (e->options.mode != ENGINE_TRAIN)
        return error_set(err, EX_USAGE, "the engine was opened for inference");
    e->refresh_runs = 0;
    return 0;
}

int engine_refresh_run(struct engine *e, const struct engine_batch *in, struct error *err)
{
    e->refresh_runs++;
    return engine_run_forward(e, in, RUN_REFRESH, NULL, err) || engine_mean_statistics(e, err) ||
                   engine_wait_for_ranks(e, err)
               ? -1
               : 0;
}

/* --- reading --- */

static size_t value_size(const struct engine *e, int value)
{
    return shape_row_values(&e->plan.values[value].shape);
}

size_t engine_output_size(const struct engine *e, int i) { return value_size(e, e->plan.taps[i]); }

static int download(struct engine *e, int value, float *out, struct error *err)
{
    struct tensor_shape s = engine_shape(e, value, e->plan.batch);
    return e->table->tensor_download(e->backend, engine_slot(e, e->plan.values[value].storage), &s, out,
                                     e->rows, err);
}

int engine_output(struct engine *e, int i, float *out, struct error *err)
{
    if (i < 0 || i >= e->plan.n_taps) return error_set(err, EX_USAGE, "the engine has no output %d", i);
    return download(e, e->plan.taps[i], out, err);
}

int engine_probabilities(struct engine *e, float *out, struct error *err)
{
    if (e->probabilities_ready) {
        memcpy(out, e->probabilities, (size_t)e->rows * (size_t)e->plan.n_classes * sizeof(float));
        return 0;
    }
    if (e->plan.output == NO)
        return error_set(err, EX_USAGE, "the engine was opened without the net's output");
    return download(e, e->plan.output, out, err);
}
