/*
 * net_shapes.c: computes output shapes from input shapes, and the weights that a layer must have. The rules
 * of each kind of layer are only in this file, so readers, builders, writers and the planner agree. A
 * dimension of -1 is unknown (in a fully convolutional network without a fixed input size), and stays unknown
 * until a size is given.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "net/net_parts.h"

static const char *const role_names[] = {
    [WEIGHT_KERNEL] = "kernel",
    [WEIGHT_DEPTHWISE_KERNEL] = "depthwise_kernel",
    [WEIGHT_BIAS] = "bias",
    [WEIGHT_GAMMA] = "gamma",
    [WEIGHT_BETA] = "beta",
    [WEIGHT_MOVING_MEAN] = "moving_mean",
    [WEIGHT_MOVING_VARIANCE] = "moving_variance",
};

const char *weight_role_name(enum weight_role role) { return role_names[role]; }

int weight_role_parse(enum layer_kind kind, const char *name)
{
    /* Keras 3 calls a depthwise kernel just "kernel". */
    if (kind == LAYER_DEPTHWISE_CONV2D && strcmp(name, "kernel") == 0) return WEIGHT_DEPTHWISE_KERNEL;
    for (int i = WEIGHT_KERNEL; i <= WEIGHT_MOVING_VARIANCE; i++)
        if (strcmp(role_names[i], name) == 0) return i;
    return -1;
}

const char *net_shape_text(char *out, const struct net_shape *s)
{
    char *at = out, *end = out + NET_SHAPE_TEXT_BYTES;
    for (int i = 0; i < s->rank; i++) {
        const char *before = i ? "," : "[";
        at += s->dim[i] < 0 ? snprintf(at, (size_t)(end - at), "%s?", before)
                            : snprintf(at, (size_t)(end - at), "%s%d", before, s->dim[i]);
    }
    snprintf(at, (size_t)(end - at), "%s", s->rank ? "]" : "[]");
    return out;
}

bool net_shape_equal(const struct net_shape *a, const struct net_shape *b)
{
    return a->rank == b->rank && memcmp(a->dim, b->dim, (size_t)a->rank * sizeof a->dim[0]) == 0;
}

bool net_shape_count(const struct net_shape *s, size_t *out)
{
    size_t n = 1;
    for (int i = 0; i < s->rank; i++)
        if (s->dim[i] < 0 || !size_mul(n, (size_t)s->dim[i], &n)) return false;
    *out = n;
    return true;
}

/* --- weights --- */

static int add_weight(struct net_layer *layer, enum weight_role role, struct error *err)
{
    struct net_weight *w = &layer->weights[layer->n_weights];
    struct text name = TEXT_EMPTY;
    if (text_printf(&name, err, "%s/%s", layer->name, role_names[role])) return -1;
    *w = (struct net_weight){.name = name.data, .role = role};
    layer->n_weights++;
    return 0;
}

int net_layer_make_weights(struct net_layer *layer, struct error *err)
{
    enum weight_role roles[4];
    int n = 0;
    switch (layer->kind) {
    case LAYER_CONV2D:
    case LAYER_DENSE:
        roles[n++] = WEIGHT_KERNEL;
        if (layer->use_bias) roles[n++] = WEIGHT_BIAS;
        break;
    case LAYER_DEPTHWISE_CONV2D:
        roles[n++] = WEIGHT_DEPTHWISE_KERNEL;
        if (layer->use_bias) roles[n++] = WEIGHT_BIAS;
        break;
    case LAYER_SCALE:
        if (layer->scale) roles[n++] = WEIGHT_GAMMA;
        if (layer->center) roles[n++] = WEIGHT_BETA;
        break;
    case LAYER_BATCH_NORM:
        if (layer->scale) roles[n++] = WEIGHT_GAMMA;
        if (layer->center) roles[n++] = WEIGHT_BETA;
        roles[n++] = WEIGHT_MOVING_MEAN;
        roles[n++] = WEIGHT_MOVING_VARIANCE;
        break;
    default: return 0;
    }
    if (!(layer->weights = mem_zalloc((size_t)n, sizeof *layer->weights, err))) return -1;
    for (int i = 0; i < n; i++)
        if (add_weight(layer, roles[i], err)) return -1;
    return 0;
}

