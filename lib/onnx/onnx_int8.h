/* onnx_int8.h: the int8 form of a network in ONNX; see onnx_int8.c. */
#ifndef WINNOW_ONNX_ONNX_INT8_H
#define WINNOW_ONNX_ONNX_INT8_H

#include "onnx/onnx_graph.h"

/* Whether this layer is a convolution that computes with bytes. Its batch norm is then part of it. */
bool graph_int8_is_kernel(const struct graph *g, int layer);
/* Adds weights and bias of a layer to its node, as integers with their scales. */
void graph_int8_weights(struct graph *g, Onnx__NodeProto *node, int layer);
/* Returns the value of the layer after quantising and dequantising it, or the value itself if it is not
 * quantised. */
const char *graph_int8_value(struct graph *g, int layer, const char *value);

#endif
