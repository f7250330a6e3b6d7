/* onnx_int8.h: the int8 form of a network in ONNX; see onnx_int8.c. */
#ifndef WINNOW_ONNX_ONNX_INT8_H
#define WINNOW_ONNX_ONNX_INT8_H

#include "onnx/onnx_graph.h"

/* Whether this layer is a convolution that runs on bytes. Then its batch norm is part of it. */
bool graph_int8_is_kernel(const struct graph *g, int layer);
/* Adds weights and bias, as whole numbers with their factors, to its node. */
void graph_int8_weights(struct graph *g, Onnx__NodeProto *node, int layer);
/* The layer's value through bytes, or as it is. */
const char *graph_int8_value(struct graph *g, int layer, const char *value);

#endif
