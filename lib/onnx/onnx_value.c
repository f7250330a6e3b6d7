/* onnx_value.c: reads initializers and attributes, and keeps the values of names. */
#ifdef WINNOW_WITHOUT_ONNX
typedef int onnx_value_is_left_out;
#else

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "onnx/onnx_reader.h"

#define MAX_VALUES 2000000

int reader_fail(struct reader *r, const char *format, ...)
{
    char why[400], node[96], op[64], domain[64];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    const Onnx__NodeProto *n = r->node;
    if (!n) return error_set(r->err, EX_DATAERR, "%s", why);
    const char *name = n->name && *n->name ? n->name : n->n_output && n->output[0] ? n->output[0] : "";
    bool own = n->domain && *n->domain && strcmp(n->domain, "ai.onnx") != 0;
    text_for_people(domain, sizeof domain, own ? n->domain : "");
    return error_set(r->err, EX_DATAERR, "node '%s' (%s%s%s, opset %d): %s",
                     text_for_people(node, sizeof node, name), domain, own ? "." : "",
                     text_for_people(op, sizeof op, n->op_type ? n->op_type : ""), r->opset, why);
}

/* --- names --- */

static uint64_t hash_of(const char *name)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (const unsigned char *c = (const unsigned char *)name; *c; c++)
        h = (h ^ *c) * 0x100000001b3u;
    return h;
}

struct value *value_find(struct reader *r, const char *name)
{
    uint32_t i;
    if (!r->index.n_slots) return NULL;
    for (struct hash_walk w = hash_walk(&r->index, hash_of(name)); hash_walk_next(&r->index, &w, &i);)
        if (strcmp(r->values[i].name, name) == 0) return &r->values[i];
    return NULL;
}

struct value *value_define(struct reader *r, const char *name)
{
    char shown[128];
    struct value *old = value_find(r, name);
    if (old && old->known) {
        reader_fail(r, "the name '%s' occurs twice", text_for_people(shown, sizeof shown, name));
        return NULL;
    }
    if (!old) {
        if (r->n_values >= MAX_VALUES) {
            reader_fail(r, "more than %d names", MAX_VALUES);
            return NULL;
        }
        if (mem_grow(&r->values, &r->value_room, r->n_values + 1, sizeof *r->values, r->err) ||
            hash_index_add(&r->index, hash_of(name), r->n_values, r->err))
            return NULL;
        old = &r->values[r->n_values++];
        *old = (struct value){.name = name};
    }
    old->known = true;
    return old;
}

struct value *node_input(struct reader *r, size_t i)
{
    const Onnx__NodeProto *n = r->node;
    return i < n->n_input && n->input[i] && *n->input[i] ? value_find(r, n->input[i]) : NULL;
}

struct value *node_output_at(struct reader *r, size_t i)
{
    return i < r->node->n_output && r->node->output[i] ? value_define(r, r->node->output[i])
                                                       : (reader_fail(r, "has no output"), NULL);
}

struct value *node_output(struct reader *r) { return node_output_at(r, 0); }

/* --- a layer's value --- */

static const struct net_shape *shape_of(const struct reader *r, const struct value *v)
{
    return &r->net->layers[v->layer].output;
}

int value_channels(const struct reader *r, const struct value *v)
{
    const struct net_shape *s = shape_of(r, v);
    return s->dim[s->rank - 1];
}

bool value_is_vector(const struct reader *r, const struct value *v)
{
    const struct net_shape *s = shape_of(r, v);
    return s->rank == 1 || (s->dim[0] == 1 && s->dim[1] == 1);
}

void value_dims(const struct reader *r, const struct value *v, int64_t dim[VALUE_MAX_RANK])
{
    const struct net_shape *s = shape_of(r, v);
    for (int i = 0; i < VALUE_MAX_RANK; i++)
        dim[i] = 1;
    dim[0] = r->batch;
    if (v->chw) {
        dim[1] = (int64_t)s->dim[0] * s->dim[1] * s->dim[2];
        return;
    }
    if (v->groups) {
        int last = v->c_axis == 1, at = last ? 3 : 1;
        dim[v->c_axis] = v->groups;
        dim[v->c_axis + 1] = value_channels(r, v) / v->groups;
        dim[at] = s->dim[0];
        dim[at + 1] = s->dim[1];
        return;
    }
    dim[v->c_axis] = value_channels(r, v);
    if (s->rank == 3 && v->rank == 4 && v->c_axis != 2) { /* 2: a vector, all else is 1 */
        dim[v->c_axis == 1 ? 2 : 1] = s->dim[0] + v->below[0] + v->below[2];
        dim[v->c_axis == 1 ? 3 : 2] = s->dim[1] + v->below[1] + v->below[3];
    }
}

