/* onnx_graph.c: see onnx_graph.h. */
#ifdef WINNOW_WITHOUT_ONNX
typedef int onnx_graph_is_left_out;
#else

#include "onnx/onnx_graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void *graph_take(struct graph *g, size_t bytes)
{
    void *p = arena_alloc(&g->arena, bytes, g->err);
    if (!p)
        g->failed = true;
    else
        memset(p, 0, bytes);
    return p;
}

char *graph_name(struct graph *g, const char *format, ...)
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

const char *graph_free_name(struct graph *g, const char *wanted)
{
    char text[64];
    int at;
    snprintf(text, sizeof text, "%s", wanted);
    for (int i = 1; (at = net_find(g->net, text)) >= 0 && at != g->net->input; i++)
        snprintf(text, sizeof text, "%s_%d", wanted, i);
    return graph_name(g, "%s", text);
}

Onnx__NodeProto *graph_node(struct graph *g, const char *op, const char *node_name, const char *output)
{
    Onnx__NodeProto *n = graph_take(g, sizeof *n);
    char **out = graph_take(g, sizeof *out);
    if (!n || !out || mem_grow(&g->nodes, &g->node_room, g->n_nodes + 1, sizeof *g->nodes, g->err)) {
        g->failed = true;
        return NULL;
    }
    onnx__node_proto__init(n);
    n->op_type = graph_name(g, "%s", op);
    n->name = graph_name(g, "%s", node_name);
    out[0] = graph_name(g, "%s", output);
    n->output = out;
    n->n_output = 1;
    g->nodes[g->n_nodes++] = n;
    return n;
}

void graph_input(struct graph *g, Onnx__NodeProto *n, const char *tensor)
{
    if (!n || g->failed) return;
    char **grown = graph_take(g, (n->n_input + 1) * sizeof *grown);
    if (!grown) return;
    for (size_t i = 0; i < n->n_input; i++)
        grown[i] = n->input[i];
    grown[n->n_input] = graph_name(g, "%s", tensor);
    n->input = grown;
    n->n_input++;
}

static Onnx__AttributeProto *attribute(struct graph *g, Onnx__NodeProto *n, const char *key, int type)
{
    if (!n || g->failed) return NULL;
    Onnx__AttributeProto **grown = graph_take(g, (n->n_attribute + 1) * sizeof *grown),
                         *a = graph_take(g, sizeof *a);
    if (!grown || !a) return NULL;
    onnx__attribute_proto__init(a);
    a->name = graph_name(g, "%s", key);
    a->has_type = 1;
    a->type = (Onnx__AttributeProto__AttributeType)type;
    for (size_t i = 0; i < n->n_attribute; i++)
        grown[i] = n->attribute[i];
    grown[n->n_attribute] = a;
    n->attribute = grown;
    n->n_attribute++;
    return a;
}

void graph_int(struct graph *g, Onnx__NodeProto *n, const char *key, int64_t value)
{
    Onnx__AttributeProto *a = attribute(g, n, key, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    if (a) {
        a->has_i = 1;
        a->i = value;
    }
}

void graph_float(struct graph *g, Onnx__NodeProto *n, const char *key, double value)
{
    Onnx__AttributeProto *a = attribute(g, n, key, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    if (a) {
        a->has_f = 1;
        a->f = (float)value;
    }
}

void graph_text(struct graph *g, Onnx__NodeProto *n, const char *key, const char *value)
{
    Onnx__AttributeProto *a = attribute(g, n, key, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);
    char *copy = a ? graph_name(g, "%s", value) : NULL;
    if (!copy) return;
    a->has_s = 1;
    a->s.data = (uint8_t *)copy;
    a->s.len = strlen(copy);
}

void graph_ints(struct graph *g, Onnx__NodeProto *n, const char *key, const int64_t *values, size_t count)
{
    Onnx__AttributeProto *a = attribute(g, n, key, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    int64_t *copy = a ? graph_take(g, count * sizeof *copy) : NULL;
    if (!copy) return;
    memcpy(copy, values, count * sizeof *copy);
    a->ints = copy;
    a->n_ints = count;
}

void *graph_tensor(struct graph *g, const char *tensor_name, int data_type, size_t each, const int64_t *dims,
                   size_t rank)
{
    size_t bytes = each;
    Onnx__TensorProto *t = graph_take(g, sizeof *t);
    int64_t *copy = graph_take(g, (rank + 1) * sizeof *copy);
    if (g->failed || mem_grow(&g->tensors, &g->tensor_room, g->n_tensors + 1, sizeof *g->tensors, g->err)) {
        g->failed = true;
        return NULL;
    }
    onnx__tensor_proto__init(t);
    for (size_t i = 0; i < rank; i++) {
        copy[i] = dims[i];
        if (!size_mul(bytes, (size_t)dims[i], &bytes)) g->failed = true;
    }
    void *data = g->failed ? NULL : graph_take(g, bytes);
    t->name = graph_name(g, "%s", tensor_name);
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

const char *graph_floats(struct graph *g, const char *tensor_name, const float *values, size_t n)
{
    int64_t dims[1] = {(int64_t)n};
    float *to = graph_tensor(g, tensor_name, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, sizeof *to, dims, 1);
    if (to) memcpy(to, values, n * sizeof *to);
    return tensor_name;
}

const char *graph_integers(struct graph *g, const char *tensor_name, const int64_t *values, size_t n)
{
    int64_t dims[1] = {(int64_t)n};
    int64_t *to = graph_tensor(g, tensor_name, ONNX__TENSOR_PROTO__DATA_TYPE__INT64, sizeof *to, dims, 1);
    if (to) memcpy(to, values, n * sizeof *to);
    return tensor_name;
}

const char *graph_transposed(struct graph *g, const char *from, const char *to, bool to_nchw)
{
    static const int64_t nchw[] = {0, 3, 1, 2}, nhwc[] = {0, 2, 3, 1};
    Onnx__NodeProto *n = graph_node(g, "Transpose", to, to);
    graph_input(g, n, from);
    graph_ints(g, n, "perm", to_nchw ? nchw : nhwc, 4);
    return to;
}

const char *graph_number(struct graph *g, const char *tensor_name, double value)
{
    float *to = graph_tensor(g, tensor_name, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, sizeof *to, NULL, 0);
    if (to) *to = (float)value;
    return tensor_name;
}

#endif
