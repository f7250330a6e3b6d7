/*
 * cudnn_graph.c: as much of cuDNN's graph interface as the backend uses: operation graphs of one convolution
 * and what may follow it (an addition, a bias, a ReLU), heuristics, engines, plans and their runs.
 *
 * Attributes are kept as they were set; what a descriptor means is worked out when it is finalized. The
 * engines are such that a filter that is forgotten shows:
 *   5   not repeatable, the quickest (backward only)
 *   6   compiles at run time: its plan is refused
 *   7   tensor cores (TF32 rounds the operands); two settings of its knob, of which the second is quicker
 *   9   wants four times the workspace that anybody allows
 *   2   no tensor cores, some workspace
 *   0   the fallback: takes everything, no workspace, slowest
 * FAKECUDA_SUPPORT, a list of words, takes support away: "no-fused-conv", "no-strided-conv",
 * "bf16-channels-8", "no-groups", "no-heuristics" (mode A has no answer).
 */
#include "nn_checks.h"
#include "nn_conv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ATTRIBUTES 12
#define MAX_ELEMENTS 64
#define MAX_OPS 4
#define KNOB 3 /* of engine 7 */

#if CUDNN_VERSION < 90800 /* numbers that nothing else has */
#define CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR ((cudnnBackendDescriptorType_t)9001)
#define CUDNN_ATTR_DEVICEPROP_HANDLE ((cudnnBackendAttributeName_t)9002)
#define CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION ((cudnnBackendAttributeName_t)9003)
#define CUDNN_ATTR_ENGINEHEUR_DEVICEPROP ((cudnnBackendAttributeName_t)9004)
#define CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP ((cudnnBackendAttributeName_t)9005)
#endif

struct attribute {
    cudnnBackendAttributeName_t name;
    cudnnBackendAttributeType_t type;
    int64_t count;
    int64_t values[MAX_ELEMENTS]; /* each in a word of its own, whatever its size */
};

struct parsed { /* of a graph */
    struct nn_conv v;
    int pass; /* 0 forward, 1 data, 2 filter */
    int64_t id_x, id_w, id_y, id_bias, id_add;
    bool bias, add, relu, mixed; /* mixed: not all types in memory are the same */
    bool strided;
};

struct descriptor {
    cudnnBackendDescriptorType_t type;
    bool final;
    struct attribute attributes[MAX_ATTRIBUTES];
    int n;
    tensor t;             /* TENSOR */
    struct parsed graph;  /* OPERATIONGRAPH, and a copy in what is made of it */
    int64_t engine, knob; /* knob: -1 none */
    size_t workspace;
};

#define FAIL(status, ...) return nn_fail(call, status, __VA_ARGS__)
#define BAD CUDNN_STATUS_BAD_PARAM

static bool is_descriptor(const void *d) { return fake_object_is(d, "backend descriptor"); }

