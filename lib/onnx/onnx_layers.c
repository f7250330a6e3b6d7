/*
 * onnx_layers.c: converts nodes to layers: names, weights and views; norms, dense layers and joins. It also
 * has the table of operators, and refuses unsupported ones before any node is read.
 */
#ifdef WINNOW_WITHOUT_ONNX
typedef int onnx_layers_is_left_out;
#else

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "onnx/onnx_reader.h"

/* --- names --- */

/* Shortens a name: "/layer1/layer1.0/conv1/Conv" becomes "layer1.0.conv1.Conv". Other slashes become "_". */
static void tidy(const char *name, char *out, size_t room)
{
    size_t n = 0;
    bool path = *name == '/';
    for (const char *at = name + path; *at;) {
        size_t length = strcspn(at, "/");
        const char *next = at[length] ? at + length + 1 : at + length;
        bool repeated = path && strncmp(next, at, length) == 0 && next[length] == '.';
        for (size_t i = 0; !repeated && i < length && n + 2 < room; i++)
            out[n++] = (unsigned char)at[i] < 0x20 || at[i] == 0x7f ? '_' : at[i];
        if (!repeated && *next && n + 2 < room) out[n++] = path ? '.' : '_';
        at = next;
    }
    out[n] = 0;
}

bool reader_is_own_file(const struct reader *r)
{
    return r->model->producer_name && strcmp(r->model->producer_name, "winnow") == 0;
}

struct net_layer *layer_new(struct reader *r, enum layer_kind kind, const char *weight, const int *inputs,
                            int n_inputs)
{
    static const char *const ends[] = {".weight", "/kernel", "/depthwise_kernel", "/gamma", "/moving_mean"};
    char name[NET_MAX_NAME_BYTES - 15], unique[NET_MAX_NAME_BYTES + 1];
    const Onnx__NodeProto *n = r->node;
    const char *given = n->name && *n->name ? n->name : n->n_output ? n->output[0] : "";
    size_t bytes = strlen(given) - (text_ends(given, "/map") ? strlen("/map") : 0);
    snprintf(name, sizeof name, "%.*s", reader_is_own_file(r) ? (int)bytes : 0, given);
    if (!reader_is_own_file(r)) tidy(given, name, sizeof name);
    for (size_t i = 0; weight && i < sizeof ends / sizeof *ends; i++)
        if (text_ends(weight, ends[i]) && strlen(weight) > strlen(ends[i]))
            snprintf(name, sizeof name, "%.*s", (int)(strlen(weight) - strlen(ends[i])), weight);
    if (!text_is_utf8(name, strlen(name)) || !layer_name_ok(name))
        snprintf(name, sizeof name, "layer_%d", r->net->n_layers);
    snprintf(unique, sizeof unique, "%s", name);
    for (int k = 1; net_find(r->net, unique) >= 0; k++)
        snprintf(unique, sizeof unique, "%s_%d", name, k);
    struct net_layer *l = net_add_layer(r->net, kind, unique, r->err);
    return !l || net_layer_connect(l, inputs, n_inputs, r->err) ? NULL : l;
}

int layer_finish(struct reader *r, int layer)
{
    struct net_layer *l = &r->net->layers[layer];
    if (l->n_weights == 0 && net_layer_make_weights(l, r->err)) return -1;
    if (net_infer_layer(r->net, layer, r->err)) return reader_fail(r, "%s", strdupa(r->err->text));
    return 0;
}

float *layer_weight(struct reader *r, int layer, enum weight_role role, const char *name)
{
    struct net_layer *l = &r->net->layers[layer];
    struct net_weight *w = net_weight_of(l, role);
    size_t n;
    if (!w) {
        reader_fail(r, "a weight that the layer does not have");
        return NULL;
    }
    w->shape = net_weight_shape(l, &r->net->layers[l->inputs[0]].output, role);
    if (!net_shape_count(&w->shape, &n)) {
        reader_fail(r, "the size of a weight is not known");
        return NULL;
    }
    w->n_values = n;
    w->values = net_store_floats(r->net, n, r->err);
    return w->values;
}

int layer_output_at(struct reader *r, size_t output, int layer, int rank, int c_axis)
{
    struct value *v = node_output_at(r, output);
    if (!v) return -1;
    v->layer = layer;
    v->rank = rank;
    v->c_axis = c_axis;
    return names_layer(r, layer, r->node->name, v->name);
}

int layer_output(struct reader *r, int layer, int rank, int c_axis)
{
    return layer_output_at(r, 0, layer, rank, c_axis);
}

/* --- other views --- */

/* Adds a layer that has the output of another layer with other dimensions. There is at most one for each
 * layer. */
