/*
 * onnx_moves.c: reads operators that select or move values: parts of the channels or of the picture (Split,
 * Slice, Gather), channels in another order, and another size (Resize, Upsample).
 */
#ifdef WINNOW_WITHOUT_ONNX
typedef int onnx_moves_is_left_out;
#else

#include <math.h>
#include <string.h>

#include "onnx/onnx_reader.h"

static int same_layer(struct reader *r, size_t output, const struct value *from)
{
    int layer = from->layer, rank = from->rank, c_axis = from->c_axis;
    struct value *v = node_output_at(r, output); /* may move what `from` points to */
    if (!v) return -1;
    v->layer = layer;
    v->rank = rank;
    v->c_axis = c_axis;
    return 0;
}

/* --- channels --- */

/* Adds a layer whose channel c is the channel first + c / groups * step + c % groups * span of its input.
 * Returns the layer, or -1 with err set. */
static int picked(struct reader *r, int from, int count, int64_t first, int64_t step, int64_t groups,
                  int64_t span)
{
    struct net_layer *l = layer_new(r, LAYER_CHANNELS, NULL, &from, 1);
    if (!l) return -1;
    l->filters = count;
    l->pick_first = (int)first;
    l->pick_step = (int)step;
    l->pick_groups = (int)groups;
    l->pick_span = (int)span;
    return layer_finish(r, r->net->n_layers - 1) ? -1 : r->net->n_layers - 1;
}

int channels_shuffled(struct reader *r, int layer, int groups)
{
    const struct net_shape *s = &r->net->layers[layer].output;
    int channels = s->dim[s->rank - 1];
    return picked(r, layer, channels, 0, 1, groups, channels / groups);
}

/* Defines an output of the node as `count` channels from `first` on. */
static int part_of(struct reader *r, size_t output, const struct value *v, int64_t first, int64_t step,
                   int64_t count)
{
    int rank = v->rank, c_axis = v->c_axis;
    if (count < 1) return reader_fail(r, "takes no channels");
    if (first == 0 && step == 1 && count == value_channels(r, v)) return same_layer(r, output, v);
    int layer = picked(r, v->layer, (int)count, first, step, 1, 0);
    return layer < 0 ? -1 : layer_output_at(r, output, layer, rank, c_axis);
}

static int read_split(struct reader *r)
{
    struct value *v = node_input(r, 0);
    int64_t sizes[256], n_out = (int64_t)r->node->n_output, at = 0;
    if (!value_is_layer(v) || v->chw) return reader_fail(r, "must read a layer");
    int64_t axis = attribute_int(r, "axis", 0);
    if ((axis < 0 ? axis + v->rank : axis) != v->c_axis)
        return reader_fail(r, "splits along another axis than the channels");
    int channels = value_channels(r, v), n = integers_of(r, 1, r->opset < 13 ? "split" : NULL, sizes, 256);
    if (n == -2) return -1;
    if (n < 0) {
        n = (int)attribute_int(r, "num_outputs", n_out);
        int64_t each = n > 0 && n <= 256 ? (channels + n - 1) / n : 0;
        for (int i = 0; each && i < n; i++)
            sizes[i] = i < n - 1 ? each : channels - each * (n - 1);
    }
    if (n != n_out || n > 256) return reader_fail(r, "has %d parts and %d outputs", n, (int)n_out);
    for (int i = 0; i < n; i++) {
        if (sizes[i] < 1 || sizes[i] > channels - at)
            return reader_fail(r, "its parts are not the %d channels", channels);
        at += sizes[i];
    }
    if (at != channels) return reader_fail(r, "its parts are not the %d channels", channels);
    at = 0;
    for (int i = 0; i < n; at += sizes[i++]) {
        const char *name = r->node->output[i];
        const struct value *used = name && *name ? value_find(r, name) : NULL;
        /* the array of values may move */
        if (used && used->uses && part_of(r, (size_t)i, node_input(r, 0), at, 1, sizes[i])) return -1;
    }
    return 0;
}

