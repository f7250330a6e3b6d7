/*
 * probe.c: what a card and its cuDNN answer to the calls that could not be settled without one. A row for
 * each: the call, its status, microseconds (warm, the mean of some runs), and cuDNN's own words where it
 * refuses, or what it chose. A refusal is an answer: the program fails only where no card opens.
 *
 * The questions are asked in a child, since a wrong address, or the library itself, may end the process or
 * leave the card unusable to it; the next child goes on with the next question. A call that this cuDNN does
 * not have ends the child, too (the program is linked lazily). Nothing is given back: a child is short.
 * usage: probe [BATCH [RUNS]]
 */
#include <cuda_runtime_api.h>
#include <cudnn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SIDE 17 /* the middle of InceptionV3: 17 x 17, 192 channels, concatenations of 768 */
#define CHANNELS 192
#define WIDE 768
#define WORKSPACE ((size_t)512 << 20)

static int batch = 128, runs = 20;

static cudnnHandle_t dnn;
static cudaStream_t stream;
static void *a, *b, *c, *d,
    *workspace;           /* on the card, zeroed; room for a concatenation, or the filter, in float each */
static float *vectors[6]; /* a float for each channel: ones */

/* The answer to the question that is being asked. */
static int status; /* of cuDNN, or of the runtime plus 100000 */
static double us;  /* negative: not measured */
static char note[400];

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

#define RUNTIME(call) ((call) ? 100000 + (int)cudaPeekAtLastError() : 0)

/* Makes the call once to know whether it is taken, and some more times to know how long it takes. */
#define ANSWER(call)                                                                                         \
    do {                                                                                                     \
        status = (int)(call);                                                                                \
        if (!status) status = RUNTIME(cudaStreamSynchronize(stream));                                        \
        double begun = now_us();                                                                             \
        for (int run_ = 0; !status && run_ < runs; run_++)                                                   \
            status = (int)(call);                                                                            \
        if (!status) status = RUNTIME(cudaStreamSynchronize(stream));                                        \
        if (!status) us = (now_us() - begun) / runs;                                                         \
    } while (0)

static const float one = 1, zero = 0, pixel_scale = 1 / 127.5f;

/* [n, c, h, w] in NHWC, or in NCHW; pixel values from one pixel to the next where it is a slice (0: all). */
static cudnnTensorDescriptor_t tensor(cudnnDataType_t type, int n, int ch, int h, int w, int pixel, bool nchw)
{
    cudnnTensorDescriptor_t t = NULL;
    int p = pixel ? pixel : ch;
    cudnnCreateTensorDescriptor(&t);
    if (nchw)
        cudnnSetTensor4dDescriptorEx(t, type, n, ch, h, w, ch * h * w, h * w, w, 1);
    else
        cudnnSetTensor4dDescriptorEx(t, type, n, ch, h, w, h * w * p, 1, w * p, p);
    return t;
}

static cudnnTensorDescriptor_t map(cudnnDataType_t type)
{
    return tensor(type, batch, CHANNELS, SIDE, SIDE, 0, false);
}

/* --- transforms --- */

enum { TO_NCHW = 1, INTO_SLICE, PICTURES, LONG };
static void ask_transform(cudnnDataType_t from, cudnnDataType_t to, int what)
{
    cudnnTensorDescriptor_t x, y;
    const float *alpha = &one;
    x = map(from);
    y = tensor(to, batch, CHANNELS, SIDE, SIDE, what == INTO_SLICE ? WIDE : 0, what == TO_NCHW);
    if (what == PICTURES) { /* as many as fit, at most a batch */
        int fit = SIDE * SIDE * WIDE * batch / (299 * 299 * 3), n = fit < 1 ? 1 : fit < batch ? fit : batch;
        int side = fit < 1 ? SIDE : 299;
        x = tensor(from, n, 3, side, side, 0, false);
        y = tensor(to, n, 3, side, side, 0, false);
        alpha = &pixel_scale;
        snprintf(note, sizeof note, "%d pictures of %dx%d", n, side, side);
    } else if (what == LONG) {
        x = tensor(from, 1, 1, 70000, 1, 0, false);
        y = tensor(to, 1, 1, 70000, 1, 0, false);
    }
    ANSWER(cudnnTransformTensor(dnn, alpha, x, a, &zero, y, b));
}

