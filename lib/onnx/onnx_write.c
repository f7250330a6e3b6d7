/*
 * onnx_write.c: Keras layers as ONNX operators.
 * Keras computes in NHWC and ONNX in NCHW: one Transpose follows the input, and another only where the
 * order of elements shows (Flatten or Reshape of a map larger than 1x1). Paddings are explicit, since
 * auto_pad is deprecated and "same" means other things elsewhere; an average never counts padding
 * (count_include_pad 0), as in TensorFlow.
 */
#include "base/number.h"
#include "onnx/onnx.h"

#ifdef WINNOW_WITHOUT_ONNX

bool onnx_available(void) { return false; }

int onnx_write(const struct net *n, const char *path, bool nchw, struct error *err)
{
    return error_set(err, EX_UNAVAILABLE,
                     "cannot write '%s': this build has no ONNX (libprotobuf-c-dev, protobuf-c-compiler and "
                     "libonnx-dev bring it)",
                     path);
}

#else

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "io/io.h"
#include "onnx.pb-c.h"

/* Softmax got its present meaning there; every runtime of the last years reads it */
#define OPSET 13
#define IR_VERSION 7 /* the one that came with opset 13 */

bool onnx_available(void) { return true; }

struct graph {
    const struct net *net;
    struct arena arena;
    struct error *err;
    bool failed;
    bool nchw;
    const char *image, *probs; /* "image" and "probs", or the next free name */
    const char **value;        /* of each layer: the name of its tensor, maps in NCHW */
    Onnx__NodeProto **nodes;
    size_t n_nodes, node_room;
    Onnx__TensorProto **tensors;
    size_t n_tensors, tensor_room;
};

/* --- small parts --- */

static void *take(struct graph *g, size_t bytes)
{
    void *p = arena_alloc(&g->arena, bytes, g->err);
    if (!p)
        g->failed = true;
    else
        memset(p, 0, bytes);
    return p;
}

