/*
 * onnx_fold.c: computes nodes that depend on constants only: shape arithmetic, and weights that an exporter
 * leaves transposed or in pieces. The number of pictures is unknown; a special value (SIZE_BATCH), which can
 * only be copied, represents it.
 */
#ifdef WINNOW_WITHOUT_ONNX
typedef int onnx_fold_is_left_out;
#else

#include <math.h>
#include <string.h>

#include "onnx/onnx_reader.h"

static float *floats_of(const struct constant *c) { return (float *)(uintptr_t)c->f; }
static int64_t *integers_in(const struct constant *c) { return (int64_t *)(uintptr_t)c->i; }

static bool is_open(int64_t v) { return v == SIZE_BATCH || v == SIZE_UNKNOWN; }

/* Computes the row-major stride of each dimension; it is 0 for a dimension that is broadcast. */
static void steps_of(const struct constant *c, int rank, const int64_t *dim, size_t *step)
{
    size_t s = 1;
    for (int i = 0; i < rank; i++)
        step[i] = 0;
    for (int i = c->rank - 1; i >= 0; i--) {
        int at = rank - c->rank + i;
        if (c->dim[i] == dim[at] && c->dim[i] != 1) step[at] = s;
        s *= (size_t)c->dim[i];
    }
}

static int broadcast(struct reader *r, const struct constant *a, const struct constant *b, int *rank,
                     int64_t *dim)
{
    *rank = a->rank > b->rank ? a->rank : b->rank;
    for (int i = 0; i < *rank; i++) {
        int ia = a->rank - *rank + i, ib = b->rank - *rank + i;
        int64_t da = ia < 0 ? 1 : a->dim[ia], db = ib < 0 ? 1 : b->dim[ib];
        if (da != db && da != 1 && db != 1)
            return reader_fail(r, "its inputs' dimensions do not fit together");
        dim[i] = da == 1 ? db : da;
    }
    return 0;
}

static double compute(const char *op, double a, double b)
{
    switch (op[0] == 'M' ? op[1] : op[0]) {
    case 'A': return a + b;
    case 'S': return a - b;
    case 'u': return a * b;
    case 'D': return a / b;
    case 'P': return pow(a, b);
    case 'a': return a > b ? a : b;
    case 'E': return a == b;
    case 'G': return a > b;
    case 'L': return a < b;
    default: return a < b ? a : b;
    }
}

static int64_t compute_integers(const char *op, int64_t a, int64_t b)
{
    int64_t v;
    if (op[0] == 'M' && op[1] == 'u' && (a == 1 || b == 1)) return a == 1 ? b : a;
    if (op[0] == 'D' && b == 1) return a;
    if ((op[0] == 'A' && a == 0) || ((op[0] == 'A' || op[0] == 'S') && b == 0))
        return op[0] == 'A' && a == 0 ? b : a;
    if (is_open(a) || is_open(b)) return op[0] == 'E' ? 0 : SIZE_UNKNOWN;
    bool wraps = op[0] == 'A'                                              ? __builtin_add_overflow(a, b, &v)
                 : op[0] == 'S'                                            ? __builtin_sub_overflow(a, b, &v)
                 : op[0] == 'M' && op[1] == 'u'                            ? __builtin_mul_overflow(a, b, &v)
                 : op[0] == 'D' && (b == 0 || (b == -1 && a == INT64_MIN)) ? true
                 : op[0] == 'D'                                            ? (v = a / b, false)
                 : op[0] == 'P'                                            ? true
                                : (v = (int64_t)compute(op, (double)a, (double)b), false);
    return wraps ? SIZE_UNKNOWN : v;
}

