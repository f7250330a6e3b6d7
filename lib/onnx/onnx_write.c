/*
 * onnx_write.c: writes Keras layers as ONNX operators. Keras computes in NHWC and ONNX in NCHW. One
 * Transpose follows the input, and another is needed only where the order of elements matters (Flatten or
 * Reshape of a map larger than 1x1). Paddings are explicit, because auto_pad is deprecated and "same" has
 * another meaning elsewhere. An average never includes padding (count_include_pad 0), as in TensorFlow.
 */
#include "base/number.h"
#include "onnx/onnx.h"

#ifdef WINNOW_WITHOUT_ONNX

bool onnx_available(void) { return false; }

int onnx_write(const struct net *n, const char *path, const struct onnx_form *form, struct error *err)
{
    return error_set(err, EX_UNAVAILABLE,
                     "cannot write '%s': this build has no ONNX (libprotobuf-c-dev, protobuf-c-compiler and "
                     "libonnx-dev bring it)",
                     path);
}

#else

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "io/io.h"
#include "net/net_decisions.h"
#include "onnx/onnx_int8.h"
#include "onnx/onnx_rename.h"

/* The opset in which Softmax got its present meaning. All runtimes of the last years read it. */
#define OPSET 13
#define IR_VERSION 7 /* the one that came with opset 13 */

bool onnx_available(void) { return true; }

/* --- layers --- */

/* TensorFlow's "same": ceil(in / stride) outputs, with the odd row of padding at the end. */
static void same_pads(int in, int out, int kernel, int stride, int dilation, int64_t *before, int64_t *after)
{
    int total = (out - 1) * stride + (kernel - 1) * dilation + 1 - in;
    total = total > 0 ? total : 0;
    *before = total / 2;
    *after = total - total / 2;
}

/*
 * Returns a ZeroPadding2D that onnx_read made from the padding of a convolution, or NULL. It is recognised by
 * its name, and the convolution is the next layer.
 */
static const struct net_layer *taken_pads(const struct net *n, int layer)
{
    const struct net_layer *l = &n->layers[layer], *next = layer + 1 < n->n_layers ? l + 1 : NULL;
    size_t bytes = next ? strlen(next->name) : 0;
    return l->kind == LAYER_ZERO_PADDING && next && next->n_inputs == 1 && next->inputs[0] == layer &&
                   (next->kind == LAYER_CONV2D || next->kind == LAYER_DEPTHWISE_CONV2D) && !next->same &&
                   strncmp(l->name, next->name, bytes) == 0 && strncmp(l->name + bytes, "_pads", 5) == 0
               ? l
               : NULL;
}

static void window_attributes(struct graph *g, Onnx__NodeProto *n, const struct net_layer *l, bool dilations)
{
    const struct net_shape *in = &g->net->layers[l->inputs[0]].output;
    int64_t kernel[2] = {l->kernel_h, l->kernel_w}, strides[2] = {l->stride_h, l->stride_w}, pads[4] = {0};
    int64_t dilation[2] = {l->dilation_h, l->dilation_w};
    if (net_is_padded_pool(l)) {
        const int own[4] = {l->pad_top, l->pad_left, l->pad_bottom, l->pad_right};
        for (int i = 0; i < 4; i++)
            pads[i] = own[i];
    }
    if (l->same) {
        same_pads(in->dim[0], l->output.dim[0], l->kernel_h, l->stride_h, l->dilation_h, &pads[0], &pads[2]);
        same_pads(in->dim[1], l->output.dim[1], l->kernel_w, l->stride_w, l->dilation_w, &pads[1], &pads[3]);
    }
    const struct net_layer *pad = taken_pads(g->net, l->inputs[0]);
    if (pad) {
        const int own[4] = {pad->pad_top, pad->pad_left, pad->pad_bottom, pad->pad_right};
        for (int i = 0; i < 4; i++)
            pads[i] = own[i];
    }
    graph_ints(g, n, "kernel_shape", kernel, 2);
    graph_ints(g, n, "strides", strides, 2);
    graph_ints(g, n, "pads", pads, 4);
    if (dilations) graph_ints(g, n, "dilations", dilation, 2);
}

/* Adds a kernel: [kh,kw,cin,cout] becomes [cout,cin,kh,kw], and a depthwise [kh,kw,c,m] becomes
 * [c*m,1,kh,kw]. */
