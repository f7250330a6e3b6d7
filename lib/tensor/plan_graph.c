/*
 * plan_graph.c: what has to run, from the net's layers: which layers are needed, which of them learn or lie
 * after something that learns, which fold or fuse into one operation, which concatenations need no copy.
 */
#include <stdlib.h>
#include <string.h>

#include "tensor/engine_internal.h"

struct builder {
    struct plan *p;
    const struct net *net;
    const struct engine_options *o;
    const struct backend_table *t;
    const struct backend *b;
    bool *needed, *fed, *tapped, *absorbed, *learns, *segment1, *gradient;
    int *readers, *reader; /* number of needed layers that read it; the last of them */
    int *value;            /* of a layer's output, NO while it has none */
};

static bool training(const struct builder *g) { return g->o->mode == ENGINE_TRAIN; }

static bool has_weights(const struct net_layer *l) { return l->n_weights > 0; }

static int unsupported(const struct builder *g, int layer, const char *why, struct error *err)
{
    const struct net_layer *l = &g->net->layers[layer];
    return error_set(err, EX_DATAERR, "layer '%s' (%s): %s", l->name, layer_kind_name(l->kind), why);
}

/* --- which layers --- */

static int mark_needed(struct builder *g, struct error *err)
{
    const struct net *n = g->net;
    for (int i = 0; i < g->o->n_inputs; i++) {
        int layer = g->o->inputs[i];
        if (layer < 0 || layer >= n->n_layers)
            return error_set(err, EX_USAGE, "engine input %d is not a layer of the net", layer);
        g->fed[layer] = true;
    }
    if (!g->o->n_inputs) g->fed[n->input] = true;
    for (int i = 0; i < g->o->n_outputs; i++) {
        int layer = g->o->outputs[i];
        if (layer < 0 || layer >= n->n_layers)
            return error_set(err, EX_USAGE, "engine output %d is not a layer of the net", layer);
        g->tapped[layer] = g->needed[layer] = true;
    }
    if (!g->o->n_outputs || training(g)) g->needed[n->output] = true;
    if (!g->o->n_outputs) g->tapped[n->output] = true;
    for (int i = n->n_layers - 1; i >= 0; i--) {
        const struct net_layer *l = &n->layers[i];
        if (!g->needed[i] || g->fed[i]) continue;
        if (l->kind == LAYER_INPUT)
            return error_set(err, EX_USAGE, "the given inputs leave a path from '%s' to the outputs",
                             l->name);
        for (int k = 0; k < l->n_inputs; k++)
            g->needed[l->inputs[k]] = true;
    }
    for (int i = 0; i < n->n_layers; i++) {
        const struct net_layer *l = &n->layers[i];
        if (!g->needed[i] || g->fed[i]) continue;
        g->learns[i] = training(g) && l->trainable && has_weights(l);
        g->segment1[i] = g->learns[i] || (training(g) && l->kind == LAYER_DROPOUT && l->rate > 0);
        g->gradient[i] = g->learns[i];
        for (int k = 0; k < l->n_inputs; k++) {
            int from = l->inputs[k];
            g->segment1[i] |= g->segment1[from];
            g->gradient[i] |= g->gradient[from];
            g->readers[from]++;
            g->reader[from] = i;
        }
    }
    return 0;
}

/* The layer that alone reads this one's output, or NO. */
static int only_reader(const struct builder *g, int layer)
{
    return g->readers[layer] == 1 && !g->tapped[layer] && g->net->layers[g->reader[layer]].n_inputs == 1
               ? g->reader[layer]
               : NO;
}

/* --- values and nodes --- */

static struct tensor_shape shape_of(const struct net_shape *s)
{
    struct tensor_shape t = {0, 1, 1, 1, 0, 0};
    if (s->rank == 1)
        t.c = s->dim[0];
    else if (s->rank == 2)
        t.h = s->dim[0], t.c = s->dim[1];
    else
        t.h = s->dim[0], t.w = s->dim[1], t.c = s->dim[2];
    t.parent_c = t.c;
    return t;
}

