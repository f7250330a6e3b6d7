/*
 * onnx_layers.c: reads convolutions, pools, norms, dense layers and concatenations. ONNX computes in NCHW
 * with explicit padding in each node. Keras' layers compute in NHWC; their padding follows TensorFlow's rule,
 * or comes from a ZeroPadding2D.
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

/* "/layer1/layer1.0/conv1/Conv" as "layer1.0.conv1.Conv"; other slashes as "_". */
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

/* Adds a layer that gives the output of another layer other dimensions; at most one for each layer. */
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
static int map_input(struct reader *r)
{
    struct value *v = node_input(r, 0);
    if (!value_is_layer(v)) return reader_fail(r, "must read a layer");
    if (v->rank != 4 || v->c_axis != 1) return reader_fail(r, "must read a map with channels at axis 1");
    return layer_as_map(r, v);
}

static const struct constant *constant_input(struct reader *r, size_t i, const char **name)
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

/* --- windows --- */

struct window {
    int kernel[2], stride[2], dilation[2], before[2], after[2];
};

static int read_pair(struct reader *r, const char *key, int missing, int out[2], int64_t max)
{
    int64_t v[2] = {missing, missing};
    if (attribute_of(r, key) && attribute_ints(r, key, v, 2) != 2)
        return reader_fail(r, "'%s' must have two numbers", key);
    for (int i = 0; i < 2; i++) {
        if (v[i] < 1 || v[i] > max) return reader_fail(r, "'%s' must be from 1 to %lld", key, (long long)max);
        out[i] = (int)v[i];
    }
    return 0;
}

/* Reads strides, dilations and pads for an input of in[2] pixels. ceil: the last window may exceed the
 * picture. */
static int read_window(struct reader *r, struct window *w, const int in[2], bool ceil)
{
    int64_t pads[4] = {0};
    int n = attribute_ints(r, "pads", pads, 4);
    bool upper = attribute_is(r, "auto_pad", "SAME_UPPER", false),
         lower = attribute_is(r, "auto_pad", "SAME_LOWER", false);
    if (attribute_of(r, "pads") && n != 4) return reader_fail(r, "'pads' must have four numbers");
    if (read_pair(r, "strides", 1, w->stride, 4096) || read_pair(r, "dilations", 1, w->dilation, 4096))
        return -1;
    for (int i = 0; i < 2; i++) {
        int span = (w->kernel[i] - 1) * w->dilation[i] + 1;
        if (pads[i] < 0 || pads[i] > 4096 || pads[i + 2] < 0 || pads[i + 2] > 4096)
            return reader_fail(r, "'pads' must be from 0 to 4096");
        w->before[i] = (int)pads[i];
        w->after[i] = (int)pads[i + 2];
        if (attribute_is(r, "auto_pad", "VALID", false)) w->before[i] = w->after[i] = 0;
        if (upper || lower) {
            if (in[i] < 0) return reader_fail(r, "the size of its input is not known");
            int total = ((in[i] + w->stride[i] - 1) / w->stride[i] - 1) * w->stride[i] + span - in[i];
            total = total > 0 ? total : 0;
            w->before[i] = lower ? total - total / 2 : total / 2;
            w->after[i] = total - w->before[i];
        }
        if (ceil && !upper && !lower && in[i] >= 0) {
            int room = in[i] + w->before[i] + w->after[i] - span, rest = room >= 0 ? room % w->stride[i] : 0;
            /* a window that would begin after the picture and its first padding is omitted */
            int extra = rest ? w->stride[i] - rest : 0;
            if (extra && room / w->stride[i] * w->stride[i] + w->stride[i] < in[i] + w->before[i])
                w->after[i] += extra;
        }
    }
    return 0;
}