/* The same bytes as a transform into a slice. */
static void ask_memcpy_2d(cudnnDataType_t type, cudnnDataType_t unused, int what)
{
    size_t value = type == CUDNN_DATA_FLOAT ? 4 : 2;
    ANSWER(RUNTIME(cudaMemcpy2DAsync(b, WIDE * value, a, CHANNELS * value, CHANNELS * value,
                                     (size_t)batch * SIDE * SIDE, cudaMemcpyDeviceToDevice, stream)));
}

/* --- element-wise calls --- */

static void ask_set(cudnnDataType_t type, cudnnDataType_t unused, int what)
{
    unsigned char value[4] = {0};
    cudnnTensorDescriptor_t y = map(type);
    ANSWER(cudnnSetTensor(dnn, y, a, value));
}

static void ask_add(cudnnDataType_t type, cudnnDataType_t unused, int what)
{
    cudnnTensorDescriptor_t y = map(type), bias = tensor(type, 1, CHANNELS, 1, 1, 0, false);
    ANSWER(cudnnAddTensor(dnn, &one, what ? y : bias, b, &one, y, a));
}

#define BY_VECTOR 256 /* the second operand is a vector for each picture */
static void ask_op(cudnnDataType_t type, cudnnDataType_t unused, int what)
{
    cudnnTensorDescriptor_t y = map(type);
    cudnnOpTensorDescriptor_t op = NULL;
    cudnnCreateOpTensorDescriptor(&op);
    cudnnTensorDescriptor_t factor = what & BY_VECTOR ? tensor(type, batch, CHANNELS, 1, 1, 0, false) : y;
    cudnnSetOpTensorDescriptor(op, (cudnnOpTensorOp_t)(what & ~BY_VECTOR), CUDNN_DATA_FLOAT,
                               CUDNN_PROPAGATE_NAN);
    ANSWER(cudnnOpTensor(dnn, op, &one, y, a, &one, factor, b, &zero, y, c));
}

static cudnnActivationDescriptor_t relu(void)
{
    cudnnActivationDescriptor_t r = NULL;
    cudnnCreateActivationDescriptor(&r);
    cudnnSetActivationDescriptor(r, CUDNN_ACTIVATION_RELU, CUDNN_PROPAGATE_NAN, 0);
    return r;
}

static void ask_relu(cudnnDataType_t type, cudnnDataType_t unused, int backward)
{
    cudnnTensorDescriptor_t y = map(type);
    cudnnActivationDescriptor_t r = relu();
    if (backward)
        ANSWER(cudnnActivationBackward(dnn, r, &one, y, a, y, b, y, a, &zero, y, c));
    else
        ANSWER(cudnnActivationForward(dnn, r, &one, y, a, &zero, y, b));
}

static void ask_bias_gradient(cudnnDataType_t type, cudnnDataType_t unused, int what)
{
    cudnnTensorDescriptor_t dy = map(type), db = tensor(type, 1, CHANNELS, 1, 1, 0, false);
    ANSWER(cudnnConvolutionBackwardBias(dnn, &one, dy, a, &zero, db, vectors[0]));
}

/* --- batch norm --- */

