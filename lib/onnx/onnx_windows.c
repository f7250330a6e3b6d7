/*
 * onnx_windows.c: reads convolutions, pools and pads. ONNX computes in NCHW with explicit padding in each
 * node. Keras' layers compute in NHWC; their padding follows TensorFlow's rule, or comes from a
 * ZeroPadding2D.
 */
#ifdef WINNOW_WITHOUT_ONNX
typedef int onnx_windows_is_left_out;
#else

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/onnx_reader.h"

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

/* Converts a kernel [out,in,h,w] to [h,w,in,out], or a depthwise one [c*m,1,h,w] to [h,w,c,m]. */
static void give_kernel(float *to, const struct constant *c, bool depthwise, size_t channels)
{
    size_t outs = (size_t)c->dim[0], ins = (size_t)c->dim[1], plane = (size_t)(c->dim[2] * c->dim[3]);
    size_t m = depthwise ? outs / channels : 0;
    for (size_t p = 0; p < plane; p++)
        for (size_t i = 0; i < (depthwise ? channels : ins); i++)
            for (size_t o = 0; o < (depthwise ? m : outs); o++)
                *to++ = depthwise ? c->f[(i * m + o) * plane + p] : c->f[(o * ins + i) * plane + p];
}

/*
 * Reads a convolution of one channel along the numbers of a vector, as in ECA's gates. The vector becomes a
 * row of pixels, and is converted back afterwards.
 */
static int conv_along(struct reader *r, const struct value *v, const struct constant *w, const char *name)
{
    int64_t pads[4] = {0}, stride[2] = {1, 1}, dilation[2] = {1, 1};
    int from = v->layer, channels = value_channels(r, v), axes = v->rank - 2, last = axes - 1, rank = v->rank,
        n = attribute_ints(r, "pads", pads, 4);
    int64_t k = w->dim[w->rank - 1], before = pads[last], after = pads[n - 1 > 0 ? n - 1 : 0];
    (void)attribute_ints(r, "strides", stride, 2);
    (void)attribute_ints(r, "dilations", dilation, 2);
    bool fits = k > 0 && k < 4096 && w->n == (size_t)k && n == 2 * axes && before >= 0 && before <= k &&
                after >= 0 && before + after == k - 1 && !node_input(r, 2) && !attribute_of(r, "auto_pad");
    for (int i = 0; fits && i < axes; i++)
        fits = stride[i] == 1 && dilation[i] == 1 && (i == last || (!pads[i] && !pads[i + axes]));
    if (!fits)
        return reader_fail(r, "is not a convolution of pictures, nor one along a vector that keeps its size");
    struct window window = {.before = {0, (int)before}, .after = {0, (int)after}};
    struct net_layer *l = layer_new(r, LAYER_RESHAPE, NULL, &from, 1);
    if (!l) return -1;
    l->target = (struct net_shape){3, {1, channels, 1}};
    int at = r->net->n_layers - 1;
    if (layer_finish(r, at) || (has_pads(&window) && (at = padded(r, at, &window, name)) < 0) ||
        !(l = layer_new(r, LAYER_CONV2D, name, &at, 1)))
        return -1;
    l->kernel_w = (int)k;
    l->filters = 1;
    at = r->net->n_layers - 1;
    if (layer_finish(r, at)) return -1;
    float *to = layer_weight(r, at, WEIGHT_KERNEL, name);
    if (!to) return -1;
    memcpy(to, w->f, (size_t)k * sizeof *to);
    if (names_weight(r, at, WEIGHT_KERNEL, name, w, NULL) || !(l = layer_new(r, LAYER_RESHAPE, NULL, &at, 1)))
        return -1;
    l->target = (struct net_shape){3, {1, 1, channels}};
    at = r->net->n_layers - 1;
    return layer_finish(r, at) ? -1 : layer_output(r, at, rank, rank - 1);
}

static int read_conv(struct reader *r)
{
    struct value *v = node_input(r, 0);
    if (value_is_layer(v) && (v->rank == 3 || v->rank == 4) && v->c_axis == v->rank - 1 &&
        value_is_vector(r, v) && !v->chw) {
        const char *along;
        const struct constant *line = constant_input(r, 1, &along);
        if (!line) return -1;
        if (line->rank == v->rank) return conv_along(r, v, line, along);
    }
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
    const int *below = node_input(r, 0)->below;
    int size[2] = {in->dim[0] + below[0] + below[2], in->dim[1] + below[1] + below[3]};
    bool ceil = attribute_int(r, "ceil_mode", 0) != 0,
         counts = !max && attribute_int(r, "count_include_pad", 0);
    if (attribute_int(r, "storage_order", 0) || r->node->n_output > 1)
        return reader_fail(r, "the places of its maxima are not read");
    if (read_window(r, &w, size, counts ? false : ceil)) return -1;
    if (w.dilation[0] != 1 || w.dilation[1] != 1) return reader_fail(r, "dilated pools are not supported");
    if (counts && ceil && has_pads(&w))
        return reader_fail(r, "ceil_mode with count_include_pad is not supported");
    if (counts && ceil && read_window(r, &w, size, true)) return -1;
    for (int i = 0; i < 2; i++) { /* pads that are there already */
        w.before[i] += below[i];
        w.after[i] += below[i + 2];
        size[i] -= below[i] + below[i + 2];
    }
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

/* Adds the mean over the pixels of a map: GlobalAveragePool, or ReduceMean over exactly these axes. */
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

/* --- pads --- */

static int padded_below(struct reader *r, int map, int c_axis, const int64_t *before, const int64_t *after)
{
    const struct net_shape *s = &r->net->layers[map].output;
    if (s->dim[0] < 1 || s->dim[1] < 1) return reader_fail(r, "the size of its input is not known");
    struct value *v = node_output(r);
    if (!v) return -1;
    v->layer = map;
    v->rank = 4;
    v->c_axis = c_axis;
    v->form = FORM_PADDED_BELOW;
    for (int i = 0; i < 2; i++) {
        v->below[i] = (int)before[i];
        v->below[i + 2] = (int)after[i];
        if (before[i] < 0 || after[i] < 0) return reader_fail(r, "cuts off, and pads with other than zeros");
    }
    return 0;
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
    bool below = filled < -3e38; /* of every number: for the maximum that follows */
    if (filled != 0 && !below) return reader_fail(r, "only padding with zeros is supported");
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
    if (below) return padded_below(r, map, c_axis, all + h, all + h + 4);
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

/* --- the table --- */

const struct onnx_operator window_operators[] = {
    {"Conv", "auto_pad dilations group kernel_shape pads strides", read_conv},
    {"MaxPool", "auto_pad ceil_mode dilations kernel_shape pads storage_order strides", read_pool},
    {"AveragePool", "auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides", read_pool},
    {"GlobalAveragePool", "", read_global_pool},
    {"GlobalMaxPool", "", read_global_pool},
    {"ReduceMean", "axes keepdims noop_with_empty_axes", read_mean},
    {"Pad", "mode pads value", read_pad},
    {NULL, NULL, NULL},
};

#endif
