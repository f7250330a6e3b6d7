/* cuda.c: opens GPUs, manages memory, and has the function table that the plug-in exports. */
#include "tensor/cuda/cuda.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const float one = 1, zero = 0;

/* --- errors --- */

/* The length of "cudnnCreate" in "cudnnCreate(&g->dnn)", for messages. */
static int name_length(const char *call) { return (int)strcspn(call, "( "); }

static int failed(struct error *err, const char *subject, const char *call, const char *name, const char *why)
{
    return error_set(err, EX_OSERR, "cuda: %s%s%.*s: %s%s", subject ? subject : "", subject ? ": " : "",
                     name_length(call), call, name, why);
}

int cuda_check(struct error *err, const char *subject, const char *call, cudaError_t status)
{
    char why[300];
    if (status == cudaSuccess) return 0;
    cudaGetLastError(); /* clear the error, or the next library would report it as its own */
    snprintf(why, sizeof why, " (%s)", cudaGetErrorString(status));
    return failed(err, subject, call, cudaGetErrorName(status), why);
}

int dnn_check(struct error *err, const char *subject, const char *call, cudnnStatus_t status)
{
    char why[300] = ": ";
    if (status == CUDNN_STATUS_SUCCESS) return 0;
    cudnnGetLastErrorString(why + 2, sizeof why - 2);
    for (char *c = why; *c; c++)
        if (iscntrl((unsigned char)*c)) *c = ' ';
    return failed(err, subject, call, cudnnGetErrorString(status), why[2] ? why : "");
}

int blas_check(struct error *err, const char *subject, const char *call, cublasStatus_t status)
{
    return status == CUBLAS_STATUS_SUCCESS ? 0 : failed(err, subject, call, cublasGetStatusName(status), "");
}

/* --- one GPU --- */

/* The runtime keeps a current device for each thread. Nothing else in our programs changes it. */
int gpu_use(const struct gpu *g, struct error *err)
{
    static _Thread_local int current = -1;
    if (g->device == current) return 0;
    if (CUDA(NULL, cudaSetDevice(g->device))) return -1;
    current = g->device;
    return 0;
}

void gpu_free(const struct gpu *g, void *p)
{
    struct error ignored = {0};
    if (!p) return;
    gpu_use(g, &ignored);
    if (cudaStreamSynchronize(g->compute) != cudaSuccess) cudaGetLastError();
    cudaFree(p);
}

int gpu_grow(struct gpu *g, void **p, size_t *bytes, size_t wanted, bool pinned, const char *what,
             struct error *err)
{
    if (wanted <= *bytes) return 0;
    if (gpu_use(g, err) || CUDA(what, cudaStreamSynchronize(g->compute)) ||
        (pinned && CUDA(what, cudaStreamSynchronize(g->copy))))
        return -1;
    if (*p) pinned ? cudaFreeHost(*p) : cudaFree(*p);
    *p = NULL;
    *bytes = 0;
    if (pinned ? CUDA(what, cudaMallocHost(p, wanted)) : CUDA(what, cudaMalloc(p, wanted))) return -1;
    *bytes = wanted;
    return 0;
}

static int constant_vectors(struct gpu *g, struct error *err)
{
    const size_t n = CUDA_MAX_CHANNELS, bytes = 2 * n * sizeof(float);
    if (CUDA(NULL, cudaMalloc((void **)&g->ones, bytes)) ||
        CUDA(NULL, cudaMemsetAsync(g->ones, 0, bytes, g->compute)))
        return -1;
    g->zeros = g->ones + n;
    return outcome(shape_dense(g->shape[0], NULL, CUDNN_DATA_FLOAT, 1, CUDA_MAX_CHANNELS, 1, 1, err) ||
                   fill_tensor(g, NULL, g->shape[0], CUDNN_DATA_FLOAT, g->ones, 1, err));
}

enum { N_EVENTS = sizeof((struct gpu *)0)->events / sizeof(cudaEvent_t) };