enum { PLAIN = 1, PERSISTENT = 2, WITH_RELU = 4, ADDING = 8, BACKWARD = 16 };
static void ask_norm(cudnnDataType_t type, cudnnDataType_t unused, int what)
{
    cudnnTensorDescriptor_t x = map(type), v = tensor(CUDNN_DATA_FLOAT, 1, CHANNELS, 1, 1, 0, false);
    cudnnBatchNormMode_t mode =
        what & PERSISTENT ? CUDNN_BATCHNORM_SPATIAL_PERSISTENT : CUDNN_BATCHNORM_SPATIAL;
    cudnnBatchNormOps_t ops = what & WITH_RELU ? CUDNN_BATCHNORM_OPS_BN_ACTIVATION : CUDNN_BATCHNORM_OPS_BN;
    cudnnActivationDescriptor_t r = what & WITH_RELU ? relu() : NULL;
    const float *old = what & ADDING ? &one : &zero;
    size_t forward = 0, backward = 0, kept = 0;
    void *reserve = NULL;
    if (what & PLAIN) {
        if (what & BACKWARD)
            ANSWER(cudnnBatchNormalizationBackward(dnn, mode, &one, old, &one, &zero, x, a, x, b, x, c, v,
                                                   vectors[0], vectors[2], vectors[3], 1e-3, vectors[4],
                                                   vectors[5]));
        else
            ANSWER(cudnnBatchNormalizationForwardTraining(dnn, mode, &one, &zero, x, a, x, b, v, vectors[0],
                                                          vectors[1], 0.1, vectors[2], vectors[3], 1e-3,
                                                          vectors[4], vectors[5]));
        return;
    }
    status = (int)cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(dnn, mode, ops, x, NULL, x, v, r,
                                                                           &forward);
    if (!status)
        status = (int)cudnnGetBatchNormalizationTrainingExReserveSpaceSize(dnn, mode, ops, r, x, &kept);
    if (!status)
        status = (int)cudnnGetBatchNormalizationBackwardExWorkspaceSize(dnn, mode, ops, x, r ? x : NULL, x,
                                                                        NULL, x, v, r, &backward);
    snprintf(note, sizeof note, "workspace %zu and %zu, reserve %zu bytes", forward, backward, kept);
    if (status || forward > WORKSPACE || backward > WORKSPACE) return;
    if (kept) status = RUNTIME(cudaMalloc(&reserve, kept));
    if (status) return;
    ANSWER(cudnnBatchNormalizationForwardTrainingEx(dnn, mode, ops, &one, &zero, x, a, NULL, NULL, x, b, v,
                                                    vectors[0], vectors[1], 0.1, vectors[2], vectors[3], 1e-3,
                                                    vectors[4], vectors[5], r, workspace, forward, reserve,
                                                    kept));
    if (status || !(what & BACKWARD)) return;
    us = -1;
    ANSWER(cudnnBatchNormalizationBackwardEx(dnn, mode, ops, &one, old, &one, &zero, x, a, r ? x : NULL,
                                             r ? b : NULL, x, c, NULL, NULL, x, d, v, vectors[0], vectors[1],
                                             vectors[2], vectors[3], 1e-3, vectors[4], vectors[5], r,
                                             workspace, backward, reserve, kept));
}

/* --- convolutions as graphs: 1 x 7, 192 to 192 channels --- */

static bool part_failed;

static cudnnBackendDescriptor_t part(cudnnBackendDescriptorType_t type)
{
    cudnnBackendDescriptor_t p = NULL;
    if (!part_failed) part_failed = (status = (int)cudnnBackendCreateDescriptor(type, &p)) != 0;
    return p;
}

static void set(cudnnBackendDescriptor_t p, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t n, const void *values)
{
    if (!part_failed) part_failed = (status = (int)cudnnBackendSetAttribute(p, name, type, n, values)) != 0;
}

