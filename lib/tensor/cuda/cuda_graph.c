/*
 * cuda_graph.c: turns a convolution into a cuDNN operation graph, gets engines for it from cuDNN's
 * heuristics, and makes execution plans of the suitable ones.
 *
 * cuDNN's descriptors are set attribute by attribute, and any of these calls may fail: `struct making` keeps
 * the first failure, after which the others do nothing. Three facts are not in the documentation: without a
 * device, heuristics succeed but return no results; a bias of another type than the maps excludes all engines
 * but those that are compiled at run time; and conv + ReLU has precompiled engines only with a bias between
 * the two.
 */
#include "tensor/cuda/cuda_graph.h"

#include <string.h>

#include "tensor/cuda/cuda.h"

#define MAX_CANDIDATES 48 /* cuDNN offers 4 to 40 */

struct making {
    const char *subject;
    struct error *err;
    struct graph_plan *into; /* keeps the descriptors */
    bool failed;
};

static bool fine(struct making *m, const char *call, cudnnStatus_t status)
{
    if (!m->failed && dnn_check(m->err, m->subject, call, status)) m->failed = true;
    return !m->failed;
}

static cudnnBackendDescriptor_t make(struct making *m, cudnnBackendDescriptorType_t type)
{
    cudnnBackendDescriptor_t d = NULL;
    if (m->failed) return NULL;
    if (m->into->n_parts == GRAPH_MAX_DESCRIPTORS) {
        error_set(m->err, EX_SOFTWARE, "cuda: %s: more descriptors than there is room for", m->subject);
        m->failed = true;
        return NULL;
    }
    if (!fine(m, "cudnnBackendCreateDescriptor", cudnnBackendCreateDescriptor(type, &d))) return NULL;
    return m->into->parts[m->into->n_parts++] = d;
}

static void set(struct making *m, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t count, const void *values)
{
    if (!m->failed)
        fine(m, "cudnnBackendSetAttribute", cudnnBackendSetAttribute(d, name, type, count, values));
}

static void set_part(struct making *m, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                     cudnnBackendDescriptor_t part)
{
    set(m, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &part);
}

static void finalize(struct making *m, cudnnBackendDescriptor_t d)
{
    if (!m->failed) fine(m, "cudnnBackendFinalize", cudnnBackendFinalize(d));
}

/* --- the graph --- */

/* A tensor [n, c, h, w] whose channels are next to each other and whose pixels are `pixel` values apart.
 * id < 0: it exists only within the graph. */