static int add_value(struct builder *g, int layer, const struct tensor_shape *shape, int producer,
                     struct error *err)
{
    struct plan *p = g->p;
    if (mem_grow(&p->values, &p->cap_values, p->n_values + 1, sizeof *p->values, err)) return NO;
    p->values[p->n_values] =
        (struct value){.layer = layer, .storage = NO, .shape = *shape, .producer = producer};
    return (int)p->n_values++;
}

static int add_storage(struct plan *p, const struct tensor_shape *whole, struct error *err)
{
    if (mem_grow(&p->storages, &p->cap_storages, p->n_storages + 1, sizeof *p->storages, err)) return NO;
    p->storages[p->n_storages] = (struct storage){.whole = *whole, .begin = NO, .end = NO, .gradient = NO};
    return (int)p->n_storages++;
}

/* A node whose only input is value x; more are added by the caller. The output shape is that of `layer`. */
static struct node *add_node(struct builder *g, enum op_kind kind, int layer, int x, struct error *err)
{
    struct plan *p = g->p;
    struct tensor_shape y = shape_of(&g->net->layers[layer].output);
    if (mem_grow(&p->nodes, &p->cap_nodes, p->n_nodes + 1, sizeof *p->nodes, err)) return NULL;
    struct node *n = &p->nodes[p->n_nodes];
    *n = (struct node){.weight_layer = NO, .norm_layer = NO, .saved = NO, .mask = NO};
    for (int i = 0; i < P_SLOTS; i++)
        n->param[i] = NO;
    n->d.kind = kind;
    n->d.name = g->net->layers[layer].name;
    n->d.n_x = 1;
    n->x[0] = x;
    n->d.x[0] = p->values[x].shape;
    n->d.y = y;
    n->d.kernel_h = n->d.kernel_w = n->d.stride_h = n->d.stride_w = n->d.dilation_h = n->d.dilation_w = 1;
    n->segment = g->segment1[layer];
    n->d.training = g->gradient[layer];
    if ((n->y = add_value(g, layer, &y, (int)p->n_nodes, err)) == NO) return NULL;
    p->values[n->y].needs_gradient = g->gradient[layer];
    p->values[n->y].segment = n->segment;
    p->n_nodes++;
    return n;
}

static int add_param(struct builder *g, struct node *n, int slot, int layer, enum weight_role role,
                     struct param_shape shape, struct error *err)
{
    struct plan *p = g->p;
    const struct net_layer *l = &g->net->layers[layer];
    int weight = NO;
    for (int i = 0; i < l->n_weights; i++)
        if (l->weights[i].role == role) weight = i;
    if (weight == NO) return unsupported(g, layer, "a weight is missing", err);
    if (mem_grow(&p->params, &p->cap_params, p->n_params + 1, sizeof *p->params, err)) return -1;
    bool statistic = role == WEIGHT_MOVING_MEAN || role == WEIGHT_MOVING_VARIANCE;
    bool kernel = role == WEIGHT_KERNEL || role == WEIGHT_DEPTHWISE_KERNEL;
    p->params[p->n_params] = (struct param){.layer = layer,
                                            .weight = weight,
                                            .shape = shape,
                                            .n_values = l->weights[weight].n_values,
                                            .statistic = statistic,
                                            .l2 = kernel ? l->l2 : 0};
    p->has_l2 |= kernel && l->l2 > 0;
    n->param[slot] = (int)p->n_params++;
    return 0;
}

static struct param_shape vector_shape(int c) { return (struct param_shape){PARAM_VECTOR, 1, 1, 1, c}; }

static bool set_activation(struct op_desc *d, enum activation_kind kind)
{
    d->activation = kind == ACTIVATION_RELU      ? OP_RELU
                    : kind == ACTIVATION_RELU6   ? OP_RELU_CAPPED
                    : kind == ACTIVATION_SIGMOID ? OP_SIGMOID
                                                 : OP_LINEAR;
    d->activation_max = kind == ACTIVATION_RELU6 ? 6 : 0;
    return kind != ACTIVATION_SOFTMAX;
}

