/*
 * cudnn_elementwise.c: softmax, copies between layouts and types, and arithmetic by elements, of the stand-in
 * of libcudnn.
 */
#include "nn_checks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct two {
    tensor a, b, c;
    const void *pa, *pb;
    void *out;
    float alpha, alpha2, beta;
    int op;
};

#define NEED(condition, status, ...)                                                                         \
    do {                                                                                                     \
        if (!(condition)) return nn_fail(call, status, __VA_ARGS__);                                         \
    } while (0)
#define BAD CUDNN_STATUS_BAD_PARAM

/* --- softmax --- */

static void softmax_run(const void *args)
{
    const struct two *v = args;
    float *x = nn_read(&v->a, v->pa, "x");
    size_t rows = nn_count(&v->a) / (size_t)v->a.d[1], c = (size_t)v->a.d[1];
    for (size_t r = 0; x && r < rows; r++) {
        float *row = x + r * c, most = row[0];
        double sum = 0;
        for (size_t i = 1; i < c; i++)
            most = row[i] > most ? row[i] : most;
        for (size_t i = 0; i < c; i++)
            sum += row[i] = expf(row[i] - most);
        for (size_t i = 0; i < c; i++)
            row[i] = (float)(row[i] / sum);
    }
    if (x) nn_write(&v->c, v->out, x, v->alpha, v->beta, "y");
    free(x);
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnSoftmaxForward(cudnnHandle_t handle, cudnnSoftmaxAlgorithm_t algo,
                                                       cudnnSoftmaxMode_t mode, const void *alpha,
                                                       const cudnnTensorDescriptor_t xd, const void *x,
                                                       const void *beta, const cudnnTensorDescriptor_t yd,
                                                       void *y)
{
    const char *call = "cudnnSoftmaxForward";
    NN_BEGIN(call);
    NEED(nn_is_tensor(xd) && nn_is_tensor(yd) && nn_same_dims(xd, yd) && xd->type == yd->type, BAD,
         "x and y differ, or are not tensors");
    NEED(mode == CUDNN_SOFTMAX_MODE_CHANNEL && algo == CUDNN_SOFTMAX_ACCURATE, CUDNN_STATUS_NOT_SUPPORTED,
         "only the accurate one over channels");
    NEED(nn_type_runs(xd->type), CUDNN_STATUS_NOT_SUPPORTED, "type %d on this card", (int)xd->type);
    NEED(!nn_bad_pointer(x, nn_element_bytes(xd->type)) && !nn_bad_pointer(y, nn_element_bytes(yd->type)),
         BAD, "not device memory");
    struct two v = {.a = *xd, .c = *yd, .pa = x, .out = y, .alpha = scalar(alpha), .beta = scalar(beta)};
    return nn_queue(handle, call, softmax_run, &v, sizeof v);
}

/* --- copies --- */

static void transform_run(const void *args)
{
    const struct two *v = args;
    float *x = nn_read(&v->a, v->pa, "x");
    if (x) nn_write(&v->c, v->out, x, v->alpha, v->beta, "y");
    free(x);
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnTransformTensor(cudnnHandle_t handle, const void *alpha,
                                                        const cudnnTensorDescriptor_t xd, const void *x,
                                                        const void *beta, const cudnnTensorDescriptor_t yd,
                                                        void *y)
{
    const char *call = "cudnnTransformTensor";
    NN_BEGIN(call);
    NEED(nn_is_tensor(xd) && nn_is_tensor(yd) && nn_same_dims(xd, yd), BAD,
         "x and y differ in shape, or are not tensors");
    NEED((nn_type_runs(xd->type) || (xd->type == CUDNN_DATA_INT8 && nn_packed_nhwc(xd))) &&
             nn_type_runs(yd->type),
         CUDNN_STATUS_NOT_SUPPORTED, "a type this card does not know");
    const char *list = getenv("FAKECUDA_SUPPORT");
    NEED(xd->type != CUDNN_DATA_INT8 || !list || !strstr(list, "no-bytes"), CUDNN_STATUS_NOT_SUPPORTED,
         "bytes");
    NEED(xd->type == yd->type || !list || !strstr(list, "no-type-transform"), CUDNN_STATUS_NOT_SUPPORTED,
         "another type");
    NEED(!nn_bad_pointer(x, nn_element_bytes(xd->type)) && !nn_bad_pointer(y, nn_element_bytes(yd->type)),
         BAD, "not device memory");
    NEED((const char *)x + nn_span_bytes(xd) <= (const char *)y ||
             (const char *)y + nn_span_bytes(yd) <= (const char *)x,
         BAD, "x and y overlap");
    for (int i = 0; i < 4; i++)
        NEED(xd->d[i] <= 65535, CUDNN_STATUS_NOT_SUPPORTED, "dimension %d is %d", i, xd->d[i]);
    struct two v = {.a = *xd, .c = *yd, .pa = x, .out = y, .alpha = scalar(alpha), .beta = scalar(beta)};
    return nn_queue(handle, call, transform_run, &v, sizeof v);
}

struct fill {
    tensor y;
    void *out;
    float value;
};

static void fill_run(const void *args)
{
    const struct fill *v = args;
    size_t n = nn_count(&v->y);
    float *all = malloc(n * sizeof *all);
    for (size_t i = 0; all && i < n; i++)
        all[i] = v->value;
    if (all) nn_write(&v->y, v->out, all, 1, 0, "y");
    free(all);
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnSetTensor(cudnnHandle_t handle, const cudnnTensorDescriptor_t yd,
                                                  void *y, const void *value)
{
    const char *call = "cudnnSetTensor";
    NN_BEGIN(call);
    NEED(nn_is_tensor(yd) && value && !fake_is_device(value), BAD, "no tensor, or no value in host memory");
    NEED(nn_type_runs(yd->type), CUDNN_STATUS_NOT_SUPPORTED, "type %d on this card", (int)yd->type);
    NEED(!nn_bad_pointer(y, nn_element_bytes(yd->type)), BAD, "not device memory");
    struct fill v = {*yd, y, nn_element(value, 0, yd->type)};
    return nn_queue(handle, call, fill_run, &v, sizeof v);
}

/* --- element by element --- */

/* The index in b (whose dimensions are those of a, or 1) of the element at dense NHWC index i of a. */
static size_t broadcast(const tensor *a, const tensor *b, size_t i)
{
    size_t c = i % (size_t)a->d[1], x = i / (size_t)a->d[1] % (size_t)a->d[3];
    size_t y = i / (size_t)a->d[1] / (size_t)a->d[3] % (size_t)a->d[2],
           n = i / (size_t)a->d[1] / (size_t)a->d[3] / (size_t)a->d[2];
    c = b->d[1] == 1 ? 0 : c;
    x = b->d[3] == 1 ? 0 : x;
    y = b->d[2] == 1 ? 0 : y;
    n = b->d[0] == 1 ? 0 : n;
    return ((n * (size_t)b->d[2] + y) * (size_t)b->d[3] + x) * (size_t)b->d[1] + c;
}

static bool broadcasts(const tensor *b, const tensor *a)
{
    for (int i = 0; i < 4; i++)
        if (b->d[i] != a->d[i] && b->d[i] != 1) return false;
    return true;
}

static void op_run(const void *args)
{
    const struct two *v = args;
    float *a = nn_read(&v->a, v->pa, "A"), *b = v->pb ? nn_read(&v->b, v->pb, "B") : NULL;
    size_t n = nn_count(&v->a);
    if (!a || (v->pb && !b)) {
        free(a);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        float x = v->alpha * a[i], y = b ? v->alpha2 * b[broadcast(&v->a, &v->b, i)] : 0;
        switch (v->op) {
        case CUDNN_OP_TENSOR_ADD: a[i] = x + y; break;
        case CUDNN_OP_TENSOR_MUL: a[i] = x * y; break;
        case CUDNN_OP_TENSOR_MIN: a[i] = y < x ? y : x; break;
        case CUDNN_OP_TENSOR_MAX: a[i] = y > x ? y : x; break;
        case CUDNN_OP_TENSOR_SQRT: a[i] = sqrtf(x); break;
        default: a[i] = 1 - x;
        }
    }
    nn_write(&v->c, v->out, a, 1, v->beta, "C");
    free(a);
    free(b);
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnOpTensor(cudnnHandle_t handle, const cudnnOpTensorDescriptor_t od,
                                                 const void *alpha1, const cudnnTensorDescriptor_t ad,
                                                 const void *A, const void *alpha2,
                                                 const cudnnTensorDescriptor_t bd, const void *B,
                                                 const void *beta, const cudnnTensorDescriptor_t cd, void *C)
{
    const char *call = "cudnnOpTensor";
    NN_BEGIN(call);
    NEED(fake_object_is(od, "op tensor") && od->set && nn_is_tensor(ad) && nn_is_tensor(cd), BAD,
         "a descriptor is missing, dead or was never set");
    bool unary = od->op == CUDNN_OP_TENSOR_SQRT || od->op == CUDNN_OP_TENSOR_NOT;
    NEED(nn_same_dims(ad, cd), BAD, "A and C differ in shape");
    NEED(unary || (nn_is_tensor(bd) && broadcasts(bd, ad)), BAD, "B does not fit A");
    NEED(ad->type == cd->type && (unary || bd->type == ad->type), CUDNN_STATUS_NOT_SUPPORTED, "types differ");
    NEED(nn_type_runs(ad->type), CUDNN_STATUS_NOT_SUPPORTED, "type %d on this card", (int)ad->type);
    NEED(!nn_bad_pointer(A, nn_element_bytes(ad->type)) && !nn_bad_pointer(C, nn_element_bytes(cd->type)) &&
             (unary || !nn_bad_pointer(B, nn_element_bytes(bd->type))),
         BAD, "not device memory");
    struct two v = {.a = *ad,
                    .c = *cd,
                    .pa = A,
                    .pb = unary ? NULL : B,
                    .out = C,
                    .alpha = scalar(alpha1),
                    .beta = scalar(beta),
                    .op = (int)od->op};
    if (!unary) {
        v.b = *bd;
        v.alpha2 = scalar(alpha2);
    }
    return nn_queue(handle, call, op_run, &v, sizeof v);
}

static void add_run(const void *args)
{
    const struct two *v = args;
    float *a = nn_read(&v->a, v->pa, "A");
    size_t n = nn_count(&v->c);
    float *all = a ? malloc(n * sizeof *all) : NULL;
    for (size_t i = 0; all && i < n; i++)
        all[i] = a[broadcast(&v->c, &v->a, i)];
    if (all) nn_write(&v->c, v->out, all, v->alpha, v->beta, "C");
    free(a);
    free(all);
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnAddTensor(cudnnHandle_t handle, const void *alpha,
                                                  const cudnnTensorDescriptor_t ad, const void *A,
                                                  const void *beta, const cudnnTensorDescriptor_t cd, void *C)
{
    const char *call = "cudnnAddTensor";
    NN_BEGIN(call);
    NEED(nn_is_tensor(ad) && nn_is_tensor(cd) && broadcasts(ad, cd), BAD,
         "A does not fit C, or they are not tensors");
    NEED(ad->type == cd->type, CUDNN_STATUS_NOT_SUPPORTED, "types differ");
    NEED(nn_type_runs(ad->type), CUDNN_STATUS_NOT_SUPPORTED, "type %d on this card", (int)ad->type);
    NEED(!nn_bad_pointer(A, nn_element_bytes(ad->type)) && !nn_bad_pointer(C, nn_element_bytes(cd->type)),
         BAD, "not device memory");
    struct two v = {.a = *ad, .c = *cd, .pa = A, .out = C, .alpha = scalar(alpha), .beta = scalar(beta)};
    return nn_queue(handle, call, add_run, &v, sizeof v);
}
