/*
 * cublas.c: the calls of cuBLAS that winnow makes. Column-major, as cuBLAS has it. A result in host memory
 * waits, as documented.
 */
#include "fake.h"

#include <cublas_v2.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct cublasContext {
    cudaStream_t stream;
    cublasMath_t math;
    cublasPointerMode_t pointers;
    int device;
};

#define IS_HANDLE(h) fake_object_is((h), "cublas handle")
#define BEGIN(call)                                                                                          \
    do {                                                                                                     \
        if (fake_call_fails(call)) return CUBLAS_STATUS_EXECUTION_FAILED;                                    \
        if (fake_sticky() != cudaSuccess) return CUBLAS_STATUS_EXECUTION_FAILED;                             \
        if (fake_last_error(false) != cudaSuccess) {                                                         \
            fake_complain(call, "an earlier call of the runtime left its error behind");                     \
            return CUBLAS_STATUS_EXECUTION_FAILED;                                                           \
        }                                                                                                    \
        if (!IS_HANDLE(handle)) {                                                                            \
            fake_complain(call, "not a live handle");                                                        \
            return CUBLAS_STATUS_NOT_INITIALIZED;                                                            \
        }                                                                                                    \
    } while (0)

static cublasStatus_t queued(cudaError_t rc)
{
    return rc == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

static bool is_device_float(const char *call, const void *p, int n)
{
    if (n == 0 || (fake_is_device(p) && (uintptr_t)p % sizeof(float) == 0)) return true;
    fake_complain(call, "%p is not a float in device memory", p);
    return false;
}

FAKE_API cublasStatus_t CUBLASWINAPI cublasCreate_v2(cublasHandle_t *handle)
{
    if (fake_call_fails("cublasCreate")) return CUBLAS_STATUS_NOT_INITIALIZED;
    *handle = fake_object_new("cublas handle", sizeof **handle);
    if (*handle) (*handle)->device = fake_current_device();
    return *handle ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}

FAKE_API cublasStatus_t CUBLASWINAPI cublasDestroy_v2(cublasHandle_t handle)
{
    if (!IS_HANDLE(handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
    fake_object_free(handle);
    return CUBLAS_STATUS_SUCCESS;
}

FAKE_API cublasStatus_t CUBLASWINAPI cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream)
{
    BEGIN("cublasSetStream");
    if (!fake_stream_is_live(stream)) return CUBLAS_STATUS_INVALID_VALUE;
    handle->stream = stream;
    return CUBLAS_STATUS_SUCCESS;
}

FAKE_API cublasStatus_t CUBLASWINAPI cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode)
{
    BEGIN("cublasSetMathMode");
    handle->math = mode;
    return CUBLAS_STATUS_SUCCESS;
}

FAKE_API cublasStatus_t CUBLASWINAPI cublasSetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t mode)
{
    BEGIN("cublasSetPointerMode");
    handle->pointers = mode;
    return CUBLAS_STATUS_SUCCESS;
}

FAKE_API cublasStatus_t CUBLASWINAPI cublasSetWorkspace_v2(cublasHandle_t handle, void *workspace,
                                                           size_t bytes)
{
    BEGIN("cublasSetWorkspace");
    return (uintptr_t)workspace % 256 ? CUBLAS_STATUS_INVALID_VALUE : CUBLAS_STATUS_SUCCESS;
}

FAKE_API cublasStatus_t CUBLASWINAPI cublasGetVersion_v2(cublasHandle_t handle, int *version)
{
    *version = CUBLAS_VERSION;
    return CUBLAS_STATUS_SUCCESS;
}

FAKE_API const char *CUBLASWINAPI cublasGetStatusName(cublasStatus_t status)
{
    switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED: return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    default: return "CUBLAS_STATUS_INTERNAL_ERROR";
    }
}

FAKE_API const char *CUBLASWINAPI cublasGetStatusString(cublasStatus_t status)
{
    return cublasGetStatusName(status);
}

/* --- vectors --- */

struct vectors {
    int n;
    float a;
    const float *from; /* where a is, on the device; NULL: here */
    const float *x;
    float *y;
    float *result;
};

static float scalar_of(const struct vectors *v)
{
    const float *a = v->from ? fake_access(v->from, 4, FAKE_READ, "the scalar") : &v->a;
    return a ? *a : NAN;
}

static void axpy_run(const void *args)
{
    const struct vectors *v = args;
    const float *x = fake_access(v->x, (size_t)v->n * 4, FAKE_READ, "x");
    float *y = fake_access(v->y, (size_t)v->n * 4, FAKE_READ | FAKE_WRITE, "y"), a = scalar_of(v);
    for (int i = 0; x && y && i < v->n; i++)
        y[i] += a * x[i];
}