/* The curve of a layer that is one, and its numbers. */
static bool curve_of(const struct net_layer *l, struct op_desc *d)
{
    static const struct {
        enum activation_kind kind;
        enum op_curve curve;
        float at[2];
    } curves[] = {
        {ACTIVATION_TANH, CURVE_TANH, {0}},
        {ACTIVATION_SILU, CURVE_SILU, {0}},
        {ACTIVATION_GELU, CURVE_GELU, {0}},
        {ACTIVATION_GELU_TANH, CURVE_GELU_TANH, {0}},
        {ACTIVATION_ELU, CURVE_ELU, {0}},
        {ACTIVATION_SELU, CURVE_SELU, {0}},
        {ACTIVATION_CELU, CURVE_CELU, {0}},
        {ACTIVATION_LEAKY_RELU, CURVE_RELU, {0}},
        {ACTIVATION_SOFTPLUS, CURVE_SOFTPLUS, {0}},
        {ACTIVATION_SOFTSIGN, CURVE_SOFTSIGN, {0}},
        {ACTIVATION_EXPONENTIAL, CURVE_EXPONENTIAL, {0}},
        {ACTIVATION_MISH, CURVE_MISH, {0}},
        {ACTIVATION_LOG_SIGMOID, CURVE_LOG_SIGMOID, {0}},
        {ACTIVATION_HARD_SIGMOID, CURVE_HARD_SIGMOID, {1.0f / 6, 0.5f}},
        {ACTIVATION_HARD_SIGMOID_2, CURVE_HARD_SIGMOID, {0.2f, 0.5f}},
        {ACTIVATION_HARD_SWISH, CURVE_HARD_SWISH, {1.0f / 6, 0.5f}},
        {ACTIVATION_HARD_TANH, CURVE_HARD_TANH, {0}},
    };
    if (l->kind == LAYER_RELU && (l->relu_slope != 0 || l->relu_threshold != 0)) {
        d->curve = CURVE_RELU;
        d->curve_at[0] = l->relu_slope;
        d->curve_at[1] = l->relu_max;
        d->curve_at[2] = l->relu_threshold;
        return true;
    }
    for (size_t i = 0; l->kind == LAYER_ACTIVATION && i < sizeof curves / sizeof *curves; i++)
        if (curves[i].kind == l->activation) {
            bool alpha = l->activation == ACTIVATION_ELU || l->activation == ACTIVATION_CELU ||
                         l->activation == ACTIVATION_LEAKY_RELU;
            d->curve = curves[i].curve;
            d->curve_at[0] = alpha ? l->alpha : curves[i].at[0];
            d->curve_at[1] = curves[i].at[1];
            return true;
        }
    return false;
}

/* An activation layer that is not softmax as d's fused one; false when it is something else. */
static bool activation_of(const struct net_layer *l, struct op_desc *d)
{
    struct op_desc ignored;
    if (curve_of(l, &ignored)) return false;
    if (l->kind == LAYER_RELU) {
        d->activation = l->relu_max > 0 ? OP_RELU_CAPPED : OP_RELU;
        d->activation_max = l->relu_max;
        return true;
    }
    return l->kind == LAYER_ACTIVATION && l->activation != ACTIVATION_SOFTMAX &&
           set_activation(d, l->activation);
}

/* After node n made the output of `layer`: takes in the activation layer after it, if it alone reads it.
 * Returns the layer n now ends with. */
static int fuse_activation(struct builder *g, struct node *n, int layer)
{
    int next = only_reader(g, layer);
    if (n->d.activation != OP_LINEAR || next == NO || g->fed[next] ||
        !activation_of(&g->net->layers[next], &n->d))
        return layer;
    g->absorbed[next] = true;
    g->p->values[n->y].layer = next;
    return next;
}

/* TensorFlow's "same": the odd row or column of padding goes last. */
static void set_window(struct op_desc *d, const struct net_layer *l)
{
    d->kernel_h = l->kernel_h;
    d->kernel_w = l->kernel_w;
    d->stride_h = l->stride_h;
    d->stride_w = l->stride_w;
    d->dilation_h = l->dilation_h > 0 ? l->dilation_h : 1;
    d->dilation_w = l->dilation_w > 0 ? l->dilation_w : 1;
    if (l->same) {
        int h = (d->y.h - 1) * d->stride_h + (d->kernel_h - 1) * d->dilation_h + 1 - d->x[0].h;
        int w = (d->y.w - 1) * d->stride_w + (d->kernel_w - 1) * d->dilation_w + 1 - d->x[0].w;
        h = h > 0 ? h : 0;
        w = w > 0 ? w : 0;
        d->pad_top = h / 2;
        d->pad_bottom = h - h / 2;
        d->pad_left = w / 2;
        d->pad_right = w - w / 2;
    }
}