struct net_shape net_weight_shape(const struct net_layer *layer, const struct net_shape *input,
                                  enum weight_role role)
{
    int channels = input->rank > 0 ? input->dim[input->rank - 1] : -1;
    int groups = layer->groups > 1 ? layer->groups : 1;
    switch (role) {
    case WEIGHT_KERNEL:
        if (layer->kind == LAYER_DENSE) return (struct net_shape){2, {channels, layer->units}};
        return (struct net_shape){4,
                                  {layer->kernel_h, layer->kernel_w, channels < 0 ? -1 : channels / groups,
                                   layer->filters}};
    case WEIGHT_DEPTHWISE_KERNEL:
        return (struct net_shape){4, {layer->kernel_h, layer->kernel_w, channels, layer->filters}};
    case WEIGHT_BIAS:
        if (layer->kind == LAYER_DENSE) return (struct net_shape){1, {layer->units}};
        if (layer->kind == LAYER_CONV2D) return (struct net_shape){1, {layer->filters}};
        return (struct net_shape){1, {channels < 0 ? -1 : channels * layer->filters}};
    case WEIGHT_GAMMA: return (struct net_shape){1, {layer->one_scale ? 1 : channels}};
    case WEIGHT_BETA: return (struct net_shape){1, {layer->one_center ? 1 : channels}};
    default: return (struct net_shape){1, {channels}};
    }
}

int net_alloc_weights(struct net *n, int first_layer, struct error *err)
{
    size_t total = 0, count;
    for (int i = first_layer; i < n->n_layers; i++)
        for (int j = 0; j < n->layers[i].n_weights; j++) {
            struct net_layer *layer = &n->layers[i];
            struct net_weight *w = &layer->weights[j];
            w->shape = net_weight_shape(layer, &n->layers[layer->inputs[0]].output, w->role);
            if (!net_shape_count(&w->shape, &count) || !size_add(total, count, &total))
                return error_set(err, EX_DATAERR, "layer '%s': the size of '%s' is unknown", layer->name,
                                 w->name);
            w->n_values = count;
        }
    float *at = net_store_floats(n, total, err);
    if (!at) return -1;
    for (int i = first_layer; i < n->n_layers; i++)
        for (int j = 0; j < n->layers[i].n_weights; j++) {
            struct net_weight *w = &n->layers[i].weights[j];
            w->values = at;
            at += w->n_values;
            if (w->role == WEIGHT_MOVING_VARIANCE || w->role == WEIGHT_GAMMA)
                for (size_t k = 0; k < w->n_values; k++)
                    w->values[k] = 1.0f;
        }
    return 0;
}

/* --- shapes --- */

static int want_rank(const struct net_layer *layer, const struct net_shape *in, int rank, struct error *err)
{
    char text[64];
    if (in->rank != rank)
        return error_set(err, EX_DATAERR, "takes an input with %d dimensions, not %s", rank,
                         net_shape_text(text, in));
    return 0;
}

/* Computes one axis of the output of a convolution or pool, by TensorFlow's rule. -1 stays -1. */
static int window_axis(int in, int pads, int kernel, int stride, int dilation, bool same, int *out,
                       struct error *err)
{
    if (in < 0) {
        *out = -1;
        return 0;
    }
    if (same) {
        *out = (in + stride - 1) / stride;
        return 0;
    }
    long span = (long)(kernel - 1) * dilation + 1;
    in += pads;
    if (in < span) return error_set(err, EX_DATAERR, "a window of %ld does not fit into %d", span, in);
    *out = (int)((in - span) / stride + 1);
    return 0;
}

