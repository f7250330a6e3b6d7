/* plan_layers.c: decides what each layer becomes: an operation, a part of the one before it (a folded
 * batch norm, a fused activation, padding), or only another view of the same values. */
#include <stdlib.h>
#include <string.h>

#include "tensor/plan_int8.h"

static int unsupported(const struct builder *g, int layer, const char *why, struct error *err)
{
    const struct net_layer *l = &g->net->layers[layer];
    return error_set(err, EX_DATAERR, "layer '%s' (%s): %s", l->name, layer_kind_name(l->kind), why);
}

/* Returns the only layer that reads this layer's output, or NO. */
static int only_reader(const struct builder *g, int layer)
{
    return g->alone[layer] && g->net->layers[g->reader[layer]].n_inputs == 1 ? g->reader[layer] : NO;
}

/* --- values and nodes --- */

struct tensor_shape plan_shape_of(const struct net_shape *s)
{
    struct tensor_shape t = {.h = 1, .w = 1, .c = 1};
    if (s->rank == 1)
        t.c = s->dim[0];
    else if (s->rank == 2)
        t.h = s->dim[0], t.c = s->dim[1];
    else
        t.h = s->dim[0], t.w = s->dim[1], t.c = s->dim[2];
    t.parent_c = t.c;
    return t;
}

int plan_add_value(struct builder *g, int layer, const struct tensor_shape *shape, int producer,
                   struct error *err)
{
    struct plan *p = g->p;
    if (mem_grow(&p->values, &p->cap_values, p->n_values + 1, sizeof *p->values, err)) return NO;
    p->values[p->n_values] =
        (struct value){.layer = layer, .storage = NO, .shape = *shape, .producer = producer};
    return (int)p->n_values++;
}

int plan_add_storage(struct plan *p, const struct tensor_shape *whole, struct error *err)
{
    if (mem_grow(&p->storages, &p->cap_storages, p->n_storages + 1, sizeof *p->storages, err)) return NO;
    p->storages[p->n_storages] = (struct storage){.whole = *whole, .begin = NO, .end = NO, .gradient = NO};
    return (int)p->n_storages++;
}