static struct node *add_norm(struct builder *g, int layer, int x, struct error *err)
{
    const struct net_layer *l = &g->net->layers[layer];
    struct node *n = add_node(g, g->learns[layer] ? OP_BATCH_NORM : OP_AFFINE, layer, x, err);
    if (!n) return NULL;
    n->norm_layer = layer;
    if (n->d.kind == OP_AFFINE) {
        n->d.constant_weights = true;
    } else {
        struct param_shape v = vector_shape(n->d.y.c);
        n->d.has_gamma = l->scale;
        n->d.has_beta = l->center;
        n->d.epsilon = l->epsilon;
        n->d.needs_dw = l->scale || l->center;
        n->momentum = l->momentum;
        g->p->has_batch_norm = true;
        if ((l->scale && add_param(g, n, P_GAMMA, layer, WEIGHT_GAMMA, v, err)) ||
            (l->center && add_param(g, n, P_BETA, layer, WEIGHT_BETA, v, err)) ||
            add_param(g, n, P_MEAN, layer, WEIGHT_MOVING_MEAN, v, err) ||
            add_param(g, n, P_VARIANCE, layer, WEIGHT_MOVING_VARIANCE, v, err))
            return NULL;
    }
    g->value[fuse_activation(g, n, layer)] = n->y;
    return n;
}

static int add_softmax(struct builder *g, int layer, int x, struct error *err)
{
    struct node *n = add_node(g, OP_SOFTMAX, layer, x, err);
    if (!n) return -1;
    g->value[layer] = n->y;
    n->d.training = false;
    return 0;
}

static int add_convolution(struct builder *g, int layer, struct error *err)
{
    const struct net_layer *l = &g->net->layers[layer];
    bool dense = l->kind == LAYER_DENSE, depthwise = l->kind == LAYER_DEPTHWISE_CONV2D;
    int from = l->inputs[0];
    const struct net_layer *pad = NULL;
    if (g->value[from] == NO) { /* a ZeroPadding2D left for its convolutions */
        pad = &g->net->layers[from];
        from = pad->inputs[0];
    }
    struct node *n = add_node(g,
                              dense       ? OP_DENSE
                              : depthwise ? OP_DEPTHWISE
                                          : OP_CONV,
                              layer, g->value[from], err);
    if (!n) return -1;
    struct op_desc *d = &n->d;
    if (dense && (d->x[0].h != 1 || d->x[0].w != 1))
        return unsupported(g, layer, "only vectors enter a Dense layer here", err);
    if (!dense) set_window(d, l);
    if (pad) {
        d->pad_top = pad->pad_top;
        d->pad_bottom = pad->pad_bottom;
        d->pad_left = pad->pad_left;
        d->pad_right = pad->pad_right;
    }
    d->has_bias = l->use_bias;
    d->needs_dw = g->learns[layer];
    d->constant_weights = !g->learns[layer];
    n->weight_layer = layer;
    bool softmax_after = !set_activation(d, l->activation);
    if (g->learns[layer]) {
        enum weight_role role = depthwise ? WEIGHT_DEPTHWISE_KERNEL : WEIGHT_KERNEL;
        struct param_shape w = {dense       ? PARAM_DENSE
                                : depthwise ? PARAM_DEPTHWISE
                                            : PARAM_CONV,
                                d->kernel_h, d->kernel_w, d->x[0].c, depthwise ? d->y.c / d->x[0].c : d->y.c};
        if (add_param(g, n, P_KERNEL, layer, role, w, err) ||
            (l->use_bias && add_param(g, n, P_BIAS, layer, WEIGHT_BIAS, vector_shape(d->y.c), err)))
            return -1;
    }
    int last = layer, next = only_reader(g, layer);
    if (d->constant_weights && !dense && d->activation == OP_LINEAR && next != NO && !g->fed[next] &&
        g->net->layers[next].kind == LAYER_BATCH_NORM && !g->learns[next]) {
        n->norm_layer = next; /* frozen batch norm: into the weights */
        d->has_bias = true;
        g->absorbed[next] = true;
        last = next;
        g->p->values[n->y].layer = next;
    }
    if (!softmax_after) last = fuse_activation(g, n, last);
    g->value[last] = n->y;
    return softmax_after ? add_softmax(g, layer, n->y, err) : 0;
}