static struct constant *fold_binary(struct reader *r, const char *op, const struct constant *a,
                                    const struct constant *b)
{
    int64_t dim[ONNX_MAX_RANK];
    size_t step_a[ONNX_MAX_RANK], step_b[ONNX_MAX_RANK], at[ONNX_MAX_RANK] = {0};
    int rank;
    bool compares = op[0] == 'E' || op[0] == 'G' || op[0] == 'L';
    if (broadcast(r, a, b, &rank, dim)) return NULL;
    struct constant *out = constant_new(r, rank, dim, (a->f || b->f) && !compares);
    if (!out) return NULL;
    steps_of(a, rank, dim, step_a);
    steps_of(b, rank, dim, step_b);
    for (size_t k = 0; k < out->n; k++) {
        size_t ia = 0, ib = 0;
        for (int i = 0; i < rank; i++) {
            ia += at[i] * step_a[i];
            ib += at[i] * step_b[i];
        }
        if (a->i && b->i)
            integers_in(out)[k] = compute_integers(op, a->i[ia], b->i[ib]);
        else {
            double v = compute(op, a->f ? (double)a->f[ia] : (double)a->i[ia],
                               b->f ? (double)b->f[ib] : (double)b->i[ib]);
            if (compares)
                integers_in(out)[k] = (int64_t)v;
            else
                floats_of(out)[k] = (float)v;
        }
        for (int i = rank - 1; i >= 0 && ++at[i] == (size_t)dim[i]; i--)
            at[i] = 0;
    }
    return out;
}

static struct constant *fold_unary(struct reader *r, const char *op, const struct constant *a)
{
    struct constant *out = constant_new(r, a->rank, a->dim, a->f != NULL);
    for (size_t k = 0; out && k < a->n; k++) {
        if (a->i) {
            int64_t v = a->i[k];
            integers_in(out)[k] = is_open(v)                     ? SIZE_UNKNOWN
                                  : op[0] == 'N' && op[1] == 'e' ? -v
                                  : v < 0 && op[0] == 'A'        ? -v
                                  : op[0] == 'N'                 ? !v
                                                                 : v;
            continue;
        }
        double v = (double)a->f[k];
        floats_of(out)[k] = (float)(strcmp(op, "Sqrt") == 0         ? sqrt(v)
                                    : strcmp(op, "Neg") == 0        ? -v
                                    : strcmp(op, "Exp") == 0        ? exp(v)
                                    : strcmp(op, "Log") == 0        ? log(v)
                                    : strcmp(op, "Abs") == 0        ? fabs(v)
                                    : strcmp(op, "Floor") == 0      ? floor(v)
                                    : strcmp(op, "Ceil") == 0       ? ceil(v)
                                    : strcmp(op, "Reciprocal") == 0 ? 1 / v
                                                                    : v);
    }
    return out;
}

/* Returns the same numbers with other dimensions. */
static struct constant *viewed(struct reader *r, const struct constant *a, int rank, const int64_t *dim)
{
    struct constant *out = arena_alloc(&r->arena, sizeof *out, r->err);
    size_t n = 1;
    if (!out) return NULL;
    *out = *a;
    out->rank = rank;
    for (int i = 0; i < rank; i++) {
        out->dim[i] = dim[i];
        if (dim[i] < 0 || !size_mul(n, (size_t)dim[i], &n)) n = SIZE_MAX;
    }
    if (n == a->n) return out;
    reader_fail(r, "cannot be done on constants of these dimensions");
    return NULL;
}

static struct constant *fold_reshape(struct reader *r, const struct constant *a)
{
    int64_t dim[ONNX_MAX_RANK];
    int rank = integers_of(r, 1, NULL, dim, ONNX_MAX_RANK), open = -1;
    size_t known = 1;
    if (rank < 0) return rank == -2 ? NULL : (reader_fail(r, "has no shape"), NULL);
    for (int i = 0; i < rank; i++) {
        if (dim[i] == 0 && i < a->rank && !attribute_int(r, "allowzero", 0)) dim[i] = a->dim[i];
        if (dim[i] == -1)
            open = i;
        else if (dim[i] < 0 || !size_mul(known, (size_t)dim[i], &known))
            known = SIZE_MAX;
    }
    if (open >= 0 && known > 0 && known < SIZE_MAX) dim[open] = (int64_t)(a->n / known);
    return viewed(r, a, rank, dim);
}

