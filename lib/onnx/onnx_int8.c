/*
 * onnx_int8.c: writes a quantised network in the QDQ format: values are floats, with QuantizeLinear and
 * DequantizeLinear nodes wherever winnow uses bytes. A runtime that recognises the pattern fuses each
 * convolution with the nodes around it, and computes the same integers as winnow. Others compute floats that
 * are rounded at the same places.
 */
#ifdef WINNOW_WITHOUT_ONNX
typedef int onnx_int8_is_left_out;
#else

#include "onnx/onnx_int8.h"

#include <math.h>

bool graph_int8_is_kernel(const struct graph *g, int layer)
{
    const struct net_layer *l = &g->net->layers[layer];
    return g->int8.layers && g->int8.layers[layer].kernel && l->n_inputs == 1 &&
           g->int8.layers[l->inputs[0]].scale > 0 && net_int8_norm_of(g->net, layer) >= 0;
}

/* Adds the inputs name/scale and name/zero. The value itself has the name of the layer. */
static void scale_inputs(struct graph *g, Onnx__NodeProto *n, const char *name)
{
    graph_input(g, n, graph_name(g, "%s/scale", name));
    graph_input(g, n, graph_name(g, "%s/zero", name));
}

const char *graph_int8_value(struct graph *g, int layer, const char *value)
{
    const char *name = g->net->layers[layer].name, *bytes = graph_name(g, "%s/bytes", name);
    if (!g->int8.layers || !(g->int8.layers[layer].scale > 0) || g->failed || !value) return value;
    graph_number(g, graph_name(g, "%s/scale", name), g->int8.layers[layer].scale);
    uint8_t *zero = graph_tensor(g, graph_name(g, "%s/zero", name), ONNX__TENSOR_PROTO__DATA_TYPE__UINT8,
                                 sizeof *zero, NULL, 0);
    if (zero) *zero = (uint8_t)g->int8.layers[layer].zero;
    Onnx__NodeProto *n = graph_node(g, "QuantizeLinear", bytes, bytes);
    graph_input(g, n, value);
    scale_inputs(g, n, name);
    const char *floats = graph_name(g, "%s/int8", name);
    n = graph_node(g, "DequantizeLinear", floats, floats);
    graph_input(g, n, bytes);
    scale_inputs(g, n, name);
    return floats;
}

static const char *dequantised(struct graph *g, const char *name, const char *tensor)
{
    const char *floats = graph_name(g, "%s/int8", name);
    Onnx__NodeProto *n = graph_node(g, "DequantizeLinear", floats, floats);
    graph_input(g, n, tensor);
    scale_inputs(g, n, name);
    graph_int(g, n, "axis", 0);
    return floats;
}

void graph_int8_weights(struct graph *g, Onnx__NodeProto *node, int layer)
{
    struct net_layer *l = &g->net->layers[layer], *norm = &g->net->layers[net_int8_norm_of(g->net, layer)];
    bool depthwise = l->kind == LAYER_DEPTHWISE_CONV2D;
    const struct net_weight *w = net_weight_of(l, depthwise ? WEIGHT_DEPTHWISE_KERNEL : WEIGHT_KERNEL);
    const struct net_weight *gamma = net_weight_of(norm, WEIGHT_GAMMA),
                            *beta = net_weight_of(norm, WEIGHT_BETA),
                            *mean = net_weight_of(norm, WEIGHT_MOVING_MEAN),
                            *variance = net_weight_of(norm, WEIGHT_MOVING_VARIANCE),
                            *own = l->use_bias ? net_weight_of(l, WEIGHT_BIAS) : NULL;
    const int *d = w->shape.dim;
    size_t kh = (size_t)d[0], kw = (size_t)d[1], a = (size_t)d[2], b = (size_t)d[3],
           n_c = depthwise ? a * b : b;
    int64_t dims[4] = {(int64_t)n_c, depthwise ? 1 : d[2], d[0], d[1]};
    const char *kernel = graph_name(g, "%s", w->name), *bias = graph_name(g, "%s/bias", l->name);
    int8_t *to = graph_tensor(g, kernel, ONNX__TENSOR_PROTO__DATA_TYPE__INT8, sizeof *to, dims, 4);
    int8_t *zero = graph_tensor(g, graph_name(g, "%s/zero", kernel), ONNX__TENSOR_PROTO__DATA_TYPE__INT8,
                                sizeof *zero, dims, 1); /* 0, as is that of the bias */
    float *factor = graph_tensor(g, graph_name(g, "%s/scale", kernel), ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT,
                                 sizeof *factor, dims, 1);
    int32_t *whole = graph_tensor(g, bias, ONNX__TENSOR_PROTO__DATA_TYPE__INT32, sizeof *whole, dims, 1);
    int32_t *none = graph_tensor(g, graph_name(g, "%s/zero", bias), ONNX__TENSOR_PROTO__DATA_TYPE__INT32,
                                 sizeof *none, dims, 1);
    float *scale = graph_tensor(g, graph_name(g, "%s/scale", bias), ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT,
                                sizeof *scale, dims, 1);
    if (!to || !zero || !factor || !whole || !none || !scale || g->failed) return;
    for (size_t y = 0; y < kh; y++)
        for (size_t x = 0; x < kw; x++)
            for (size_t i = 0; i < a; i++)
                for (size_t o = 0; o < b; o++) {
                    size_t out = depthwise ? i * b + o : o * a + i;
                    to[(out * kh + y) * kw + x] = (int8_t)w->values[((y * kw + x) * a + i) * b + o];
                }
    /* Computed as in the engine (norm_constants, int8_conv.c), so that the sums are the same. */
    for (size_t c = 0; c < n_c; c++) {
        double s = (gamma ? (double)gamma->values[c] : 1) / sqrt((double)variance->values[c] + norm->epsilon);
        double shift = (beta ? (double)beta->values[c] : 0) - (double)mean->values[c] * s;
        if (own) shift += (double)own->values[c] * s;
        factor[c] = (float)s;
        scale[c] = (float)g->int8.layers[l->inputs[0]].scale * factor[c];
        double v = rint((double)(float)shift / (double)scale[c]);
        whole[c] = (int32_t)fmax(fmin(v, 1 << 30), -(1 << 30));
    }
    graph_input(g, node, dequantised(g, kernel, kernel));
    graph_input(g, node, dequantised(g, bias, bias));
}

#endif