static const char *kernel(struct graph *g, const struct net_weight *w, bool depthwise)
{
    const int *d = w->shape.dim;
    size_t kh = (size_t)d[0], kw = (size_t)d[1], a = (size_t)d[2], b = (size_t)d[3];
    int64_t dims[4] = {d[3], d[2], d[0], d[1]};
    if (depthwise) {
        dims[0] = (int64_t)(a * b);
        dims[1] = 1;
    }
    const char *tensor_name = graph_name(g, "%s", w->name);
    float *to = graph_tensor(g, tensor_name, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, sizeof *to, dims, 4);
    for (size_t y = 0; to && y < kh; y++)
        for (size_t x = 0; x < kw; x++)
            for (size_t i = 0; i < a; i++)
                for (size_t o = 0; o < b; o++) {
                    size_t out = depthwise ? i * b + o : o * a + i;
                    to[(out * kh + y) * kw + x] = w->values[((y * kw + x) * a + i) * b + o];
                }
    return tensor_name;
}

static const struct net_weight *weight(const struct net_layer *l, enum weight_role role)
{
    for (int i = 0; i < l->n_weights; i++)
        if (l->weights[i].role == role) return &l->weights[i];
    return NULL;
}

static const char *copied(struct graph *g, const struct net_weight *w)
{
    return graph_floats(g, graph_name(g, "%s", w->name), w->values, w->n_values);
}

static void scalar_input(struct graph *g, Onnx__NodeProto *n, const char *tensor_name, float value)
{
    graph_input(g, n, graph_number(g, tensor_name, (double)value));
}

static const char *clipped(struct graph *g, const char *from, const char *to, float low, float high)
{
    Onnx__NodeProto *n = graph_node(g, "Clip", to, to);
    graph_input(g, n, from);
    scalar_input(g, n, graph_name(g, "%s/min", to), low);
    scalar_input(g, n, graph_name(g, "%s/max", to), high);
    return to;
}

/* Adds the activation after a tensor. Linear adds nothing. */
static const char *activated(struct graph *g, const char *from, const char *to, enum activation_kind kind,
                             double relu_max)
{
    static const char *const ops[] = {NULL, "Relu", "Clip", "Softmax", "Sigmoid"};
    const struct net_layer *last = &g->net->layers[g->net->output];
    if (kind == ACTIVATION_LINEAR || (g->form->logits && strcmp(to, last->name) == 0)) return from;
    if (kind == ACTIVATION_RELU6) return clipped(g, from, to, 0, (float)relu_max);
    Onnx__NodeProto *n = graph_node(g, ops[kind], to, to);
    graph_input(g, n, from);
    if (kind == ACTIVATION_SOFTMAX) graph_int(g, n, "axis", 1); /* channels in NCHW, classes after Flatten */
    return to;
}

/*
 * Activations that need several operators of opset 13, or one with a parameter. steps are in order. An
 * operand is the input of the layer ('x'), the result of an earlier step ('1', '2' and so on), or the number
 * ('n'); when there is an attribute, the number is its value.
 */