static int window_shape(const struct net_layer *layer, const struct net_shape *in, int channels,
                        struct net_shape *out, struct error *err)
{
    bool pads = layer->kind == LAYER_MAX_POOL || layer->kind == LAYER_AVERAGE_POOL;
    if (want_rank(layer, in, 3, err)) return -1;
    if (pads && (layer->pad_top >= layer->kernel_h || layer->pad_bottom >= layer->kernel_h ||
                 layer->pad_left >= layer->kernel_w || layer->pad_right >= layer->kernel_w))
        return error_set(err, EX_DATAERR, "pads more than its window");
    out->rank = 3;
    out->dim[2] = channels;
    int rows = pads ? layer->pad_top + layer->pad_bottom : 0,
        columns = pads ? layer->pad_left + layer->pad_right : 0;
    return window_axis(in->dim[0], rows, layer->kernel_h, layer->stride_h, layer->dilation_h, layer->same,
                       &out->dim[0], err) ||
                   window_axis(in->dim[1], columns, layer->kernel_w, layer->stride_w, layer->dilation_w,
                               layer->same, &out->dim[1], err)
               ? -1
               : 0;
}

/* Whether both dimensions are equal. An unknown one is set to the other and counts as equal. */
static bool dims_agree(int *a, int b)
{
    if (*a < 0) *a = b;
    return b < 0 || *a == b;
}

/* 3 means the channels only for a map, and 1 only after Flatten. -1 always does. */
static int check_axis(const struct net_layer *layer, const struct net_shape *in, struct error *err)
{
    if (layer->axis > 0 && layer->axis != in->rank)
        return error_set(err, EX_DATAERR, "works on axis %d, which is not the channels", layer->axis);
    return 0;
}

static int concat_shape(const struct net *n, const struct net_layer *layer, struct net_shape *out,
                        struct error *err)
{
    char ours[64], first[64];
    *out = n->layers[layer->inputs[0]].output;
    for (int i = 1; i < layer->n_inputs; i++) {
        const struct net_shape *in = &n->layers[layer->inputs[i]].output;
        bool ok = in->rank == out->rank;
        for (int d = 0; ok && d < in->rank; d++) {
            bool joined = layer->kind == LAYER_CONCATENATE && d == in->rank - 1;
            if (!joined)
                ok = dims_agree(&out->dim[d], in->dim[d]);
            else if (out->dim[d] < 0 || in->dim[d] < 0)
                out->dim[d] = -1;
            else if (out->dim[d] > NET_MAX_ACTIVATION - in->dim[d])
                return error_set(err, EX_DATAERR, "its inputs have too many channels");
            else
                out->dim[d] += in->dim[d];
        }
        if (!ok)
            return error_set(err, EX_DATAERR, "its inputs do not fit together: %s from '%s', %s from '%s'",
                             net_shape_text(first, &n->layers[layer->inputs[0]].output),
                             n->layers[layer->inputs[0]].name, net_shape_text(ours, in),
                             n->layers[layer->inputs[i]].name);
    }
    return 0;
}

static bool is_gate(const struct net_shape *s) { return s->rank == 3 && s->dim[0] == 1 && s->dim[1] == 1; }

/* Sets *out to the shape of the larger input. The other must have the same size, or be 1x1. */
static int product_shape(const struct net *n, const struct net_layer *layer, struct net_shape *out,
                         struct error *err)
{
    char texts[2][NET_SHAPE_TEXT_BYTES];
    if (layer->n_inputs != 2) return error_set(err, EX_DATAERR, "has %d inputs, not two", layer->n_inputs);
    const struct net_shape *a = &n->layers[layer->inputs[0]].output, *b = &n->layers[layer->inputs[1]].output;
    *out = is_gate(a) ? *b : *a;
    const struct net_shape *other = is_gate(a) ? a : b;
    bool ok = out->rank == other->rank, gate = is_gate(other);
    for (int d = 0; ok && d < out->rank; d++)
        ok = (gate && d < out->rank - 1) || dims_agree(&out->dim[d], other->dim[d]);
    return ok ? 0
              : error_set(err, EX_DATAERR, "its inputs do not fit together: %s and %s",
                          net_shape_text(texts[0], a), net_shape_text(texts[1], b));
}