static int normal_axis(int64_t axis, int rank) /* -1: invalid axis */
{
    if (axis < 0) axis += rank;
    return axis < 0 || axis >= rank ? -1 : (int)axis;
}

static struct constant *fold_squeeze(struct reader *r, const struct constant *a, bool squeeze)
{
    int64_t axes[ONNX_MAX_RANK], dim[ONNX_MAX_RANK];
    int n = integers_of(r, 1, "axes", axes, ONNX_MAX_RANK), rank = 0;
    bool marked[ONNX_MAX_RANK] = {false};
    if (n == -2) return NULL;
    int whole = squeeze ? a->rank : a->rank + n;
    if (whole > ONNX_MAX_RANK || (n < 0 && !squeeze)) return reader_fail(r, "has no usable axes"), NULL;
    for (int i = 0; i < n; i++) {
        int axis = normal_axis(axes[i], whole);
        if (axis < 0 || marked[axis]) return reader_fail(r, "has no usable axes"), NULL;
        marked[axis] = true;
    }
    for (int i = 0, from = 0; i < whole; i++) {
        if (squeeze) {
            bool out = n < 0 ? a->dim[i] == 1 : marked[i];
            if (!out) dim[rank++] = a->dim[i];
        } else
            dim[rank++] = marked[i] ? 1 : a->dim[from++];
    }
    return viewed(r, a, rank, dim);
}

/* Returns out[k] = a[index[k]] along one axis, which is also Slice and Gather of one axis. */
static struct constant *taken(struct reader *r, const struct constant *a, int axis, const int64_t *index,
                              size_t n_index, bool drop_axis)
{
    int64_t dim[ONNX_MAX_RANK];
    size_t before = 1, after = 1, each = (size_t)a->dim[axis];
    memcpy(dim, a->dim, sizeof dim);
    dim[axis] = (int64_t)n_index;
    for (int i = 0; i < a->rank; i++)
        *(i < axis ? &before : i > axis ? &after : &each) *= i == axis ? 1 : (size_t)a->dim[i];
    struct constant *out = constant_new(r, a->rank, dim, a->f != NULL);
    for (size_t b = 0; out && b < before; b++)
        for (size_t k = 0; k < n_index; k++) {
            size_t from = (b * each + (size_t)index[k]) * after, to = (b * n_index + k) * after;
            if (a->f)
                memcpy(floats_of(out) + to, a->f + from, after * sizeof *a->f);
            else
                memcpy(integers_in(out) + to, a->i + from, after * sizeof *a->i);
        }
    if (!out || !drop_axis) return out;
    memmove(out->dim + axis, out->dim + axis + 1, (size_t)(a->rank - axis - 1) * sizeof *out->dim);
    out->rank--;
    return out;
}

static struct constant *fold_gather(struct reader *r, const struct constant *a, const struct constant *index)
{
    int axis = normal_axis(attribute_int(r, "axis", 0), a->rank);
    int64_t one[64];
    if (axis < 0 || !index->i || index->n > 64 || index->rank > 1)
        return reader_fail(r, "gathers what is not read here"), NULL;
    for (size_t k = 0; k < index->n; k++) {
        one[k] = index->i[k] < 0 ? index->i[k] + a->dim[axis] : index->i[k];
        if (one[k] < 0 || one[k] >= a->dim[axis]) return reader_fail(r, "an index is out of range"), NULL;
    }
    return taken(r, a, axis, one, index->n, index->rank == 0);
}