static int shown_as(struct reader *r, int layer, enum layer_kind kind, int **list)
{
    char name[NET_MAX_NAME_BYTES + 1];
    if ((size_t)layer >= r->shown_room) {
        size_t room = (size_t)layer * 2 + 64;
        int **lists[2] = {&r->as_map, &r->as_vector};
        for (int i = 0; i < 2; i++) {
            int *grown = mem_realloc(*lists[i], room * sizeof *grown, r->err);
            if (!grown) return -1;
            memset(grown + r->shown_room, 0, (room - r->shown_room) * sizeof *grown);
            *lists[i] = grown;
        }
        r->shown_room = room;
    }
    if ((*list)[layer]) return (*list)[layer];
    snprintf(name, sizeof name, "%.200s_%s", r->net->layers[layer].name,
             kind == LAYER_FLATTEN ? "flatten" : "reshape");
    for (int k = 1; net_find(r->net, name) >= 0; k++)
        snprintf(name, sizeof name, "%.200s_%s_%d", r->net->layers[layer].name,
                 kind == LAYER_FLATTEN ? "flatten" : "reshape", k);
    int channels = r->net->layers[layer].output.dim[r->net->layers[layer].output.rank - 1];
    struct net_layer *l = net_add_layer(r->net, kind, name, r->err);
    if (!l || net_layer_connect(l, &layer, 1, r->err)) return -1;
    l->target = (struct net_shape){3, {1, 1, channels}};
    if (layer_finish(r, r->net->n_layers - 1)) return -1;
    return (*list)[layer] = r->net->n_layers - 1;
}

int layer_as_map(struct reader *r, const struct value *v)
{
    if (v->rank != 4 || (v->c_axis != 1 && v->c_axis != 3))
        return reader_fail(r, "takes a map of four dimensions, not one of %d", v->rank);
    if (r->net->layers[v->layer].output.rank == 3) return v->layer;
    return shown_as(r, v->layer, LAYER_RESHAPE, &r->as_map);
}

int layer_as_vector(struct reader *r, const struct value *v)
{
    if (!v->chw && !value_is_vector(r, v))
        return reader_fail(r, "takes a vector for each picture, not a map");
    if (r->net->layers[v->layer].output.rank == 1) return v->layer;
    return shown_as(r, v->layer, LAYER_FLATTEN, &r->as_vector);
}

/* The first input as a map in NCHW. */
int map_input(struct reader *r)
{
    struct value *v = node_input(r, 0);
    if (!value_is_layer(v)) return reader_fail(r, "must read a layer");
    if (v->rank != 4 || v->c_axis != 1) return reader_fail(r, "must read a map with channels at axis 1");
    return layer_as_map(r, v);
}

const struct constant *constant_input(struct reader *r, size_t i, const char **name)
{
    struct value *v = node_input(r, i);
    if (!v) {
        reader_fail(r, "input %zu is missing", i + 1);
        return NULL;
    }
    if (name) *name = v->origin ? v->origin : v->name;
    const struct constant *c = value_constant(r, v);
    if (c && !c->f) {
        reader_fail(r, "input %zu must hold real numbers", i + 1);
        return NULL;
    }
    return c;
}

int give_vector(struct reader *r, int layer, enum weight_role role, const char *name,
                const struct constant *c)
{
    float *to = layer_weight(r, layer, role, name);
    if (!to) return -1;
    struct net_weight *w = net_weight_of(&r->net->layers[layer], role);
    if (c->n != w->n_values)
        return reader_fail(r, "a vector of %zu numbers, where %zu are needed", c->n, w->n_values);
    memcpy(to, c->f, c->n * sizeof *to);
    return names_weight(r, layer, role, name, c, NULL);
}

/* --- norm, dense --- */

static int read_norm(struct reader *r)
{
    static const enum weight_role roles[] = {WEIGHT_GAMMA, WEIGHT_BETA, WEIGHT_MOVING_MEAN,
                                             WEIGHT_MOVING_VARIANCE};
    struct value *v = node_input(r, 0);
    const struct constant *c[4];
    const char *names[4];
    double epsilon = attribute_float(r, "epsilon", 1e-5), momentum = attribute_float(r, "momentum", 0.9);
    if (!value_is_layer(v) || v->c_axis != 1 || v->chw) return reader_fail(r, "must read channels at axis 1");
    if (attribute_int(r, "spatial", 1) != 1) return reader_fail(r, "'spatial' must be 1");
    if (!(epsilon >= 1e-12 && epsilon <= 1)) return reader_fail(r, "'epsilon' must be from 1e-12 to 1");
    for (size_t i = 0; i < 4; i++)
        if (!(c[i] = constant_input(r, i + 1, &names[i]))) return -1;
    int in = v->rank == 4 ? layer_as_map(r, v) : layer_as_vector(r, v), rank = v->rank;
    struct net_layer *l = in < 0 ? NULL : layer_new(r, LAYER_BATCH_NORM, names[0], &in, 1);
    if (!l) return -1;
    int at = r->net->n_layers - 1;
    l->epsilon = epsilon;
    l->momentum = momentum >= 0 && momentum <= 1 ? momentum : 0.9;
    l->axis = -1;
    /* "name/no_gamma", "name/no_beta": winnow's own file, of a Keras layer without them */
    l->scale = !(reader_is_own_file(r) && text_ends(names[0], "/no_gamma"));
    l->center = !(reader_is_own_file(r) && text_ends(names[1], "/no_beta"));
    if (layer_finish(r, at)) return -1;
    for (int i = 0; i < 4; i++)
        if ((i != 0 || r->net->layers[at].scale) && (i != 1 || r->net->layers[at].center) &&
            give_vector(r, at, roles[i], names[i], c[i]))
            return -1;
    return layer_output(r, at, rank, 1);
}