static void scal_run(const void *args)
{
    const struct vectors *v = args;
    float *y = fake_access(v->y, (size_t)v->n * 4, FAKE_READ | FAKE_WRITE, "x"), a = scalar_of(v);
    for (int i = 0; y && i < v->n; i++)
        y[i] *= a;
}

static void nrm2_run(const void *args)
{
    const struct vectors *v = args;
    const float *x = fake_access(v->x, (size_t)v->n * 4, FAKE_READ, "x");
    double sum = 0;
    for (int i = 0; x && i < v->n; i++)
        sum += (double)x[i] * x[i];
    *v->result = (float)sqrt(sum);
}

static void nrm2_device_run(const void *args)
{
    struct vectors v = *(const struct vectors *)args;
    if ((v.result = fake_access(v.result, 4, FAKE_WRITE, "the result"))) nrm2_run(&v);
}

/* A vector call's scalar, on the host or on the device as the handle's mode says. */
static bool vector_scalar(cublasHandle_t handle, const char *call, const float *p, struct vectors *v)
{
    bool device = handle->pointers == CUBLAS_POINTER_MODE_DEVICE;
    if (!p || fake_is_device(p) != device) {
        fake_complain(call, "a scalar that is not in the memory that the pointer mode names");
        return false;
    }
    if (device)
        v->from = p;
    else
        v->a = *p;
    return true;
}

/* Of other calls: on the host. */
static bool scalars_ok(cublasHandle_t handle, const char *call, const void *p)
{
    if (handle->pointers == CUBLAS_POINTER_MODE_HOST && p && !fake_is_device(p)) return true;
    fake_complain(call, "a scalar that is not in host memory");
    return false;
}

FAKE_API cublasStatus_t CUBLASWINAPI cublasSaxpy_v2(cublasHandle_t handle, int n, const float *alpha,
                                                    const float *x, int incx, float *y, int incy)
{
    BEGIN("cublasSaxpy");
    struct vectors v = {.n = n, .x = x, .y = y};
    if (n < 0 || incx != 1 || incy != 1 || !vector_scalar(handle, "cublasSaxpy", alpha, &v) ||
        !is_device_float("cublasSaxpy", x, n) || !is_device_float("cublasSaxpy", y, n))
        return CUBLAS_STATUS_INVALID_VALUE;
    return queued(fake_queue(handle->stream, "cublasSaxpy", axpy_run, &v, sizeof v));
}

FAKE_API cublasStatus_t CUBLASWINAPI cublasSscal_v2(cublasHandle_t handle, int n, const float *alpha,
                                                    float *x, int incx)
{
    BEGIN("cublasSscal");
    struct vectors v = {.n = n, .y = x};
    if (n < 0 || incx != 1 || !vector_scalar(handle, "cublasSscal", alpha, &v) ||
        !is_device_float("cublasSscal", x, n))
        return CUBLAS_STATUS_INVALID_VALUE;
    return queued(fake_queue(handle->stream, "cublasSscal", scal_run, &v, sizeof v));
}

FAKE_API cublasStatus_t CUBLASWINAPI cublasSnrm2_v2(cublasHandle_t handle, int n, const float *x, int incx,
                                                    float *result)
{
    BEGIN("cublasSnrm2");
    bool keeps = handle->pointers == CUBLAS_POINTER_MODE_DEVICE;
    if (n < 0 || incx != 1 || !is_device_float("cublasSnrm2", x, n) ||
        (keeps ? !is_device_float("cublasSnrm2", result, 1) : !scalars_ok(handle, "cublasSnrm2", result)))
        return CUBLAS_STATUS_INVALID_VALUE;
    struct vectors v = {.n = n, .x = x, .result = result};
    if (keeps) return queued(fake_queue(handle->stream, "cublasSnrm2", nrm2_device_run, &v, sizeof v));
    if (fake_capture_refuses()) return CUBLAS_STATUS_NOT_SUPPORTED; /* it waits */
    *result = fake_dry() ? 1 : NAN;
    fake_count_wait();
    cudaError_t rc = fake_queue(handle->stream, "cublasSnrm2", nrm2_run, &v, sizeof v);
    return queued(rc == cudaSuccess ? fake_stream_wait_host(handle->stream) : rc);
}

/* --- matrices --- */

struct gemm {
    bool ta, tb, round_tf32;
    int m, n, k, lda, ldb, ldc;
    float alpha, beta;
    const void *a, *b;
    void *c;
    cudaDataType at, ct;
};

static float value_of(const void *p, size_t i, cudaDataType type)
{
    return type == CUDA_R_16BF ? fake_from_bf16(((const uint16_t *)p)[i]) : ((const float *)p)[i];
}