/* blas_room: NVIDIA recommends 32 MiB for Hopper and 4 before. */
static int gpu_open(struct gpu *g, int device, size_t blas_room, struct error *err)
{
    g->device = device;
    for (int i = 0; i < 3; i++)
        if (gpu_use(g, err) || CUDA(NULL, cudaStreamCreateWithFlags(&g->streams[i], cudaStreamNonBlocking)))
            return -1;
    for (int i = 0; i < N_EVENTS; i++)
        if (CUDA(NULL,
                 cudaEventCreateWithFlags(&g->events[i], i < 2 ? cudaEventDefault : cudaEventDisableTiming)))
            return -1;
    if (DNN(NULL, cudnnCreate(&g->dnn)) || DNN(NULL, cudnnSetStream(g->dnn, g->compute)) ||
        BLAS(NULL, cublasCreate(&g->blas)) || BLAS(NULL, cublasSetStream(g->blas, g->compute)) ||
        CUDA(NULL, cudaMalloc(&g->blas_room, blas_room)) || /* else cuBLAS takes some in a recording */
        BLAS(NULL, cublasSetWorkspace(g->blas, g->blas_room, blas_room)) ||
        DNN(NULL, cudnnCreateTensorDescriptor(&g->shape[0])) ||
        DNN(NULL, cudnnCreateTensorDescriptor(&g->shape[1])))
        return -1;
    return constant_vectors(g, err);
}

static void gpu_close(struct gpu *g)
{
    if (!g->compute && !g->copy) return;
    struct error ignored = {0};
    gpu_use(g, &ignored);
    for (int i = 0; i < 3; i++)
        if (g->streams[i]) cudaStreamSynchronize(g->streams[i]);
    for (int i = 0; i < 2; i++)
        if (g->shape[i]) cudnnDestroyTensorDescriptor(g->shape[i]);
    if (g->dnn) cudnnDestroy(g->dnn);
    if (g->blas) cublasDestroy(g->blas);
    for (int i = 0; i < N_EVENTS; i++)
        if (g->events[i]) cudaEventDestroy(g->events[i]);
    void *pinned[] = {g->staging[0].pinned, g->staging[1].pinned, g->results[0].pinned,
                      g->results[1].pinned, g->download_pinned,   g->small};
    for (size_t i = 0; i < sizeof pinned / sizeof *pinned; i++)
        if (pinned[i]) cudaFreeHost(pinned[i]);
    cudaFree(g->staging[0].device);
    cudaFree(g->staging[1].device);
    for (size_t i = 0; i < sizeof g->memory / sizeof *g->memory; i++)
        cudaFree(g->memory[i]);
    for (int i = 0; i < 3; i++)
        if (g->streams[i]) cudaStreamDestroy(g->streams[i]);
}

/* --- opening --- */

/* Tries a conversion of eight values, times alpha. It must not change the values that are already there. */
static int try_conversion(struct gpu *g, cudnnDataType_t from, const void *x, cudnnDataType_t to, void *y,
                          const float *alpha, struct error *err)
{
    cudnnTensorDescriptor_t a = g->shape[0], b = g->shape[1];
    return outcome(shape_dense(a, NULL, from, 1, 8, 1, 1, err) || shape_dense(b, NULL, to, 1, 8, 1, 1, err) ||
                   DNN(NULL, cudnnTransformTensor(g->dnn, alpha, a, x, &zero, b, y)) ||
                   CUDA(NULL, cudaStreamSynchronize(g->compute)));
}

/* Maps in 16 bits, and pictures sent as bytes, need cudnnTransformTensor to change types. The
 * documentation neither promises nor denies that, so that it is tried once. */