/* w is [in,out], or [out,in] if transposed. If the input is a map that was flattened in NCHW order, the
 * rows are reordered to NHWC. */
static void give_dense(float *to, const struct constant *w, bool transposed, const struct net_shape *chw)
{
    size_t ins = (size_t)w->dim[transposed], outs = (size_t)w->dim[!transposed];
    size_t plane = chw ? (size_t)(chw->dim[0] * chw->dim[1]) : 1, channels = ins / plane;
    for (size_t k = 0; k < ins; k++) {
        size_t from = chw ? k % channels * plane + k / channels : k;
        for (size_t o = 0; o < outs; o++)
            *to++ = transposed ? w->f[o * ins + from] : w->f[from * outs + o];
    }
}

/* Sets the bias to beta times a constant, which may be one number for all channels. */
static int give_bias(struct reader *r, int layer, const char *name, const struct constant *c, double beta)
{
    if (beta == 1 && c->n == (size_t)r->net->layers[layer].units)
        return give_vector(r, layer, WEIGHT_BIAS, name, c);
    float *to = layer_weight(r, layer, WEIGHT_BIAS, name);
    for (int k = 0; to && k < r->net->layers[layer].units; k++)
        to[k] = (float)(c->f[c->n == 1 ? 0 : k] * beta);
    return to ? 0 : -1;
}

static int read_dense(struct reader *r)
{
    bool gemm = strcmp(r->node->op_type, "Gemm") == 0,
         transposed = gemm && attribute_int(r, "transB", 0) != 0;
    struct value *v = node_input(r, 0);
    const char *name, *bias_name = NULL;
    const struct constant *bias = NULL;
    if (!value_is_layer(v)) return reader_fail(r, "must read a layer");
    if (value_is_layer(node_input(r, 1)))
        return reader_fail(r, "the product of two layers' outputs (attention) is not supported");
    const struct constant *w = constant_input(r, 1, &name);
    if (!w || (gemm && node_input(r, 2) && !(bias = constant_input(r, 2, &bias_name)))) return -1;
    double alpha = gemm ? attribute_float(r, "alpha", 1) : 1, beta = gemm ? attribute_float(r, "beta", 1) : 1;
    if (gemm && attribute_int(r, "transA", 0)) return reader_fail(r, "'transA' must be 0");
    if (v->rank < 2 || v->c_axis != v->rank - 1 || w->rank != 2)
        return reader_fail(r, "must multiply a vector by a matrix");
    const struct net_shape map = r->net->layers[v->layer].output;
    int in = layer_as_vector(r, v), rank = v->rank;
    if (in < 0) return -1;
    if (w->dim[transposed] != r->net->layers[in].output.dim[0] || w->dim[!transposed] < 1 ||
        w->dim[!transposed] > NET_MAX_DIM)
        return reader_fail(r, "weights of %lld x %lld do not fit a vector of %d", (long long)w->dim[0],
                           (long long)w->dim[1], r->net->layers[in].output.dim[0]);
    if (bias && bias->n != (size_t)w->dim[!transposed] && bias->n != 1)
        return reader_fail(r, "its bias of %zu numbers does not fit", bias->n);
    struct net_layer *l = layer_new(r, LAYER_DENSE, name, &in, 1);
    if (!l) return -1;
    int at = r->net->n_layers - 1;
    l->units = (int)w->dim[!transposed];
    l->use_bias = bias != NULL;
    float *to = layer_finish(r, at) ? NULL : layer_weight(r, at, WEIGHT_KERNEL, name);
    if (!to) return -1;
    give_dense(to, w, transposed, v->chw ? &map : NULL);
    for (size_t k = 0; alpha != 1 && k < w->n; k++)
        to[k] = (float)(to[k] * alpha);
    if (alpha == 1 && names_weight(r, at, WEIGHT_KERNEL, name, w, transposed ? "transposed" : NULL))
        return -1;
    if (bias && give_bias(r, at, bias_name, bias, beta)) return -1;
    return layer_output(r, at, rank, rank - 1);
}