static struct constant *fold_slice(struct reader *r, const struct constant *a)
{
    int64_t start[ONNX_MAX_RANK], end[ONNX_MAX_RANK], axes[ONNX_MAX_RANK], step[ONNX_MAX_RANK], *index;
    int n = integers_of(r, 1, "starts", start, ONNX_MAX_RANK), n_end, n_axes, n_step;
    if (n < 0 || (n_end = integers_of(r, 2, "ends", end, ONNX_MAX_RANK)) == -2 ||
        (n_axes = integers_of(r, 3, "axes", axes, ONNX_MAX_RANK)) == -2 ||
        (n_step = integers_of(r, 4, NULL, step, ONNX_MAX_RANK)) == -2)
        return n == -1 ? (reader_fail(r, "has no starts"), NULL) : NULL;
    if (n_end != n || (n_axes >= 0 && n_axes != n) || (n_step >= 0 && n_step != n))
        return reader_fail(r, "its starts, ends, axes and steps differ in number"), NULL;
    const struct constant *c = a;
    for (int i = 0; i < n; i++) {
        int axis = n_axes < 0 ? i : normal_axis(axes[i], a->rank);
        int64_t by = n_step < 0 ? 1 : step[i];
        if (axis < 0 || axis >= a->rank || by == 0 || by == INT64_MIN)
            return reader_fail(r, "has no usable axes or steps"), NULL;
        int64_t size = c->dim[axis], s = start[i], e = end[i], low = by < 0 ? -1 : 0,
                high = by < 0 ? size - 1 : size;
        size_t count = 0;
        s = s < 0 ? (s < -size ? low : s + size) : s;
        e = e < 0 ? (e < -size ? low : e + size) : e;
        s = s < low ? low : s > high ? high : s;
        e = e < low ? low : e > high ? high : e;
        if (!(index = arena_alloc(&r->arena, ((size_t)size + 1) * sizeof *index, r->err))) return NULL;
        for (int64_t k = s; by > 0 ? k < e : k > e; k += by) {
            index[count++] = k;
            if (by > size || by < -size) break;
        }
        if (!(c = taken(r, c, axis, index, count, false))) return NULL;
    }
    return (struct constant *)(uintptr_t)c;
}

static struct constant *fold_concat(struct reader *r, const struct constant **in, size_t n)
{
    int axis = normal_axis(attribute_int(r, "axis", 1), in[0]->rank);
    int64_t dim[ONNX_MAX_RANK];
    size_t before = 1, after = 1, filled = 0;
    if (axis < 0) return reader_fail(r, "has no usable axis"), NULL;
    memcpy(dim, in[0]->dim, sizeof dim);
    dim[axis] = 0;
    for (size_t k = 0; k < n; k++) {
        bool fits = in[k]->rank == in[0]->rank && !in[k]->f == !in[0]->f;
        for (int i = 0; fits && i < in[0]->rank; i++)
            fits = i == axis || in[k]->dim[i] == in[0]->dim[i];
        if (!fits) return reader_fail(r, "its inputs do not fit together"), NULL;
        dim[axis] += in[k]->dim[axis];
    }
    for (int i = 0; i < in[0]->rank; i++)
        if (i != axis) *(i < axis ? &before : &after) *= (size_t)dim[i];
    struct constant *out = constant_new(r, in[0]->rank, dim, in[0]->f != NULL);
    for (size_t b = 0; out && b < before; b++)
        for (size_t k = 0; k < n; k++) {
            size_t run = (size_t)in[k]->dim[axis] * after;
            if (in[k]->f)
                memcpy(floats_of(out) + filled, in[k]->f + b * run, run * sizeof(float));
            else
                memcpy(integers_in(out) + filled, in[k]->i + b * run, run * sizeof(int64_t));
            filled += run;
        }
    return out;
}