static cudnnBackendDescriptor_t tensor(struct making *m, cudnnDataType_t type, int id, int n, int c, int h,
                                       int w, int pixel)
{
    cudnnBackendDescriptor_t t = make(m, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    int64_t dims[] = {n, c, h, w}, name = id < 0 ? 100 - id : id, align = 16,
            strides[] = {(int64_t)h * w * pixel, 1, (int64_t)w * pixel, pixel};
    bool inside = id < 0;
    set(m, t, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(m, t, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims);
    set(m, t, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
    set(m, t, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &name);
    set(m, t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align);
    if (inside) set(m, t, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &inside);
    finalize(m, t);
    return t;
}

static cudnnBackendDescriptor_t pointwise(struct making *m, cudnnPointwiseMode_t mode,
                                          cudnnBackendDescriptor_t x, cudnnBackendDescriptor_t b,
                                          cudnnBackendDescriptor_t y)
{
    cudnnBackendDescriptor_t how = make(m, CUDNN_BACKEND_POINTWISE_DESCRIPTOR), op;
    cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    set(m, how, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    set(m, how, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    finalize(m, how);
    op = make(m, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    set_part(m, op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how);
    set_part(m, op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    if (b) set_part(m, op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    set_part(m, op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    finalize(m, op);
    return op;
}

static cudnnBackendDescriptor_t convolution(struct making *m, const struct conv_graph *g)
{
    cudnnBackendDescriptor_t c = make(m, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    int64_t two = 2, dilations[] = {g->dilation_h, g->dilation_w}, strides[] = {g->stride_h, g->stride_w},
            before[] = {g->pad_top, g->pad_left}, after[] = {g->pad_bottom, g->pad_right};
    set(m, c, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    set(m, c, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    set(m, c, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &two);
    set(m, c, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilations);
    set(m, c, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, strides);
    set(m, c, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, before);
    set(m, c, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, after);
    finalize(m, c);
    return c;
}

#define ATTRIBUTE(pass, name) CUDNN_ATTR_OPERATION_CONVOLUTION_##pass##_##name
#define PASS(pass, x, w, y)                                                                                  \
    ATTRIBUTE(pass, ALPHA), ATTRIBUTE(pass, BETA), ATTRIBUTE(pass, CONV_DESC), ATTRIBUTE(pass, x),           \
        ATTRIBUTE(pass, w), ATTRIBUTE(pass, y)
static const struct {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t alpha, beta, conv, x, w, y;
} passes[] = {
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, PASS(FORWARD, X, W, Y)},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, PASS(BWD_DATA, DX, W, DY)},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR, PASS(BWD_FILTER, X, DW, DY)},
};

static cudnnBackendDescriptor_t graph(struct making *m, const struct conv_graph *g, cudnnHandle_t handle)
{
    cudnnBackendDescriptor_t ops[4], x, w, y, conv, out;
    int n_ops = 0, left = (g->bias != 0) + (g->add != 0) + (g->relu != 0), inside = -1;
    float alpha = 1, beta = g->accumulate ? 1 : 0;
/* The y of the next operation: that of the graph for the last one, and a float map that is
 * never in memory for the others. */
#define NEXT                                                                                                 \
    (left-- > 0 ? tensor(m, CUDNN_DATA_FLOAT, inside--, g->n, g->k, g->oh, g->ow, g->k)                      \
                : tensor(m, g->type, GRAPH_Y, g->n, g->k, g->oh, g->ow, g->y_pixel))
    x = tensor(m, g->type, GRAPH_X, g->n, g->c, g->h, g->w, g->c);
    w = tensor(m, g->type, GRAPH_W, g->k, g->c / g->groups, g->kernel_h, g->kernel_w, g->c / g->groups);
    y = NEXT;
    conv = convolution(m, g);
    ops[n_ops++] = make(m, passes[g->pass].type);
    set(m, ops[0], passes[g->pass].alpha, CUDNN_TYPE_FLOAT, 1, &alpha);
    set(m, ops[0], passes[g->pass].beta, CUDNN_TYPE_FLOAT, 1, &beta);
    set_part(m, ops[0], passes[g->pass].conv, conv);
    set_part(m, ops[0], passes[g->pass].x, x);
    set_part(m, ops[0], passes[g->pass].w, w);
    set_part(m, ops[0], passes[g->pass].y, y);
    finalize(m, ops[0]);
    if (g->add) {
        x = y;
        w = tensor(m, g->type, GRAPH_ADD, g->n, g->k, g->oh, g->ow, g->k);
        ops[n_ops++] = pointwise(m, CUDNN_POINTWISE_ADD, x, w, y = NEXT);
    }
    if (g->bias) {
        x = y;
        w = tensor(m, g->type, GRAPH_BIAS, 1, g->k, 1, 1, g->k);
        ops[n_ops++] = pointwise(m, CUDNN_POINTWISE_ADD, x, w, y = NEXT);
    }
    if (g->relu) {
        x = y;
        ops[n_ops++] = pointwise(m, CUDNN_POINTWISE_RELU_FWD, x, NULL, y = NEXT);
    }
#undef NEXT
    out = make(m, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    if (handle) set(m, out, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
    set(m, out, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, n_ops, ops);
    finalize(m, out);
    return out;
}

/* --- devices --- */

#if CUDNN_VERSION < 90800 /* older versions have no names for these, and ignore them */
#define CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR (cudnnBackendDescriptorType_t)0
#define CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION (cudnnBackendAttributeName_t)0
#define CUDNN_ATTR_DEVICEPROP_HANDLE (cudnnBackendAttributeName_t)0
#define CUDNN_ATTR_ENGINEHEUR_DEVICEPROP (cudnnBackendAttributeName_t)0
#define CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP (cudnnBackendAttributeName_t)0
#define CUDNN_ATTR_ENGINE_DEVICEPROP (cudnnBackendAttributeName_t)0
#endif

int graph_device_describe(cudnnBackendDescriptor_t *out, const char *json, cudnnHandle_t handle,
                          struct error *err)
{
    const char *who = json ? "the described card" : "the card's description";
    size_t version = cudnnGetVersion();
    *out = NULL;
    if (CUDNN_VERSION < 90800 || version < 90800)
        return error_set(err, EX_UNAVAILABLE,
                         "cuda: cuDNN %zu.%zu.%zu neither describes a card nor plans for one that is not "
                         "there "
                         "(9.8 and later do); training on a card that is there does not need that",
                         version / 10000, version / 100 % 100, version % 100);
    if (DNN(who, cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, out)) ||
        DNN(who, json ? cudnnBackendSetAttribute(*out, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
                                                 CUDNN_TYPE_CHAR, (int64_t)strlen(json), json)
                      : cudnnBackendSetAttribute(*out, CUDNN_ATTR_DEVICEPROP_HANDLE, CUDNN_TYPE_HANDLE, 1,
                                                 &handle)))
        return -1;
    cudnnStatus_t status = cudnnBackendFinalize(*out);
    if (!DNN(who, status)) return 0;
    if (json && status == CUDNN_STATUS_BAD_PARAM) err->code = EX_DATAERR;
    return -1;
}

int graph_device_text(cudnnHandle_t handle, char *json, size_t bytes, struct error *err)
{
    cudnnBackendDescriptor_t p;
    int64_t n = 0;
    int rc = graph_device_describe(&p, NULL, handle, err) ||
             DNN("the card's description",
                 cudnnBackendGetAttribute(p, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                                          (int64_t)bytes - 1, &n, json));
    json[rc || n < 0 || n >= (int64_t)bytes ? 0 : n] = 0;
    if (p) cudnnBackendDestroyDescriptor(p);
    return rc ? -1 : 0;
}

/* --- plans --- */

void graph_plan_release(struct graph_plan *p)
{
    if (p->pack) cudnnBackendDestroyDescriptor(p->pack);
    if (p->plan) cudnnBackendDestroyDescriptor(p->plan);
    while (p->n_parts > 0)
        cudnnBackendDestroyDescriptor(p->parts[--p->n_parts]);
    *p = (struct graph_plan){0};
}

static bool get(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t most, int64_t *n, void *values)
{
    return !cudnnBackendGetAttribute(d, name, type, most, n, values);
}

/* Reads the engine, its notes and its knobs from a configuration. False: it
 * contradicts the wish, or cannot be read. */
static bool suits(cudnnBackendDescriptor_t config, const struct graph_wish *wish, struct graph_plan *p)
{
    cudnnBackendDescriptor_t engine = NULL, knobs[GRAPH_MAX_KNOBS] = {0};
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT + 8];
    cudnnBackendBehaviorNote_t behaviour[CUDNN_BEHAVIOR_NOTE_TYPE_COUNT + 8];
    int64_t n = 0, n_behaviour = 0, n_knobs = 0;
    bool ok = !cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) &&
              get(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &n, &engine) &&
              get(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &n, &p->choice.engine) &&
              get(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                  sizeof notes / sizeof *notes, &n, notes) &&
              get(engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE,
                  sizeof behaviour / sizeof *behaviour, &n_behaviour, behaviour);
    p->tensor_core = false;
    p->repeatable = true;
    for (int64_t i = 0; ok && i < n; i++) {
        p->tensor_core |= notes[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
        p->repeatable &= notes[i] != CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
    }
    ok = ok && (wish->tensor_core || !p->tensor_core) && (!wish->repeatable || p->repeatable);
    for (int64_t i = 0; ok && i < n_behaviour; i++) /* no compiler on the user's machine */
        ok = behaviour[i] != CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION;
    for (int i = 0; ok && i < GRAPH_MAX_KNOBS; i++)
        ok = !cudnnBackendCreateDescriptor(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, &knobs[i]);
    ok = ok &&
         get(config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, GRAPH_MAX_KNOBS,
             &n_knobs, knobs) &&
         n_knobs <= GRAPH_MAX_KNOBS;
    p->choice.n_knobs = ok ? (int)n_knobs : 0;
    for (int i = 0; i < p->choice.n_knobs; i++) {
        cudnnBackendKnobType_t type;
        ok = ok && get(knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &n, &type) &&
             get(knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &n, &p->choice.value[i]);
        p->choice.knob[i] = ok ? (int64_t)type : 0;
    }
    for (int i = 0; i < GRAPH_MAX_KNOBS; i++)
        if (knobs[i]) cudnnBackendDestroyDescriptor(knobs[i]);
    if (engine) cudnnBackendDestroyDescriptor(engine);
    return ok;
}

/* Makes the plan of a configuration. Returns false when this engine does not accept the graph after all, or
 * needs more memory than is available. This is not an error: the next engine is tried. */
static bool plan_of(cudnnBackendDescriptor_t config, const struct graph_device *d,
                    const struct graph_wish *wish, struct graph_plan *p)
{
    int64_t bytes = 0, n = 0;
    bool ok = !cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &p->plan) &&
              !cudnnBackendSetAttribute(p->plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                                        CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config) &&
              !(d->handle ? cudnnBackendSetAttribute(p->plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE,
                                                     CUDNN_TYPE_HANDLE, 1, &d->handle)
                          : cudnnBackendSetAttribute(p->plan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP,
                                                     CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &d->properties)) &&
              !cudnnBackendFinalize(p->plan) &&
              get(p->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &n, &bytes) &&
              bytes >= 0 && (size_t)bytes <= wish->workspace_limit;
    p->workspace = (size_t)bytes;
    if (!ok && p->plan) {
        cudnnBackendDestroyDescriptor(p->plan);
        p->plan = NULL;
    }
    return ok;
}

/* Configurations that the heuristics of one mode offer: created here, destroyed by the caller. */
static int offers(struct making *m, cudnnBackendDescriptor_t of, const struct graph_device *d,
                  cudnnBackendHeurMode_t mode, cudnnBackendDescriptor_t configs[MAX_CANDIDATES], int *n)
{
    cudnnBackendDescriptor_t heuristics = make(m, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    int64_t found = 0;
    *n = 0;
    set_part(m, heuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, of);
    set(m, heuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    if (!d->handle) set_part(m, heuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, d->properties);
    if (m->failed) return -1;
    /* A mode that does not support a graph may fail here, or later return no results. */
    cudnnStatus_t status = cudnnBackendFinalize(heuristics);
    if (status / 1000 == CUDNN_STATUS_NOT_SUPPORTED / 1000) return 0;
    fine(m, "cudnnBackendFinalize", status);
    if (m->failed || !fine(m, "cudnnBackendGetAttribute",
                           cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                                    CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &found, NULL)))
        return -1;
    if (found > MAX_CANDIDATES) found = MAX_CANDIDATES;
    for (; *n < found; ++*n)
        if (!fine(m, "cudnnBackendCreateDescriptor",
                  cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configs[*n])))
            return -1;
    return !found || fine(m, "cudnnBackendGetAttribute",
                          cudnnBackendGetAttribute(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                                   CUDNN_TYPE_BACKEND_DESCRIPTOR, found, &found, configs))
               ? 0
               : -1;
}

int graph_plans(const struct conv_graph *g, const struct graph_device *d, const struct graph_wish *wish,
                const char *subject, struct graph_plan *out, int max, int *n, struct error *err)
{
    static const cudnnBackendHeurMode_t modes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    cudnnBackendDescriptor_t configs[MAX_CANDIDATES];
    *n = 0;
    out[0] = (struct graph_plan){0};
    for (int k = 0; k < 2 && *n < max; k++) {
        int n_configs = 0;
        struct graph_plan scratch = {0};
        struct making m = {subject, err, &scratch, false};
        cudnnBackendDescriptor_t of = graph(&m, g, d->handle);
        int rc = m.failed ? -1 : offers(&m, of, d, modes[k], configs, &n_configs);
        for (int i = 0; !rc && i < n_configs && *n < max; i++) {
            struct graph_plan p = {0};
            bool known = !suits(configs[i], wish, &p);
            for (int j = 0; j < *n; j++)
                known |= !memcmp(&out[j].choice, &p.choice, sizeof p.choice);
            if (!known) rc = graph_plan_again(g, d, wish, subject, &p.choice, &out[*n], err);
            if (!known && !rc) ++*n;
            rc = rc < 0 ? rc : 0;
        }
        while (n_configs > 0)
            cudnnBackendDestroyDescriptor(configs[--n_configs]);
        graph_plan_release(&scratch);
        if (rc) {
            while (*n > 0)
                graph_plan_release(&out[--*n]);
            return -1;
        }
    }
    return 0;
}

int graph_plan_again(const struct conv_graph *g, const struct graph_device *d, const struct graph_wish *wish,
                     const char *subject, const struct graph_choice *choice, struct graph_plan *out,
                     struct error *err)
{
    *out = (struct graph_plan){.graph = *g};
    struct making m = {subject, err, out, false};
    cudnnBackendDescriptor_t of = graph(&m, g, d->handle), knobs[GRAPH_MAX_KNOBS];
    cudnnBackendDescriptor_t engine = make(&m, CUDNN_BACKEND_ENGINE_DESCRIPTOR), config;
    set_part(&m, engine, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, of);
    set(&m, engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &choice->engine);
    if (!d->handle) set_part(&m, engine, CUDNN_ATTR_ENGINE_DEVICEPROP, d->properties);
    if (m.failed) goto fail;
    /* From here on a failure is not an error: the choice may come from another version. */
    if (cudnnBackendFinalize(engine)) goto refused;
    for (int i = 0; i < choice->n_knobs; i++) {
        cudnnBackendKnobType_t type = (cudnnBackendKnobType_t)choice->knob[i];
        knobs[i] = make(&m, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
        set(&m, knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &type);
        set(&m, knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &choice->value[i]);
        if (m.failed) goto fail;
        if (cudnnBackendFinalize(knobs[i])) goto refused;
    }
    config = make(&m, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    set_part(&m, config, CUDNN_ATTR_ENGINECFG_ENGINE, engine);
    if (choice->n_knobs)
        set(&m, config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, choice->n_knobs,
            knobs);
    if (m.failed) goto fail;
    if (cudnnBackendFinalize(config) || !suits(config, wish, out) || !plan_of(config, d, wish, out))
        goto refused;
    out->choice = *choice;
    return 0;
refused:
    graph_plan_release(out);
    return 1;
fail:
    graph_plan_release(out);
    return -1;
}

int graph_run(struct graph_plan *p, cudnnHandle_t handle, const char *subject,
              void *const addresses[GRAPH_MAX_TENSORS], void *room, struct error *err)
{
    if (!p->pack || p->room != room || memcmp(p->addresses, addresses, sizeof p->addresses)) {
        int64_t ids[GRAPH_MAX_TENSORS];
        void *there[GRAPH_MAX_TENSORS];
        int n = 0;
        for (int i = 0; i < GRAPH_MAX_TENSORS; i++)
            if (addresses[i]) {
                ids[n] = i;
                there[n++] = addresses[i];
            }
        if (p->pack) cudnnBackendDestroyDescriptor(p->pack);
        p->pack = NULL;
        if (DNN(subject, cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &p->pack)))
            return -1;
        struct graph_plan unused = {0};
        struct making m = {subject, err, &unused, false};
        set(&m, p->pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n, ids);
        set(&m, p->pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, n, there);
        set(&m, p->pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &room);
        finalize(&m, p->pack);
        if (m.failed) {
            cudnnBackendDestroyDescriptor(p->pack);
            p->pack = NULL;
            return -1;
        }
        p->room = room;
        memcpy(p->addresses, addresses, sizeof p->addresses);
    }
    return DNN(subject, cudnnBackendExecute(handle, p->plan, p->pack));
}