static char *name(struct graph *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
static char *name(struct graph *g, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char *copy = arena_strdup(&g->arena, text, g->err);
    if (!copy) g->failed = true;
    return copy;
}

/* `wanted`, or wanted_1, ... when a layer (but the input) has that name. */
static const char *free_name(struct graph *g, const char *wanted)
{
    char text[64];
    int at;
    snprintf(text, sizeof text, "%s", wanted);
    for (int i = 1; (at = net_find(g->net, text)) >= 0 && at != g->net->input; i++)
        snprintf(text, sizeof text, "%s_%d", wanted, i);
    return name(g, "%s", text);
}

static Onnx__NodeProto *node(struct graph *g, const char *op, const char *node_name, const char *output)
{
    Onnx__NodeProto *n = take(g, sizeof *n);
    char **out = take(g, sizeof *out);
    if (!n || !out || mem_grow(&g->nodes, &g->node_room, g->n_nodes + 1, sizeof *g->nodes, g->err)) {
        g->failed = true;
        return NULL;
    }
    onnx__node_proto__init(n);
    n->op_type = name(g, "%s", op);
    n->name = name(g, "%s", node_name);
    out[0] = name(g, "%s", output);
    n->output = out;
    n->n_output = 1;
    g->nodes[g->n_nodes++] = n;
    return n;
}

static void input(struct graph *g, Onnx__NodeProto *n, const char *tensor)
{
    if (!n || g->failed) return;
    char **grown = take(g, (n->n_input + 1) * sizeof *grown);
    if (!grown) return;
    for (size_t i = 0; i < n->n_input; i++)
        grown[i] = n->input[i];
    grown[n->n_input] = name(g, "%s", tensor);
    n->input = grown;
    n->n_input++;
}

static Onnx__AttributeProto *attribute(struct graph *g, Onnx__NodeProto *n, const char *key, int type)
{
    if (!n || g->failed) return NULL;
    Onnx__AttributeProto **grown = take(g, (n->n_attribute + 1) * sizeof *grown), *a = take(g, sizeof *a);
    if (!grown || !a) return NULL;
    onnx__attribute_proto__init(a);
    a->name = name(g, "%s", key);
    a->has_type = 1;
    a->type = (Onnx__AttributeProto__AttributeType)type;
    for (size_t i = 0; i < n->n_attribute; i++)
        grown[i] = n->attribute[i];
    grown[n->n_attribute] = a;
    n->attribute = grown;
    n->n_attribute++;
    return a;
}

static void attribute_int(struct graph *g, Onnx__NodeProto *n, const char *key, int64_t value)
{
    Onnx__AttributeProto *a = attribute(g, n, key, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    if (a) {
        a->has_i = 1;
        a->i = value;
    }
}

static void attribute_float(struct graph *g, Onnx__NodeProto *n, const char *key, double value)
{
    Onnx__AttributeProto *a = attribute(g, n, key, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    if (a) {
        a->has_f = 1;
        a->f = (float)value;
    }
}

static void attribute_ints(struct graph *g, Onnx__NodeProto *n, const char *key, const int64_t *values,
                           size_t count)
{
    Onnx__AttributeProto *a = attribute(g, n, key, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    int64_t *copy = a ? take(g, count * sizeof *copy) : NULL;
    if (!copy) return;
    memcpy(copy, values, count * sizeof *copy);
    a->ints = copy;
    a->n_ints = count;
}

/* An initializer whose bytes the caller fills; NULL after a failure. */
static void *tensor(struct graph *g, const char *tensor_name, int data_type, size_t each, const int64_t *dims,
                    size_t rank)
{
    size_t bytes = each;
    Onnx__TensorProto *t = take(g, sizeof *t);
    int64_t *copy = take(g, (rank + 1) * sizeof *copy);
    if (g->failed || mem_grow(&g->tensors, &g->tensor_room, g->n_tensors + 1, sizeof *g->tensors, g->err)) {
        g->failed = true;
        return NULL;
    }
    onnx__tensor_proto__init(t);
    for (size_t i = 0; i < rank; i++) {
        copy[i] = dims[i];
        if (!size_mul(bytes, (size_t)dims[i], &bytes)) g->failed = true;
    }
    void *data = g->failed ? NULL : take(g, bytes);
    t->name = name(g, "%s", tensor_name);
    t->dims = copy;
    t->n_dims = rank;
    t->has_data_type = 1;
    t->data_type = data_type;
    t->has_raw_data = 1;
    t->raw_data.data = data;
    t->raw_data.len = bytes;
    g->tensors[g->n_tensors++] = t;
    return data;
}

static const char *floats(struct graph *g, const char *tensor_name, const float *values, size_t n)
{
    int64_t dims[1] = {(int64_t)n};
    float *to = tensor(g, tensor_name, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, sizeof *to, dims, 1);
    if (to) memcpy(to, values, n * sizeof *to);
    return tensor_name;
}

static const char *integers(struct graph *g, const char *tensor_name, const int64_t *values, size_t n)
{
    int64_t dims[1] = {(int64_t)n};
    int64_t *to = tensor(g, tensor_name, ONNX__TENSOR_PROTO__DATA_TYPE__INT64, sizeof *to, dims, 1);
    if (to) memcpy(to, values, n * sizeof *to);
    return tensor_name;
}

static const char *transposed(struct graph *g, const char *from, const char *to, bool to_nchw)
{
    static const int64_t nchw[] = {0, 3, 1, 2}, nhwc[] = {0, 2, 3, 1};
    Onnx__NodeProto *n = node(g, "Transpose", to, to);
    input(g, n, from);
    attribute_ints(g, n, "perm", to_nchw ? nchw : nhwc, 4);
    return to;
}

/* --- layers --- */

/* TensorFlow's "same": as many outputs as ceil(in / stride), the odd row of padding at the end. */
static void same_pads(int in, int out, int kernel, int stride, int dilation, int64_t *before, int64_t *after)
{
    int total = (out - 1) * stride + (kernel - 1) * dilation + 1 - in;
    total = total > 0 ? total : 0;
    *before = total / 2;
    *after = total - total / 2;
}

static void window_attributes(struct graph *g, Onnx__NodeProto *n, const struct net_layer *l, bool dilations)
{
    const struct net_shape *in = &g->net->layers[l->inputs[0]].output;
    int64_t kernel[2] = {l->kernel_h, l->kernel_w}, strides[2] = {l->stride_h, l->stride_w}, pads[4] = {0};
    int64_t dilation[2] = {l->dilation_h, l->dilation_w};
    if (l->same) {
        same_pads(in->dim[0], l->output.dim[0], l->kernel_h, l->stride_h, l->dilation_h, &pads[0], &pads[2]);
        same_pads(in->dim[1], l->output.dim[1], l->kernel_w, l->stride_w, l->dilation_w, &pads[1], &pads[3]);
    }
    attribute_ints(g, n, "kernel_shape", kernel, 2);
    attribute_ints(g, n, "strides", strides, 2);
    attribute_ints(g, n, "pads", pads, 4);
    if (dilations) attribute_ints(g, n, "dilations", dilation, 2);
}

/* [kh,kw,cin,cout] to [cout,cin,kh,kw]; a depthwise [kh,kw,c,m] to [c*m,1,kh,kw]. */
static const char *kernel(struct graph *g, const struct net_weight *w, bool depthwise)
{
    const int *d = w->shape.dim;
    size_t kh = (size_t)d[0], kw = (size_t)d[1], a = (size_t)d[2], b = (size_t)d[3];
    int64_t dims[4] = {d[3], d[2], d[0], d[1]};
    if (depthwise) {
        dims[0] = (int64_t)(a * b);
        dims[1] = 1;
    }
    const char *tensor_name = name(g, "%s", w->name);
    float *to = tensor(g, tensor_name, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, sizeof *to, dims, 4);
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
    return floats(g, name(g, "%s", w->name), w->values, w->n_values);
}

/* Adds the activation after a tensor; linear adds nothing. */
static const char *activated(struct graph *g, const char *from, const char *to, enum activation_kind kind,
                             double relu_max)
{
    static const char *const ops[] = {NULL, "Relu", "Clip", "Softmax", "Sigmoid"};
    if (kind == ACTIVATION_LINEAR) return from;
    Onnx__NodeProto *n = node(g, ops[kind], to, to);
    input(g, n, from);
    if (kind == ACTIVATION_RELU6) {
        float low = 0, high = (float)relu_max;
        const char *names[2] = {name(g, "%s/min", to), name(g, "%s/max", to)};
        for (int i = 0; i < 2; i++) {
            float *value = tensor(g, names[i], ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, sizeof *value, NULL, 0);
            if (value) *value = i ? high : low;
            input(g, n, names[i]);
        }
    } else if (kind == ACTIVATION_SOFTMAX)
        attribute_int(g, n, "axis", 1); /* channels in NCHW, classes after Flatten */
    return to;
}

/*
 * The activations that are several operators of opset 13, or one with a number: steps in order. An operand
 * is the layer's input ('x'), the result of an earlier step ('1' ..), or the number ('n'); with an attribute
 * the number is the attribute's.
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

static const char *number(struct graph *g, const char *tensor_name, double value)
{
    float *to = tensor(g, tensor_name, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, sizeof *to, NULL, 0);
    if (to) *to = (float)value;
    return tensor_name;
}

static const char *stepped(struct graph *g, const struct net_layer *l, const char *from,
                           const struct step *steps)
{
    const char *made[MAX_STEPS + 1] = {from};
    for (int i = 0; i < MAX_STEPS && steps[i].op; i++) {
        bool last = i + 1 == MAX_STEPS || !steps[i + 1].op;
        made[i + 1] = last ? l->name : name(g, "%s/%d", l->name, i + 1);
        Onnx__NodeProto *n = node(g, steps[i].op, made[i + 1], made[i + 1]);
        for (const char *c = steps[i].operands; *c; c++)
            input(g, n,
                  *c == 'x'   ? from
                  : *c == 'n' ? number(g, name(g, "%s/%d/number", l->name, i + 1), steps[i].number)
                              : made[*c - '0']);
        if (steps[i].attribute)
            attribute_float(g, n, steps[i].attribute,
                            steps[i].number != 0 ? steps[i].number : (double)l->alpha);
    }
    return l->name;
}

/* ReLU with a slope or a threshold t: Where(x > t, min(x, cap), (x - t) * slope). */
static const char *general_relu(struct graph *g, const struct net_layer *l, const char *from)
{
    const char *moved = name(g, "%s/moved", l->name), *below = name(g, "%s/below", l->name), *above = from;
    Onnx__NodeProto *n = node(g, "Sub", moved, moved);
    input(g, n, from);
    input(g, n, number(g, name(g, "%s/threshold", l->name), (double)l->relu_threshold));
    n = node(g, "Mul", below, below);
    input(g, n, moved);
    input(g, n, number(g, name(g, "%s/slope", l->name), (double)l->relu_slope));
    if (l->relu_max > 0) {
        above = name(g, "%s/capped", l->name);
        n = node(g, "Min", above, above);
        input(g, n, from);
        input(g, n, number(g, name(g, "%s/cap", l->name), (double)l->relu_max));
    }
    const char *is_above = name(g, "%s/above", l->name);
    n = node(g, "Greater", is_above, is_above);
    input(g, n, from);
    input(g, n, name(g, "%s/threshold", l->name));
    n = node(g, "Where", l->name, l->name);
    input(g, n, is_above);
    input(g, n, above);
    input(g, n, below);
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

static const char *convolution(struct graph *g, const struct net_layer *l, const char *from, bool depthwise)
{
    const struct net_weight *bias = weight(l, WEIGHT_BIAS);
    const char *out = l->activation == ACTIVATION_LINEAR ? l->name : name(g, "%s/linear", l->name);
    Onnx__NodeProto *n = node(g, "Conv", out, out);
    input(g, n, from);
    input(g, n, kernel(g, weight(l, depthwise ? WEIGHT_DEPTHWISE_KERNEL : WEIGHT_KERNEL), depthwise));
    if (bias) input(g, n, copied(g, bias));
    window_attributes(g, n, l, true);
    attribute_int(g, n, "group", depthwise ? g->net->layers[l->inputs[0]].output.dim[2] : 1);
    return activated(g, out, l->name, l->activation, 6);
}

static const char *batch_norm(struct graph *g, const struct net_layer *l, const char *from)
{
    static const enum weight_role roles[] = {WEIGHT_GAMMA, WEIGHT_BETA, WEIGHT_MOVING_MEAN,
                                             WEIGHT_MOVING_VARIANCE};
    int channels = l->output.dim[l->output.rank - 1];
    Onnx__NodeProto *n = node(g, "BatchNormalization", l->name, l->name);
    input(g, n, from);
    for (int i = 0; i < 4; i++) {
        const struct net_weight *w = weight(l, roles[i]);
        if (w) {
            input(g, n, copied(g, w));
            continue;
        }
        /* scale=False or center=False: ONNX wants all four. */
        int64_t dims[1] = {channels};
        const char *tensor_name = name(g, "%s/%s", l->name, i ? "no_beta" : "no_gamma");
        float *to = tensor(g, tensor_name, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, sizeof *to, dims, 1);
        for (int k = 0; to && k < channels; k++)
            to[k] = i ? 0.0f : 1.0f;
        input(g, n, tensor_name);
    }
    attribute_float(g, n, "epsilon", l->epsilon);
    return l->name;
}

static const char *dense(struct graph *g, const struct net_layer *l, const char *from)
{
    const struct net_weight *w = weight(l, WEIGHT_KERNEL), *bias = weight(l, WEIGHT_BIAS);
    const char *out = l->activation == ACTIVATION_LINEAR ? l->name : name(g, "%s/linear", l->name),
               *k = name(g, "%s", w->name);
    int64_t dims[2] = {w->shape.dim[0], w->shape.dim[1]};
    Onnx__NodeProto *n = node(g, "Gemm", out, out);
    input(g, n, from);
    float *to = tensor(g, k, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, sizeof *to, dims, 2);
    if (to) memcpy(to, w->values, w->n_values * sizeof *to);
    input(g, n, k);
    if (bias) input(g, n, copied(g, bias));
    return activated(g, out, l->name, l->activation, 6);
}

static const char *zero_padding(struct graph *g, const struct net_layer *l, const char *from)
{
    int64_t pads[8] = {0, 0, l->pad_top, l->pad_left, 0, 0, l->pad_bottom, l->pad_right};
    Onnx__NodeProto *n = node(g, "Pad", l->name, l->name);
    input(g, n, from);
    input(g, n, integers(g, name(g, "%s/pads", l->name), pads, 8));
    return l->name;
}

/* Flatten and Reshape see Keras' order of elements. */
static const char *reshaped(struct graph *g, const struct net_layer *l, const char *from)
{
    const struct net_shape *in = &g->net->layers[l->inputs[0]].output, *out = &l->output;
    int64_t shape[NET_MAX_RANK + 1] = {0}; /* 0: as many as the input has, the batch */
    if (in->rank == 3 && (in->dim[0] > 1 || in->dim[1] > 1))
        from = transposed(g, from, name(g, "%s/nhwc", l->name), false);
    for (int i = 0; i < out->rank; i++)
        shape[i + 1] = out->dim[i];
    const char *to = out->rank == 3 ? name(g, "%s/reshaped", l->name) : l->name;
    Onnx__NodeProto *n = node(g, "Reshape", to, to);
    input(g, n, from);
    input(g, n, integers(g, name(g, "%s/shape", l->name), shape, (size_t)out->rank + 1));
    return out->rank == 3 ? transposed(g, to, l->name, true) : l->name;
}

static const char *pooled(struct graph *g, const struct net_layer *l, const char *from)
{
    bool average = l->kind == LAYER_AVERAGE_POOL;
    Onnx__NodeProto *n = node(g, average ? "AveragePool" : "MaxPool", l->name, l->name);
    input(g, n, from);
    window_attributes(g, n, l, false);
    if (average) attribute_int(g, n, "count_include_pad", 0);
    return l->name;
}

static const char *joined(struct graph *g, const struct net_layer *l)
{
    Onnx__NodeProto *n = node(g, l->kind == LAYER_ADD ? "Sum" : "Concat", l->name, l->name);
    for (int i = 0; i < l->n_inputs; i++)
        input(g, n, g->value[l->inputs[i]]);
    if (l->kind == LAYER_CONCATENATE) attribute_int(g, n, "axis", 1);
    return l->name;
}

static const char *layer(struct graph *g, const struct net_layer *l)
{
    const char *from = l->n_inputs > 0 ? g->value[l->inputs[0]] : NULL;
    switch (l->kind) {
    case LAYER_INPUT: return g->nchw ? g->image : transposed(g, g->image, name(g, "%s/nchw", l->name), true);
    case LAYER_CONV2D: return convolution(g, l, from, false);
    case LAYER_DEPTHWISE_CONV2D: return convolution(g, l, from, true);
    case LAYER_BATCH_NORM: return batch_norm(g, l, from);
    case LAYER_ACTIVATION:
    case LAYER_RELU: return activation_layer(g, l, from);
    case LAYER_MAX_POOL:
    case LAYER_AVERAGE_POOL: return pooled(g, l, from);
    case LAYER_GLOBAL_AVERAGE_POOL: {
        const char *map = name(g, "%s/map", l->name);
        input(g, node(g, "GlobalAveragePool", map, map), from);
        Onnx__NodeProto *n = node(g, "Flatten", l->name, l->name);
        input(g, n, map);
        attribute_int(g, n, "axis", 1);
        return l->name;
    }
    case LAYER_CONCATENATE:
    case LAYER_ADD: return joined(g, l);
    case LAYER_ZERO_PADDING: return zero_padding(g, l, from);
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
    Onnx__ValueInfoProto *v = take(g, sizeof *v);
    Onnx__TypeProto *type = take(g, sizeof *type);
    Onnx__TypeProto__Tensor *t = take(g, sizeof *t);
    Onnx__TensorShapeProto *shape = take(g, sizeof *shape);
    Onnx__TensorShapeProto__Dimension **list = take(g, ((size_t)rank + 1) * sizeof *list);
    if (g->failed) return NULL;
    onnx__value_info_proto__init(v);
    onnx__type_proto__init(type);
    onnx__type_proto__tensor__init(t);
    onnx__tensor_shape_proto__init(shape);
    for (int i = 0; i <= rank; i++) {
        Onnx__TensorShapeProto__Dimension *d = take(g, sizeof *d);
        if (!d) return NULL;
        onnx__tensor_shape_proto__dimension__init(d);
        if (i == 0) {
            d->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            d->dim_param = name(g, "N");
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
    v->name = name(g, "%s", value_name);
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
    Onnx__StringStringEntryProto *e = take(g, sizeof *e);
    if (!e || !value || p->n == MAX_PROPERTIES) return;
    onnx__string_string_entry_proto__init(e);
    e->key = name(g, "%s", key);
    e->value = arena_strdup(&g->arena, value, g->err);
    if (!e->value) g->failed = true;
    p->list[p->n++] = e;
}

/* As the metadata of the model folder, one property a value. */
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
    property(g, p, "input_size", name(g, "%dx%d", in->dim[1], in->dim[0]));
    property(g, p, "input_layout", g->nchw ? "NCHW" : "NHWC");
    property(g, p, "input_color", "RGB");
    property(g, p, "input_scale", format_f64(number, m->input_scale));
    property(g, p, "input_offset", format_f64(number, m->input_offset));
    if (m->resize[0]) property(g, p, "input_resize", m->resize);
    property(g, p, "temperature", format_f64(number, m->temperature));
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
    int nchw[3] = {in->dim[2], in->dim[0], in->dim[1]};
    struct properties p = {0};
    onnx__model_proto__init(&model);
    onnx__graph_proto__init(&graph);
    onnx__operator_set_id_proto__init(&opset);
    g->image = free_name(g, "image");
    g->probs = free_name(g, "probs");
    for (int i = 0; i < n->n_layers && !g->failed; i++)
        g->value[i] = layer(g, &n->layers[i]);
    const char *last = g->failed ? NULL : g->value[n->output];
    if (last && out->rank == 3 && !g->nchw)
        last = transposed(g, last, name(g, "%s/nhwc", n->layers[n->output].name), false);
    input(g, node(g, "Identity", g->probs, g->probs), last ? last : "");
    properties(g, &p);
    Onnx__ValueInfoProto *from = value_info(g, g->image, g->nchw ? nchw : in->dim, 3),
                         *to = value_info(g, g->probs, out->dim, out->rank);
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

int onnx_write(const struct net *n, const char *path, bool nchw, struct error *err)
{
    struct graph g = {.net = n, .arena = ARENA_EMPTY, .err = err, .nchw = nchw};
    const struct net_shape *in = &n->layers[n->input].output;
    if (in->rank != 3 || in->dim[0] < 1 || in->dim[1] < 1)
        return error_set(err, EX_DATAERR, "the network's input size is unknown, and ONNX paddings need it");
    g.value = mem_zalloc((size_t)n->n_layers, sizeof *g.value, err);
    int rc = g.value ? build_and_write(&g, path) : -1;
    arena_release(&g.arena);
    free(g.value);
    free(g.nodes);
    free(g.tensors);
    return rc ? error_prefix(err, "'%s'", path) : 0;
}

#endif