static size_t element_bytes(cudnnBackendAttributeType_t type)
{
    switch (type) {
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_DOUBLE: return 8;
    case CUDNN_TYPE_BOOLEAN:
    case CUDNN_TYPE_CHAR: return 1;
    default: return 4; /* float and the enumerations */
    }
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                                                cudnnBackendDescriptor_t *out)
{
    const char *call = "cudnnBackendCreateDescriptor";
    if (fake_call_fails(call)) FAIL(CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED, "failed on request");
    struct descriptor *d = fake_object_new("backend descriptor", sizeof *d);
    if (!d) return CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
    d->type = type;
    d->knob = -1;
    *out = d;
    return CUDNN_STATUS_SUCCESS;
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t d)
{
    const char *call = "cudnnBackendDestroyDescriptor";
    if (!is_descriptor(d)) FAIL(BAD, "not a live descriptor");
    fake_object_free(d);
    return CUDNN_STATUS_SUCCESS;
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor,
                                                            cudnnBackendAttributeName_t name,
                                                            cudnnBackendAttributeType_t type, int64_t count,
                                                            const void *values)
{
    const char *call = "cudnnBackendSetAttribute";
    struct descriptor *d = descriptor;
    if (fake_call_fails(call)) FAIL(CUDNN_STATUS_INTERNAL_ERROR, "failed on request");
    if (!is_descriptor(d) || d->final) FAIL(BAD, "not a live descriptor, or one that is final");
    if (name == CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION) {
        /* only whether it is one is looked at: engines are those of FAKECUDA_CC */
        const char *json = values;
        if (type != CUDNN_TYPE_CHAR || count < 1) FAIL(BAD, "not a text");
        d->engine = *json == '{'; /* judged when the descriptor is finalized, as the real one does */
        count = 1;
    }
    if (count < 1 || count > MAX_ELEMENTS || !values || d->n == MAX_ATTRIBUTES)
        FAIL(BAD, "attribute %d with %lld values", (int)name, (long long)count);
    for (int i = 0; i < d->n; i++)
        if (d->attributes[i].name == name) FAIL(BAD, "attribute %d is set twice", (int)name);
    struct attribute *a = &d->attributes[d->n];
    *a = (struct attribute){name, type, count, {0}};
    for (int64_t i = 0; i < count; i++) {
        memcpy(&a->values[i], (const char *)values + (size_t)i * element_bytes(type), element_bytes(type));
        const struct descriptor *part = (const void *)(intptr_t)a->values[i];
        if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR && (!is_descriptor(part) || !part->final))
            FAIL(BAD, "attribute %d is a descriptor that is dead or not final", (int)name);
    }
    d->n++;
    return CUDNN_STATUS_SUCCESS;
}

/* The attribute of that name, type and count (0: any), or NULL. */
static const struct attribute *find(const struct descriptor *d, cudnnBackendAttributeName_t name,
                                    cudnnBackendAttributeType_t type, int64_t count)
{
    for (int i = 0; i < d->n; i++)
        if (d->attributes[i].name == name)
            return d->attributes[i].type == type && (!count || d->attributes[i].count == count)
                       ? &d->attributes[i]
                       : NULL;
    return NULL;
}

static struct descriptor *part(const struct descriptor *d, cudnnBackendAttributeName_t name,
                               cudnnBackendDescriptorType_t type)
{
    const struct attribute *a = find(d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1);
    struct descriptor *p = a ? (void *)(intptr_t)a->values[0] : NULL;
    return p && is_descriptor(p) && p->type == type ? p : NULL;
}

static int64_t number(const struct descriptor *d, cudnnBackendAttributeName_t name,
                      cudnnBackendAttributeType_t type, int64_t otherwise)
{
    const struct attribute *a = find(d, name, type, 1);
    return a ? a->values[0] : otherwise;
}

/* --- finalizing, kind by kind --- */

static cudnnStatus_t final_tensor(const char *call, struct descriptor *d)
{
    const struct attribute *dims = find(d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4),
                           *strides = find(d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4),
                           *type = find(d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1);
    int64_t align = number(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 0), last = 0;
    if (!dims || !strides || !type || !find(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1))
        FAIL(BAD, "a tensor lacks dimensions, strides, type or name");
    d->t = (tensor){true, (cudnnDataType_t)type->values[0], {0}, {0}};
    if (align < 1 || (size_t)align % nn_element_bytes(d->t.type))
        FAIL(BAD, "alignment %lld", (long long)align);
    for (int i = 0; i < 4; i++) {
        if (dims->values[i] < 1 || strides->values[i] < 1) FAIL(BAD, "dimension %d of a tensor", i);
        d->t.d[i] = (int)dims->values[i];
        d->t.s[i] = (int)strides->values[i];
        last += (dims->values[i] - 1) * strides->values[i];
    }
    return last < (int64_t)1 << 31 ? CUDNN_STATUS_SUCCESS
                                   : nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "more than 2^31 values");
}

static const struct {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t alpha, beta, conv, x, w, y;
} passes[] = {
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY},
};

static int pass_of(cudnnBackendDescriptorType_t type)
{
    for (int i = 0; i < 3; i++)
        if (passes[i].type == type) return i;
    return -1;
}

static bool packed_gaps_ok(const tensor *t) /* NHWC whose pixels may lie further apart than they are wide */
{
    return t->s[1] == 1 && t->s[3] >= t->d[1] && t->s[2] == t->s[3] * t->d[3] && t->s[0] == t->s[2] * t->d[2];
}