/* Whether these pads are those of TensorFlow's "same". */
static bool is_same(const struct window *w, const int in[2])
{
    for (int i = 0; i < 2; i++) {
        int span = (w->kernel[i] - 1) * w->dilation[i] + 1;
        if (in[i] < 0) return false;
        int total = ((in[i] + w->stride[i] - 1) / w->stride[i] - 1) * w->stride[i] + span - in[i];
        total = total > 0 ? total : 0;
        if (w->before[i] != total / 2 || w->after[i] != total - total / 2) return false;
    }
    return true;
}

static bool has_pads(const struct window *w)
{
    return w->before[0] || w->before[1] || w->after[0] || w->after[1];
}

static void set_pads(struct net_layer *l, const struct window *w)
{
    l->pad_top = w->before[0];
    l->pad_left = w->before[1];
    l->pad_bottom = w->after[0];
    l->pad_right = w->after[1];
}

static void set_window(struct net_layer *l, const struct window *w)
{
    l->kernel_h = w->kernel[0];
    l->kernel_w = w->kernel[1];
    l->stride_h = w->stride[0];
    l->stride_w = w->stride[1];
    l->dilation_h = w->dilation[0];
    l->dilation_w = w->dilation[1];
}

/* Adds a ZeroPadding2D before the next layer. Its name ends in _pads, by which the writer merges it into
 * that layer again. */
static int padded(struct reader *r, int map, const struct window *w, const char *weight)
{
    struct net_layer *l = layer_new(r, LAYER_ZERO_PADDING, weight, &map, 1);
    if (!l) return -1;
    char name[NET_MAX_NAME_BYTES + 1];
    snprintf(name, sizeof name, "%.200s_pads", l->name);
    for (int k = 1; net_find(r->net, name) >= 0; k++)
        snprintf(name, sizeof name, "%.200s_pads_%d", l->name, k);
    char *copy = mem_strdup(name, r->err);
    if (!copy) return -1;
    free(l->name);
    l->name = copy;
    set_pads(l, w);
    return layer_finish(r, r->net->n_layers - 1) ? -1 : r->net->n_layers - 1;
}

/* --- convolutions --- */

/* [out,in,h,w] to [h,w,in,out], and a depthwise [c*m,1,h,w] to [h,w,c,m]. */
static void give_kernel(float *to, const struct constant *c, bool depthwise, size_t channels)
{
    size_t outs = (size_t)c->dim[0], ins = (size_t)c->dim[1], plane = (size_t)(c->dim[2] * c->dim[3]);
    size_t m = depthwise ? outs / channels : 0;
    for (size_t p = 0; p < plane; p++)
        for (size_t i = 0; i < (depthwise ? channels : ins); i++)
            for (size_t o = 0; o < (depthwise ? m : outs); o++)
                *to++ = depthwise ? c->f[(i * m + o) * plane + p] : c->f[(o * ins + i) * plane + p];
}