/* --- joins --- */

static int read_concat(struct reader *r)
{
    struct value *first = node_input(r, 0);
    int list[64], n = (int)r->node->n_input, rank = first ? first->rank : 0,
                  c_axis = first ? first->c_axis : 0;
    int64_t axis = attribute_int(r, "axis", 1);
    if (n > 64) return reader_fail(r, "more than 64 inputs");
    for (int i = 0; i < n; i++) {
        struct value *v = node_input(r, (size_t)i);
        if (!value_is_layer(v) || v->rank != rank || v->c_axis != c_axis || v->chw)
            return reader_fail(r, "joins what is not alike");
        if ((axis < 0 ? axis + rank : axis) != c_axis)
            return reader_fail(r, "joins along another axis than the channels");
        if ((list[i] = rank == 4 ? layer_as_map(r, v) : layer_as_vector(r, v)) < 0) return -1;
    }
    if (n == 1) return layer_output(r, first->layer, rank, c_axis);
    while (n > 1) { /* the engine supports eight inputs at once */
        int some = n < 8 ? n : 8;
        struct net_layer *l = layer_new(r, LAYER_CONCATENATE, NULL, list, some);
        if (!l) return -1;
        l->axis = -1;
        if (layer_finish(r, r->net->n_layers - 1)) return -1;
        list[0] = r->net->n_layers - 1;
        memmove(list + 1, list + some, (size_t)(n - some) * sizeof *list);
        n -= some - 1;
    }
    return layer_output(r, list[0], rank, c_axis);
}

/* --- the table --- */

static const struct onnx_operator layer_operators[] = {
    {"BatchNormalization", "epsilon momentum spatial training_mode", read_norm},
    {"Gemm", "alpha beta transA transB", read_dense},
    {"MatMul", "", read_dense},
    {"Concat", "axis", read_concat},
    {NULL, NULL, NULL},
};

static bool in_list(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = list; n && (at = strstr(at, word)); at += n)
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == 0)) return true;
    return false;
}

/* Returns NULL when the operator is not supported. */
static const struct onnx_operator *operator_of(const Onnx__NodeProto *n)
{
    const struct onnx_operator *const tables[] = {arithmetic_operators, view_operators, move_operators,
                                                  window_operators, layer_operators};
    if (n->domain && *n->domain && strcmp(n->domain, "ai.onnx") != 0) return NULL;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const struct onnx_operator *o = tables[i]; o->op; o++)
            if (strcmp(o->op, n->op_type) == 0) return o;
    return NULL;
}

int check_operator(struct reader *r)
{
    if (operator_of(r->node) || fold_knows(r->node)) return 0;
    return reader_fail(r, "this operator is not supported");
}

/* Checks that the operator accepts a value that is not simply a layer's output. Only a few operators do. */
static int check_form(struct reader *r, const struct value *v)
{
    const char *op = r->node->op_type;
    if (!value_is_layer(v)) return 0;
    if (v->groups && strcmp(op, "Transpose") != 0 && strcmp(op, "Reshape") != 0)
        return reader_fail(r, "reads channels in groups, which is supported for changing their places only");
    if (form_is_gelu(v->form) && strcmp(op, "Add") != 0 && strcmp(op, "Mul") != 0)
        return reader_fail(r, "reads an error function, which is supported as a part of GELU only");
    if (v->form == FORM_REPEATED && strcmp(op, "Mul") != 0)
        return reader_fail(r, "reads a vector repeated over a map, which is supported for products only");
    if (v->form == FORM_PADDED_BELOW && strcmp(op, "MaxPool") != 0)
        return reader_fail(r, "reads pads that are not zeros, which is supported for a maximum only");
    return 0;
}

int read_node(struct reader *r)
{
    const Onnx__NodeProto *n = r->node;
    const struct onnx_operator *o = operator_of(n);
    char shown[64];
    if (!o) return reader_fail(r, "this operator is supported on constants only");
    for (size_t i = 0; i < n->n_attribute; i++)
        if (!n->attribute[i]->name || !in_list(o->attributes, n->attribute[i]->name))
            return reader_fail(r, "the attribute '%s' is not supported",
                               text_for_people(shown, sizeof shown,
                                               n->attribute[i]->name ? n->attribute[i]->name : ""));
    if (strcmp(n->op_type, "BatchNormalization") == 0 && attribute_int(r, "training_mode", 0))
        return reader_fail(r, "was exported for training: export for inference");
    for (size_t i = 0; i < n->n_input; i++)
        if (check_form(r, node_input(r, i))) return -1;
    return o->read(r);
}

#endif