static size_t span(int rows, int columns, int ld)
{
    return (size_t)(columns - 1) * (size_t)ld + (size_t)rows;
}

static void gemm_run(const void *args)
{
    const struct gemm *g = args;
    size_t m = (size_t)g->m, n = (size_t)g->n, k = (size_t)g->k, as = g->at == CUDA_R_16BF ? 2 : 4,
           cs = g->ct == CUDA_R_16BF ? 2 : 4;
    const void *a =
        fake_access(g->a, as * (g->ta ? span(g->k, g->m, g->lda) : span(g->m, g->k, g->lda)), FAKE_READ, "A");
    const void *b =
        fake_access(g->b, as * (g->tb ? span(g->n, g->k, g->ldb) : span(g->k, g->n, g->ldb)), FAKE_READ, "B");
    void *c =
        fake_access(g->c, cs * span(g->m, g->n, g->ldc), FAKE_WRITE | (g->beta != 0 ? FAKE_READ : 0), "C");
    if (!a || !b || !c) return;
    /* column-major C = A B is row-major C' = B' A' */
    float *left = malloc(n * k * sizeof *left), *right = malloc(k * m * sizeof *right),
          *out = malloc(n * m * sizeof *out);
    if (!left || !right || !out) abort();
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < k; i++) {
            float v = value_of(b, g->tb ? i * (size_t)g->ldb + j : j * (size_t)g->ldb + i, g->at);
            left[j * k + i] = g->round_tf32 ? fake_to_tf32(v) : v;
        }
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < m; j++) {
            float v = value_of(a, g->ta ? j * (size_t)g->lda + i : i * (size_t)g->lda + j, g->at);
            right[i * m + j] = g->round_tf32 ? fake_to_tf32(v) : v;
        }
    fake_gemm(n, m, k, left, k, right, m, out, m, false);
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < m; i++) {
            size_t at = j * (size_t)g->ldc + i;
            float v = g->alpha * out[j * m + i] + (g->beta != 0 ? g->beta * value_of(c, at, g->ct) : 0);
            if (g->ct == CUDA_R_16BF)
                ((uint16_t *)c)[at] = fake_to_bf16(v);
            else
                ((float *)c)[at] = v;
        }
    free(left);
    free(right);
    free(out);
}

FAKE_API cublasStatus_t CUBLASWINAPI cublasGemmEx(cublasHandle_t handle, cublasOperation_t transa,
                                                  cublasOperation_t transb, int m, int n, int k,
                                                  const void *alpha, const void *A, cudaDataType Atype,
                                                  int lda, const void *B, cudaDataType Btype, int ldb,
                                                  const void *beta, void *C, cudaDataType Ctype, int ldc,
                                                  cublasComputeType_t computeType, cublasGemmAlgo_t algo)
{
    BEGIN("cublasGemmEx");
    bool ta = transa != CUBLAS_OP_N, tb = transb != CUBLAS_OP_N;
    if (m <= 0 || n <= 0 || k <= 0 || lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m) {
        fake_complain("cublasGemmEx", "m %d n %d k %d with leading dimensions %d %d %d", m, n, k, lda, ldb,
                      ldc);
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    bool f32 = Atype == CUDA_R_32F && Btype == CUDA_R_32F && Ctype == CUDA_R_32F;
    bool bf16 = Atype == CUDA_R_16BF && Btype == CUDA_R_16BF && (Ctype == CUDA_R_16BF || Ctype == CUDA_R_32F);
    if (bf16 && fake_compute_capability() < 80) return CUBLAS_STATUS_ARCH_MISMATCH;
    if (!(f32 && (computeType == CUBLAS_COMPUTE_32F || computeType == CUBLAS_COMPUTE_32F_PEDANTIC ||
                  computeType == CUBLAS_COMPUTE_32F_FAST_TF32)) &&
        !(bf16 && computeType == CUBLAS_COMPUTE_32F))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (!scalars_ok(handle, "cublasGemmEx", alpha) || !scalars_ok(handle, "cublasGemmEx", beta) ||
        !fake_is_device(A) || !fake_is_device(B) || !fake_is_device(C)) {
        fake_complain("cublasGemmEx", "an operand is not in device memory");
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    struct gemm g = {ta,
                     tb,
                     computeType == CUBLAS_COMPUTE_32F_FAST_TF32 && fake_compute_capability() >= 80,
                     m,
                     n,
                     k,
                     lda,
                     ldb,
                     ldc,
                     *(const float *)alpha,
                     *(const float *)beta,
                     A,
                     B,
                     C,
                     Atype,
                     Ctype};
    return queued(fake_queue(handle->stream, "cublasGemmEx", gemm_run, &g, sizeof g));
}