struct step {
    const char *op, *operands, *attribute;
    double number;
};
#define MAX_STEPS 8
static const struct {
    enum activation_kind kind;
    struct step steps[MAX_STEPS];
} curves[] = {
    {ACTIVATION_TANH, {{"Tanh", "x", NULL, 0}}},
    {ACTIVATION_SILU, {{"Sigmoid", "x", NULL, 0}, {"Mul", "x1", NULL, 0}}},
    {ACTIVATION_GELU,
     {{"Mul", "xn", NULL, 0.70710678118654752},
      {"Erf", "1", NULL, 0},
      {"Add", "2n", NULL, 1},
      {"Mul", "x3", NULL, 0},
      {"Mul", "4n", NULL, 0.5}}},
    {ACTIVATION_GELU_TANH,
     {{"Mul", "xx", NULL, 0},
      {"Mul", "1n", NULL, 0.044715 * 0.79788456080286536},
      {"Add", "2n", NULL, 0.79788456080286536},
      {"Mul", "x3", NULL, 0},
      {"Tanh", "4", NULL, 0},
      {"Add", "5n", NULL, 1},
      {"Mul", "x6", NULL, 0},
      {"Mul", "7n", NULL, 0.5}}},
    {ACTIVATION_ELU, {{"Elu", "x", "alpha", 0}}},
    {ACTIVATION_SELU, {{"Selu", "x", NULL, 0}}},
    {ACTIVATION_CELU, {{"Celu", "x", "alpha", 0}}},
    {ACTIVATION_LEAKY_RELU, {{"LeakyRelu", "x", "alpha", 0}}},
    {ACTIVATION_SOFTPLUS, {{"Softplus", "x", NULL, 0}}},
    {ACTIVATION_SOFTSIGN, {{"Softsign", "x", NULL, 0}}},
    {ACTIVATION_EXPONENTIAL, {{"Exp", "x", NULL, 0}}},
    {ACTIVATION_MISH, {{"Softplus", "x", NULL, 0}, {"Tanh", "1", NULL, 0}, {"Mul", "x2", NULL, 0}}},
    {ACTIVATION_LOG_SIGMOID, {{"Neg", "x", NULL, 0}, {"Softplus", "1", NULL, 0}, {"Neg", "2", NULL, 0}}},
    {ACTIVATION_HARD_SIGMOID, {{"HardSigmoid", "x", "alpha", 1.0 / 6}}},
    {ACTIVATION_HARD_SIGMOID_2, {{"HardSigmoid", "x", "alpha", 0.2}}},
    {ACTIVATION_HARD_SWISH, {{"HardSigmoid", "x", "alpha", 1.0 / 6}, {"Mul", "x1", NULL, 0}}},
    {ACTIVATION_HARD_TANH,
     {{"Mul", "xn", NULL, 0.5},
      {"HardSigmoid", "1", "alpha", 1},
      {"Mul", "2n", NULL, 2},
      {"Add", "3n", NULL, -1}}},
};

static const char *stepped(struct graph *g, const struct net_layer *l, const char *from,
                           const struct step *steps)
{
    const char *made[MAX_STEPS + 1] = {from};
    for (int i = 0; i < MAX_STEPS && steps[i].op; i++) {
        bool last = i + 1 == MAX_STEPS || !steps[i + 1].op;
        made[i + 1] = last ? l->name : graph_name(g, "%s/%d", l->name, i + 1);
        Onnx__NodeProto *n = graph_node(g, steps[i].op, made[i + 1], made[i + 1]);
        for (const char *c = steps[i].operands; *c; c++)
            graph_input(g, n,
                        *c == 'x' ? from
                        : *c == 'n'
                            ? graph_number(g, graph_name(g, "%s/%d/number", l->name, i + 1), steps[i].number)
                            : made[*c - '0']);
        if (steps[i].attribute)
            graph_float(g, n, steps[i].attribute, steps[i].number != 0 ? steps[i].number : (double)l->alpha);
    }
    return l->name;
}

/* ReLU with a slope or a threshold t: Where(x > t, min(x, cap), (x - t) * slope). */
static const char *general_relu(struct graph *g, const struct net_layer *l, const char *from)
{
    const char *moved = graph_name(g, "%s/moved", l->name), *below = graph_name(g, "%s/below", l->name),
               *above = from;
    Onnx__NodeProto *n = graph_node(g, "Sub", moved, moved);
    graph_input(g, n, from);
    graph_input(g, n, graph_number(g, graph_name(g, "%s/threshold", l->name), (double)l->relu_threshold));
    n = graph_node(g, "Mul", below, below);
    graph_input(g, n, moved);
    graph_input(g, n, graph_number(g, graph_name(g, "%s/slope", l->name), (double)l->relu_slope));
    if (l->relu_max > 0) {
        above = graph_name(g, "%s/capped", l->name);
        n = graph_node(g, "Min", above, above);
        graph_input(g, n, from);
        graph_input(g, n, graph_number(g, graph_name(g, "%s/cap", l->name), (double)l->relu_max));
    }
    const char *is_above = graph_name(g, "%s/above", l->name);
    n = graph_node(g, "Greater", is_above, is_above);
    graph_input(g, n, from);
    graph_input(g, n, graph_name(g, "%s/threshold", l->name));
    n = graph_node(g, "Where", l->name, l->name);
    graph_input(g, n, is_above);
    graph_input(g, n, above);
    graph_input(g, n, below);
    return l->name;
}

