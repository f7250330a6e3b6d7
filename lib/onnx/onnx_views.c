/*
 * onnx_views.c: reads operators that only change the dimensions of a value. They become a layer only if
 * another order of the values is needed.
 */
#ifdef WINNOW_WITHOUT_ONNX
typedef int onnx_views_is_left_out;
#else

#include <string.h>

#include "onnx/onnx_reader.h"

static int same_value(struct reader *r, const struct value *from, int rank, int c_axis)
{
    int layer = from->layer;
    bool chw = from->chw;
    struct value *v = node_output(r); /* may move what `from` points to */
    if (!v) return -1;
    v->layer = layer;
    v->rank = rank;
    v->c_axis = c_axis;
    v->chw = chw;
    return 0;
}

/* Shows a map's channels as [groups, channels / groups]. */
static int grouped(struct reader *r, int layer, int c_axis, int groups)
{
    struct value *v = node_output(r);
    if (!v) return -1;
    v->layer = layer;
    v->rank = VALUE_MAX_RANK;
    v->c_axis = c_axis;
    v->groups = groups;
    return 0;
}

/* Transposes the two dimensions of the channels, which is ShuffleNet's channel shuffle. */
static int transposed_groups(struct reader *r, const struct value *v, const int64_t *perm, int n)
{
    int a = v->c_axis, groups = v->groups;
    bool swaps = n == VALUE_MAX_RANK;
    for (int i = 0; swaps && i < n; i++)
        swaps = perm[i] == (i == a ? a + 1 : i == a + 1 ? a : i);
    if (!swaps)
        return reader_fail(r, "moves channels that are in groups about in a way that is not supported");
    int layer = channels_shuffled(r, v->layer, groups);
    return layer < 0 ? -1 : grouped(r, layer, a, r->net->layers[layer].filters / groups);
}

static int read_transpose(struct reader *r)
{
    struct value *v = node_input(r, 0);
    int64_t perm[VALUE_MAX_RANK];
    if (!value_is_layer(v)) return reader_fail(r, "must read a layer");
    int n = attribute_ints(r, "perm", perm, VALUE_MAX_RANK), c_axis = -1, last = -1;
    if (v->groups) return transposed_groups(r, v, perm, n);
    for (int i = 0; n < 0 && i < v->rank; i++)
        perm[i] = v->rank - 1 - i;
    if (n >= 0 && n != v->rank) return reader_fail(r, "its perm does not fit");
    for (int i = 0; i < v->rank; i++) {
        if (perm[i] == v->c_axis)
            c_axis = i;
        else if (!value_is_vector(r, v) && perm[i] <= last)
            return reader_fail(r, "moves rows and columns about");
        else
            last = (int)perm[i];
    }
    if (perm[0] != 0 || c_axis < 1 || v->chw) return reader_fail(r, "moves the pictures about");
    if (!value_is_vector(r, v) && c_axis == 2)
        return reader_fail(r, "puts the channels between rows and columns");
    return same_value(r, v, v->rank, c_axis);
}

/* Makes one vector for each picture, in the order of the file's layout. */
static int flattened(struct reader *r, const struct value *v)
{
    bool chw = v->c_axis == 1 && v->rank == 4 && !value_is_vector(r, v);
    if (v->chw || value_is_vector(r, v)) return same_value(r, v, 2, 1);
    if (chw) {
        int layer = v->layer;
        struct value *out = node_output(r);
        if (!out) return -1;
        out->layer = layer;
        out->rank = 2;
        out->c_axis = 1;
        out->chw = true;
        return 0;
    }
    int map = layer_as_map(r, v);
    struct net_layer *l = map < 0 ? NULL : layer_new(r, LAYER_FLATTEN, NULL, &map, 1);
    if (!l || layer_finish(r, r->net->n_layers - 1)) return -1;
    return layer_output(r, r->net->n_layers - 1, 2, 1);
}

