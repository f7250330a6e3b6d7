/*
 * cudnn_descriptors.c: handles and descriptors of the stand-in of libcudnn, each checked as the documentation
 * says.
 */
#include "nn.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static __thread char last_error[512];

cudnnStatus_t nn_fail(const char *call, cudnnStatus_t status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(last_error, sizeof last_error, format, args);
    va_end(args);
    if (status / 1000 == 2 || status == CUDNN_STATUS_NOT_INITIALIZED) fake_complain(call, "%s", last_error);
    return status;
}

cudnnStatus_t nn_queue(cudnnHandle_t handle, const char *call, fake_work work, const void *args,
                       size_t n_bytes)
{
    if (fake_queue(handle->stream, call, work, args, n_bytes) == cudaSuccess) return CUDNN_STATUS_SUCCESS;
    return nn_fail(call, CUDNN_STATUS_EXECUTION_FAILED, "the stream took no work");
}

FAKE_API size_t CUDNNWINAPI cudnnGetVersion(void)
{
    const char *other = getenv("FAKECUDA_CUDNN");
    return other && *other ? strtoull(other, NULL, 10) : CUDNN_VERSION;
}
FAKE_API size_t CUDNNWINAPI cudnnGetCudartVersion(void) { return CUDART_VERSION; }

FAKE_API void CUDNNWINAPI cudnnGetLastErrorString(char *message, size_t max_size)
{
    snprintf(message, max_size, "%s", last_error);
    last_error[0] = 0;
}

FAKE_API const char *CUDNNWINAPI cudnnGetErrorString(cudnnStatus_t status)
{
    switch (status) {
    case CUDNN_STATUS_SUCCESS: return "CUDNN_STATUS_SUCCESS";
    case CUDNN_STATUS_NOT_INITIALIZED: return "CUDNN_STATUS_NOT_INITIALIZED";
    case CUDNN_STATUS_BAD_PARAM: return "CUDNN_STATUS_BAD_PARAM";
    case CUDNN_STATUS_BAD_PARAM_NULL_POINTER: return "CUDNN_STATUS_BAD_PARAM_NULL_POINTER";
    case CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER: return "CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER";
    case CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT: return "CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT";
    case CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH: return "CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH";
    case CUDNN_STATUS_NOT_SUPPORTED: return "CUDNN_STATUS_NOT_SUPPORTED";
    case CUDNN_STATUS_NOT_SUPPORTED_LAYOUT: return "CUDNN_STATUS_NOT_SUPPORTED_LAYOUT";
    case CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE: return "CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE";
    case CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH: return "CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH";
    case CUDNN_STATUS_EXECUTION_FAILED: return "CUDNN_STATUS_EXECUTION_FAILED";
    case CUDNN_STATUS_EXECUTION_FAILED_CUDART: return "CUDNN_STATUS_EXECUTION_FAILED_CUDART";
    default: return "CUDNN_STATUS_INTERNAL_ERROR";
    }
}