static const char *activation_layer(struct graph *g, const struct net_layer *l, const char *from)
{
    if (l->kind == LAYER_RELU && (l->relu_slope != 0 || l->relu_threshold != 0))
        return general_relu(g, l, from);
    if (l->kind == LAYER_RELU)
        return activated(g, from, l->name, l->relu_max > 0 ? ACTIVATION_RELU6 : ACTIVATION_RELU,
                         (double)l->relu_max);
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++)
        if (curves[i].kind == l->activation) return stepped(g, l, from, curves[i].steps);
    return activated(g, from, l->name, l->activation, 6);
}

/* Adds from * factor + offset. Either of them may be absent. */
static const char *scaled(struct graph *g, const struct net_layer *l, const char *from, const char *factor,
                          const char *offset)
{
    for (int i = 0; i < 2; i++) {
        const char *constant = i ? offset : factor;
        const char *to = i || !offset ? l->name : graph_name(g, "%s/scaled", l->name);
        if (!constant) continue;
        Onnx__NodeProto *n = graph_node(g, i ? "Add" : "Mul", to, to);
        graph_input(g, n, from);
        graph_input(g, n, constant);
        from = to;
    }
    return from;
}

/* Adds a vector over the channels of a map in NCHW, or over the elements of a vector. */
static const char *over_channels(struct graph *g, const struct net_layer *l, const struct net_weight *w)
{
    int64_t dims[3] = {(int64_t)w->n_values, 1, 1};
    const char *tensor_name = graph_name(g, "%s", w->name);
    float *to = graph_tensor(g, tensor_name, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, sizeof *to, dims,
                             l->output.rank == 3 && w->n_values > 1 ? 3 : 1);
    if (to) memcpy(to, w->values, w->n_values * sizeof *to);
    return tensor_name;
}

static const char *scale_layer(struct graph *g, const struct net_layer *l, const char *from)
{
    const struct net_weight *gamma = weight(l, WEIGHT_GAMMA), *beta = weight(l, WEIGHT_BETA);
    return scaled(g, l, from, gamma ? over_channels(g, l, gamma) : NULL,
                  beta ? over_channels(g, l, beta) : NULL);
}

static const char *rescaling(struct graph *g, const struct net_layer *l, const char *from)
{
    return scaled(g, l, from, graph_number(g, graph_name(g, "%s/scale", l->name), l->rescale),
                  l->offset != 0 ? graph_number(g, graph_name(g, "%s/offset", l->name), l->offset) : NULL);
}

static const char *convolution(struct graph *g, const struct net_layer *l, const char *from, bool depthwise)
{
    const struct net_weight *bias = weight(l, WEIGHT_BIAS);
    bool bytes = graph_int8_is_kernel(g, (int)(l - g->net->layers));
    const char *out = l->activation == ACTIVATION_LINEAR ? l->name : graph_name(g, "%s/linear", l->name);
    Onnx__NodeProto *n = graph_node(g, "Conv", out, out);
    graph_input(g, n, from);
    if (bytes)
        graph_int8_weights(g, n, (int)(l - g->net->layers));
    else
        graph_input(g, n,
                    kernel(g, weight(l, depthwise ? WEIGHT_DEPTHWISE_KERNEL : WEIGHT_KERNEL), depthwise));
    if (bias && !bytes) graph_input(g, n, copied(g, bias));
    window_attributes(g, n, l, true);
    graph_int(g, n, "group", depthwise ? g->net->layers[l->inputs[0]].output.dim[2] : l->groups);
    return activated(g, out, l->name, l->activation, 6);
}

static const char *batch_norm(struct graph *g, const struct net_layer *l, const char *from)
{
    static const enum weight_role roles[] = {WEIGHT_GAMMA, WEIGHT_BETA, WEIGHT_MOVING_MEAN,
                                             WEIGHT_MOVING_VARIANCE};
    int channels = l->output.dim[l->output.rank - 1];
    Onnx__NodeProto *n = graph_node(g, "BatchNormalization", l->name, l->name);
    graph_input(g, n, from);
    for (int i = 0; i < 4; i++) {
        const struct net_weight *w = weight(l, roles[i]);
        if (w) {
            graph_input(g, n, copied(g, w));
            continue;
        }
        /* scale=False or center=False: ONNX needs all four tensors. */
        int64_t dims[1] = {channels};
        const char *tensor_name = graph_name(g, "%s/%s", l->name, i ? "no_beta" : "no_gamma");
        float *to = graph_tensor(g, tensor_name, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, sizeof *to, dims, 1);
        for (int k = 0; to && k < channels; k++)
            to[k] = i ? 0.0f : 1.0f;
        graph_input(g, n, tensor_name);
    }
    graph_float(g, n, "epsilon", l->epsilon);
    return l->name;
}

