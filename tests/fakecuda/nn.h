/*
 * nn.h: descriptors of the stand-in of libcudnn, and tensors as its arithmetic sees them: dense float NHWC.
 */
#ifndef FAKECUDA_NN_H
#define FAKECUDA_NN_H

#include "fake.h"

#pragma GCC diagnostic ignored                                                                               \
    "-Wdeprecated-declarations" /* cuDNN 9 marks its descriptor calls so; this is their stand-in */
#include <cudnn.h>

struct cudnnContext {
    cudaStream_t stream;
    int device;
};
struct cudnnTensorStruct {
    bool set;
    cudnnDataType_t type;
    int d[4], s[4];
}; /* n c h w, strides in elements */
struct cudnnPoolingStruct {
    bool set;
    cudnnPoolingMode_t mode;
    int h, w, pad_h, pad_w, stride_h, stride_w;
};
struct cudnnActivationStruct {
    bool set;
    cudnnActivationMode_t mode;
    cudnnNanPropagation_t nan;
    double coef;
};
struct cudnnOpTensorStruct {
    bool set;
    cudnnOpTensorOp_t op;
    cudnnDataType_t compute;
};

typedef struct cudnnTensorStruct tensor;

#define NN_BEGIN(call)                                                                                       \
    do {                                                                                                     \
        if (fake_call_fails(call)) return nn_fail(call, CUDNN_STATUS_EXECUTION_FAILED, "failed on request"); \
        if (fake_sticky() != cudaSuccess)                                                                    \
            return nn_fail(call, CUDNN_STATUS_EXECUTION_FAILED_CUDART, "the device is in an error state");   \
        if (fake_last_error(false) != cudaSuccess) {                                                         \
            fake_complain(call, "an earlier call of the runtime left its error behind");                     \
            return nn_fail(call, CUDNN_STATUS_EXECUTION_FAILED_CUDART, "an error was left behind");          \
        }                                                                                                    \
        if (!fake_object_is(handle, "cudnn handle"))                                                         \
            return nn_fail(call, CUDNN_STATUS_NOT_INITIALIZED, "not a live handle");                         \
        if (!handle->stream)                                                                                 \
            return nn_fail(call, CUDNN_STATUS_BAD_PARAM,                                                     \
                           "the handle has no stream: winnow does not use the default one");                 \
    } while (0)

/* Keeps the sentence for cudnnGetLastErrorString and gives the status back. A misuse is also a complaint;
 * what is only unsupported isn't. */
cudnnStatus_t nn_fail(const char *call, cudnnStatus_t status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
cudnnStatus_t nn_queue(cudnnHandle_t handle, const char *call, fake_work work, const void *args,
                       size_t n_bytes);

bool nn_is_tensor(const void *d);
bool nn_packed_nhwc(const tensor *t);
bool nn_packed_nchw(const tensor *t);
bool nn_same_dims(const tensor *a, const tensor *b);
size_t nn_count(const tensor *t);
size_t nn_element_bytes(cudnnDataType_t type);
float nn_element(const void *base, size_t i, cudnnDataType_t type); /* float, bfloat16, half, int8 */
void nn_store(void *base, size_t i, cudnnDataType_t type, float v);
size_t nn_span_bytes(const tensor *t); /* first to last element */
/* NULL when p is a fit address for t (device memory, aligned for the type), else what is wrong. */
const char *nn_bad_pointer(const void *p, size_t alignment);
bool nn_type_runs(cudnnDataType_t type); /* float, half, bfloat16 from compute capability 8.0 on */

/*
 * For work that runs. nn_read: the tensor as dense float NHWC in new memory (free it), or NULL after a bad
 * access. nn_write: puts alpha * dense + beta * (what is there) into the tensor; with beta 0 what is there is
 * not read. false after a bad access.
 */
float *nn_read(const tensor *t, const void *p, const char *what);
bool nn_write(const tensor *t, void *p, const float *dense, float alpha, float beta, const char *what);
/* A vector of n floats of a float tensor. */
const float *nn_vector(const void *p, size_t n, const char *what);
void nn_poison_workspace(void *p, size_t bytes);

#endif