static int read_gather(struct reader *r)
{
    struct value *v = node_input(r, 0), *index = node_input(r, 1);
    if (!value_is_layer(v) || v->chw) return reader_fail(r, "must read a layer");
    const struct constant *c = index ? value_constant(r, index) : NULL;
    int64_t axis = attribute_int(r, "axis", 0), channels = value_channels(r, v), groups = 1, span = 0,
            step = 1;
    if (!c) return index ? -1 : reader_fail(r, "has no indices");
    if ((axis < 0 ? axis + v->rank : axis) != v->c_axis || c->rank != 1 || !c->i || c->n < 1 ||
        c->n > NET_MAX_DIM)
        return reader_fail(r, "gathers other than a list of channels are not supported");
    int64_t first = c->i[0] + (c->i[0] < 0 ? channels : 0);
    for (size_t k = 0; k < c->n; k++)
        if (c->i[k] < -channels || c->i[k] >= channels) return reader_fail(r, "an index is out of range");
#define INDEX(k) (c->i[k] + (c->i[k] < 0 ? channels : 0))
    if (c->n > 1) span = INDEX(1) - first;
    while (groups < (int64_t)c->n && INDEX(groups) == first + groups * span)
        groups++;
    if (groups < (int64_t)c->n)
        step = INDEX(groups) - first;
    else { /* one sequence */
        step = c->n > 1 ? span : 1;
        groups = 1;
        span = 0;
    }
    for (size_t k = 0; k < c->n; k++)
        if (INDEX(k) != first + (int64_t)k / groups * step + (int64_t)k % groups * span)
            return reader_fail(r, "puts the channels into an order that is not supported");
#undef INDEX
    int rank = v->rank, c_axis = v->c_axis;
    int layer = picked(r, v->layer, (int)c->n, first, step, groups, span);
    return layer < 0 ? -1 : layer_output(r, layer, rank, c_axis);
}

/* --- parts of a picture --- */

struct range {
    int64_t first, count, step;
};

/* Selects every `step`th row and column, from `first` on. */
static int cut(struct reader *r, int map, const struct range *rows, const struct range *columns)
{
    const struct net_shape *in = &r->net->layers[map].output;
    int64_t last_row = rows->first + (rows->count - 1) * rows->step,
            last_column = columns->first + (columns->count - 1) * columns->step;
    if (rows->first || columns->first || last_row < in->dim[0] - 1 || last_column < in->dim[1] - 1) {
        int bottom = (int)(last_row + 1 - in->dim[0]), right = (int)(last_column + 1 - in->dim[1]);
        struct net_layer *l = layer_new(r, LAYER_ZERO_PADDING, NULL, &map, 1);
        if (!l) return -1;
        l->pad_top = (int)-rows->first;
        l->pad_left = (int)-columns->first;
        l->pad_bottom = bottom;
        l->pad_right = right;
        map = r->net->n_layers - 1;
        if (layer_finish(r, map)) return -1;
    }
    if (rows->step == 1 && columns->step == 1) return map;
    struct net_layer *l = layer_new(r, LAYER_MAX_POOL, NULL, &map, 1); /* of one pixel */
    if (!l) return -1;
    l->stride_h = (int)rows->step;
    l->stride_w = (int)columns->step;
    return layer_finish(r, r->net->n_layers - 1) ? -1 : r->net->n_layers - 1;
}