static const char *dense(struct graph *g, const struct net_layer *l, const char *from)
{
    const struct net_weight *w = weight(l, WEIGHT_KERNEL), *bias = weight(l, WEIGHT_BIAS);
    const char *out = l->activation == ACTIVATION_LINEAR ? l->name : graph_name(g, "%s/linear", l->name),
               *k = graph_name(g, "%s", w->name);
    int64_t dims[2] = {w->shape.dim[0], w->shape.dim[1]};
    Onnx__NodeProto *n = graph_node(g, "Gemm", out, out);
    graph_input(g, n, from);
    float *to = graph_tensor(g, k, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, sizeof *to, dims, 2);
    if (to) memcpy(to, w->values, w->n_values * sizeof *to);
    graph_input(g, n, k);
    if (bias) graph_input(g, n, copied(g, bias));
    return activated(g, out, l->name, l->activation, 6);
}

static const char *zero_padding(struct graph *g, const struct net_layer *l, const char *from)
{
    int64_t pads[8] = {0, 0, l->pad_top, l->pad_left, 0, 0, l->pad_bottom, l->pad_right};
    Onnx__NodeProto *n = graph_node(g, "Pad", l->name, l->name);
    graph_input(g, n, from);
    graph_input(g, n, graph_integers(g, graph_name(g, "%s/pads", l->name), pads, 8));
    return l->name;
}

/* Writes Flatten and Reshape, which need the elements in Keras' order. */
static const char *reshaped(struct graph *g, const struct net_layer *l, const char *from)
{
    const struct net_shape *in = &g->net->layers[l->inputs[0]].output, *out = &l->output;
    int64_t shape[NET_MAX_RANK + 1] = {0}; /* 0: as many as the input has, the batch */
    if (in->rank == 3 && (in->dim[0] > 1 || in->dim[1] > 1))
        from = graph_transposed(g, from, graph_name(g, "%s/nhwc", l->name), false);
    for (int i = 0; i < out->rank; i++)
        shape[i + 1] = out->dim[i];
    const char *to = out->rank == 3 ? graph_name(g, "%s/reshaped", l->name) : l->name;
    Onnx__NodeProto *n = graph_node(g, "Reshape", to, to);
    graph_input(g, n, from);
    graph_input(g, n, graph_integers(g, graph_name(g, "%s/shape", l->name), shape, (size_t)out->rank + 1));
    return out->rank == 3 ? graph_transposed(g, to, l->name, true) : l->name;
}

/* Factors are used, because sizes would have to include the number of pictures. */
static float resize_factor(int in, int out)
{
    float factor = (float)out / (float)in;
    return (int)floorf((float)in * factor) == out ? factor : nextafterf(factor, 2 * factor);
}

static const char *resized(struct graph *g, const struct net_layer *l, const char *from)
{
    const struct net_shape *in = &g->net->layers[l->inputs[0]].output;
    float factors[4] = {1, 1, resize_factor(in->dim[0], l->resize_h), resize_factor(in->dim[1], l->resize_w)};
    Onnx__NodeProto *n = graph_node(g, "Resize", l->name, l->name);
    graph_input(g, n, from);
    graph_input(g, n, "");
    graph_input(g, n, graph_floats(g, graph_name(g, "%s/factors", l->name), factors, 4));
    graph_text(g, n, "mode", l->nearest ? "nearest" : "linear");
    graph_text(g, n, "coordinate_transformation_mode", l->from_corner ? "asymmetric" : "half_pixel");
    if (l->nearest) graph_text(g, n, "nearest_mode", l->from_corner ? "floor" : "round_prefer_ceil");
    return l->name;
}