static int add_pool(struct builder *g, int layer, struct error *err)
{
    const struct net_layer *l = &g->net->layers[layer];
    struct node *n = add_node(g,
                              l->kind == LAYER_MAX_POOL       ? OP_MAX_POOL
                              : l->kind == LAYER_AVERAGE_POOL ? OP_AVERAGE_POOL
                                                              : OP_GLOBAL_AVERAGE_POOL,
                              layer, g->value[l->inputs[0]], err);
    if (!n) return -1;
    if (l->kind != LAYER_GLOBAL_AVERAGE_POOL) set_window(&n->d, l);
    g->value[layer] = n->y;
    return 0;
}

static int add_add(struct builder *g, int layer, struct error *err)
{
    const struct net_layer *l = &g->net->layers[layer];
    if (l->n_inputs > OP_MAX_INPUTS) return unsupported(g, layer, "too many inputs", err);
    struct node *n = add_node(g, OP_ADD, layer, g->value[l->inputs[0]], err);
    if (!n) return -1;
    for (int i = 1; i < l->n_inputs; i++) {
        n->x[i] = g->value[l->inputs[i]];
        n->d.x[i] = g->p->values[n->x[i]].shape;
        if (n->d.x[i].h != n->d.y.h || n->d.x[i].w != n->d.y.w || n->d.x[i].c != n->d.y.c)
            return unsupported(g, layer, "its inputs have different shapes", err);
    }
    n->d.n_x = l->n_inputs;
    g->value[fuse_activation(g, n, layer)] = n->y;
    return 0;
}

/*
 * The concatenation's storage is made here. An input that only this layer reads, made by an operation that
 * can write slices, is moved into it; the others are copied by one CONCAT node (or none when there are no
 * others).
 */
static int add_concatenate(struct builder *g, int layer, struct error *err)
{
    const struct net_layer *l = &g->net->layers[layer];
    struct plan *p = g->p;
    struct tensor_shape whole = shape_of(&l->output);
    int first_c = 0, copied = 0, node_segment = g->segment1[layer];
    int storage = add_storage(p, &whole, err);
    int y = storage == NO ? NO : add_value(g, layer, &whole, NO, err);
    if (y == NO) return -1;
    p->values[y].storage = storage;
    p->values[y].segment = node_segment;
    p->values[y].needs_gradient = g->gradient[layer];
    if (l->n_inputs > OP_MAX_INPUTS) return unsupported(g, layer, "too many inputs", err);
    struct node *n = NULL;
    for (int i = 0; i < l->n_inputs; i++) {
        int from = l->inputs[i], x = g->value[from];
        struct value *v = &p->values[x];
        int c = v->shape.c;
        bool twice = false;
        for (int k = 0; k < i; k++)
            twice |= l->inputs[k] == from;
        bool in_place =
            !twice && v->producer != NO && v->storage == NO && g->readers[from] == 1 && !g->tapped[from];
        if (in_place) { /* (a frozen branch of a learning block, too: its part of the gradient is not read) */
            struct op_desc d = p->nodes[v->producer].d;
            d.y.parent_c = whole.c;
            d.y.first_c = first_c;
            in_place = g->t->writes_slice(g->b, &d);
        }
        if (in_place) {
            v->storage = storage;
            v->shape.parent_c = whole.c;
            v->shape.first_c = first_c;
        } else {
            if (!n) {
                if (!(n = add_node(g, OP_CONCAT, layer, x, err))) return -1;
                p->n_values--; /* its output is the value made above */
                n->y = y;
                copied = 0;
            }
            n->x[copied] = x;
            n->d.x[copied] = p->values[x].shape;
            n->d.first_c[copied++] = first_c;
            n->d.n_x = copied;
        }
        first_c += c;
    }
    if (n) p->values[y].producer = (int)(n - p->nodes);
    g->value[layer] = y;
    return 0;
}