/* --- constants --- */

struct constant *constant_new(struct reader *r, int rank, const int64_t *dim, bool floats)
{
    struct constant *c = arena_alloc(&r->arena, sizeof *c, r->err);
    size_t n = 1, bytes;
    if (!c) return NULL;
    *c = (struct constant){.rank = rank};
    for (int i = 0; i < rank; i++) {
        c->dim[i] = dim[i];
        if (dim[i] < 0 || !size_mul(n, (size_t)dim[i], &n)) n = SIZE_MAX;
    }
    /* the limit applies to the sum over all constants */
    if (n > ONNX_MAX_FOLDED || !size_add(r->folded, n, &r->folded) || r->folded > ONNX_MAX_FOLDED ||
        !size_mul(n, floats ? sizeof(float) : sizeof(int64_t), &bytes)) {
        reader_fail(r, "its constants are too large");
        return NULL;
    }
    void *room = arena_alloc(&r->arena, bytes ? bytes : 1, r->err);
    if (!room) return NULL;
    c->n = n;
    if (floats)
        c->f = room;
    else
        c->i = room;
    return c;
}

static float half(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 0x3ff, bits;
    float f;
    if (e == 0) {
        f = (float)m / 16777216.0f;
        return sign ? -f : f;
    }
    bits = sign | (e == 31 ? 0x7f800000u : (e + 112) << 23) | m << 13;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static float brain(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

enum {
    T_FLOAT = 1,
    T_UINT8,
    T_INT8,
    T_UINT16,
    T_INT16,
    T_INT32,
    T_INT64,
    T_STRING,
    T_BOOL,
    T_FLOAT16,
    T_DOUBLE
};
enum { T_BFLOAT16 = 16 };

static size_t bytes_of_type(int type)
{
    switch (type) {
    case T_UINT8:
    case T_INT8:
    case T_BOOL: return 1;
    case T_FLOAT16:
    case T_BFLOAT16: return 2;
    case T_FLOAT:
    case T_INT32: return 4;
    case T_INT64:
    case T_DOUBLE: return 8;
    default: return 0;
    }
}

static int64_t integer_at(const Onnx__TensorProto *t, const unsigned char *raw, size_t k)
{
    int32_t small;
    int64_t large;
    if (!raw) return t->data_type == T_INT64 ? t->int64_data[k] : t->int32_data[k];
    switch (t->data_type) {
    case T_INT8: return (signed char)raw[k];
    case T_INT32: memcpy(&small, raw + 4 * k, 4); return small;
    case T_INT64: memcpy(&large, raw + 8 * k, 8); return large;
    default: return raw[k]; /* UINT8, BOOL */
    }
}

static float float_at(const Onnx__TensorProto *t, const unsigned char *raw, size_t k)
{
    float f;
    double d;
    uint16_t h;
    switch (t->data_type) {
    case T_FLOAT:
        if (!raw) return t->float_data[k];
        memcpy(&f, raw + 4 * k, 4);
        return f;
    case T_DOUBLE:
        if (!raw) return (float)t->double_data[k];
        memcpy(&d, raw + 8 * k, 8);
        return (float)d;
    default: break;
    }
    if (raw)
        memcpy(&h, raw + 2 * k, 2);
    else
        h = (uint16_t)t->int32_data[k];
    return t->data_type == T_FLOAT16 ? half(h) : brain(h);
}

/* The number of values in the typed field for this data type. */
static size_t typed_values(const Onnx__TensorProto *t)
{
    switch (t->data_type) {
    case T_FLOAT: return t->n_float_data;
    case T_DOUBLE: return t->n_double_data;
    case T_INT64: return t->n_int64_data;
    default: return t->n_int32_data;
    }
}

static struct constant *read_tensor(struct reader *r, const Onnx__TensorProto *t)
{
    char name[96];
    text_for_people(name, sizeof name, t->name ? t->name : "");
    bool floats = t->data_type == T_FLOAT || t->data_type == T_FLOAT16 || t->data_type == T_DOUBLE ||
                  t->data_type == T_BFLOAT16;
    size_t each = bytes_of_type(t->data_type), n = 1, bytes;
    if (!each) {
        reader_fail(r, "the tensor '%s' has numbers of type %d, which are not read", name, t->data_type);
        return NULL;
    }
    if (t->segment || t->n_dims > ONNX_MAX_RANK) {
        reader_fail(r, "the tensor '%s' is in segments, or has more than %d dimensions", name, ONNX_MAX_RANK);
        return NULL;
    }
    for (size_t i = 0; i < t->n_dims; i++)
        if (t->dims[i] < 0 || !size_mul(n, (size_t)t->dims[i], &n)) n = SIZE_MAX;
    if (!size_mul(n, each, &bytes) || bytes > NET_MAX_WEIGHT_BYTES / 2) {
        reader_fail(r, "the tensor '%s' has more than %llu MB", name, NET_MAX_WEIGHT_BYTES / 2 / 1000000);
        return NULL;
    }
    const unsigned char *raw = NULL;
    if (t->has_data_location && t->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) {
        if (!(raw = external_bytes(r, t, bytes))) {
            int code = r->err->code;
            char why[300];
            snprintf(why, sizeof why, "%.290s", r->err->text);
            reader_fail(r, "the tensor '%s': %s", name, why);
            r->err->code = code;
            return NULL;
        }
    } else if (t->has_raw_data && t->raw_data.len == bytes) {
        raw = t->raw_data.data;
    } else if (t->has_raw_data ? n > 0 : typed_values(t) != n) {
        reader_fail(
            r, "the tensor '%s' has %zu bytes or numbers, and its dimensions need %zu numbers of %zu bytes",
            name, t->has_raw_data ? t->raw_data.len : typed_values(t), n, each);
        return NULL;
    }
    struct constant *c;
    /* use the bytes of the file directly */
    if (t->data_type == T_FLOAT && raw && (uintptr_t)raw % sizeof(float) == 0) {
        if (!(c = arena_alloc(&r->arena, sizeof *c, r->err))) return NULL;
        *c = (struct constant){.rank = (int)t->n_dims, .n = n, .f = (const float *)(const void *)raw};
        if (t->n_dims) memcpy(c->dim, t->dims, t->n_dims * sizeof *t->dims);
        return c;
    }
    if (!(c = constant_new(r, (int)t->n_dims, t->dims, floats))) return NULL;
    float *f = (float *)(uintptr_t)c->f;
    int64_t *integers = (int64_t *)(uintptr_t)c->i;
    for (size_t k = 0; k < n; k++)
        if (floats)
            f[k] = float_at(t, raw, k);
        else
            integers[k] = integer_at(t, raw, k);
    return c;
}

const struct constant *value_constant(struct reader *r, struct value *v)
{
    if (!v->constant && !v->tensor) {
        char shown[96];
        reader_fail(r, "'%s' must be a constant", text_for_people(shown, sizeof shown, v->name));
        return NULL;
    }
    if (!v->constant) v->constant = read_tensor(r, v->tensor);
    return v->constant;
}

/* --- attributes --- */

const Onnx__AttributeProto *attribute_of(const struct reader *r, const char *name)
{
    for (size_t i = 0; i < r->node->n_attribute; i++)
        if (r->node->attribute[i]->name && strcmp(r->node->attribute[i]->name, name) == 0)
            return r->node->attribute[i];
    return NULL;
}

int64_t attribute_int(const struct reader *r, const char *name, int64_t missing)
{
    const Onnx__AttributeProto *a = attribute_of(r, name);
    return a && a->has_i ? a->i : missing;
}

double attribute_float(const struct reader *r, const char *name, double missing)
{
    const Onnx__AttributeProto *a = attribute_of(r, name);
    return a && a->has_f ? (double)a->f : missing;
}

int attribute_ints(const struct reader *r, const char *name, int64_t *out, int room)
{
    const Onnx__AttributeProto *a = attribute_of(r, name);
    if (!a || a->n_ints > (size_t)room) return -1;
    if (a->n_ints) memcpy(out, a->ints, a->n_ints * sizeof *out);
    return (int)a->n_ints;
}

bool attribute_is(const struct reader *r, const char *name, const char *text, bool missing)
{
    const Onnx__AttributeProto *a = attribute_of(r, name);
    if (!a || !a->has_s) return missing;
    return a->s.len == strlen(text) && memcmp(a->s.data, text, a->s.len) == 0;
}

int integers_of(struct reader *r, size_t input, const char *attribute, int64_t *out, int room)
{
    struct value *v = node_input(r, input);
    if (!v) return attribute ? attribute_ints(r, attribute, out, room) : -1;
    const struct constant *c = value_constant(r, v);
    if (!c) return -2;
    if (!c->i || c->n > (size_t)room) {
        reader_fail(r, "input %zu must hold at most %d whole numbers", input + 1, room);
        return -2;
    }
    memcpy(out, c->i, c->n * sizeof *out);
    return (int)c->n;
}

#endif