/* Writes a selection of channels: a contiguous part is a Slice, any other a Gather. */
static const char *channels(struct graph *g, const struct net_layer *l, const char *from)
{
    bool part = l->pick_groups == 1 && l->pick_step == 1;
    Onnx__NodeProto *n = graph_node(g, part ? "Slice" : "Gather", l->name, l->name);
    graph_input(g, n, from);
    if (part) {
        int64_t range[3] = {l->pick_first, (int64_t)l->pick_first + l->filters, 1};
        static const char *const keys[] = {"starts", "ends", "axes"};
        for (int i = 0; i < 3; i++)
            graph_input(g, n, graph_integers(g, graph_name(g, "%s/%s", l->name, keys[i]), &range[i], 1));
        return l->name;
    }
    int64_t *index = graph_take(g, (size_t)l->filters * sizeof *index);
    for (int c = 0; index && c < l->filters; c++)
        index[c] = l->pick_first + c / l->pick_groups * l->pick_step + c % l->pick_groups * l->pick_span;
    if (index)
        graph_input(g, n, graph_integers(g, graph_name(g, "%s/indices", l->name), index, (size_t)l->filters));
    graph_int(g, n, "axis", 1);
    return l->name;
}

static const char *pooled(struct graph *g, const struct net_layer *l, const char *from)
{
    bool average = l->kind == LAYER_AVERAGE_POOL;
    Onnx__NodeProto *n = graph_node(g, average ? "AveragePool" : "MaxPool", l->name, l->name);
    graph_input(g, n, from);
    window_attributes(g, n, l, false);
    if (average) graph_int(g, n, "count_include_pad", 0);
    return l->name;
}

static const char *joined(struct graph *g, const struct net_layer *l)
{
    const char *op = l->kind == LAYER_ADD ? "Sum" : l->kind == LAYER_MULTIPLY ? "Mul" : "Concat";
    Onnx__NodeProto *n = graph_node(g, op, l->name, l->name);
    for (int i = 0; i < l->n_inputs; i++)
        graph_input(g, n, g->value[l->inputs[i]]);
    if (l->kind == LAYER_CONCATENATE) graph_int(g, n, "axis", 1);
    return l->name;
}

static const char *layer(struct graph *g, const struct net_layer *l)
{
    const char *from = l->n_inputs > 0 ? g->value[l->inputs[0]] : NULL;
    switch (l->kind) {
    case LAYER_INPUT:
        return g->form->nchw ? g->image
                             : graph_transposed(g, g->image, graph_name(g, "%s/nchw", l->name), true);
    case LAYER_CONV2D: return convolution(g, l, from, false);
    case LAYER_DEPTHWISE_CONV2D: return convolution(g, l, from, true);
    case LAYER_BATCH_NORM: /* the norm of a quantised convolution is part of it */
        return graph_int8_is_kernel(g, l->inputs[0]) ? from : batch_norm(g, l, from);
    case LAYER_ACTIVATION:
    case LAYER_RELU: return activation_layer(g, l, from);
    case LAYER_MAX_POOL:
    case LAYER_AVERAGE_POOL: return pooled(g, l, from);
    case LAYER_GLOBAL_AVERAGE_POOL: {
        const char *map = graph_name(g, "%s/map", l->name);
        graph_input(g, graph_node(g, "GlobalAveragePool", map, map), from);
        Onnx__NodeProto *n = graph_node(g, "Flatten", l->name, l->name);
        graph_input(g, n, map);
        graph_int(g, n, "axis", 1);
        return l->name;
    }
    case LAYER_CONCATENATE:
    case LAYER_MULTIPLY:
    case LAYER_ADD: return joined(g, l);
    case LAYER_RESCALING: return rescaling(g, l, from);
    case LAYER_RESIZING: return resized(g, l, from);
    case LAYER_CHANNELS: return channels(g, l, from);
    case LAYER_SCALE: return scale_layer(g, l, from);
    case LAYER_CLIP: return clipped(g, from, l->name, l->clip_min, l->clip_max);
    case LAYER_ZERO_PADDING:
        return taken_pads(g->net, (int)(l - g->net->layers)) ? from : zero_padding(g, l, from);
    case LAYER_FLATTEN:
    case LAYER_RESHAPE: return reshaped(g, l, from);
    case LAYER_DENSE: return dense(g, l, from);
    case LAYER_DROPOUT: return from; /* nothing at inference */
    case LAYER_KINDS: break;
    }
    return from;
}

/* --- the model --- */