static struct constant *fold_transpose(struct reader *r, const struct constant *a)
{
    int64_t perm[ONNX_MAX_RANK], dim[ONNX_MAX_RANK];
    size_t step[ONNX_MAX_RANK], own[ONNX_MAX_RANK], at[ONNX_MAX_RANK] = {0}, s = 1;
    bool seen[ONNX_MAX_RANK] = {false};
    int n = attribute_ints(r, "perm", perm, ONNX_MAX_RANK);
    for (int i = 0; i < a->rank && n < 0; i++)
        perm[i] = a->rank - 1 - i;
    if (n >= 0 && n != a->rank) return reader_fail(r, "its perm does not fit"), NULL;
    for (int i = a->rank - 1; i >= 0; i--) {
        own[i] = s;
        s *= (size_t)a->dim[i];
    }
    for (int i = 0; i < a->rank; i++) {
        if (perm[i] < 0 || perm[i] >= a->rank || seen[perm[i]])
            return reader_fail(r, "its perm does not fit"), NULL;
        seen[perm[i]] = true;
        dim[i] = a->dim[perm[i]];
        step[i] = own[perm[i]];
    }
    struct constant *out = constant_new(r, a->rank, dim, a->f != NULL);
    for (size_t k = 0; out && k < a->n; k++) {
        size_t from = 0;
        for (int i = 0; i < a->rank; i++)
            from += at[i] * step[i];
        if (a->f)
            floats_of(out)[k] = a->f[from];
        else
            integers_in(out)[k] = a->i[from];
        for (int i = a->rank - 1; i >= 0 && ++at[i] == (size_t)dim[i]; i--)
            at[i] = 0;
    }
    return out;
}

static struct constant *fold_cast(struct reader *r, const struct constant *a)
{
    int64_t to = attribute_int(r, "to", 0);
    bool floats = to == 1 || to == 10 || to == 11 || to == 16;
    struct constant *out = constant_new(r, a->rank, a->dim, floats);
    if (!floats && to != 6 && to != 7 && to != 9 && to != 2 && to != 3)
        return reader_fail(r, "casts to type %lld, which is not read", (long long)to), NULL;
    for (size_t k = 0; out && k < a->n; k++) {
        if (floats)
            floats_of(out)[k] = a->f ? a->f[k] : (float)a->i[k];
        else if (a->i)
            integers_in(out)[k] = a->i[k];
        else
            integers_in(out)[k] = fabs((double)a->f[k]) < 9e18 ? (int64_t)a->f[k] : SIZE_UNKNOWN;
    }
    return out;
}

static struct constant *fold_filled(struct reader *r, const struct constant *shape)
{
    const Onnx__AttributeProto *a = attribute_of(r, "value");
    int64_t dim[ONNX_MAX_RANK];
    if (!shape->i || shape->n > ONNX_MAX_RANK) return reader_fail(r, "has no usable shape"), NULL;
    memcpy(dim, shape->i, shape->n * sizeof *dim);
    struct value v = {.name = "value", .tensor = a ? a->t : NULL};
    const struct constant *one = v.tensor ? value_constant(r, &v) : NULL;
    if (v.tensor && (!one || one->n != 1)) return one ? (reader_fail(r, "has no single value"), NULL) : NULL;
    struct constant *out = constant_new(r, (int)shape->n, dim, !one || one->f);
    for (size_t k = 0; out && k < out->n; k++)
        if (out->f)
            floats_of(out)[k] = one ? one->f[0] : 0;
        else
            integers_in(out)[k] = one->i[0];
    return out;
}

