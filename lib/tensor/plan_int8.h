/* plan_int8.h: the part of a plan that runs in 8 bits. */
#ifndef WINNOW_TENSOR_PLAN_INT8_H
#define WINNOW_TENSOR_PLAN_INT8_H

#include "net/net_int8.h"
#include "tensor/plan_builder.h"

/* Gives the shape of a layer's output the scale that options.int8 has for it. */
void plan_int8_shape(const struct builder *g, int layer, struct tensor_shape *s);
/* The same for the outputs of the nodes from `first` on, now that it is known with which layer each ends, and
 * marks those whose weights are whole numbers. */
void plan_int8_mark(const struct builder *g, size_t first);
/* Once all nodes are there: where one has no form for bytes, its inputs are converted to floats before it,
 * and its output back after it. */
int plan_int8_convert(struct plan *p, struct error *err);

#endif
