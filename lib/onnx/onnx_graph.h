/*
 * onnx_graph.h: functions that add the parts of an ONNX graph to be written. Nodes, tensors and strings live
 * in the graph's arena; the arrays `nodes` and `tensors` are on the heap, and the caller frees them. A
 * failure is recorded (failed, err), so that callers need to check only once.
 */
#ifndef WINNOW_ONNX_ONNX_GRAPH_H
#define WINNOW_ONNX_ONNX_GRAPH_H

#include "base/mem.h"
#include "net/net.h"
#include "net/net_int8.h"
#include "onnx/onnx.h"
#include "onnx.pb-c.h"

struct graph {
    struct net_int8 int8; /* layers NULL: the whole graph computes in floats */
    const struct net *net;
    struct arena arena;
    struct error *err;
    bool failed;
    const struct onnx_form *form;
    const char *image, *probs; /* of input and output: the form's names, or the next free ones */
    const char **value;        /* for each layer, the name of its output tensor; maps are in NCHW */
    Onnx__NodeProto **nodes;
    size_t n_nodes, node_room;
    Onnx__TensorProto **tensors;
    size_t n_tensors, tensor_room;
};

void *graph_take(struct graph *g, size_t bytes); /* zeroed */
char *graph_name(struct graph *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Returns `wanted`, or wanted_1 and so on if a layer other than the input has that name. */
const char *graph_free_name(struct graph *g, const char *wanted);

/* Adds a node with one output and returns it. Returns NULL after a failure; the other functions accept that
 * NULL. */
Onnx__NodeProto *graph_node(struct graph *g, const char *op, const char *node_name, const char *output);
void graph_input(struct graph *g, Onnx__NodeProto *n, const char *tensor);
void graph_int(struct graph *g, Onnx__NodeProto *n, const char *key, int64_t value);
void graph_float(struct graph *g, Onnx__NodeProto *n, const char *key, double value);
void graph_text(struct graph *g, Onnx__NodeProto *n, const char *key, const char *value);
void graph_ints(struct graph *g, Onnx__NodeProto *n, const char *key, const int64_t *values, size_t count);

/* Adds an initializer whose bytes the caller fills. Returns NULL after a failure. */
void *graph_tensor(struct graph *g, const char *tensor_name, int data_type, size_t each, const int64_t *dims,
                   size_t rank);
/* These return tensor_name. */
const char *graph_floats(struct graph *g, const char *tensor_name, const float *values, size_t n);
const char *graph_integers(struct graph *g, const char *tensor_name, const int64_t *values, size_t n);
const char *graph_number(struct graph *g, const char *tensor_name, double value);

/* Adds a Transpose between NHWC and NCHW. Returns `to`. */
const char *graph_transposed(struct graph *g, const char *from, const char *to, bool to_nchw);

#endif