static Onnx__ValueInfoProto *value_info(struct graph *g, const char *value_name, const int *dims, int rank)
{
    Onnx__ValueInfoProto *v = graph_take(g, sizeof *v);
    Onnx__TypeProto *type = graph_take(g, sizeof *type);
    Onnx__TypeProto__Tensor *t = graph_take(g, sizeof *t);
    Onnx__TensorShapeProto *shape = graph_take(g, sizeof *shape);
    Onnx__TensorShapeProto__Dimension **list = graph_take(g, ((size_t)rank + 1) * sizeof *list);
    if (g->failed) return NULL;
    onnx__value_info_proto__init(v);
    onnx__type_proto__init(type);
    onnx__type_proto__tensor__init(t);
    onnx__tensor_shape_proto__init(shape);
    for (int i = 0; i <= rank; i++) {
        Onnx__TensorShapeProto__Dimension *d = graph_take(g, sizeof *d);
        if (!d) return NULL;
        onnx__tensor_shape_proto__dimension__init(d);
        if (i == 0) {
            d->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            d->dim_param = graph_name(g, "N");
        } else {
            d->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            d->dim_value = dims[i - 1];
        }
        list[i] = d;
    }
    shape->dim = list;
    shape->n_dim = (size_t)rank + 1;
    t->has_elem_type = 1;
    t->elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    t->shape = shape;
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = t;
    v->name = graph_name(g, "%s", value_name);
    v->type = type;
    return v;
}

#define MAX_PROPERTIES 16
struct properties {
    Onnx__StringStringEntryProto *list[MAX_PROPERTIES];
    size_t n;
};

static void property(struct graph *g, struct properties *p, const char *key, const char *value)
{
    Onnx__StringStringEntryProto *e = graph_take(g, sizeof *e);
    if (!e || !value || p->n == MAX_PROPERTIES) return;
    onnx__string_string_entry_proto__init(e);
    e->key = graph_name(g, "%s", key);
    e->value = arena_strdup(&g->arena, value, g->err);
    if (!e->value) g->failed = true;
    p->list[p->n++] = e;
}

/* Writes the metadata of the model folder, one property for each value. */
static void properties(struct graph *g, struct properties *p)
{
    const struct net_metadata *m = &g->net->metadata;
    const struct net_shape *in = &g->net->layers[g->net->input].output;
    struct text classes = TEXT_EMPTY;
    char id[33], number[32];
    int bad = text_puts(&classes, "[", g->err);
    for (int i = 0; !bad && i < m->n_classes; i++) {
        bad = text_puts(&classes, i ? ",\"" : "\"", g->err);
        for (const char *c = m->classes[i]; !bad && *c; c++)
            bad = (*c == '"' || *c == '\\') && text_puts(&classes, "\\", g->err)
                      ? -1
                      : text_add(&classes, c, 1, g->err);
        bad = bad || text_puts(&classes, "\"", g->err);
    }
    if (bad || text_puts(&classes, "]", g->err))
        g->failed = true;
    else
        property(g, p, "classes", classes.data);
    text_release(&classes);
    g->failed |= net_hash(g->net, id, g->err) != 0;
    property(g, p, "model_id", id);
    property(g, p, "input_size", graph_name(g, "%dx%d", in->dim[1], in->dim[0]));
    property(g, p, "input_layout", g->form->nchw ? "NCHW" : "NHWC");
    property(g, p, "input_color", "RGB");
    property(g, p, "input_scale", format_f64(number, m->input_scale));
    property(g, p, "input_offset", format_f64(number, m->input_offset));
    if (m->resize[0]) property(g, p, "input_resize", m->resize);
    property(g, p, "temperature", format_f64(number, m->temperature));
    char *decisions;
    if (net_decisions_text(&decisions, m, g->err)) g->failed = true;
    if (decisions) property(g, p, "decisions", decisions);
    free(decisions);
}

static int write_packed(const Onnx__ModelProto *model, const char *path, struct error *err)
{
    struct atomic_file f = ATOMIC_FILE_EMPTY;
    size_t bytes = onnx__model_proto__get_packed_size(model);
    int rc = -1;
    if (bytes > INT32_MAX)
        return error_set(err, EX_DATAERR, "'%s': an ONNX file of more than 2 GiB is not possible", path);
    uint8_t *packed = mem_alloc(bytes, err);
    if (!packed) return -1;
    onnx__model_proto__pack(model, packed);
    if (io_mkdirs_for(path, err) || atomic_file_open(&f, path, err)) goto out;
    if (fwrite(packed, 1, bytes, f.stream) != bytes)
        error_errno(err, EX_IOERR, "cannot write '%s'", path);
    else
        rc = atomic_file_commit(&f, err);
out:
    atomic_file_discard(&f);
    free(packed);
    return rc;
}