static int check_conversions(struct backend *b, struct error *err)
{
    struct gpu *g = &b->gpu[0];
    struct error why = {0};
    cudnnDataType_t map = b->map_type;
    if (map == CUDNN_DATA_BFLOAT16 && b->properties.major < 8)
        return error_set(err, EX_NODEVICE,
                         "cuda: precision bf16 needs compute capability 8.0, %s has %d.%d: take fp16",
                         b->properties.name, b->properties.major, b->properties.minor);
    if (b->described) return 0;
    if (gpu_use(g, err)) return -1;
    if (map != CUDNN_DATA_FLOAT &&
        (try_conversion(g, CUDNN_DATA_FLOAT, g->ones, map, g->blas_room, &one, &why) ||
         try_conversion(g, map, g->blas_room, CUDNN_DATA_FLOAT, g->ones, &one, &why)))
        return error_set(err, EX_NODEVICE,
                         "cuda: precision %s is not available: cuDNN does not convert between types (%s)",
                         precision_name(b->options.precision), why.text);
    b->sends_bytes = !try_conversion(g, CUDNN_DATA_INT8, g->ones, map, g->zeros, &zero, &why);
    return 0;
}

static void describe(struct backend *b)
{
    const char *precision = precision_name(b->options.precision);
    int runtime = 0, clock_khz = b->options.card.clock_khz;
    size_t version = cudnnGetVersion();
    cudaRuntimeGetVersion(&runtime);
    /* both are only displayed; 0 if unknown */
    if (!b->described) cudaDeviceGetAttribute(&clock_khz, cudaDevAttrClockRate, b->gpu[0].device);
    cudaGetLastError();
    if (b->options.precision == PRECISION_TF32 && b->properties.major < 8)
        precision = "fp32 (TF32 needs compute capability 8.0)";
    snprintf(b->description, sizeof b->description,
             "%d x %s (compute capability %d.%d, %d SMs at %d MHz), CUDA %d.%d, cuDNN %zu.%zu.%zu, %s",
             b->n_gpus, b->properties.name, b->properties.major, b->properties.minor,
             b->properties.multiProcessorCount, clock_khz / 1000, runtime / 1000, runtime % 1000 / 10,
             version / 10000, version / 100 % 100, version % 100, precision);
}

static void cuda_close(struct backend *b)
{
    if (!b) return;
    choice_file_close(&b->plans);
    step_forget(b);
    multi_gpu_close(b);
    if (b->multiply) cudnnDestroyOpTensorDescriptor(b->multiply);
    if (b->root) cudnnDestroyOpTensorDescriptor(b->root);
    if (b->relu) cudnnDestroyActivationDescriptor(b->relu);
    if (b->cap_1) cudnnDestroyActivationDescriptor(b->cap_1);
    for (int i = 0; i < b->n_gpus; i++)
        gpu_close(&b->gpu[i]);
    if (b->described) cudnnBackendDestroyDescriptor(b->described);
    free(b);
}

/* Opens a card that is only described: cuDNN can make plans for it, but nothing can be run. */
static int open_described(struct backend *b, const struct card_numbers *card, struct error *err)
{
    b->properties.major = card->capability / 10;
    b->properties.minor = card->capability % 10;
    b->properties.multiProcessorCount = card->sms;
    b->properties.totalGlobalMem = card->memory_bytes;
    snprintf(b->properties.name, sizeof b->properties.name, "%s", card->name);
    return graph_device_describe(&b->described, b->options.described, NULL, err);
}

/* cuDNN before 9.27 leaves out the width of the memory, which later versions need. */
static int describe_card(struct backend *b, char *json, size_t bytes, struct error *err)
{
    int bits = 0;
    if (gpu_use(&b->gpu[0], err) || graph_device_text(b->gpu[0].dnn, json, bytes, err) ||
        CUDA(NULL, cudaDeviceGetAttribute(&bits, cudaDevAttrGlobalMemoryBusWidth, b->gpu[0].device)))
        return -1;
    char *end = strrchr(json, '}');
    if (end && !strstr(json, "\"memoryBusWidth\""))
        snprintf(end, bytes - (size_t)(end - json), ",\"memoryBusWidth\":%d}", bits);
    return 0;
}