static int read_flatten(struct reader *r)
{
    struct value *v = node_input(r, 0);
    if (!value_is_layer(v)) return reader_fail(r, "must read a layer");
    int64_t axis = attribute_int(r, "axis", 1);
    if ((axis < 0 ? axis + v->rank : axis) != 1) return reader_fail(r, "'axis' must be 1");
    return flattened(r, v);
}

/* Divides channels into groups, joins groups, or changes their number. */
static int regrouped(struct reader *r, const struct value *v, int rank, const int64_t *dim)
{
    const struct net_shape *s = &r->net->layers[v->layer].output;
    int a = v->c_axis, rows = a == 1 ? rank - 2 : 1, channels = value_channels(r, v);
    bool map = s->rank == 3 && !v->chw && (v->rank == 4 || v->groups) && rank >= 4,
         fits = map && dim[rows] == s->dim[0] && dim[rows + 1] == s->dim[1];
    if (fits && rank == 4 && dim[a] == channels) return same_value(r, v, 4, a);
    if (fits && rank == VALUE_MAX_RANK && dim[a] * dim[a + 1] == channels)
        return grouped(r, v->layer, a, (int)dim[a]);
    return reader_fail(r, "rearranges a map, which is not supported");
}

/* Handles a vector with additional dimensions of 1, or with the dimensions that it had before. */
static int reshaped(struct reader *r, struct value *v, int rank, const int64_t *to)
{
    int64_t from[VALUE_MAX_RANK], count = 1, made = 1;
    int c_axis = -1, channels;
    value_dims(r, v, from);
    bool same = rank == v->rank,
         batch_first = rank >= 1 && (to[0] == SIZE_BATCH || to[0] == from[0] || to[0] == 0 || to[0] == -1);
    for (int i = 1; i < v->rank; i++)
        count *= from[i];
    if (!batch_first || rank > VALUE_MAX_RANK || count < 1)
        return reader_fail(r, "does not keep each picture by itself");
    int64_t dim[VALUE_MAX_RANK] = {from[0]};
    int open = -1;
    for (int i = 1; i < rank; i++) {
        dim[i] = to[i] == 0 && i < v->rank && !attribute_int(r, "allowzero", 0) ? from[i] : to[i];
        if (dim[i] == -1)
            open = i;
        else if (dim[i] < 1 || dim[i] > NET_MAX_ACTIVATION || made > NET_MAX_ACTIVATION)
            return reader_fail(r, "a dimension that is not known or not possible");
        else
            made *= dim[i];
    }
    if (open >= 0) {
        if (to[0] == -1) return reader_fail(r, "has two dimensions of -1");
        dim[open] = count / made;
        made *= dim[open];
    }
    if (made != count)
        return reader_fail(r, "%lld numbers of a picture cannot become %lld", (long long)count,
                           (long long)made);
    for (int i = 1; same && i < rank; i++)
        same = dim[i] == from[i];
    if (same && !v->groups) return same_value(r, v, v->rank, v->c_axis);
    if (v->groups || rank == VALUE_MAX_RANK) return regrouped(r, v, rank, dim);
    if (rank == 2) return flattened(r, v);
    channels = value_channels(r, v);
    for (int i = 1; i < rank; i++)
        if (dim[i] == channels && c_axis < 0) c_axis = i;
    if (v->chw || !value_is_vector(r, v) || c_axis < 0)
        return reader_fail(r, "rearranges a map, which is not supported");
    return same_value(r, v, rank, c_axis);
}

static int read_reshape(struct reader *r)
{
    struct value *v = node_input(r, 0);
    int64_t to[VALUE_MAX_RANK];
    if (!value_is_layer(v)) return reader_fail(r, "must read a layer");
    int n = integers_of(r, 1, NULL, to, VALUE_MAX_RANK);
    if (n < 1) return n == -2 ? -1 : reader_fail(r, "has no shape");
    return reshaped(r, v, n, to);
}