static int build_and_write(struct graph *g, const char *path)
{
    Onnx__ModelProto model;
    Onnx__GraphProto graph;
    Onnx__OperatorSetIdProto opset, *opsets[1] = {&opset};
    const struct net *n = g->net;
    const struct net_shape *in = &n->layers[n->input].output, *out = &n->layers[n->output].output;
    int nchw[3] = {in->dim[2], in->dim[0], in->dim[1]}, out_nchw[3] = {out->dim[2], out->dim[0], out->dim[1]};
    struct properties p = {0};
    onnx__model_proto__init(&model);
    onnx__graph_proto__init(&graph);
    onnx__operator_set_id_proto__init(&opset);
    const struct onnx_form usual = ONNX_FORM_DEFAULTS;
    bool own_name = strcmp(g->form->input_name, usual.input_name) != 0;
    g->image = own_name ? g->form->input_name : graph_input_name(g, g->form->input_name);
    g->image = graph_free_name(g, g->image);
    g->probs = graph_free_name(g, g->form->output_name);
    for (int i = 0; i < n->n_layers && !g->failed; i++)
        g->value[i] = graph_int8_value(g, i, layer(g, &n->layers[i]));
    const char *last = g->failed ? NULL : g->value[n->output];
    if (last && out->rank == 3 && !g->form->nchw)
        last = graph_transposed(g, last, graph_name(g, "%s/nhwc", n->layers[n->output].name), false);
    graph_input(g, graph_node(g, "Identity", g->probs, g->probs), last ? last : "");
    properties(g, &p);
    if (g->failed || (!g->form->logits && !g->form->int8 && graph_rename(g))) g->failed = true;
    Onnx__ValueInfoProto *from = value_info(g, g->image, g->form->nchw ? nchw : in->dim, 3),
                         *to = value_info(g, g->probs, g->form->nchw && out->rank == 3 ? out_nchw : out->dim,
                                          out->rank);
    if (g->failed) return g->err->code ? -1 : error_set(g->err, EX_SOFTWARE, "cannot build the ONNX graph");
    graph.name = (char *)(uintptr_t)(n->name ? n->name : "winnow");
    graph.node = g->nodes;
    graph.n_node = g->n_nodes;
    graph.initializer = g->tensors;
    graph.n_initializer = g->n_tensors;
    graph.input = &from;
    graph.n_input = 1;
    graph.output = &to;
    graph.n_output = 1;
    opset.domain = (char *)(uintptr_t) "";
    opset.has_version = 1;
    opset.version = OPSET;
    model.has_ir_version = 1;
    model.ir_version = IR_VERSION;
    model.producer_name = (char *)(uintptr_t) "winnow";
    model.producer_version = (char *)(uintptr_t)WINNOW_VERSION;
    model.graph = &graph;
    model.opset_import = opsets;
    model.n_opset_import = 1;
    model.metadata_props = p.list;
    model.n_metadata_props = p.n;
    return write_packed(&model, path, g->err);
}

int onnx_write(const struct net *n, const char *path, const struct onnx_form *form, struct error *err)
{
    struct graph g = {.net = n, .arena = ARENA_EMPTY, .err = err, .form = form};
    const struct net_shape *in = &n->layers[n->input].output;
    if (in->rank != 3 || in->dim[0] < 1 || in->dim[1] < 1)
        return error_set(err, EX_DATAERR, "the network's input size is unknown, and ONNX paddings need it");
    if (form->int8 && net_int8_read(&g.int8, n, err)) return error_prefix(err, "'%s'", path);
    g.value = mem_zalloc((size_t)n->n_layers, sizeof *g.value, err);
    int rc = g.value ? build_and_write(&g, path) : -1;
    arena_release(&g.arena);
    net_int8_release(&g.int8);
    free(g.value);
    free(g.nodes);
    free(g.tensors);
    return rc ? error_prefix(err, "'%s'", path) : 0;
}

#endif