static int cuda_open(struct backend **out, const struct backend_options *options, struct error *err)
{
    int n_there = 0, n = options->n_devices ? options->n_devices : 1;
    const int *devices = options->n_devices ? options->devices : &options->device_index;
    *out = NULL;
    cudaError_t status = options->described ? cudaSuccess : cudaGetDeviceCount(&n_there);
    if (!options->described && (status != cudaSuccess || n_there < 1)) {
        cudaGetLastError(); /* clear the error, or the next call would return it */
        int driver = -1;
        cudaDriverGetVersion(&driver);
        return error_set(err, EX_NODEVICE, "cuda: no GPU here: %s",
                         driver == 0             ? "no driver (libcuda.so.1)"
                         : status == cudaSuccess ? "none found"
                                                 : cudaGetErrorString(status));
    }
    for (int i = 0; i < n && !options->described; i++)
        if (devices[i] < 0 || devices[i] >= n_there)
            return error_set(err, EX_NODEVICE, "cuda: there is no GPU %d (%d found)", devices[i], n_there);
    struct backend *b = mem_zalloc(1, sizeof *b, err);
    if (!b) return -1;
    b->options = *options;
    b->n_gpus = n;
    b->map_type = options->precision == PRECISION_BF16  ? CUDNN_DATA_BFLOAT16
                  : options->precision == PRECISION_F16 ? CUDNN_DATA_HALF
                                                        : CUDNN_DATA_FLOAT;
    const char *limit = getenv("WINNOW_CUDA_WORKSPACE_MIB");
    b->workspace_limit = (limit && *limit ? strtoull(limit, NULL, 10) : 1024) << 20;
    if (options->described ? open_described(b, &options->card, err)
                           : CUDA(NULL, cudaGetDeviceProperties(&b->properties, devices[0])))
        goto fail;
    for (int i = 0; !b->described && i < n; i++)
        if (gpu_open(&b->gpu[i], devices[i], (size_t)(b->properties.major < 9 ? 4 : 32) << 20, err))
            goto fail;
    if (b->properties.major * 10 + b->properties.minor < 75) {
        error_set(err, EX_NODEVICE,
                  "cuda: %s has compute capability %d.%d; cuDNN 9 here needs 7.5 (Turing) or later",
                  b->properties.name, b->properties.major, b->properties.minor);
        goto fail;
    }
    if (DNN(NULL, cudnnCreateOpTensorDescriptor(&b->multiply)) ||
        DNN(NULL, cudnnSetOpTensorDescriptor(b->multiply, CUDNN_OP_TENSOR_MUL, CUDNN_DATA_FLOAT,
                                             CUDNN_PROPAGATE_NAN)) ||
        DNN(NULL, cudnnCreateOpTensorDescriptor(&b->root)) ||
        DNN(NULL, cudnnSetOpTensorDescriptor(b->root, CUDNN_OP_TENSOR_SQRT, CUDNN_DATA_FLOAT,
                                             CUDNN_PROPAGATE_NAN)) ||
        activation_make(&b->relu, NULL, CUDNN_ACTIVATION_RELU, CUDNN_PROPAGATE_NAN, 0, err) ||
        activation_make(&b->cap_1, NULL, CUDNN_ACTIVATION_CLIPPED_RELU, CUDNN_PROPAGATE_NAN, 1, err) ||
        check_conversions(b, err) || multi_gpu_open(b, err) || plans_open(b, err))
        goto fail;
    b->arenas = 1;
    const char *graph = getenv("WINNOW_CUDA_GRAPH");
    b->records = n == 1 && !(graph && !strcmp(graph, "0"));
    describe(b);
    *out = b;
    return 0;
fail:
    cuda_close(b);
    return -1;
}

static const char *cuda_describe(const struct backend *b) { return b->description; }

/* The memory of the smallest GPU, minus what the libraries take when they first run
 * (kernels, the workspace of cuBLAS). */
static size_t cuda_memory_available(const struct backend *b)
{
    size_t least = b->described ? b->properties.totalGlobalMem : SIZE_MAX, reserve = (size_t)256 << 20;
    for (int i = 0; !b->described && i < b->n_gpus; i++) {
        size_t available = 0, total = 0;
        struct error ignored = {0};
        if (gpu_use(&b->gpu[i], &ignored) || cudaMemGetInfo(&available, &total) != cudaSuccess) {
            cudaGetLastError();
            return 0;
        }
        if (available < least) least = available;
    }
    return least > 2 * reserve ? least - reserve : least / 2 + 1;
}