static int reshape_shape(const struct net_layer *layer, const struct net_shape *in, struct net_shape *out,
                         struct error *err)
{
    size_t count, fixed = 1;
    int open = -1;
    char a[64], b[64];
    *out = layer->target;
    for (int i = 0; i < out->rank; i++)
        if (out->dim[i] < 0)
            open = i;
        else
            fixed *= (size_t)out->dim[i];       /* may wrap around; then the counts below differ */
    if (!net_shape_count(in, &count)) return 0; /* unknown size: cannot be checked yet */
    if (open >= 0 && fixed > 0 && count % fixed == 0) out->dim[open] = (int)(count / fixed);
    size_t got;
    if (!net_shape_count(out, &got) || got != count)
        return error_set(err, EX_DATAERR, "cannot reshape %s to %s", net_shape_text(a, in),
                         net_shape_text(b, &layer->target));
    return 0;
}

/* Every selected channel must exist. It is enough to check both ends of the arithmetic sequence. */
static int channels_shape(const struct net_layer *layer, const struct net_shape *in, struct net_shape *out,
                          struct error *err)
{
    long groups = layer->pick_groups, turns = (layer->filters - 1) / groups,
         last = layer->filters < groups ? layer->filters - 1 : groups - 1, channels = in->dim[in->rank - 1];
    if (in->rank != 1 && want_rank(layer, in, 3, err)) return -1;
    for (int end = 0; end < 4; end++) {
        long at = layer->pick_first + (end & 1 ? turns * layer->pick_step : 0) +
                  (end & 2 ? last * layer->pick_span : 0);
        if (at < 0 || (channels >= 0 && at >= channels))
            return error_set(err, EX_DATAERR, "takes channel %ld of %ld", at, channels);
    }
    *out = *in;
    out->dim[in->rank - 1] = layer->filters;
    return 0;
}

static int layer_shape(const struct net *n, const struct net_layer *layer, struct net_shape *out,
                       struct error *err)
{
    const struct net_shape *in = layer->n_inputs > 0 ? &n->layers[layer->inputs[0]].output : NULL;
    size_t count;
    int groups = layer->groups > 1 ? layer->groups : 1;
    if (layer->kind != LAYER_INPUT && !in) return error_set(err, EX_DATAERR, "has no input");
    switch (layer->kind) {
    case LAYER_INPUT: return 0;
    case LAYER_CONV2D:
        if (want_rank(layer, in, 3, err)) return -1;
        if (layer->filters % groups || (in->dim[2] > 0 && in->dim[2] % groups))
            return error_set(err, EX_DATAERR, "its channels do not divide into %d groups", groups);
        return window_shape(layer, in, layer->filters, out, err);
    case LAYER_DEPTHWISE_CONV2D:
        if (want_rank(layer, in, 3, err)) return -1;
        if (in->dim[2] > 0 && (long)in->dim[2] * layer->filters > NET_MAX_DIM)
            return error_set(err, EX_DATAERR, "would have %ld channels", (long)in->dim[2] * layer->filters);
        return window_shape(layer, in, in->dim[2] < 0 ? -1 : in->dim[2] * layer->filters, out, err);
    case LAYER_MAX_POOL:
    case LAYER_AVERAGE_POOL:
        if (want_rank(layer, in, 3, err)) return -1;
        return window_shape(layer, in, in->dim[2], out, err);
    case LAYER_GLOBAL_AVERAGE_POOL:
        if (want_rank(layer, in, 3, err)) return -1;
        *out = (struct net_shape){1, {in->dim[2]}};
        return 0;
    case LAYER_ZERO_PADDING:
        if (want_rank(layer, in, 3, err)) return -1;
        *out = *in;
        if (in->dim[0] >= 0) out->dim[0] += layer->pad_top + layer->pad_bottom;
        if (in->dim[1] >= 0) out->dim[1] += layer->pad_left + layer->pad_right;
        if ((in->dim[0] >= 0 && out->dim[0] < 1) || (in->dim[1] >= 0 && out->dim[1] < 1))
            return error_set(err, EX_DATAERR, "cuts off more than there is");
        return 0;
    case LAYER_CHANNELS: return channels_shape(layer, in, out, err);
    case LAYER_RESIZING:
        if (want_rank(layer, in, 3, err)) return -1;
        *out = (struct net_shape){3, {layer->resize_h, layer->resize_w, in->dim[2]}};
        return 0;
    case LAYER_CONCATENATE:
    case LAYER_ADD: return check_axis(layer, in, err) || concat_shape(n, layer, out, err) ? -1 : 0;
    case LAYER_MULTIPLY: return product_shape(n, layer, out, err);
    case LAYER_FLATTEN:
        *out = (struct net_shape){1, {-1}};
        if (net_shape_count(in, &count) && count <= NET_MAX_ACTIVATION) out->dim[0] = (int)count;
        return 0;
    case LAYER_RESHAPE: return reshape_shape(layer, in, out, err);
    case LAYER_DENSE:
        if (want_rank(layer, in, 1, err)) return -1;
        *out = (struct net_shape){1, {layer->units}};
        return 0;
    case LAYER_BATCH_NORM:
    case LAYER_ACTIVATION:
    case LAYER_RELU:
    case LAYER_RESCALING:
    case LAYER_SCALE:
    case LAYER_CLIP:
    case LAYER_DROPOUT: *out = *in; return check_axis(layer, in, err);
    case LAYER_KINDS: break;
    }
    return error_set(err, EX_SOFTWARE, "of an unknown kind");
}