/* Adds a node whose only input is value x; the caller adds others. The output shape is that of `layer`. */
static struct node *add_node(struct builder *g, enum op_kind kind, int layer, int x, struct error *err)
{
    struct plan *p = g->p;
    struct tensor_shape y = plan_shape_of(&g->net->layers[layer].output);
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
    if ((n->y = plan_add_value(g, layer, &y, (int)p->n_nodes, err)) == NO) return NULL;
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
                                            .next = NO,
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

/* Sets the curve and its parameters. Returns whether the layer is a curve. */
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
    if (l->kind == LAYER_CLIP) {
        d->curve = CURVE_CLIP;
        d->curve_at[0] = l->clip_min;
        d->curve_at[1] = l->clip_max;
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

/* Sets the activation in d that this layer is. Returns false for softmax, and when the layer is no activation
 * that can be fused. */
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

/* Node n computes the output of `layer`. Fuses the activation layer after it into n, if no other layer reads
 * that output. Returns the layer whose output n then computes. */
static int fuse_activation(struct builder *g, struct node *n, int layer)
{
    int next = only_reader(g, layer);
    if (n->d.activation != OP_LINEAR || next == NO || g->fed[next] ||
        !activation_of(&g->net->layers[next], &n->d))
        return layer;
    if (n->d.kind == OP_CONV && n->d.n_x > 1 && !g->t->adds_in_conv(g->b, &n->d)) {
        n->d.activation = OP_LINEAR; /* the device adds, but has not this curve after the sum */
        return layer;
    }
    g->absorbed[next] = true;
    g->p->values[n->y].layer = next;
    return next;
}

/* In TensorFlow's "same" padding, an odd row or column of padding is at the end. */
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

static void set_pads(struct op_desc *d, const struct net_layer *l)
{
    d->pad_top = l->pad_top;
    d->pad_bottom = l->pad_bottom;
    d->pad_left = l->pad_left;
    d->pad_right = l->pad_right;
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
        n->d.whole_batch = g->o->sync_statistics;
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
    d->groups = l->groups;
    if (pad) set_pads(d, pad);
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
                                d->kernel_h, d->kernel_w, d->x[0].c / conv_groups(d),
                                depthwise ? d->y.c / d->x[0].c : d->y.c};
        if (add_param(g, n, P_KERNEL, layer, role, w, err) ||
            (l->use_bias && add_param(g, n, P_BIAS, layer, WEIGHT_BIAS, vector_shape(d->y.c), err)))
            return -1;
    }
    int last = layer, next = only_reader(g, layer);
    if (d->constant_weights && !dense && d->activation == OP_LINEAR && next != NO && !g->fed[next] &&
        g->net->layers[next].kind == LAYER_BATCH_NORM && !g->learns[next]) {
        n->norm_layer = next; /* a frozen batch norm is folded into the weights */
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
    if (net_is_padded_pool(l)) set_pads(&n->d, l);
    g->value[layer] = n->y;
    return 0;
}

/* The map is the first factor; the other may be a vector for each picture. */
static int add_product(struct builder *g, int layer, struct error *err)
{
    const struct net_layer *l = &g->net->layers[layer];
    int a = g->value[l->inputs[0]], b = g->value[l->inputs[1]];
    if (a == b) return unsupported(g, layer, "a layer times itself", err);
    const struct tensor_shape *first = &g->p->values[a].shape;
    bool swap = first->h == 1 && first->w == 1;
    struct node *n = add_node(g, OP_PRODUCT, layer, swap ? b : a, err);
    if (!n) return -1;
    n->x[1] = swap ? a : b;
    n->d.x[1] = g->p->values[n->x[1]].shape;
    n->d.n_x = 2;
    g->value[layer] = n->y;
    return 0;
}

static int add_scale(struct builder *g, int layer, struct error *err)
{
    const struct net_layer *l = &g->net->layers[layer];
    struct node *n = add_node(g, g->learns[layer] ? OP_SCALE : OP_AFFINE, layer, g->value[l->inputs[0]], err);
    if (!n) return -1;
    g->value[layer] = n->y;
    n->norm_layer = layer;
    if (n->d.kind == OP_AFFINE) {
        n->d.constant_weights = true;
        g->value[fuse_activation(g, n, layer)] = n->y;
        return 0;
    }
    n->d.scale_c = !l->scale ? 0 : l->one_scale ? 1 : n->d.y.c;
    n->d.bias_c = !l->center ? 0 : l->one_center ? 1 : n->d.y.c;
    n->d.needs_dw = true;
    return (l->scale && add_param(g, n, P_KERNEL, layer, WEIGHT_GAMMA, vector_shape(n->d.scale_c), err)) ||
                   (l->center && add_param(g, n, P_BIAS, layer, WEIGHT_BETA, vector_shape(n->d.bias_c), err))
               ? -1
               : 0;
}

/* Fuses the sum of two inputs into the convolution that computes one of them, if the device supports it, no
 * other layer reads that input, and the other input is computed before it. */
static bool add_in_conv(struct builder *g, int layer)
{
    const struct net_layer *l = &g->net->layers[layer];
    struct plan *p = g->p;
    bool possible = g->t->adds_in_conv && l->n_inputs == 2 && !g->gradient[layer] && !g->o->int8;
    for (int i = 0; possible && i < 2; i++) {
        const struct value *v = &p->values[g->value[l->inputs[i]]],
                           *other = &p->values[g->value[l->inputs[!i]]];
        struct node *n = v->producer != NO ? &p->nodes[v->producer] : NULL;
        /* a value that the caller or several operations write exists if its layer comes before this one */
        bool before =
            n && (other->producer != NO ? other->producer < v->producer : other->layer < n->weight_layer);
        if (!n || n->d.kind != OP_CONV || n->d.n_x != 1 || n->d.activation != OP_LINEAR ||
            !g->alone[l->inputs[i]] || !before || n->segment != g->segment1[layer] ||
            other->shape.h != n->d.y.h || other->shape.w != n->d.y.w || other->shape.c != n->d.y.c ||
            !g->t->adds_in_conv(g->b, &n->d))
            continue;
        n->x[1] = g->value[l->inputs[!i]];
        n->d.x[1] = other->shape;
        n->d.n_x = 2;
        p->values[n->y].layer = layer;
        g->value[fuse_activation(g, n, layer)] = n->y;
        return true;
    }
    return false;
}

static int add_add(struct builder *g, int layer, struct error *err)
{
    const struct net_layer *l = &g->net->layers[layer];
    if (l->n_inputs > OP_MAX_INPUTS) return unsupported(g, layer, "too many inputs", err);
    if (add_in_conv(g, layer)) return 0;
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

/* Adds the storage of the concatenation. An input is moved into it if only this layer reads the input, and if
 * the operation that computes it can write slices. One CONCAT node copies the other inputs, if there are
 * any. */
static int add_concatenate(struct builder *g, int layer, struct error *err)
{
    const struct net_layer *l = &g->net->layers[layer];
    struct plan *p = g->p;
    struct tensor_shape whole = plan_shape_of(&l->output);
    int first_c = 0, copied = 0, n_x = l->n_inputs, xs[OP_MAX_INPUTS];
    bool movable[OP_MAX_INPUTS];
    if (n_x > OP_MAX_INPUTS) return unsupported(g, layer, "too many inputs", err);
    for (int i = 0; i < n_x; i++) {
        xs[i] = g->value[l->inputs[i]];
        movable[i] = g->alone[l->inputs[i]];
    }
    plan_int8_shape(g, layer, &whole);
    if (g->t->joins_norms && plan_join_norms(p, g->t, g->b, g->alone, xs, movable, &n_x, err)) return -1;
    if (n_x == 1 && l->n_inputs > 1) { /* one norm makes all of it */
        p->values[xs[0]].layer = layer;
        g->value[layer] = xs[0];
        return 0;
    }
    int storage = plan_add_storage(p, &whole, err);
    int y = storage == NO ? NO : plan_add_value(g, layer, &whole, NO, err);
    if (y == NO) return -1;
    p->values[y].storage = storage;
    p->values[y].segment = g->segment1[layer];
    p->values[y].needs_gradient = g->gradient[layer];
    struct node *n = NULL;
    for (int i = 0; i < n_x; i++) {
        int x = xs[i];
        struct value *v = &p->values[x];
        int c = v->shape.c;
        bool in_place = movable[i] && v->producer != NO && v->storage == NO &&
                        v->shape.scale == whole.scale && v->shape.zero == whole.zero;
        /* (also for a frozen branch of a block that learns: its part of the gradient is not read) */
        if (in_place) {
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
    struct tensor_shape to = plan_shape_of(&l->output), from = g->p->values[x].shape;
    if (!(from.scale > 0) && g->t->reshape_is_free(g->b, &from, &to) &&
        g->segment1[layer] == g->segment1[l->inputs[0]]) {
        struct plan *p = g->p;
        if (p->values[x].storage == NO) {
            int storage = plan_add_storage(p, &from, err);
            if (storage == NO) return -1;
            p->values[x].storage = storage;
        }
        int y = plan_add_value(g, layer, &to, p->values[x].producer, err);
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
    if (!plan_trains(g) || !plan_drops(l)) {
        g->value[layer] = x; /* the layer does nothing */
        return 0;
    }
    if (!(l->rate < 1)) return unsupported(g, layer, "its rate is not below 1", err);
    struct node *n = add_node(g, OP_MULTIPLY, layer, x, err);
    if (!n) return -1;
    n->rate = l->rate;
    g->value[layer] = n->y;
    return 0;
}

static int add_resizing(struct builder *g, int layer, struct error *err)
{
    const struct net_layer *l = &g->net->layers[layer];
    struct node *n = add_node(g, OP_RESIZE, layer, g->value[l->inputs[0]], err);
    if (!n) return -1;
    n->d.nearest = l->nearest;
    n->d.from_corner = l->from_corner;
    g->value[layer] = n->y;
    return 0;
}

static int add_channels(struct builder *g, int layer, struct error *err)
{
    const struct net_layer *l = &g->net->layers[layer];
    struct node *n = add_node(g, OP_CHANNELS, layer, g->value[l->inputs[0]], err);
    if (!n) return -1;
    n->d.pick_first = l->pick_first;
    n->d.pick_step = l->pick_step;
    n->d.pick_groups = l->pick_groups;
    n->d.pick_span = l->pick_span;
    g->value[layer] = n->y;
    return 0;
}

static int add_zero_padding(struct builder *g, int layer, struct error *err)
{
    const struct net_layer *l = &g->net->layers[layer];
    bool cropping = l->pad_top < 0 || l->pad_bottom < 0 || l->pad_left < 0 || l->pad_right < 0;
    bool into_convolutions = !cropping && !g->tapped[layer] && g->readers[layer] > 0;
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
    set_pads(&n->d, l);
    g->value[layer] = n->y;
    return 0;
}

/* Adds a node that computes activation(line[0] * x + line[1]). Returns its value, or NO with err set. */
static int add_line(struct builder *g, int layer, int x, const float line[2], enum op_activation activation,
                    struct error *err)
{
    bool same = line[0] == 1 && line[1] == 0;
    struct node *n = add_node(g, same ? OP_ACTIVATION : OP_AFFINE, layer, x, err);
    if (!n) return NO;
    n->d.constant_weights = !same;
    n->line[0] = line[0];
    n->line[1] = line[1];
    n->d.activation = activation;
    n->d.activation_max = activation == OP_RELU_CAPPED ? 1 : 0;
    return n->y;
}

/*
 * For a device without CURVE: plans a curve as a gate of a line of x, and then a product with x or another
 * line. A gate is a sigmoid, or a line clipped to 0..1. Returns 0, 1 when the curve does not have this form,
 * or -1 with err set.
 */
static int add_gated(struct builder *g, int layer, int x, const struct op_desc *curve, struct error *err)
{
    static const struct {
        enum op_curve curve;
        enum op_activation gate;
        bool product;
        float line[2], after[2];
    } known[] = {
        {CURVE_SILU, OP_SIGMOID, true, {1, 0}, {0}},
        {CURVE_TANH, OP_SIGMOID, false, {2, 0}, {2, -1}},
        {CURVE_HARD_SIGMOID, OP_RELU_CAPPED, false, {0}, {1, 0}},
        {CURVE_HARD_SWISH, OP_RELU_CAPPED, true, {0}, {0}},
        {CURVE_HARD_TANH, OP_RELU_CAPPED, false, {0.5f, 0.5f}, {2, -1}},
    };
    size_t i = 0, n = sizeof known / sizeof *known;
    while (i < n && known[i].curve != curve->curve)
        i++;
    if (i == n) return 1;
    int y =
        add_line(g, layer, x, known[i].line[0] != 0 ? known[i].line : curve->curve_at, known[i].gate, err);
    if (y == NO) return -1;
    if (known[i].product) {
        struct node *product = add_node(g, OP_PRODUCT, layer, x, err);
        if (!product) return -1;
        product->x[1] = y;
        product->d.n_x = 2;
        y = product->y;
    } else if (known[i].after[0] != 1) {
        y = add_line(g, layer, y, known[i].after, OP_LINEAR, err);
    }
    g->value[layer] = y;
    return y == NO ? -1 : 0;
}

static int add_activation(struct builder *g, int layer, struct error *err)
{
    const struct net_layer *l = &g->net->layers[layer];
    int x = g->value[l->inputs[0]];
    struct op_desc d = {0};
    if (curve_of(l, &d)) {
        int rc = g->t->gates_curves ? add_gated(g, layer, x, &d, err) : 1;
        if (rc < 1) return rc;
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

static int add_rescaling(struct builder *g, int layer, struct error *err)
{
    struct node *n = add_node(g, OP_AFFINE, layer, g->value[g->net->layers[layer].inputs[0]], err);
    if (!n) return -1;
    n->norm_layer = layer;
    n->d.constant_weights = true;
    g->value[fuse_activation(g, n, layer)] = n->y;
    return 0;
}

int plan_add_layer(struct builder *g, int layer, struct error *err)
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
    case LAYER_MULTIPLY: return add_product(g, layer, err);
    case LAYER_SCALE: return add_scale(g, layer, err);
    case LAYER_RESCALING: return add_rescaling(g, layer, err);
    case LAYER_RESIZING: return add_resizing(g, layer, err);
    case LAYER_CHANNELS: return add_channels(g, layer, err);
    case LAYER_ACTIVATION:
    case LAYER_CLIP:
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