/* --- memory --- */

static void cuda_free(struct backend *b, struct backend_buffer *buffer)
{
    if (!buffer) return;
    for (int i = 0; i < b->n_gpus; i++) {
        gpu_free(&b->gpu[i], buffer->p[i]);
        gpu_free(&b->gpu[i], buffer->narrow[i]);
    }
    free(buffer);
}

static int cuda_alloc(struct backend *b, size_t bytes, struct backend_buffer **out, struct error *err)
{
    *out = NULL;
    if (b->described)
        return error_set(err, EX_NODEVICE, "cuda: %s is only a description: nothing can run on it",
                         b->properties.name);
    struct backend_buffer *buffer = mem_zalloc(1, sizeof *buffer, err);
    if (!buffer) return -1;
    buffer->bytes = round_up(bytes ? bytes : 1);
    for (int i = 0; i < b->n_gpus; i++) {
        struct gpu *g = &b->gpu[i];
        if (gpu_use(g, err)) goto fail;
        cudaError_t status = cudaMalloc(&buffer->p[i], buffer->bytes);
        if (status == cudaErrorMemoryAllocation) {
            size_t available = 0, total = 0;
            cudaMemGetInfo(&available, &total);
            cudaGetLastError(); /* clear the error, or the next library would report it as its own */
            error_set(err, EX_OSERR, "cuda: cudaMalloc: GPU %d has no %zu MiB left (%zu of %zu MiB free)",
                      g->device, buffer->bytes >> 20, available >> 20, total >> 20);
            goto fail;
        }
        if (CUDA(NULL, status) || CUDA(NULL, cudaMemsetAsync(buffer->p[i], 0, buffer->bytes, g->compute)))
            goto fail;
    }
    *out = buffer;
    return 0;
fail:
    cuda_free(b, buffer);
    return -1;
}

static int cuda_sync(struct backend *b, struct error *err)
{
    for (int i = 0; i < b->n_gpus; i++)
        if (gpu_use(&b->gpu[i], err) || CUDA(NULL, cudaStreamSynchronize(b->gpu[i].compute))) return -1;
    return 0;
}

/* --- layouts --- */

static size_t cuda_tensor_bytes(const struct backend *b, const struct tensor_shape *s)
{
    return (size_t)images_per_gpu(b, s->n) * shape_row_values(s) * type_bytes(stored_type(b, s));
}

static bool cuda_reshape_is_free(const struct backend *b, const struct tensor_shape *from,
                                 const struct tensor_shape *to)
{
    return stored_type(b, from) == stored_type(b, to);
}

static bool cuda_adds_in_conv(const struct backend *b, const struct op_desc *d) { return true; }

static struct backend_table table = {
    /* the rest: winnow_backend */
    .abi = BACKEND_ABI,
    .name = "cuda",
    .open = cuda_open,
    .close = cuda_close,
    .describe = cuda_describe,
    .memory_available = cuda_memory_available,
    .card = describe_card,
    .alloc = cuda_alloc,
    .free = cuda_free,
    .sync = cuda_sync,
    .tensor_bytes = cuda_tensor_bytes,
    .reshape_is_free = cuda_reshape_is_free,
    /* A GPU needs much work at a time, and chunks would have to be divided among several GPUs. */
    .whole_batches = true,
    .gradients_from_zero = true,
    .joins_norms = true,
    .adds_in_conv = cuda_adds_in_conv,
    .gates_curves = true,
};

/* What lib/tensor/backend.c looks up. */
__attribute__((visibility("default"))) const struct backend_table *winnow_backend(void);
const struct backend_table *winnow_backend(void)
{
    op_functions(&table);
    transfer_functions(&table);
    arena_functions(&table);
    step_functions(&table);
    multi_gpu_functions(&table);
    return &table;
}