static int read_slice(struct reader *r)
{
    struct value *v = node_input(r, 0);
    int64_t start[VALUE_MAX_RANK], end[VALUE_MAX_RANK], axes[VALUE_MAX_RANK], step[VALUE_MAX_RANK],
        dim[VALUE_MAX_RANK];
    struct range range[VALUE_MAX_RANK];
    bool old = r->opset < 10, moved = false;
    if (!value_is_layer(v) || v->chw || (v->rank != 4 && !value_is_vector(r, v)))
        return reader_fail(r, "must read a layer");
    int n = integers_of(r, 1, old ? "starts" : NULL, start, VALUE_MAX_RANK),
        n_end = n == -2 ? -2 : integers_of(r, 2, old ? "ends" : NULL, end, VALUE_MAX_RANK),
        n_axes = n_end == -2 ? -2 : integers_of(r, 3, old ? "axes" : NULL, axes, VALUE_MAX_RANK),
        n_step = n_axes == -2 ? -2 : integers_of(r, 4, NULL, step, VALUE_MAX_RANK);
    if (n_step == -2) return -1;
    if (n < 1 || n_end != n || (n_axes >= 0 && n_axes != n) || (n_step >= 0 && n_step != n) || n > v->rank)
        return reader_fail(r, "its starts, ends, axes and steps do not fit together");
    value_dims(r, v, dim);
    for (int i = 0; i < VALUE_MAX_RANK; i++)
        range[i] = (struct range){0, i < v->rank ? dim[i] : 1, 1};
    for (int i = 0; i < n; i++) {
        int64_t axis = n_axes < 0 ? i : axes[i] + (axes[i] < 0 ? v->rank : 0), by = n_step < 0 ? 1 : step[i],
                s = start[i], e = end[i];
        if (axis < 0 || axis >= v->rank) return reader_fail(r, "has no usable axes");
        if (axis == 0 && s == 0 && by == 1 && (e == SIZE_BATCH || e >= INT32_MAX)) continue;
        int64_t size = dim[axis];
        if (axis == 0) return reader_fail(r, "takes some of the pictures");
        if (size < 1) return reader_fail(r, "the size of its input is not known");
        if (by < 1 || by > NET_MAX_DIM) return reader_fail(r, "only steps from 1 on are supported");
        if (s == SIZE_BATCH || s == SIZE_UNKNOWN || e == SIZE_BATCH || e == SIZE_UNKNOWN)
            return reader_fail(r, "its range is not known");
        s = s < -size ? 0 : s < 0 ? s + size : s > size ? size : s;
        e = e < -size ? 0 : e < 0 ? e + size : e > size ? size : e;
        if (s >= e) return reader_fail(r, "takes nothing");
        range[axis] = (struct range){s, (e - s + by - 1) / by, by};
    }
    const struct range c = range[v->c_axis];
    int rank = v->rank, c_axis = v->c_axis, layer = v->layer, rows = c_axis == 1 ? 2 : 1;
    for (int i = 1; i < rank; i++)
        moved |= i != c_axis && (range[i].first || range[i].count != dim[i] || range[i].step != 1);
    if (!moved) return part_of(r, 0, v, c.first, c.step, c.count);
    if (rank != 4 || (layer = layer_as_map(r, v)) < 0)
        return rank == 4 ? -1 : reader_fail(r, "must read a map");
    if ((c.first || c.count != dim[c_axis] || c.step != 1) &&
        (layer = picked(r, layer, (int)c.count, c.first, c.step, 1, 0)) < 0)
        return -1;
    if ((layer = cut(r, layer, &range[rows], &range[rows + 1])) < 0) return -1;
    return layer_output(r, layer, rank, c_axis);
}

/* --- sizes --- */

/* Computes the new sides, from the sizes or the factors. */
static int new_sides(struct reader *r, const struct value *v, const int in[2], int out[2])
{
    bool upsample = r->node->op_type[0] == 'U', early = upsample || r->opset < 11;
    int64_t sizes[4], axes[4] = {0, 1, 2, 3}, dim[VALUE_MAX_RANK];
    int n_axes = attribute_of(r, "axes") ? attribute_ints(r, "axes", axes, 4) : 4,
        first = v->c_axis == 1 ? 2 : 1;
    struct value *given = node_input(r, early ? 1 : 2);
    const struct constant *factors = given ? value_constant(r, given) : NULL;
    const Onnx__AttributeProto *listed = upsample ? attribute_of(r, "scales") : NULL;
    int n = early ? -1 : integers_of(r, 3, NULL, sizes, 4);
    if ((given && !factors) || n == -2) return -1;
    size_t n_factors = listed ? listed->n_floats : factors && factors->f ? factors->n : 0;
    const float *f = listed ? listed->floats : factors ? factors->f : NULL;
    value_dims(r, v, dim);
    for (int i = 0; i < 2; i++)
        out[i] = in[i];
    if (n_axes < 1 || (n < 0 ? n_factors != (size_t)n_axes : n != n_axes))
        return reader_fail(r, "has no usable sizes or factors");
    for (int i = 0; i < n_axes; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + 4 : axes[i];
        if (axis < 0 || axis > 3) return reader_fail(r, "has no usable axes");
        bool side = axis == first || axis == first + 1;
        double to = n < 0 ? (double)f[i] * (side ? in[axis - first] : 1) : (double)sizes[i];
        if (!side) {
            if (n < 0 ? to != 1 : sizes[i] != dim[axis] && !(axis == 0 && sizes[i] == SIZE_BATCH))
                return reader_fail(r, "changes more than height and width");
            continue;
        }
        if (!(to >= 1 && to <= 4096) || fabs(to - floor(to + 0.5)) > 1e-3)
            return reader_fail(r, "makes %g rows or columns of %d, which is not supported", to,
                               in[axis - first]);
        out[axis - first] = (int)floor(to + 0.5);
    }
    return 0;
}