static int add_reshape(struct builder *g, int layer, struct error *err)
{
    const struct net_layer *l = &g->net->layers[layer];
    int x = g->value[l->inputs[0]];
    struct tensor_shape to = shape_of(&l->output), from = g->p->values[x].shape;
    if (g->t->reshape_is_free(g->b, &from, &to) && g->segment1[layer] == g->segment1[l->inputs[0]]) {
        struct plan *p = g->p;
        if (p->values[x].storage == NO) {
            int storage = add_storage(p, &from, err);
            if (storage == NO) return -1;
            p->values[x].storage = storage;
        }
        int y = add_value(g, layer, &to, p->values[x].producer, err);
        if (y == NO) return -1;
        p->values[y].storage = p->values[x].storage;
        p->values[y].segment = p->values[x].segment;
        p->values[y].needs_gradient = p->values[x].needs_gradient;
        g->value[layer] = y;
        return 0;
    }
    struct node *n = add_node(g, OP_RESHAPE, layer, x, err);
    if (!n) return -1;
    g->value[layer] = n->y;
    return 0;
}

static int add_dropout(struct builder *g, int layer, struct error *err)
{
    const struct net_layer *l = &g->net->layers[layer];
    int x = g->value[l->inputs[0]];
    if (!training(g) || !(l->rate > 0)) {
        g->value[layer] = x; /* nothing happens */
        return 0;
    }
    if (!(l->rate < 1)) return unsupported(g, layer, "its rate is not below 1", err);
    struct node *n = add_node(g, OP_MULTIPLY, layer, x, err);
    if (!n) return -1;
    if (n->d.y.h != 1 || n->d.y.w != 1)
        return unsupported(g, layer, "dropout is supported after vectors only", err);
    n->rate = l->rate;
    g->value[layer] = n->y;
    return 0;
}

static int add_zero_padding(struct builder *g, int layer, struct error *err)
{
    const struct net_layer *l = &g->net->layers[layer];
    bool into_convolutions = !g->tapped[layer] && g->readers[layer] > 0;
    for (int i = layer + 1; i < g->net->n_layers; i++) {
        const struct net_layer *r = &g->net->layers[i];
        if (!g->needed[i] || g->fed[i]) continue;
        for (int k = 0; k < r->n_inputs; k++)
            if (r->inputs[k] == layer)
                into_convolutions &=
                    (r->kind == LAYER_CONV2D || r->kind == LAYER_DEPTHWISE_CONV2D) && !r->same;
    }
    if (into_convolutions) return 0; /* value stays NO: add_convolution looks through it */
    struct node *n = add_node(g, OP_ZERO_PAD, layer, g->value[l->inputs[0]], err);
    if (!n) return -1;
    n->d.pad_top = l->pad_top;
    n->d.pad_bottom = l->pad_bottom;
    n->d.pad_left = l->pad_left;
    n->d.pad_right = l->pad_right;
    g->value[layer] = n->y;
    return 0;
}

static int add_activation(struct builder *g, int layer, struct error *err)
{
    const struct net_layer *l = &g->net->layers[layer];
    int x = g->value[l->inputs[0]];
    struct op_desc d = {0};
    if (curve_of(l, &d)) {
        struct node *n = add_node(g, OP_CURVE, layer, x, err);
        if (!n) return -1;
        n->d.curve = d.curve;
        memcpy(n->d.curve_at, d.curve_at, sizeof d.curve_at);
        g->value[layer] = n->y;
        return 0;
    }
    if (!activation_of(l, &d)) return add_softmax(g, layer, x, err);
    if (d.activation == OP_LINEAR) {
        g->value[layer] = x;
        return 0;
    }
    struct node *n = add_node(g, OP_ACTIVATION, layer, x, err);
    if (!n) return -1;
    n->d.activation = d.activation;
    n->d.activation_max = d.activation_max;
    g->value[layer] = n->y;
    return 0;
}