static int read_squeeze(struct reader *r)
{
    struct value *v = node_input(r, 0);
    bool squeeze = r->node->op_type[0] == 'S';
    int64_t axes[4], from[VALUE_MAX_RANK], to[4];
    bool marked[4] = {false};
    int rank = 0, at = 0;
    if (!value_is_layer(v)) return reader_fail(r, "must read a layer");
    int n = integers_of(r, 1, r->opset < 13 ? "axes" : NULL, axes, 4),
        whole = squeeze ? v->rank : v->rank + n;
    if (n == -2) return -1;
    if (n < 1 || whole > 4) return reader_fail(r, "has no usable axes");
    for (int i = 0; i < n; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + whole : axes[i];
        if (axis < 1 || axis >= whole) return reader_fail(r, "has no usable axes");
        marked[axis] = true;
    }
    value_dims(r, v, from);
    if (!value_is_vector(r, v) || v->chw) return reader_fail(r, "is supported for vectors only");
    int c_axis = -1;
    for (int i = 0; i < whole; i++) {
        if (squeeze && marked[i] && i == v->c_axis) return reader_fail(r, "would drop the channels");
        if (squeeze && marked[i]) continue;
        if (squeeze ? i == v->c_axis : !marked[i] && at == v->c_axis) c_axis = rank;
        to[rank++] = squeeze || !marked[i] ? from[squeeze ? i : at] : 1;
        if (!squeeze && !marked[i]) at++;
    }
    (void)to;
    return c_axis < 0 ? reader_fail(r, "has no usable axes") : same_value(r, v, rank, c_axis);
}

static int read_alias(struct reader *r)
{
    struct value *v = node_input(r, 0);
    if (!value_is_layer(v)) return reader_fail(r, "must read a layer");
    int64_t to = attribute_int(r, "to", 1);
    if (to != 1 && to != 10 && to != 11 && to != 16)
        return reader_fail(r, "casts a layer to type %lld, which is not supported", (long long)to);
    if (strcmp(r->node->op_type, "Dropout") == 0 && r->node->n_input > 2 && node_input(r, 2)) {
        const struct constant *training = value_constant(r, node_input(r, 2));
        if (!training) return -1;
        if (training->i && training->n == 1 && training->i[0])
            return reader_fail(r, "was exported for training: export for inference");
    }
    return same_value(r, v, v->rank, v->c_axis);
}

/* Reads an Expand that repeats a vector over a map; a product does this by itself. */
static int read_expand(struct reader *r)
{
    struct value *v = node_input(r, 0);
    int64_t to[VALUE_MAX_RANK], from[VALUE_MAX_RANK];
    if (!value_is_layer(v) || !value_is_vector(r, v) || v->chw || v->rank != 4)
        return reader_fail(r, "is supported for vectors only");
    int n = integers_of(r, 1, NULL, to, VALUE_MAX_RANK);
    if (n == -2) return -1;
    value_dims(r, v, from);
    bool fits = n == 4;
    for (int i = 0; fits && i < 4; i++)
        fits = to[i] == from[i] || to[i] == 1 || (from[i] == 1 && i != v->c_axis && to[i] > 1);
    if (!fits) return reader_fail(r, "repeats other than a vector over a map");
    if (same_value(r, v, 4, v->c_axis)) return -1;
    value_find(r, r->node->output[0])->form = FORM_REPEATED;
    return 0;
}

const struct onnx_operator view_operators[] = {
    {"Transpose", "perm", read_transpose},
    {"Flatten", "axis", read_flatten},
    {"Reshape", "allowzero", read_reshape},
    {"Squeeze", "axes", read_squeeze},
    {"Unsqueeze", "axes", read_squeeze},
    {"Identity", "", read_alias},
    {"Expand", "", read_expand},
    {"Cast", "saturate to", read_alias},
    {"Dropout", "ratio seed", read_alias},
    {NULL, NULL, NULL},
};

#endif