static int read_resize(struct reader *r)
{
    struct value *v = node_input(r, 0);
    bool early = r->node->op_type[0] == 'U' || r->opset < 11;
    if (!value_is_layer(v) || v->rank != 4) return reader_fail(r, "must read a map");
    int map = layer_as_map(r, v), c_axis = v->c_axis, out[2];
    if (map < 0) return -1;
    const struct net_shape *s = &r->net->layers[map].output;
    int in[2] = {s->dim[0], s->dim[1]};
    if (in[0] < 1 || in[1] < 1) return reader_fail(r, "the size of its input is not known");
    if (new_sides(r, v, in, out)) return -1;
    if (out[0] == in[0] && out[1] == in[1]) return same_layer(r, 0, v);
#define MODE(text) attribute_is(r, "coordinate_transformation_mode", text, false)
#define ROUNDS(text) attribute_is(r, "nearest_mode", text, false)
    bool nearest = attribute_is(r, "mode", "nearest", true),
         linear = attribute_is(r, "mode", "linear", false), corner = early || MODE("asymmetric"),
         centre = !early && (attribute_is(r, "coordinate_transformation_mode", "half_pixel", true) ||
                             MODE("pytorch_half_pixel")),
         rounds = attribute_is(r, "nearest_mode", "round_prefer_floor", true),
         whole = out[0] % in[0] == 0 && out[1] % in[1] == 0, single = out[0] == 1 || out[1] == 1;
    bool known = nearest ? (corner && (early || ROUNDS("floor"))) ||
                               (centre && !single && ((whole && rounds) || ROUNDS("round_prefer_ceil"))) ||
                               (MODE("tf_half_pixel_for_nn") && ROUNDS("floor"))
                 : linear ? centre && !(single && MODE("pytorch_half_pixel"))
                          : false;
    if (!known || (early && !whole) || attribute_int(r, "antialias", 0) ||
        !attribute_is(r, "keep_aspect_ratio_policy", "stretch", true))
        return reader_fail(r,
                           "resizes in a way that is not supported (linear or nearest, centres of pixels at "
                           "one half, or the nearest from the corner)");
#undef MODE
#undef ROUNDS
    struct net_layer *l = layer_new(r, LAYER_RESIZING, NULL, &map, 1);
    if (!l) return -1;
    l->resize_h = out[0];
    l->resize_w = out[1];
    l->nearest = nearest;
    l->from_corner = nearest && corner && !whole;
    return layer_finish(r, r->net->n_layers - 1) ? -1 : layer_output(r, r->net->n_layers - 1, 4, c_axis);
}

const struct onnx_operator move_operators[] = {
    {"Split", "axis num_outputs split", read_split},
    {"Slice", "axes ends starts", read_slice},
    {"Gather", "axis", read_gather},
    {"Resize",
     "antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside extrapolation_value "
     "keep_aspect_ratio_policy mode nearest_mode",
     read_resize},
    {"Upsample", "mode scales", read_resize},
    {NULL, NULL, NULL},
};

#endif
