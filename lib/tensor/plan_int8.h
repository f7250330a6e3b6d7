/* plan_int8.h: the part of a plan that runs on 8-bit integers. */
#ifndef WINNOW_TENSOR_PLAN_INT8_H
#define WINNOW_TENSOR_PLAN_INT8_H

#include "net/net_int8.h"
#include "tensor/plan_builder.h"

/* Gives the shape of a layer's output the scale that options.int8 has for it. */
void plan_int8_shape(const struct builder *g, int layer, struct tensor_shape *s);
/* Does the same for the outputs of the nodes from `first` on, once it is known with which layer each node
 * ends, and marks the nodes with integer weights. */
void plan_int8_mark(const struct builder *g, size_t first);
/* Called when all nodes exist. If an operation cannot run on quantised tensors, inserts conversions of its
 * inputs to floats before it and of its output back after it. */
int plan_int8_convert(struct plan *p, struct error *err);

#endif