static int give_vector(struct reader *r, int layer, enum weight_role role, const char *name,
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

static int read_conv(struct reader *r)
{
    const char *name, *bias_name = NULL;
    int map = map_input(r);
    const struct constant *w = map < 0 ? NULL : constant_input(r, 1, &name), *bias = NULL;
    struct window window = {.kernel = {1, 1}};
    int64_t shape[2], group = attribute_int(r, "group", 1);
    if (!w || (node_input(r, 2) && !(bias = constant_input(r, 2, &bias_name)))) return -1;
    const struct net_shape *in = &r->net->layers[map].output;
    int size[2] = {in->dim[0], in->dim[1]}, channels = in->dim[2];
    if (w->rank != 4)
        return reader_fail(r, "is not a convolution of pictures: its weights have %d dimensions", w->rank);
    for (int i = 0; i < 2; i++) {
        if (w->dim[i + 2] < 1 || w->dim[i + 2] > 4096) return reader_fail(r, "a kernel of unusable size");
        window.kernel[i] = (int)w->dim[i + 2];
    }
    int n = attribute_ints(r, "kernel_shape", shape, 2);
    if (attribute_of(r, "kernel_shape") && (n != 2 || shape[0] != w->dim[2] || shape[1] != w->dim[3]))
        return reader_fail(r, "'kernel_shape' is not that of its weights");
    if (group < 1 || group > channels || channels % group || w->dim[0] < 1 || w->dim[0] > NET_MAX_DIM ||
        w->dim[0] % group || w->dim[1] != channels / group)
        return reader_fail(r, "weights of %lld channels from %lld do not fit %d channels in %lld groups",
                           (long long)w->dim[0], (long long)w->dim[1], channels, (long long)group);
    if (read_window(r, &window, size, false)) return -1;
    bool same = is_same(&window, size), depthwise = group == channels && group > 1;
    if (!same && has_pads(&window) && (map = padded(r, map, &window, name)) < 0) return -1;
    struct net_layer *l = layer_new(r, depthwise ? LAYER_DEPTHWISE_CONV2D : LAYER_CONV2D, name, &map, 1);
    if (!l) return -1;
    int at = r->net->n_layers - 1;
    set_window(l, &window);
    l->same = same && has_pads(&window);
    l->filters = (int)(depthwise ? w->dim[0] / channels : w->dim[0]);
    l->groups = depthwise ? 1 : (int)group;
    l->use_bias = bias != NULL;
    enum weight_role role = depthwise ? WEIGHT_DEPTHWISE_KERNEL : WEIGHT_KERNEL;
    if (layer_finish(r, at)) return -1;
    float *to = layer_weight(r, at, role, name);
    if (!to) return -1;
    give_kernel(to, w, depthwise, (size_t)channels);
    if (names_weight(r, at, role, name, w, NULL) ||
        (bias && give_vector(r, at, WEIGHT_BIAS, bias_name, bias)))
        return -1;
    return layer_output(r, at, 4, 1);
}

/* --- pools --- */

static int read_pool(struct reader *r)
{
    bool max = strcmp(r->node->op_type, "MaxPool") == 0;
    int map = map_input(r);
    struct window w = {.kernel = {1, 1}};
    if (map < 0 || read_pair(r, "kernel_shape", 0, w.kernel, 4096)) return -1;
    const struct net_shape *in = &r->net->layers[map].output;
    int size[2] = {in->dim[0], in->dim[1]};
    bool ceil = attribute_int(r, "ceil_mode", 0) != 0,
         counts = !max && attribute_int(r, "count_include_pad", 0);
    if (attribute_int(r, "storage_order", 0) || r->node->n_output > 1)
        return reader_fail(r, "the places of its maxima are not read");
    if (read_window(r, &w, size, counts ? false : ceil)) return -1;
    if (w.dilation[0] != 1 || w.dilation[1] != 1) return reader_fail(r, "dilated pools are not supported");
    if (counts && ceil && has_pads(&w))
        return reader_fail(r, "ceil_mode with count_include_pad is not supported");
    if (counts && ceil && read_window(r, &w, size, true)) return -1;
    bool same = is_same(&w, size);
    if (counts && !ceil && has_pads(&w)) { /* padding that counts as values: add it as pixels */
        if ((map = padded(r, map, &w, NULL)) < 0) return -1;
        memset(w.before, 0, sizeof w.before);
        memset(w.after, 0, sizeof w.after);
        same = false;
    }
    struct net_layer *l = layer_new(r, max ? LAYER_MAX_POOL : LAYER_AVERAGE_POOL, NULL, &map, 1);
    if (!l) return -1;
    int at = r->net->n_layers - 1;
    set_window(l, &w);
    l->same = same && has_pads(&w);
    if (!l->same) set_pads(l, &w);
    return layer_finish(r, at) ? -1 : layer_output(r, at, 4, 1);
}

/* The mean over the pixels of a map: GlobalAveragePool, or ReduceMean over exactly these axes. */
static int global_average(struct reader *r, struct value *v, bool keep)
{
    int map = layer_as_map(r, v), c_axis = v->c_axis;
    struct net_layer *l = map < 0 ? NULL : layer_new(r, LAYER_GLOBAL_AVERAGE_POOL, NULL, &map, 1);
    if (!l || layer_finish(r, r->net->n_layers - 1)) return -1;
    return layer_output(r, r->net->n_layers - 1, keep ? 4 : 2, keep ? c_axis : 1);
}

static int read_global_pool(struct reader *r)
{
    struct value *v = node_input(r, 0);
    int map = map_input(r);
    if (map < 0) return -1;
    if (strcmp(r->node->op_type, "GlobalAveragePool") == 0) return global_average(r, v, true);
    const struct net_shape *in = &r->net->layers[map].output; /* a window over everything */
    if (in->dim[0] < 1 || in->dim[1] < 1) return reader_fail(r, "the size of its input is not known");
    int h = in->dim[0], w = in->dim[1];
    struct net_layer *l = layer_new(r, LAYER_MAX_POOL, NULL, &map, 1);
    if (!l) return -1;
    l->kernel_h = l->stride_h = h;
    l->kernel_w = l->stride_w = w;
    return layer_finish(r, r->net->n_layers - 1) ? -1 : layer_output(r, r->net->n_layers - 1, 4, 1);
}

static int read_mean(struct reader *r)
{
    struct value *v = node_input(r, 0);
    int64_t axes[4];
    bool marked[4] = {false};
    int n = integers_of(r, 1, r->opset < 18 ? "axes" : NULL, axes, 4);
    if (n == -2) return -1;
    if (!value_is_layer(v) || v->rank != 4 || n != 2)
        return reader_fail(r, "means other than of a map's pixels are not supported");
    for (int i = 0; i < 2; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + 4 : axes[i];
        if (axis >= 0 && axis < 4) marked[axis] = true;
    }
    if (!marked[v->c_axis == 1 ? 2 : 1] || !marked[v->c_axis == 1 ? 3 : 2])
        return reader_fail(r, "means other than of a map's pixels are not supported");
    return global_average(r, v, attribute_int(r, "keepdims", 1) != 0);
}

/* --- norm, padding, dense --- */

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

static int read_pad(struct reader *r)
{
    struct value *v = node_input(r, 0);
    int64_t pads[8], axes[4] = {0, 1, 2, 3}, all[8] = {0};
    int n = integers_of(r, 1, r->opset < 11 ? "pads" : NULL, pads, 8), n_axes = 4;
    if (n == -2) return -1;
    if (!value_is_layer(v) || v->rank != 4)
        return reader_fail(r, "pads other than of a map are not supported");
    if (r->opset >= 18 && node_input(r, 3) && (n_axes = integers_of(r, 3, NULL, axes, 4)) < 0) return -1;
    if (n != 2 * n_axes) return reader_fail(r, "its pads do not fit its axes");
    if (!attribute_is(r, "mode", "constant", true))
        return reader_fail(r, "only constant padding is supported");
    double filled = r->opset < 11 ? attribute_float(r, "value", 0) : 0;
    if (r->opset >= 11 && node_input(r, 2)) {
        const struct constant *c = value_constant(r, node_input(r, 2));
        if (!c) return -1;
        filled = c->n == 1 ? (c->f ? (double)c->f[0] : (double)c->i[0]) : 1;
    }
    if (filled != 0) return reader_fail(r, "only padding with zeros is supported");
    for (int i = 0; i < n_axes; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + 4 : axes[i];
        if (axis < 0 || axis > 3 || pads[i] < -4096 || pads[i] > 4096 || pads[i + n_axes] < -4096 ||
            pads[i + n_axes] > 4096)
            return reader_fail(r, "its pads must be from -4096 to 4096");
        all[axis] = pads[i];
        all[axis + 4] = pads[i + n_axes];
    }
    int h = v->c_axis == 1 ? 2 : 1;
    if (all[0] || all[4] || all[v->c_axis] || all[v->c_axis + 4])
        return reader_fail(r, "pads other than of pixels are not supported");
    int map = layer_as_map(r, v), c_axis = v->c_axis;
    if (map < 0) return -1;
    for (int pass = 0; pass < 2; pass++) { /* first cropping, then padding */
        struct window w = {{0}, {0}, {0}, {0}, {0}};
        for (int i = 0; i < 2; i++) {
            int before = (int)all[h + i], after = (int)all[h + i + 4];
            w.before[i] = (before < 0) == (pass == 0) ? before : 0;
            w.after[i] = (after < 0) == (pass == 0) ? after : 0;
        }
        if (!has_pads(&w)) continue;
        struct net_layer *l = layer_new(r, LAYER_ZERO_PADDING, NULL, &map, 1);
        if (!l) return -1;
        set_pads(l, &w);
        map = r->net->n_layers - 1;
        if (layer_finish(r, map)) return -1;
    }
    if (map != v->layer) return layer_output(r, map, 4, c_axis);
    struct value *out = node_output(r); /* no pads at all */
    if (!out) return -1;
    out->layer = map;
    out->rank = 4;
    out->c_axis = c_axis;
    return 0;
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

/* beta times the bias, which may be one number for all. */
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

static const struct {
    const char *op, *attributes;
    read_function read;
} operators[] = {
    {"Conv", "auto_pad dilations group kernel_shape pads strides", read_conv},
    {"MaxPool", "auto_pad ceil_mode dilations kernel_shape pads storage_order strides", read_pool},
    {"AveragePool", "auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides", read_pool},
    {"GlobalAveragePool", "", read_global_pool},
    {"GlobalMaxPool", "", read_global_pool},
    {"ReduceMean", "axes keepdims noop_with_empty_axes", read_mean},
    {"BatchNormalization", "epsilon momentum spatial training_mode", read_norm},
    {"Pad", "mode pads value", read_pad},
    {"Gemm", "alpha beta transA transB", read_dense},
    {"MatMul", "", read_dense},
    {"Concat", "axis", read_concat},
};

static bool in_list(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = list; n && (at = strstr(at, word)); at += n)
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || at[n] == 0)) return true;
    return false;
}