static void set_part(cudnnBackendDescriptor_t p, cudnnBackendAttributeName_t name,
                     cudnnBackendDescriptor_t value)
{
    set(p, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

static cudnnBackendDescriptor_t finished(cudnnBackendDescriptor_t p)
{
    if (!part_failed) part_failed = (status = (int)cudnnBackendFinalize(p)) != 0;
    return p;
}

static cudnnBackendDescriptor_t graph_tensor(int64_t id, cudnnDataType_t type, int64_t n, int64_t ch,
                                             int64_t h, int64_t w, int64_t pixel, bool inside)
{
    cudnnBackendDescriptor_t t = part(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    int64_t dims[] = {n, ch, h, w}, strides[] = {h * w * pixel, 1, w * pixel, pixel}, align = 16;
    set(t, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    set(t, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dims);
    set(t, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
    set(t, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
    set(t, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align);
    if (inside) set(t, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &inside);
    return finished(t);
}

static cudnnBackendDescriptor_t pointwise(cudnnPointwiseMode_t mode, cudnnBackendDescriptor_t x,
                                          cudnnBackendDescriptor_t operand, cudnnBackendDescriptor_t y)
{
    cudnnBackendDescriptor_t how = part(CUDNN_BACKEND_POINTWISE_DESCRIPTOR), op;
    cudnnDataType_t compute = CUDNN_DATA_FLOAT;
    set(how, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    set(how, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    finished(how);
    op = part(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    set_part(op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how);
    set_part(op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    if (operand) set_part(op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, operand);
    set_part(op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    return finished(op);
}

enum { FORWARD, DATA, FILTER, PASSES };
enum { BIAS_RELU = 4, SLICE = 8, FLOAT_BIAS = 16, FLOAT_OUT = 32, CAPTURED = 64, PASS = 3 };

/* Names of the tensors in a run: x, w, y, bias. */
static cudnnBackendDescriptor_t conv_graph(cudnnDataType_t type, int what, bool accumulate)
{
#define ATTRIBUTE(pass, name) CUDNN_ATTR_OPERATION_CONVOLUTION_##pass##_##name
    static const struct {
        cudnnBackendDescriptorType_t type;
        cudnnBackendAttributeName_t alpha, beta, conv, x, w, y;
    } passes[PASSES] = {
        {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, ATTRIBUTE(FORWARD, ALPHA),
         ATTRIBUTE(FORWARD, BETA), ATTRIBUTE(FORWARD, CONV_DESC), ATTRIBUTE(FORWARD, X),
         ATTRIBUTE(FORWARD, W), ATTRIBUTE(FORWARD, Y)},
        {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, ATTRIBUTE(BWD_DATA, ALPHA),
         ATTRIBUTE(BWD_DATA, BETA), ATTRIBUTE(BWD_DATA, CONV_DESC), ATTRIBUTE(BWD_DATA, DX),
         ATTRIBUTE(BWD_DATA, W), ATTRIBUTE(BWD_DATA, DY)},
        {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR, ATTRIBUTE(BWD_FILTER, ALPHA),
         ATTRIBUTE(BWD_FILTER, BETA), ATTRIBUTE(BWD_FILTER, CONV_DESC), ATTRIBUTE(BWD_FILTER, X),
         ATTRIBUTE(BWD_FILTER, DW), ATTRIBUTE(BWD_FILTER, DY)},
    };
    int pass = what & PASS, pixel = what & SLICE ? WIDE : CHANNELS, n_ops = 1;
    cudnnDataType_t compute = CUDNN_DATA_FLOAT, result = what & FLOAT_OUT ? CUDNN_DATA_FLOAT : type;
    cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    int64_t two = 2, ones[] = {1, 1}, pads[] = {0, 3};
    float beta = accumulate ? 1 : 0;
    cudnnBackendDescriptor_t conv = part(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR), ops[3], y, w, x, g;
    set(conv, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &compute);
    set(conv, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    set(conv, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &two);
    set(conv, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, ones);
    set(conv, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, ones);
    set(conv, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, pads);
    set(conv, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, pads);
    finished(conv);
    x = graph_tensor(0, pass == DATA ? result : type, batch, CHANNELS, SIDE, SIDE, CHANNELS, false);
    w = graph_tensor(1, pass == FILTER ? result : type, CHANNELS, CHANNELS, 1, 7, CHANNELS, false);
    y = what & BIAS_RELU
            ? graph_tensor(10, CUDNN_DATA_FLOAT, batch, CHANNELS, SIDE, SIDE, CHANNELS, true)
            : graph_tensor(2, pass == FORWARD ? result : type, batch, CHANNELS, SIDE, SIDE, pixel, false);
    ops[0] = part(passes[pass].type);
    set(ops[0], passes[pass].alpha, CUDNN_TYPE_FLOAT, 1, &one);
    set(ops[0], passes[pass].beta, CUDNN_TYPE_FLOAT, 1, &beta);
    set_part(ops[0], passes[pass].conv, conv);
    set_part(ops[0], passes[pass].x, x);
    set_part(ops[0], passes[pass].w, w);
    set_part(ops[0], passes[pass].y, y);
    finished(ops[0]);
    if (what & BIAS_RELU) {
        cudnnBackendDescriptor_t bias =
            graph_tensor(3, what & FLOAT_BIAS ? CUDNN_DATA_FLOAT : type, 1, CHANNELS, 1, 1, CHANNELS, false);
        cudnnBackendDescriptor_t sum =
            graph_tensor(11, CUDNN_DATA_FLOAT, batch, CHANNELS, SIDE, SIDE, CHANNELS, true);
        ops[n_ops++] = pointwise(CUDNN_POINTWISE_ADD, y, bias, sum);
        y = graph_tensor(2, type, batch, CHANNELS, SIDE, SIDE, pixel, false);
        ops[n_ops++] = pointwise(CUDNN_POINTWISE_RELU_FWD, sum, NULL, y);
    }
    g = part(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    set(g, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &dnn);
    set(g, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, n_ops, ops);
    return finished(g);
}

/* Whether a configuration's engine would be compiled at run time: winnow never takes these. */
static bool compiles(cudnnBackendDescriptor_t config, int64_t *index)
{
    cudnnBackendDescriptor_t engine = NULL;
    cudnnBackendBehaviorNote_t notes[CUDNN_BEHAVIOR_NOTE_TYPE_COUNT + 8];
    int64_t n = 0;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) ||
        cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &n,
                                 &engine) ||
        cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &n, index) ||
        cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE,
                                 sizeof notes / sizeof *notes, &n, notes))
        return true;
    for (int64_t i = 0; i < n; i++)
        if (notes[i] == CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION) return true;
    return false;
}

static cudnnBackendDescriptor_t conv_plan(cudnnDataType_t type, int what, bool accumulate)
{
    cudnnBackendDescriptor_t g = conv_graph(type, what, accumulate), h, configs[48], plan = NULL;
    cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
    int64_t n = 0, found = 0, engine = -1, bytes = 0;
    h = part(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    set_part(h, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, g);
    set(h, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    finished(h);
    if (part_failed) return NULL;
    status = (int)cudnnBackendGetAttribute(h, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0,
                                           &found, NULL);
    found = found > 48 ? 48 : found;
    for (int64_t i = 0; i < found; i++)
        configs[i] = part(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    if (!status && found)
        status = (int)cudnnBackendGetAttribute(h, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                               CUDNN_TYPE_BACKEND_DESCRIPTOR, found, &found, configs);
    for (int64_t i = 0; !status && i < found; i++) {
        if (compiles(configs[i], &engine)) continue;
        plan = part(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
        set(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &dnn);
        set_part(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configs[i]);
        if (!part_failed && !cudnnBackendFinalize(plan) &&
            !cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &n,
                                      &bytes) &&
            (size_t)bytes <= WORKSPACE)
            break;
        plan = NULL;
    }
    snprintf(note, sizeof note, "%lld offers, engine %lld, workspace %lld bytes", (long long)found,
             plan ? (long long)engine : -1, (long long)bytes);
    if (!plan && !status) status = (int)CUDNN_STATUS_NOT_SUPPORTED;
    return plan;
}

static void ask_conv(cudnnDataType_t type, cudnnDataType_t accumulate, int what)
{
    cudnnBackendDescriptor_t plan = conv_plan(type, what, accumulate == CUDNN_DATA_INT8), pack;
    int64_t ids[] = {0, 1, 2, 3};
    void *at[] = {a, b, c, vectors[0]};
    if (!plan) return;
    pack = part(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    set(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, what & BIAS_RELU ? 4 : 3, ids);
    set(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, what & BIAS_RELU ? 4 : 3, at);
    set(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    finished(pack);
    if (part_failed) return;
    if (!(what & CAPTURED)) {
        ANSWER(cudnnBackendExecute(dnn, plan, pack));
        return;
    }
    cudaGraph_t captured = NULL;
    cudaGraphExec_t ready = NULL;
    status = (int)cudnnBackendExecute(dnn, plan, pack); /* what a first run loads cannot be captured */
    if (!status) status = RUNTIME(cudaStreamSynchronize(stream));
    if (!status) status = RUNTIME(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    for (int i = 0; !status && i < 10; i++)
        status = (int)cudnnBackendExecute(dnn, plan, pack);
    if (!status) status = RUNTIME(cudaStreamEndCapture(stream, &captured));
    if (!status) status = RUNTIME(cudaGraphInstantiateWithFlags(&ready, captured, 0));
    if (!status) ANSWER(RUNTIME(cudaGraphLaunch(ready, stream)));
    if (!status) snprintf(note, sizeof note, "ten of them in one graph");
}

/* --- the rest --- */

static void ask_free_null(cudnnDataType_t unused, cudnnDataType_t unused2, int what)
{
    status = RUNTIME(cudaFreeHost(NULL));
    snprintf(note, sizeof note, "last error after it: %s", cudaGetErrorName(cudaGetLastError()));
}

#define F32 CUDNN_DATA_FLOAT
#define BF16 CUDNN_DATA_BFLOAT16
#define F16 CUDNN_DATA_HALF
#define ACCUMULATE CUDNN_DATA_INT8
static const struct question {
    const char *name;
    void (*ask)(cudnnDataType_t, cudnnDataType_t, int);
    cudnnDataType_t type, other;
    int what;
} questions[] = {
    {"transform f32 to bf16", ask_transform, F32, BF16, 0},
    {"transform bf16 to f32", ask_transform, BF16, F32, 0},
    {"transform f32 to f32, NHWC to NCHW", ask_transform, F32, F32, TO_NCHW},
    {"transform f32 to bf16, NHWC to NCHW", ask_transform, F32, BF16, TO_NCHW},
    {"transform int8 to f32, scaled", ask_transform, CUDNN_DATA_INT8, F32, PICTURES},
    {"transform int8 to bf16, scaled", ask_transform, CUDNN_DATA_INT8, BF16, PICTURES},
    {"transform uint8 to f32, scaled", ask_transform, CUDNN_DATA_UINT8, F32, PICTURES},
    {"transform f32 to fp16", ask_transform, F32, F16, 0},
    {"transform fp16 to f32", ask_transform, F16, F32, 0},
    {"transform int8 to fp16, scaled", ask_transform, CUDNN_DATA_INT8, F16, PICTURES},
    {"transform f32 to bf16, h = 70000", ask_transform, F32, BF16, LONG},
    {"transform f32 into a slice of 768", ask_transform, F32, F32, INTO_SLICE},
    {"transform bf16 into a slice of 768", ask_transform, BF16, BF16, INTO_SLICE},
    {"cudaMemcpy2DAsync f32 into a slice of 768", ask_memcpy_2d, F32, F32, 0},
    {"cudaMemcpy2DAsync bf16 into a slice of 768", ask_memcpy_2d, BF16, BF16, 0},
    {"SetTensor bf16", ask_set, BF16, BF16, 0},
    {"AddTensor bf16, a vector", ask_add, BF16, BF16, 0},
    {"AddTensor bf16, a map", ask_add, BF16, BF16, 1},
    {"OpTensor bf16, sum", ask_op, BF16, BF16, CUDNN_OP_TENSOR_ADD},
    {"OpTensor bf16, product", ask_op, BF16, BF16, CUDNN_OP_TENSOR_MUL},
    {"OpTensor f32, product with a vector", ask_op, F32, F32, CUDNN_OP_TENSOR_MUL | BY_VECTOR},
    {"OpTensor bf16, product with a vector", ask_op, BF16, BF16, CUDNN_OP_TENSOR_MUL | BY_VECTOR},
    {"OpTensor fp16, product with a vector", ask_op, F16, F16, CUDNN_OP_TENSOR_MUL | BY_VECTOR},
    {"ActivationForward bf16", ask_relu, BF16, BF16, 0},
    {"ActivationBackward bf16", ask_relu, BF16, BF16, 1},
    {"ConvolutionBackwardBias f32", ask_bias_gradient, F32, F32, 0},
    {"ConvolutionBackwardBias bf16", ask_bias_gradient, BF16, BF16, 0},
    {"batch norm f32, plain", ask_norm, F32, F32, PLAIN},
    {"batch norm f32, plain, backward", ask_norm, F32, F32, PLAIN | BACKWARD},
    {"batch norm bf16, plain", ask_norm, BF16, BF16, PLAIN},
    {"batch norm bf16, plain, backward", ask_norm, BF16, BF16, PLAIN | BACKWARD},
    {"batch norm f32, persistent", ask_norm, F32, F32, PERSISTENT},
    {"batch norm f32, persistent, backward", ask_norm, F32, F32, PERSISTENT | BACKWARD},
    {"batch norm f32, persistent, backward, dx +=", ask_norm, F32, F32, PERSISTENT | BACKWARD | ADDING},
    {"batch norm + ReLU f32, persistent", ask_norm, F32, F32, PERSISTENT | WITH_RELU},
    {"batch norm + ReLU f32, persistent, backward", ask_norm, F32, F32, PERSISTENT | WITH_RELU | BACKWARD},
    {"batch norm bf16, persistent", ask_norm, BF16, BF16, PERSISTENT},
    {"batch norm bf16, persistent, backward", ask_norm, BF16, BF16, PERSISTENT | BACKWARD},
    {"batch norm bf16, persistent, backward, dx +=", ask_norm, BF16, BF16, PERSISTENT | BACKWARD | ADDING},
    {"batch norm + ReLU bf16, persistent", ask_norm, BF16, BF16, PERSISTENT | WITH_RELU},
    {"batch norm + ReLU bf16, persistent, backward", ask_norm, BF16, BF16, PERSISTENT | WITH_RELU | BACKWARD},
    {"batch norm + ReLU fp16, persistent", ask_norm, F16, F16, PERSISTENT | WITH_RELU},
    {"batch norm + ReLU fp16, persistent, backward", ask_norm, F16, F16, PERSISTENT | WITH_RELU | BACKWARD},
    {"conv graph f32", ask_conv, F32, F32, FORWARD},
    {"conv graph bf16", ask_conv, BF16, BF16, FORWARD},
    {"conv graph bf16, y in a slice of 768", ask_conv, BF16, BF16, FORWARD | SLICE},
    {"conv + bias + ReLU graph f32", ask_conv, F32, F32, FORWARD | BIAS_RELU},
    {"conv + bias + ReLU graph bf16", ask_conv, BF16, BF16, FORWARD | BIAS_RELU},
    {"conv + bias + ReLU graph bf16, bias f32", ask_conv, BF16, BF16, FORWARD | BIAS_RELU | FLOAT_BIAS},
    {"conv data gradient graph f32", ask_conv, F32, F32, DATA},
    {"conv data gradient graph bf16", ask_conv, BF16, BF16, DATA},
    {"conv data gradient graph bf16, dx +=", ask_conv, BF16, ACCUMULATE, DATA},
    {"conv weight gradient graph f32", ask_conv, F32, F32, FILTER},
    {"conv weight gradient graph bf16", ask_conv, BF16, BF16, FILTER},
    {"conv weight gradient graph bf16, dw f32", ask_conv, BF16, BF16, FILTER | FLOAT_OUT},
    {"conv graph bf16 captured as a CUDA graph", ask_conv, BF16, BF16, FORWARD | CAPTURED},
    {"cudaFreeHost(NULL)", ask_free_null, F32, F32, 0},
};
enum { N_QUESTIONS = sizeof questions / sizeof *questions };

static int open_card(void)
{
    float *ones;
    size_t one_bytes = CHANNELS * sizeof *ones;
    size_t bytes = (size_t)batch * SIDE * SIDE * WIDE * sizeof(float), filter = 7 * CHANNELS * one_bytes;
    if (bytes < filter) bytes = filter;
    void **maps[] = {&a, &b, &c, &d};
    if (cudaSetDevice(0) || cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) ||
        cudaMalloc(&workspace, WORKSPACE) || cudaMallocHost((void **)&ones, one_bytes))
        return 100000 + (int)cudaGetLastError();
    for (int i = 0; i < CHANNELS; i++)
        ones[i] = 1;
    for (int i = 0; i < 4; i++)
        if (cudaMalloc(maps[i], bytes) || cudaMemsetAsync(*maps[i], 0, bytes, stream))
            return 100000 + (int)cudaGetLastError();
    for (int i = 0; i < 6; i++)
        if (cudaMalloc((void **)&vectors[i], one_bytes) ||
            cudaMemcpyAsync(vectors[i], ones, one_bytes, cudaMemcpyHostToDevice, stream) ||
            cudaStreamSynchronize(stream))
            return 100000 + (int)cudaGetLastError();
    cudnnStatus_t s = cudnnCreate(&dnn);
    return s ? (int)s : (int)cudnnSetStream(dnn, stream);
}

static const char *status_name(int s)
{
    return s >= 100000 ? cudaGetErrorName((cudaError_t)(s - 100000)) : cudnnGetErrorString((cudnnStatus_t)s);
}

/* Asks from *at on; ends early when the card no longer answers. */
static int ask_on(int *at)
{
    int rc = open_card();
    if (rc) {
        fprintf(stderr, "probe: no card opens: %s\n", status_name(rc));
        return 69;
    }
    for (; *at < N_QUESTIONS; ++*at) {
        const struct question *q = &questions[*at];
        char words[300] = "", time_us[32] = "-";
        part_failed = false;
        status = 0;
        us = -1;
        *note = 0;
        cudaGetLastError();
        q->ask(q->type, q->other, q->what);
        if (status && status < 100000) cudnnGetLastErrorString(words, sizeof words);
        for (char *s = words; *s; s++)
            if (*s == '\t' || *s == '\n') *s = ' ';
        if (us >= 0) snprintf(time_us, sizeof time_us, "%.1f", us);
        printf("%s\t%s\t%s\t%s%s%s\n", q->name, status ? status_name(status) : "ok", time_us, note,
               *note && *words ? "; " : "", words);
        fflush(stdout);
        if (cudaStreamSynchronize(stream)) { /* it stays so: a new process */
            ++*at;
            return 3;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    int *at = mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), ended = 0;
    if (at == MAP_FAILED) return 71;
    if (argc > 1) batch = atoi(argv[1]);
    if (argc > 2) runs = atoi(argv[2]);
    if (batch < 1 || runs < 1) return fprintf(stderr, "usage: probe [BATCH [RUNS]]\n"), 64;
    printf("call\tstatus\tus\tnote\n");
    while (*at < N_QUESTIONS) {
        fflush(stdout);
        pid_t child = fork();
        if (!child) {
            int rc = ask_on(at);
            fflush(stdout);
            _exit(rc);
        }
        if (child < 0 || waitpid(child, &ended, 0) != child) return 71;
        if (WIFEXITED(ended) && WEXITSTATUS(ended) == 69) return 69;
        if (WIFEXITED(ended) && (!WEXITSTATUS(ended) || WEXITSTATUS(ended) == 3)) continue;
        if (WIFSIGNALED(ended))
            printf("%s\tdied\t-\tsignal %d\n", questions[*at].name, WTERMSIG(ended));
        else
            printf("%s\t%s\t-\texit status %d\n", questions[*at].name,
                   WEXITSTATUS(ended) == 127 ? "no such call" : "died", WEXITSTATUS(ended));
        ++*at;
    }
    return 0;
}