static struct constant *fold_product(struct reader *r, const struct constant *a)
{
    struct constant *out = constant_new(r, 0, NULL, false);
    if (!out || !a->i) return out ? (reader_fail(r, "is read for whole numbers only"), NULL) : NULL;
    int64_t v = 1;
    for (size_t k = 0; k < a->n; k++)
        v = compute_integers("Mul", v, a->i[k]);
    integers_in(out)[0] = v;
    if (!attribute_int(r, "keepdims", 1)) return out;
    int64_t ones[ONNX_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    return viewed(r, out, a->rank, ones);
}

/* Computes the dimensions of a layer's value or of a constant. */
static int fold_shape(struct reader *r, const struct value *v, struct constant **out)
{
    int64_t dim[ONNX_MAX_RANK], n;
    int rank = v->rank;
    if (v->constant) {
        rank = v->constant->rank;
        memcpy(dim, v->constant->dim, sizeof dim);
    } else
        value_dims(r, v, dim);
    int64_t start = attribute_int(r, "start", 0), end = attribute_int(r, "end", rank);
    start = start < 0 ? start + rank : start;
    end = end < 0 ? end + rank : end;
    start = start < 0 ? 0 : start > rank ? rank : start;
    end = end < start ? start : end > rank ? rank : end;
    n = end - start;
    if (!(*out = constant_new(r, 1, &n, false))) return -1;
    memcpy(integers_in(*out), dim + start, (size_t)n * sizeof *dim);
    return 1;
}

static int fold_constant_node(struct reader *r, struct constant **out)
{
    static const char *const numbers[] = {"value_float", "value_floats", "value_int", "value_ints"};
    const Onnx__AttributeProto *a = attribute_of(r, "value");
    if (a && a->t) {
        struct value v = {.name = "value", .tensor = a->t};
        const struct constant *c = value_constant(r, &v);
        *out = (struct constant *)(uintptr_t)c;
        return c ? 1 : -1;
    }
    for (int i = 0; i < 4; i++) {
        if (!(a = attribute_of(r, numbers[i]))) continue;
        int64_t n = i & 1 ? (int64_t)(i < 2 ? a->n_floats : a->n_ints) : 1;
        if (!(*out = constant_new(r, i & 1, &n, i < 2))) return -1;
        for (int64_t k = 0; k < n; k++)
            if (i < 2)
                floats_of(*out)[k] = i & 1 ? a->floats[k] : a->f;
            else
                integers_in(*out)[k] = i & 1 ? a->ints[k] : a->i;
        return 1;
    }
    return reader_fail(r, "its value is not read");
}

static struct constant *fold_clip(struct reader *r, const struct constant *a)
{
    static const char *const ops[] = {"Max", "Min"}, *const keys[] = {"min", "max"};
    struct constant *out = (struct constant *)(uintptr_t)a;
    for (size_t i = 0; out && i < 2; i++) {
        struct value *v = node_input(r, i + 1);
        const struct constant *bound = v ? value_constant(r, v) : NULL;
        float number;
        if (v && !bound) return NULL;
        if (!v && attribute_of(r, keys[i])) {
            struct constant *made = constant_new(r, 0, NULL, true);
            if (!made) return NULL;
            number = (float)attribute_float(r, keys[i], 0);
            floats_of(made)[0] = number;
            bound = made;
        }
        if (bound) out = fold_binary(r, ops[i], out, bound);
    }
    return out;
}

static struct constant *fold_where(struct reader *r, const struct constant **in)
{
    if (!in[1] || !in[2] || !in[0]->i) return reader_fail(r, "has too few inputs"), NULL;
    if (in[0]->n != 1) return reader_fail(r, "is computed for one condition only"), NULL;
    return (struct constant *)(uintptr_t)(in[0]->i[0] ? in[1] : in[2]);
}

/* Repeats values along dimensions of 1. */
static struct constant *fold_expand(struct reader *r, const struct constant *a, const struct constant *shape)
{
    int64_t dim[ONNX_MAX_RANK];
    if (!shape->i || shape->n > ONNX_MAX_RANK) return reader_fail(r, "has no usable shape"), NULL;
    memcpy(dim, shape->i, shape->n * sizeof *dim);
    struct constant *ones = constant_new(r, (int)shape->n, dim, a->f != NULL);
    for (size_t k = 0; ones && k < ones->n; k++)
        if (a->f)
            floats_of(ones)[k] = 1;
        else
            integers_in(ones)[k] = 1;
    return ones ? fold_binary(r, "Mul", a, ones) : NULL;
}

static bool among(const char *op, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(op, *list) == 0) return true;
    return false;
}