static float real(int64_t word)
{
    float f;
    memcpy(&f, &word, sizeof f);
    return f;
}

static cudnnStatus_t final_convolution(const char *call, struct descriptor *d, int pass)
{
    struct descriptor *c = part(d, passes[pass].conv, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR),
                      *x = part(d, passes[pass].x, CUDNN_BACKEND_TENSOR_DESCRIPTOR),
                      *w = part(d, passes[pass].w, CUDNN_BACKEND_TENSOR_DESCRIPTOR),
                      *y = part(d, passes[pass].y, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    const struct attribute *alpha = find(d, passes[pass].alpha, CUDNN_TYPE_FLOAT, 1),
                           *beta = find(d, passes[pass].beta, CUDNN_TYPE_FLOAT, 1);
    if (!c || !x || !w || !y || !alpha || !beta || real(alpha->values[0]) != 1)
        FAIL(BAD, "a convolution lacks a part, or is scaled");
    const struct attribute *pre = find(c, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2),
                           *post = find(c, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2),
                           *stride = find(c, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2),
                           *dilation = find(c, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2);
    if (!pre || !post || !stride || !dilation ||
        number(c, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 0) != 2 ||
        number(c, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, -1) !=
            CUDNN_CROSS_CORRELATION ||
        number(c, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, -1) != CUDNN_DATA_FLOAT)
        FAIL(BAD, "the convolution's numbers are incomplete, or not what winnow means");
    const tensor *tx = &x->t, *tw = &w->t, *ty = &y->t;
    struct parsed *p = &d->graph;
    if (tx->d[1] % tw->d[1] || tw->d[0] % (tx->d[1] / tw->d[1]))
        FAIL(BAD, "%d channels meet a filter of %d", tx->d[1], tw->d[1]);
    for (int i = 0; i < 2; i++) {
        int64_t reach = dilation->values[i] * (tw->d[2 + i] - 1) + 1,
                room = tx->d[2 + i] + pre->values[i] + post->values[i] - reach;
        if (pre->values[i] < 0 || post->values[i] < 0 || stride->values[i] < 1 || dilation->values[i] < 1 ||
            room < 0 || ty->d[2 + i] != 1 + room / stride->values[i])
            FAIL(BAD, "the output's side %d is not what the convolution makes", ty->d[2 + i]);
    }
    if (ty->d[0] != tx->d[0] || ty->d[1] != tw->d[0]) FAIL(BAD, "the output has another shape");
    if (!packed_gaps_ok(tw) || tw->s[3] != tw->d[1] || !packed_gaps_ok(tx) || !packed_gaps_ok(ty))
        FAIL(BAD, "strides that are not NHWC");
    p->pass = pass;
    p->v = (struct nn_conv){
        .x = *tx,
        .y = *ty,
        .w = {tw->type, tw->d[0], tw->d[1], tw->d[2], tw->d[3]},
        .pad_h = (int)pre->values[0],
        .pad_w = (int)pre->values[1],
        .stride_h = (int)stride->values[0],
        .stride_w = (int)stride->values[1],
        .dilation_h = (int)dilation->values[0],
        .dilation_w = (int)dilation->values[1],
        .groups = tx->d[1] / tw->d[1],
        .beta = real(beta->values[0]),
    };
    p->id_x = number(x, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 0);
    p->id_w = number(w, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 0);
    p->id_y = number(y, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 0);
    p->mixed = tx->type != tw->type;
    p->strided = tx->s[3] != tx->d[1];
    return CUDNN_STATUS_SUCCESS;
}

static bool is_virtual(const struct descriptor *t)
{
    return number(t, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 0) != 0;
}

/* What follows the convolution, in the order that engines know: + addend, + bias, ReLU. */
static cudnnStatus_t final_graph(const char *call, struct descriptor *d)
{
    const struct attribute *ops = find(d, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0);
    if (!ops || ops->count > MAX_OPS) FAIL(BAD, "a graph without operations, or with too many");
    const struct descriptor *first = (const void *)(intptr_t)ops->values[0];
    int pass = pass_of(first->type);
    if (pass < 0) FAIL(CUDNN_STATUS_NOT_SUPPORTED, "a graph that does not begin with a convolution");
    d->graph = first->graph;
    struct parsed *p = &d->graph;
    const struct descriptor *y = part(first, passes[pass].y, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    for (int i = 1; i < ops->count; i++) {
        const struct descriptor *o = (const void *)(intptr_t)ops->values[i];
        struct descriptor *how = part(o, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR,
                                      CUDNN_BACKEND_POINTWISE_DESCRIPTOR),
                          *ox =
                              part(o, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_BACKEND_TENSOR_DESCRIPTOR),
                          *ob =
                              part(o, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_BACKEND_TENSOR_DESCRIPTOR),
                          *oy =
                              part(o, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
        if (!how || ox != y || !oy || !is_virtual(y) || pass || !nn_same_dims(&oy->t, &y->t))
            FAIL(BAD, "operation %d does not go on from the one before it", i);
        int64_t mode = number(how, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, -1);
        if (mode == CUDNN_POINTWISE_RELU_FWD && !ob) {
            p->relu = true;
        } else if (mode == CUDNN_POINTWISE_ADD && ob && !p->relu && !p->bias) {
            bool vector = ob->t.d[0] == 1 && ob->t.d[2] == 1 && ob->t.d[3] == 1;
            int64_t id = number(ob, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 0);
            if (ob->t.d[1] != y->t.d[1] || (!vector && !nn_same_dims(&ob->t, &y->t)))
                FAIL(BAD, "an addend of another shape");
            p->mixed |= ob->t.type != p->v.x.type;
            if (vector && (!nn_same_dims(&ob->t, &y->t) || p->add)) {
                p->bias = true;
                p->id_bias = id;
            } else {
                p->add = true;
                p->id_add = id;
                p->v.add_desc = ob->t;
            }
        } else {
            FAIL(CUDNN_STATUS_NOT_SUPPORTED, "pointwise mode %d here", (int)mode);
        }
        y = oy;
    }
    if (is_virtual(y)) FAIL(BAD, "the last result is nowhere in memory");
    p->v.relu = p->relu;
    p->v.y = y->t;
    p->id_y = number(y, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 0);
    p->mixed |= y->t.type != p->v.x.type || p->v.w.type != p->v.x.type;
    p->strided |= y->t.s[3] != y->t.d[1];
    return CUDNN_STATUS_SUCCESS;
}

/* --- engines --- */

static bool has_tensor_cores(const struct parsed *p)
{
    return fake_compute_capability() >= 80 || p->v.x.type != CUDNN_DATA_FLOAT;
}

/* Does this engine take the graph? */
static bool takes(const struct parsed *p, int64_t engine, int64_t knob)
{
    bool half = p->v.x.type != CUDNN_DATA_FLOAT, fused = p->bias || p->add || p->relu;
    if (!nn_type_runs(p->v.x.type)) return false;
    if (half && support("bf16-channels-8") && (p->v.x.d[1] % 8 || p->v.y.d[1] % 8)) return false;
    if (p->strided && support("no-strided-conv")) return false;
    if (p->v.groups > 1 && support("no-groups")) return false;
    if (fused && (support("no-fused-conv") || !p->bias || p->mixed)) return engine == 6 && knob < 0;
    if (p->mixed) return false;
    switch (engine) {
    case 0:
    case 2:
    case 6:
    case 9: return knob < 0;
    case 5: return knob < 0 && p->pass != 0;
    case 7: return has_tensor_cores(p) && (knob == 0 || knob == 1);
    default: return false;
    }
}

/* Odd sizes on purpose. */
static size_t workspace_of(const struct parsed *p, int64_t engine, int64_t knob)
{
    size_t taps = (size_t)p->v.w.h * (size_t)p->v.w.w;
    switch (engine) {
    case 2: return taps * (size_t)p->v.y.d[2] * 4 + 12 + 300 * (size_t)p->pass;
    case 5: return 4;
    case 7:
        return taps * (size_t)p->v.x.d[2] * 4 + (size_t)p->v.w.k * 4 + (knob ? 36 : 20) +
               64 * (size_t)p->pass;
    case 9: return (size_t)4 << 30;
    default: return 0;
    }
}

static double time_of(int64_t engine, int64_t knob)
{
    return engine == 5 ? 1 : engine == 6 ? 0.5 : engine == 7 ? (knob ? 2 : 3) : engine == 2 ? 5 : 9;
}

struct offer {
    int64_t engine, knob;
};

static int offers(const struct parsed *p, cudnnBackendHeurMode_t mode, struct offer out[8])
{
    static const struct offer a[] = {{6, -1}, {5, -1}, {7, 0}, {9, -1}, {7, 1}, {2, -1}}, last[] = {{0, -1}};
    const struct offer *all = mode == CUDNN_HEUR_MODE_A ? a : last;
    int n = 0, n_all = mode == CUDNN_HEUR_MODE_A ? 6 : 1;
    for (int i = 0; i < n_all; i++)
        if (takes(p, all[i].engine, all[i].knob)) out[n++] = all[i];
    return n;
}

static cudnnStatus_t final_others(const char *call, struct descriptor *d)
{
    const struct descriptor *g;
    const struct attribute *a, *b;
    switch (d->type) {
    case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR:
    case CUDNN_BACKEND_POINTWISE_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR: return CUDNN_STATUS_SUCCESS; /* judged by the graph */
    case CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR:
        if (!find(d, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, 1) &&
            !find(d, CUDNN_ATTR_DEVICEPROP_HANDLE, CUDNN_TYPE_HANDLE, 1))
            FAIL(CUDNN_STATUS_NOT_INITIALIZED, "a card that nothing describes");
        if (find(d, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, 1) && !d->engine)
            FAIL(BAD, "not the text of a card");
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR:
        if (number(d, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, -1) != KNOB)
            FAIL(BAD, "no such knob");
        d->knob = number(d, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, -1);
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
        g = part(d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
        if (!g || !find(d, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1))
            FAIL(BAD, "heuristics without a graph or a mode");
        if (!find(g, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1) &&
            !part(d, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR))
            FAIL(BAD, "heuristics of no device: the real ones succeed without a result");
        if (number(d, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, -1) == CUDNN_HEUR_MODE_A &&
            support("no-heuristics"))
            FAIL(CUDNN_STATUS_NOT_SUPPORTED, "mode A does not know this graph");
        d->graph = g->graph;
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_BACKEND_ENGINE_DESCRIPTOR:
        g = part(d, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
        if (!g) FAIL(BAD, "an engine without a graph");
        d->graph = g->graph;
        d->engine = number(d, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, -1);
        if (!takes(&d->graph, d->engine, -1) && !takes(&d->graph, d->engine, 0))
            FAIL(CUDNN_STATUS_NOT_SUPPORTED, "engine %lld does not take the graph", (long long)d->engine);
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_BACKEND_ENGINECFG_DESCRIPTOR:
        g = part(d, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
        if (!g) FAIL(BAD, "a configuration without an engine");
        d->graph = g->graph;
        d->engine = g->engine;
        if ((a = find(d, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1)))
            d->knob = ((const struct descriptor *)(intptr_t)a->values[0])->knob;
        if (!takes(&d->graph, d->engine, d->knob))
            FAIL(CUDNN_STATUS_NOT_SUPPORTED, "this setting of engine %lld", (long long)d->engine);
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
        g = part(d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
        a = find(d, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1);
        if (!g || (a ? !fake_object_is((const void *)(intptr_t)a->values[0], "cudnn handle")
                     : !part(d, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR)))
            FAIL(BAD, "a plan without a configuration, or without a live handle or a described card");
        if (g->engine == 6)
            FAIL(CUDNN_STATUS_NOT_SUPPORTED_RUNTIME_PREREQUISITE_MISSING, "no run-time compiler here");
        d->graph = g->graph;
        d->engine = g->engine;
        d->knob = g->knob;
        d->workspace = workspace_of(&d->graph, d->engine, d->knob);
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR:
        a = find(d, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 0);
        b = find(d, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 0);
        if (!a || !b || a->count != b->count ||
            !find(d, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1))
            FAIL(BAD, "names, addresses or workspace are missing");
        return CUDNN_STATUS_SUCCESS;
    default: FAIL(CUDNN_STATUS_NOT_SUPPORTED, "a descriptor of kind %d", (int)d->type);
    }
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor)
{
    const char *call = "cudnnBackendFinalize";
    struct descriptor *d = descriptor;
    if (fake_call_fails(call)) FAIL(CUDNN_STATUS_INTERNAL_ERROR, "failed on request");
    if (!is_descriptor(d) || d->final) FAIL(BAD, "not a live descriptor, or one that is final");
    cudnnStatus_t rc = d->type == CUDNN_BACKEND_TENSOR_DESCRIPTOR ? final_tensor(call, d)
                       : pass_of(d->type) >= 0 ? final_convolution(call, d, pass_of(d->type))
                       : d->type == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR ? final_graph(call, d)
                                                                            : final_others(call, d);
    d->final = rc == CUDNN_STATUS_SUCCESS;
    return rc;
}

/* --- asking --- */

/* Fills descriptors that the caller made, as the real one does. */
static cudnnStatus_t fill(const char *call, void *values, int64_t i, cudnnBackendDescriptorType_t type,
                          struct descriptor **out)
{
    struct descriptor *to = ((void **)values)[i];
    if (!is_descriptor(to) || to->type != type || to->final)
        FAIL(BAD, "result %lld has no fresh descriptor to go to", (long long)i);
    to->final = true;
    *out = to;
    return CUDNN_STATUS_SUCCESS;
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnBackendGetAttribute(cudnnBackendDescriptor_t const descriptor,
                                                            cudnnBackendAttributeName_t name,
                                                            cudnnBackendAttributeType_t type, int64_t asked,
                                                            int64_t *count, void *values)
{
    const char *call = "cudnnBackendGetAttribute";
    const struct descriptor *d = descriptor;
    struct descriptor *to;
    struct offer all[8];
    cudnnStatus_t rc = CUDNN_STATUS_SUCCESS;
    if (fake_call_fails(call)) FAIL(CUDNN_STATUS_INTERNAL_ERROR, "failed on request");
    if (!is_descriptor(d) || !d->final) FAIL(CUDNN_STATUS_NOT_INITIALIZED, "a descriptor that is not final");
    switch (name) {
    case CUDNN_ATTR_ENGINEHEUR_RESULTS:
        *count =
            offers(&d->graph,
                   (cudnnBackendHeurMode_t)number(d, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 0),
                   all);
        for (int64_t i = 0; !rc && i < *count && i < asked; i++) {
            rc = fill(call, values, i, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &to);
            if (rc) break;
            to->graph = d->graph;
            to->engine = all[i].engine;
            to->knob = all[i].knob;
        }
        if (asked < *count && asked) *count = asked;
        return rc;
    case CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION:
        /* without memoryBusWidth, as cuDNN before 9.27 */
        *count = snprintf(
            values, (size_t)asked,
            "{\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],\"regsPerBlock\":"
            "65536,"
            "\"multiProcessorCount\":1,\"warpSize\":32,\"maxSharedMemoryPerBlock\":49152,"
            "\"maxSharedMemoryPerBlockOptin\":166912,\"reservedSharedMemoryPerBlock\":1024,"
            "\"maxSharedMemoryPerSM\":167936,\"maxRegistersPerSM\":65536,\"maxCtasPerSM\":32,"
            "\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,\"pciDeviceId\":0,\"isTccDriver\":0,"
            "\"supportCoopLaunch\":1,\"totalGlobalMem\":8589934592,\"smClockRateKHz\":1000000,"
            "\"memClockRateKHz\":1000000,\"l2CacheSize\":4194304,\"cudaDeviceId\":0,\"deviceVer\":%d,"
            "\"driverVer\":%d,\"deviceName\":\"winnow stand-in 0\"}",
            fake_compute_capability() * 10, CUDART_VERSION);
        return *count < asked ? rc : nn_fail(call, BAD, "too little room");
    case CUDNN_ATTR_ENGINECFG_ENGINE:
        if (d->type != CUDNN_BACKEND_ENGINECFG_DESCRIPTOR || asked != 1) FAIL(BAD, "not a configuration");
        if ((rc = fill(call, values, 0, CUDNN_BACKEND_ENGINE_DESCRIPTOR, &to))) return rc;
        to->graph = d->graph;
        to->engine = d->engine;
        *count = 1;
        return rc;
    case CUDNN_ATTR_ENGINE_GLOBAL_INDEX:
        *(int64_t *)values = d->engine;
        *count = 1;
        return rc;
    case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE:
        *count = 0;
        if (asked < 2) FAIL(BAD, "room for two notes is wanted");
        if (d->engine == 7)
            ((cudnnBackendNumericalNote_t *)values)[(*count)++] = CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
        if (d->engine == 5)
            ((cudnnBackendNumericalNote_t *)values)[(*count)++] = CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
        return rc;
    case CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE:
        *count = d->engine == 6;
        if (*count) *(cudnnBackendBehaviorNote_t *)values = CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION;
        return rc;
    case CUDNN_ATTR_ENGINECFG_KNOB_CHOICES:
        *count = d->knob >= 0;
        if (!*count) return rc;
        if ((rc = fill(call, values, 0, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, &to))) return rc;
        to->knob = d->knob;
        return rc;
    case CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE:
        *(cudnnBackendKnobType_t *)values = (cudnnBackendKnobType_t)KNOB;
        *count = 1;
        return rc;
    case CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE:
        *(int64_t *)values = d->knob;
        *count = 1;
        return rc;
    case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
        *(int64_t *)values = (int64_t)d->workspace;
        *count = 1;
        return rc;
    default: FAIL(CUDNN_STATUS_NOT_SUPPORTED, "attribute %d cannot be asked here", (int)name);
    }
}

/* --- running --- */

static void run(const void *args)
{
    const struct nn_conv *v = args;
    fake_spend(v->ms);
    if (v->out == v->px || v->out == v->pw || v->out == v->py)
        fake_break("cudnnBackendExecute", "the result overwrites an operand");
    if (!v->px)
        nn_conv_backward_data_run(v);
    else if (!v->pw)
        nn_conv_backward_filter_run(v);
    else
        nn_conv_forward_run(v);
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                                       cudnnBackendDescriptor_t pack)
{
    const char *call = "cudnnBackendExecute";
    NN_BEGIN(call);
    const struct descriptor *p = plan, *k = pack;
    if (!is_descriptor(p) || !p->final || p->type != CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR ||
        !is_descriptor(k) || !k->final || k->type != CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)
        FAIL(BAD, "no live plan or pack");
    if (number(p, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 0) != (int64_t)(intptr_t)handle)
        FAIL(BAD, "the plan is another handle's");
    const struct attribute *ids = find(k, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 0),
                           *addresses =
                               find(k, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 0);
    const struct parsed *g = &p->graph;
    struct nn_conv v = g->v;
    const void *x = NULL, *w = NULL, *y = NULL;
    const struct {
        int64_t id;
        const void **to;
        bool wanted;
    } places[] = {{g->id_x, &x, true},
                  {g->id_w, &w, true},
                  {g->id_y, &y, true},
                  {g->id_bias, &v.bias, g->bias},
                  {g->id_add, &v.add, g->add}};
    for (int i = 0; i < 5; i++) {
        for (int64_t j = 0; places[i].wanted && j < ids->count; j++)
            if (ids->values[j] == places[i].id) *places[i].to = (const void *)(intptr_t)addresses->values[j];
        if (places[i].wanted && nn_bad_pointer(*places[i].to, 16))
            FAIL(CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER, "tensor %lld is %s", (long long)places[i].id,
                 nn_bad_pointer(*places[i].to, 16));
    }
    v.workspace = (void *)(intptr_t)number(k, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 0);
    v.workspace_bytes = p->workspace;
    if (v.workspace_bytes && nn_bad_pointer(v.workspace, 16))
        FAIL(BAD, "the workspace is %s", nn_bad_pointer(v.workspace, 16));
    v.px = g->pass == 1 ? NULL : x;
    v.pw = g->pass == 2 ? NULL : w;
    v.py = g->pass == 0 ? NULL : y;
    v.out = (void *)(g->pass == 0 ? y : g->pass == 1 ? x : w);
    v.tf32 = p->engine == 7 && v.x.type == CUDNN_DATA_FLOAT;
    v.ms = time_of(p->engine, p->knob);
    v.wobbles = p->engine == 5;
    return nn_queue(handle, call, run, &v, sizeof v);
}