static int add_layer(struct builder *g, int layer, struct error *err)
{
    const struct net_layer *l = &g->net->layers[layer];
    if (l->kind != LAYER_CONV2D && l->kind != LAYER_DEPTHWISE_CONV2D)
        for (int k = 0; k < l->n_inputs; k++)
            if (g->value[l->inputs[k]] == NO)
                return unsupported(g, layer, "one of its inputs was folded away", err);
    switch (l->kind) {
    case LAYER_CONV2D:
    case LAYER_DEPTHWISE_CONV2D:
    case LAYER_DENSE: return add_convolution(g, layer, err);
    case LAYER_BATCH_NORM: return add_norm(g, layer, g->value[l->inputs[0]], err) ? 0 : -1;
    case LAYER_ACTIVATION:
    case LAYER_RELU: return add_activation(g, layer, err);
    case LAYER_MAX_POOL:
    case LAYER_AVERAGE_POOL:
    case LAYER_GLOBAL_AVERAGE_POOL: return add_pool(g, layer, err);
    case LAYER_CONCATENATE: return add_concatenate(g, layer, err);
    case LAYER_ADD: return add_add(g, layer, err);
    case LAYER_ZERO_PADDING: return add_zero_padding(g, layer, err);
    case LAYER_FLATTEN:
    case LAYER_RESHAPE: return add_reshape(g, layer, err);
    case LAYER_DROPOUT: return add_dropout(g, layer, err);
    case LAYER_INPUT:
    case LAYER_KINDS: break;
    }
    return unsupported(g, layer, "this kind of layer cannot be run", err);
}

/* --- finishing --- */

/* Segment 0 before segment 1, net order within each; producers are renumbered. */
static int sort_segments(struct plan *p, struct error *err)
{
    struct node *sorted = mem_alloc((p->n_nodes + 1) * sizeof *sorted, err);
    int *place = sorted ? mem_alloc((p->n_nodes + 1) * sizeof *place, err) : NULL;
    size_t k = 0;
    if (!place) {
        free(sorted);
        return -1;
    }
    for (int segment = 0; segment < 2; segment++)
        for (size_t i = 0; i < p->n_nodes; i++)
            if (p->nodes[i].segment == segment) {
                place[i] = (int)k;
                sorted[k++] = p->nodes[i];
            }
    for (size_t i = 0; i < p->n_values; i++)
        if (p->values[i].producer != NO) p->values[i].producer = place[p->values[i].producer];
    free(p->nodes);
    free(place);
    p->nodes = sorted;
    p->cap_nodes = p->n_nodes + 1;
    return 0;
}

/* Marks the nodes between the loss and what learns, and what each has to make there. */
static void mark_backward(struct plan *p)
{
    for (size_t i = p->n_nodes; i-- > 0;) {
        struct node *n = &p->nodes[i];
        bool reached = n->y == p->logits || p->values[n->y].storage == p->values[p->logits].storage;
        for (size_t k = i + 1; k < p->n_nodes && !reached; k++)
            for (int j = 0; j < p->nodes[k].d.n_x && p->nodes[k].backward; j++)
                reached |= p->values[p->nodes[k].x[j]].storage == p->values[n->y].storage;
        n->backward = reached && p->values[n->y].needs_gradient;
        n->d.training = n->backward;
        n->d.needs_dw &= n->backward;
        n->d.needs_dx = false;
        for (int j = 0; j < n->d.n_x; j++)
            n->d.needs_dx |= n->backward && p->values[n->x[j]].needs_gradient;
        for (size_t k = i + 1; n->d.needs_dx && k < p->n_nodes; k++) /* these run before it, backward */
            for (int j = 0; j < p->nodes[k].d.n_x && p->nodes[k].backward; j++)
                n->d.adds_dx |= p->values[p->nodes[k].x[j]].needs_gradient &&
                                p->values[p->nodes[k].x[j]].storage == p->values[n->x[0]].storage;
    }
}