/* --- handle --- */

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnCreate(cudnnHandle_t *handle)
{
    if (fake_call_fails("cudnnCreate"))
        return nn_fail("cudnnCreate", CUDNN_STATUS_INTERNAL_ERROR, "failed on request");
    *handle = fake_object_new("cudnn handle", sizeof **handle);
    if (!*handle) return CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
    (*handle)->device = fake_current_device();
    return CUDNN_STATUS_SUCCESS;
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnDestroy(cudnnHandle_t handle)
{
    if (!fake_object_is(handle, "cudnn handle"))
        return nn_fail("cudnnDestroy", CUDNN_STATUS_NOT_INITIALIZED, "not a live handle");
    fake_object_free(handle);
    return CUDNN_STATUS_SUCCESS;
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    if (fake_call_fails("cudnnSetStream"))
        return nn_fail("cudnnSetStream", CUDNN_STATUS_INTERNAL_ERROR, "failed on request");
    if (!fake_object_is(handle, "cudnn handle") || !fake_stream_is_live(stream))
        return nn_fail("cudnnSetStream", CUDNN_STATUS_BAD_PARAM, "not a live handle and stream");
    if (fake_stream_device(stream) != handle->device)
        return nn_fail("cudnnSetStream", CUDNN_STATUS_BAD_PARAM_STREAM_MISMATCH,
                       "the stream is another device's");
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

/* --- create and destroy --- */

#define LIFE(Name, type, kind)                                                                               \
    FAKE_API cudnnStatus_t CUDNNWINAPI cudnnCreate##Name##Descriptor(type *out)                              \
    {                                                                                                        \
        if (fake_call_fails("cudnnCreate" #Name "Descriptor"))                                               \
            return nn_fail("cudnnCreate" #Name "Descriptor",                                                 \
                           CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED, "failed on request");         \
        *out = fake_object_new(kind, sizeof **out);                                                          \
        return *out ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;             \
    }                                                                                                        \
    FAKE_API cudnnStatus_t CUDNNWINAPI cudnnDestroy##Name##Descriptor(type d)                                \
    {                                                                                                        \
        if (!fake_object_is(d, kind))                                                                        \
            return nn_fail("cudnnDestroy" #Name "Descriptor", CUDNN_STATUS_BAD_PARAM,                        \
                           "not a live descriptor of this kind");                                            \
        fake_object_free(d);                                                                                 \
        return CUDNN_STATUS_SUCCESS;                                                                         \
    }
LIFE(Tensor, cudnnTensorDescriptor_t, "tensor")
LIFE(Pooling, cudnnPoolingDescriptor_t, "pooling")
LIFE(Activation, cudnnActivationDescriptor_t, "activation")
LIFE(OpTensor, cudnnOpTensorDescriptor_t, "op tensor")

#define SET_BEGIN(call, d, kind)                                                                             \
    do {                                                                                                     \
        if (fake_call_fails(call)) return nn_fail(call, CUDNN_STATUS_INTERNAL_ERROR, "failed on request");   \
        if (!fake_object_is(d, kind))                                                                        \
            return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "not a live " kind " descriptor");                  \
    } while (0)

/* --- tensors --- */

size_t nn_element_bytes(cudnnDataType_t type)
{
    switch (type) {
    case CUDNN_DATA_FLOAT:
    case CUDNN_DATA_INT32: return 4;
    case CUDNN_DATA_DOUBLE: return 8;
    case CUDNN_DATA_HALF:
    case CUDNN_DATA_BFLOAT16: return 2;
    default: return 1;
    }
}

bool nn_type_runs(cudnnDataType_t type)
{
    return type == CUDNN_DATA_FLOAT || type == CUDNN_DATA_HALF ||
           (type == CUDNN_DATA_BFLOAT16 && fake_compute_capability() >= 80);
}

static cudnnStatus_t set_tensor(const char *call, cudnnTensorDescriptor_t t, cudnnDataType_t type,
                                const int d[4], const int s[4])
{
    size_t span = 1;
    for (int i = 0; i < 4; i++) {
        if (d[i] < 1 || s[i] < 1)
            return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "dimension %d is %d with stride %d", i, d[i], s[i]);
        span += (size_t)(d[i] - 1) * (size_t)s[i];
    }
    if (span * nn_element_bytes(type) > (size_t)2 << 30)
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "a tensor of more than 2 GiB");
    /* No two elements in one place: in the order of their strides each
     * dimension lies outside the one before. */
    int order[4] = {0, 1, 2, 3};
    for (int i = 0; i < 4; i++)
        for (int j = i + 1; j < 4; j++)
            if (s[order[j]] < s[order[i]] || (s[order[j]] == s[order[i]] && d[order[j]] < d[order[i]])) {
                int swap = order[i];
                order[i] = order[j];
                order[j] = swap;
            }
    size_t inner = 1;
    for (int i = 0; i < 4; i++) {
        if (d[order[i]] > 1 && (size_t)s[order[i]] < inner)
            return nn_fail(call, CUDNN_STATUS_BAD_PARAM,
                           "elements overlap: dims %d %d %d %d strides %d %d %d %d", d[0], d[1], d[2], d[3],
                           s[0], s[1], s[2], s[3]);
        if (d[order[i]] > 1) inner = (size_t)s[order[i]] * (size_t)d[order[i]];
    }
    *t = (tensor){true, type, {d[0], d[1], d[2], d[3]}, {s[0], s[1], s[2], s[3]}};
    return CUDNN_STATUS_SUCCESS;
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnSetTensor4dDescriptorEx(cudnnTensorDescriptor_t t,
                                                                cudnnDataType_t type, int n, int c, int h,
                                                                int w, int ns, int cs, int hs, int ws)
{
    SET_BEGIN("cudnnSetTensor4dDescriptorEx", t, "tensor");
    return set_tensor("cudnnSetTensor4dDescriptorEx", t, type, (int[4]){n, c, h, w},
                      (int[4]){ns, cs, hs, ws});
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t t,
                                                              cudnnTensorFormat_t format,
                                                              cudnnDataType_t type, int n, int c, int h,
                                                              int w)
{
    const char *call = "cudnnSetTensor4dDescriptor";
    SET_BEGIN(call, t, "tensor");
    if (format == CUDNN_TENSOR_NHWC)
        return set_tensor(call, t, type, (int[4]){n, c, h, w}, (int[4]){h * w * c, 1, w * c, c});
    if (format == CUDNN_TENSOR_NCHW)
        return set_tensor(call, t, type, (int[4]){n, c, h, w}, (int[4]){c * h * w, h * w, w, 1});
    return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "format %d", (int)format);
}

bool nn_is_tensor(const void *d) { return fake_object_is(d, "tensor") && ((const tensor *)d)->set; }
size_t nn_count(const tensor *t)
{
    return (size_t)t->d[0] * (size_t)t->d[1] * (size_t)t->d[2] * (size_t)t->d[3];
}

static bool strides_are(const tensor *t, int ns, int cs, int hs, int ws)
{
    int want[4] = {ns, cs, hs, ws};
    for (int i = 0; i < 4; i++) /* the stride of a single step says nothing */
        if (t->d[i] > 1 && t->s[i] != want[i]) return false;
    return true;
}

bool nn_packed_nhwc(const tensor *t)
{
    return strides_are(t, t->d[1] * t->d[2] * t->d[3], 1, t->d[3] * t->d[1], t->d[1]);
}

bool nn_packed_nchw(const tensor *t)
{
    return strides_are(t, t->d[1] * t->d[2] * t->d[3], t->d[2] * t->d[3], t->d[3], 1);
}

bool nn_same_dims(const tensor *a, const tensor *b) { return !memcmp(a->d, b->d, sizeof a->d); }

size_t nn_span_bytes(const tensor *t)
{
    size_t last = 0;
    for (int i = 0; i < 4; i++)
        last += (size_t)(t->d[i] - 1) * (size_t)t->s[i];
    return (last + 1) * nn_element_bytes(t->type);
}

const char *nn_bad_pointer(const void *p, size_t alignment)
{
    if (!p) return "a null pointer";
    if (!fake_is_device(p)) return "an address outside device memory";
    return (uintptr_t)p % alignment ? "a misaligned address" : NULL;
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnGetTensorSizeInBytes(const cudnnTensorDescriptor_t t, size_t *size)
{
    if (!nn_is_tensor(t)) return nn_fail("cudnnGetTensorSizeInBytes", CUDNN_STATUS_BAD_PARAM, "not a tensor");
    *size = nn_span_bytes(t);
    return CUDNN_STATUS_SUCCESS;
}

/* --- the others --- */

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnSetPooling2dDescriptor(cudnnPoolingDescriptor_t p,
                                                               cudnnPoolingMode_t mode,
                                                               cudnnNanPropagation_t nan, int h, int w,
                                                               int pad_h, int pad_w, int stride_h,
                                                               int stride_w)
{
    SET_BEGIN("cudnnSetPooling2dDescriptor", p, "pooling");
    if (h < 1 || w < 1 || stride_h < 1 || stride_w < 1 || pad_h < 0 || pad_w < 0 || pad_h >= h || pad_w >= w)
        return nn_fail("cudnnSetPooling2dDescriptor", CUDNN_STATUS_BAD_PARAM,
                       "window %d %d pads %d %d strides %d %d", h, w, pad_h, pad_w, stride_h, stride_w);
    *p = (struct cudnnPoolingStruct){true, mode, h, w, pad_h, pad_w, stride_h, stride_w};
    return CUDNN_STATUS_SUCCESS;
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnSetActivationDescriptor(cudnnActivationDescriptor_t a,
                                                                cudnnActivationMode_t mode,
                                                                cudnnNanPropagation_t nan, double coef)
{
    SET_BEGIN("cudnnSetActivationDescriptor", a, "activation");
    *a = (struct cudnnActivationStruct){true, mode, nan, coef};
    return CUDNN_STATUS_SUCCESS;
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnSetOpTensorDescriptor(cudnnOpTensorDescriptor_t o,
                                                              cudnnOpTensorOp_t op, cudnnDataType_t compute,
                                                              cudnnNanPropagation_t nan)
{
    SET_BEGIN("cudnnSetOpTensorDescriptor", o, "op tensor");
    if (compute != CUDNN_DATA_FLOAT)
        return nn_fail("cudnnSetOpTensorDescriptor", CUDNN_STATUS_BAD_PARAM, "compute type %d", (int)compute);
    *o = (struct cudnnOpTensorStruct){true, op, compute};
    return CUDNN_STATUS_SUCCESS;
}

/* --- tensors for work that runs --- */

float nn_element(const void *base, size_t i, cudnnDataType_t type)
{
    return type == CUDNN_DATA_BFLOAT16 ? fake_from_bf16(((const uint16_t *)base)[i])
           : type == CUDNN_DATA_HALF   ? fake_from_f16(((const uint16_t *)base)[i])
           : type == CUDNN_DATA_INT8   ? (float)((const int8_t *)base)[i]
                                       : ((const float *)base)[i];
}

void nn_store(void *base, size_t i, cudnnDataType_t type, float v)
{
    if (type == CUDNN_DATA_FLOAT)
        ((float *)base)[i] = v;
    else
        ((uint16_t *)base)[i] = type == CUDNN_DATA_HALF ? fake_to_f16(v) : fake_to_bf16(v);
}

float *nn_read(const tensor *t, const void *p, const char *what)
{
    const void *host = fake_access(p, nn_span_bytes(t), FAKE_READ, what);
    if (!host) return NULL;
    size_t n = nn_count(t), at = 0;
    float *dense = malloc(n * sizeof *dense);
    if (!dense) abort();
    if (t->type == CUDNN_DATA_FLOAT && nn_packed_nhwc(t)) {
        memcpy(dense, host, n * sizeof *dense);
        return dense;
    }
    for (int b = 0; b < t->d[0]; b++)
        for (int y = 0; y < t->d[2]; y++)
            for (int x = 0; x < t->d[3]; x++) {
                size_t base =
                    (size_t)b * (size_t)t->s[0] + (size_t)y * (size_t)t->s[2] + (size_t)x * (size_t)t->s[3];
                for (int c = 0; c < t->d[1]; c++)
                    dense[at++] = nn_element(host, base + (size_t)c * (size_t)t->s[1], t->type);
            }
    return dense;
}

bool nn_write(const tensor *t, void *p, const float *dense, float alpha, float beta, const char *what)
{
    void *host = fake_access(p, nn_span_bytes(t), FAKE_WRITE | (beta != 0 ? FAKE_READ : 0), what);
    if (!host) return false;
    size_t at = 0;
    for (int b = 0; b < t->d[0]; b++)
        for (int y = 0; y < t->d[2]; y++)
            for (int x = 0; x < t->d[3]; x++) {
                size_t base =
                    (size_t)b * (size_t)t->s[0] + (size_t)y * (size_t)t->s[2] + (size_t)x * (size_t)t->s[3];
                for (int c = 0; c < t->d[1]; c++) {
                    size_t i = base + (size_t)c * (size_t)t->s[1];
                    float v = alpha * dense[at++];
                    if (beta != 0) v += beta * nn_element(host, i, t->type);
                    nn_store(host, i, t->type, v);
                }
            }
    return true;
}

const float *nn_vector(const void *p, size_t n, const char *what)
{
    return fake_access(p, n * sizeof(float), FAKE_READ, what);
}

void nn_poison_workspace(void *p, size_t bytes)
{
    void *host = bytes ? fake_access(p, bytes, FAKE_WRITE, "the workspace") : NULL;
    if (host) fake_scratch_poison(host, bytes);
}