static read_function operator_of(const Onnx__NodeProto *n, const char **attributes)
{
    if (n->domain && *n->domain && strcmp(n->domain, "ai.onnx") != 0) return NULL;
    read_function read = arithmetic_of(n->op_type, attributes);
    if (!read) read = view_of_kind(n->op_type, attributes);
    if (!read) read = move_of_kind(n->op_type, attributes);
    for (size_t i = 0; !read && i < sizeof operators / sizeof *operators; i++)
        if (strcmp(operators[i].op, n->op_type) == 0) {
            *attributes = operators[i].attributes;
            return operators[i].read;
        }
    return read;
}

int check_operator(struct reader *r)
{
    const char *attributes;
    if (operator_of(r->node, &attributes) || fold_knows(r->node)) return 0;
    return reader_fail(r, "this operator is not supported");
}

int read_node(struct reader *r)
{
    const Onnx__NodeProto *n = r->node;
    const char *attributes = NULL;
    char shown[64];
    read_function read = operator_of(n, &attributes);
    if (!read) return reader_fail(r, "this operator is supported on constants only");
    for (size_t i = 0; i < n->n_attribute; i++)
        if (!n->attribute[i]->name || !in_list(attributes, n->attribute[i]->name))
            return reader_fail(r, "the attribute '%s' is not supported",
                               text_for_people(shown, sizeof shown,
                                               n->attribute[i]->name ? n->attribute[i]->name : ""));
    if (strcmp(n->op_type, "BatchNormalization") == 0 && attribute_int(r, "training_mode", 0))
        return reader_fail(r, "was exported for training: export for inference");
    for (size_t i = 0; i < n->n_input; i++) {
        const struct value *v = node_input(r, i);
        if (value_is_layer(v) && v->groups && strcmp(n->op_type, "Transpose") != 0 &&
            strcmp(n->op_type, "Reshape") != 0)
            return reader_fail(r,
                               "reads channels in groups, which is supported for changing their places only");
    }
    return read(r);
}

#endif