static int finish(struct builder *g, struct error *err)
{
    struct plan *p = g->p;
    const struct net *net = g->net;
    for (size_t i = 0; i < p->n_nodes; i++) { /* nodes took their shapes before slices were known */
        struct node *n = &p->nodes[i];
        for (int k = 0; k < n->d.n_x; k++)
            n->d.x[k] = p->values[n->x[k]].shape;
        n->d.y = p->values[n->y].shape;
    }
    for (size_t i = 0; i < p->n_values; i++)
        if (p->values[i].storage == NO &&
            (p->values[i].storage = add_storage(p, &p->values[i].shape, err)) == NO)
            return -1;
    if (sort_segments(p, err)) return -1;
    for (size_t i = 0; i < p->n_nodes; i++) /* a fed value belongs to segment 0 if anything there reads it */
        for (int k = 0; k < p->nodes[i].d.n_x; k++) {
            struct value *v = &p->values[p->nodes[i].x[k]];
            struct storage *s = &p->storages[v->storage];
            s->whole_batch |= p->nodes[i].segment == 1;
        }
    for (size_t i = 0; i < p->n_nodes; i++)
        p->storages[p->values[p->nodes[i].y].storage].whole_batch |= p->nodes[i].segment == 1;
    p->n_taps = g->o->n_outputs ? g->o->n_outputs : 1;
    if (!(p->taps = mem_alloc((size_t)p->n_taps * sizeof *p->taps, err))) return -1;
    for (int i = 0; i < p->n_taps; i++) {
        p->taps[i] = g->value[g->o->n_outputs ? g->o->outputs[i] : net->output];
        if (p->taps[i] == NO) return error_set(err, EX_SOFTWARE, "tapped layer was folded away");
        p->storages[p->values[p->taps[i]].storage].whole_batch = true;
    }
    p->logits = p->output = NO;
    if (g->needed[net->output]) {
        p->output = g->value[net->output];
        p->storages[p->values[p->output].storage].whole_batch = true;
        int made_by = p->values[p->output].producer;
        if (made_by != NO && p->nodes[made_by].d.kind == OP_SOFTMAX) {
            p->logits = p->nodes[made_by].x[0];
            p->n_classes = p->values[p->output].shape.c;
        }
    }
    if (training(g)) {
        if (p->logits == NO)
            return error_set(err, EX_DATAERR, "layer '%s': training needs a net that ends in a softmax",
                             net->layers[net->output].name);
        if (!p->n_params) return error_set(err, EX_DATAERR, "no layer of the net is trainable");
        p->storages[p->values[p->logits].storage].whole_batch = true;
        mark_backward(p);
    }
    return 0;
}

static int largest_divisor(int n, int limit)
{
    int d = n < limit ? n : limit;
    while (n % d)
        d--;
    return d;
}

/* Pictures at a time in segment 0: enough to fill wide multiplications, few enough to stay near the caches
 * and small in memory. */
#define CHUNK_LIMIT 8

int plan_build(struct plan *p, const struct net *net, const struct engine_options *o,
               const struct backend_table *t, const struct backend *b, struct error *err)
{
    struct builder g = {p, net, o, t, b, .value = NULL};
    size_t n = (size_t)net->n_layers;
    int rc = -1;
    bool *flags = mem_zalloc(7 * n + 1, sizeof *flags, err);
    int *ints = flags ? mem_zalloc(3 * n + 1, sizeof *ints, err) : NULL;
    if (!ints) goto out;
    g.needed = flags;
    g.fed = flags + n;
    g.tapped = flags + 2 * n;
    g.absorbed = flags + 3 * n;
    g.learns = flags + 4 * n;
    g.segment1 = flags + 5 * n;
    g.gradient = flags + 6 * n;
    g.readers = ints;
    g.reader = ints + n;
    g.value = ints + 2 * n;
    p->batch = o->batch;
    p->chunk = t->whole_batches ? o->batch : largest_divisor(o->batch, CHUNK_LIMIT);
    if (mark_needed(&g, err)) goto out;
    p->n_fed = o->n_inputs ? o->n_inputs : 1;
    if (!(p->fed = mem_alloc((size_t)p->n_fed * sizeof *p->fed, err))) goto out;
    for (size_t i = 0; i < n; i++)
        g.value[i] = NO;
    for (int i = 0; i < p->n_fed; i++) {
        int layer = o->n_inputs ? o->inputs[i] : net->input;
        struct tensor_shape s = shape_of(&net->layers[layer].output);
        if (s.h <= 0 || s.w <= 0 || s.c <= 0) {
            error_set(err, EX_DATAERR, "layer '%s': its size is not known", net->layers[layer].name);
            goto out;
        }
        if (g.value[layer] == NO && (g.value[layer] = add_value(&g, layer, &s, NO, err)) == NO) goto out;
        p->fed[i] = g.value[layer];
    }
    for (int i = 0; i < net->n_layers; i++)
        if (g.needed[i] && !g.fed[i] && !g.absorbed[i] && add_layer(&g, i, err)) goto out;
    rc = finish(&g, err);
out:
    free(flags);
    free(ints);
    return rc;
}