static int check_weights(const struct net *n, const struct net_layer *layer, struct error *err)
{
    const struct net_shape *in = layer->n_inputs > 0 ? &n->layers[layer->inputs[0]].output : NULL;
    for (int j = 0; j < layer->n_weights; j++) {
        const struct net_weight *w = &layer->weights[j];
        struct net_shape want = net_weight_shape(layer, in, w->role);
        char a[64], b[64];
        if (w->shape.rank == 0) continue; /* a header-only or half-built net */
        for (int d = 0; d < want.rank && d < w->shape.rank; d++)
            (void)dims_agree(&want.dim[d], w->shape.dim[d]);
        if (!net_shape_equal(&want, &w->shape))
            return error_set(err, EX_DATAERR, "weight '%s' has shape %s, must be %s", w->name,
                             net_shape_text(a, &w->shape), net_shape_text(b, &want));
    }
    return 0;
}

int net_layer_infer(struct net *n, int at, struct error *err)
{
    struct net_layer *layer = &n->layers[at];
    struct net_shape out = layer->kind == LAYER_INPUT ? layer->output : (struct net_shape){0};
    size_t count;
    if (layer_shape(n, layer, &out, err) || check_weights(n, layer, err)) return -1;
    for (int d = 0; d < out.rank; d++)
        if (out.dim[d] == 0 || out.dim[d] > NET_MAX_ACTIVATION)
            return error_set(err, EX_DATAERR, "its output has a dimension of %d", out.dim[d]);
    if (net_shape_count(&out, &count) && count > NET_MAX_ACTIVATION)
        return error_set(err, EX_DATAERR, "its output has %zu numbers a picture", count);
    layer->output = out;
    return 0;
}

int net_infer_layer(struct net *n, int at, struct error *err)
{
    return net_layer_infer(n, at, err) ? error_prefix(err, "layer '%s'", n->layers[at].name) : 0;
}

int net_infer_shapes(struct net *n, int height, int width, struct error *err)
{
    int given[2] = {height, width};
    if (n->n_layers == 0) return error_set(err, EX_DATAERR, "the network has no layers");
    struct net_shape *input = &n->layers[n->input].output;
    for (int d = 0; d < 2 && input->rank == 3; d++) {
        if (given[d] <= 0) continue;
        if (!dims_agree(&input->dim[d], given[d]))
            return error_set(err, EX_DATAERR, "layer '%s': the network takes pictures of %dx%d, not %dx%d",
                             n->layers[n->input].name, input->dim[1], input->dim[0], width, height);
    }
    for (int i = 0; i < n->n_layers; i++)
        if (net_infer_layer(n, i, err)) return -1;
    return 0;
}

int net_check_complete(struct net *n, struct error *err)
{
    for (int i = 0; i < n->n_layers; i++)
        for (int j = 0; j < n->layers[i].n_weights; j++)
            if (n->layers[i].weights[j].shape.rank == 0)
                return error_set(err, EX_DATAERR, "layer '%s': the file has no weight '%s'",
                                 n->layers[i].name, n->layers[i].weights[j].name);
    return net_infer_shapes(n, 0, 0, err);
}