static const char *const binary[] = {"Add", "Sub",   "Mul",     "Div",  "Pow", "Max",
                                     "Min", "Equal", "Greater", "Less", NULL};
static const char *const unary[] = {"Sqrt",  "Neg",  "Exp",        "Log", "Abs",
                                    "Floor", "Ceil", "Reciprocal", "Not", NULL};
static const char *const same[] = {"Identity", "Dropout", NULL};
static const char *const moves[] = {"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Cast", NULL};
static const char *const others[] = {"Constant", "Shape",      "Concat", "Gather", "Slice", "ConstantOfShape",
                                     "Clip",     "ReduceProd", "Where",  "Expand", NULL};

bool fold_knows(const Onnx__NodeProto *n)
{
    return among(n->op_type, binary) || among(n->op_type, unary) || among(n->op_type, same) ||
           among(n->op_type, moves) || among(n->op_type, others);
}

int fold_node(struct reader *r, struct constant **out, const char **origin)
{
    const struct constant *in[64] = {NULL};
    const Onnx__NodeProto *n = r->node;
    const char *op = n->op_type;
    struct value *first = node_input(r, 0);
    *origin = NULL;
    if (strcmp(op, "Constant") == 0) return fold_constant_node(r, out);
    if (strcmp(op, "Shape") == 0 && first) {
        if (first->tensor && !value_constant(r, first)) return -1;
        return fold_shape(r, first, out);
    }
    if (n->n_input == 0 || n->n_input > 64) return 0;
    for (size_t i = 0; i < n->n_input; i++) {
        struct value *v = node_input(r, i);
        if (v && !value_is_constant(v)) return 0;
    }
    bool pair = among(op, binary), single = among(op, unary), concat = strcmp(op, "Concat") == 0;
    if (!fold_knows(n)) return 0;
    for (size_t i = 0; i < n->n_input; i++) {
        struct value *v = node_input(r, i);
        if (!(in[i] = v ? value_constant(r, v) : NULL) && v) return -1;
    }
    if (!in[0] || ((pair || concat || strcmp(op, "Gather") == 0 || strcmp(op, "Expand") == 0) &&
                   (n->n_input < 2 ? !concat : !in[1])))
        return reader_fail(r, "has too few inputs");
    for (size_t i = 0; concat && i < n->n_input; i++)
        if (!in[i]) return reader_fail(r, "has too few inputs");
    *out = NULL;
    if (among(op, same) || among(op, moves)) *origin = first->origin;
    if (among(op, same)) {
        *out = (struct constant *)(uintptr_t)in[0];
    } else {
        *out = pair                            ? fold_binary(r, op, in[0], in[1])
               : single                        ? fold_unary(r, op, in[0])
               : concat                        ? fold_concat(r, in, n->n_input)
               : strcmp(op, "Transpose") == 0  ? fold_transpose(r, in[0])
               : strcmp(op, "Reshape") == 0    ? fold_reshape(r, in[0])
               : strcmp(op, "Squeeze") == 0    ? fold_squeeze(r, in[0], true)
               : strcmp(op, "Unsqueeze") == 0  ? fold_squeeze(r, in[0], false)
               : strcmp(op, "Cast") == 0       ? fold_cast(r, in[0])
               : strcmp(op, "Gather") == 0     ? fold_gather(r, in[0], in[1])
               : strcmp(op, "Slice") == 0      ? fold_slice(r, in[0])
               : strcmp(op, "Clip") == 0       ? fold_clip(r, in[0])
               : strcmp(op, "Where") == 0      ? fold_where(r, in)
               : strcmp(op, "Expand") == 0     ? fold_expand(r, in[0], in[1])
               : strcmp(op, "ReduceProd") == 0 ? fold_product(r, in[0])
                                               : fold_filled(r, in[0]);
    }
    return *out ? 1 : -1;
}

#endif
