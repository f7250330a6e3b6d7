/* plan_int8.h: the part of a plan that runs on 8-bit integers. */
#ifndef WINNOW_TENSOR_PLAN_INT8_H
#define WINNOW_TENSOR_PLAN_INT8_H

#include "net/net_int8.h"
#include "tensor/plan_builder.h"

/* Sets the scale in the shape of a layer's output to that in options.int8. */
void plan_int8_shape(const struct builder *g, int layer, struct tensor_shape *s);
/* Does the same for the outputs of the nodes from `first` on, when the last layer of each node is known, and
 * marks the nodes with integer weights. */
void plan_int8_mark(const struct builder *g, size_t first);
/* Call it when all nodes exist. For each operation that cannot run on quantised tensors, inserts conversions
 * of its inputs to floats, and of its output back. */
int plan_int8_convert(struct plan *p, struct error *err);

#endif
