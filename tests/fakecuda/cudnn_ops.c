/*
 * cudnn_ops.c: activations and pools of the stand-in of libcudnn.
 */
#include "nn_checks.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One closure for everything here: up to four tensors, as many scalars. */
struct act {
    tensor x, y, dx, dy;
    const void *px, *py, *pdy;
    void *out;
    float alpha, beta, value;
    struct cudnnActivationStruct activation;
    struct cudnnPoolingStruct pool;
    int op;
};

/* The end of every backward call: pointers checked, tensors filled in, the work queued. */
static cudnnStatus_t backward(cudnnHandle_t handle, const char *call, fake_work work, struct act *v,
                              const tensor *x, const tensor *y, const tensor *dx, const tensor *dy)
{
    NEED_POINTER(v->px, x->type);
    NEED_POINTER(v->py, y->type);
    NEED_POINTER(v->pdy, dy->type);
    NEED_POINTER(v->out, dx->type);
    v->x = *x;
    v->y = *y;
    v->dx = *dx;
    v->dy = *dy;
    return nn_queue(handle, call, work, v, sizeof *v);
}

/* --- activation --- */

static float activate(const struct cudnnActivationStruct *a, float v)
{
    switch (a->mode) {
    case CUDNN_ACTIVATION_SIGMOID: return 1 / (1 + expf(-v));
    case CUDNN_ACTIVATION_TANH: return tanhf(v);
    case CUDNN_ACTIVATION_CLIPPED_RELU: return v < 0 ? 0 : v > (float)a->coef ? (float)a->coef : v;
    case CUDNN_ACTIVATION_RELU: return v < 0 ? 0 : v;
    default: return v;
    }
}

static float slope(const struct cudnnActivationStruct *a, float y, float x)
{
    switch (a->mode) {
    case CUDNN_ACTIVATION_SIGMOID: return y * (1 - y);
    case CUDNN_ACTIVATION_TANH: return 1 - y * y;
    case CUDNN_ACTIVATION_CLIPPED_RELU: return x > 0 && x <= (float)a->coef ? 1 : 0;
    case CUDNN_ACTIVATION_RELU: return x > 0 ? 1 : 0;
    default: return 1;
    }
}

static void activation_run(const void *args)
{
    const struct act *v = args;
    float *x = nn_read(&v->x, v->px, "x");
    size_t n = nn_count(&v->x);
    for (size_t i = 0; x && i < n; i++)
        x[i] = activate(&v->activation, x[i]);
    if (x) nn_write(&v->y, v->out, x, v->alpha, v->beta, "y");
    free(x);
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnActivationForward(cudnnHandle_t handle,
                                                          cudnnActivationDescriptor_t ad, const void *alpha,
                                                          const cudnnTensorDescriptor_t xd, const void *x,
                                                          const void *beta, const cudnnTensorDescriptor_t yd,
                                                          void *y)
{
    const char *call = "cudnnActivationForward";
    NN_BEGIN(call);
    NEED_TENSORS(nn_is_tensor(xd) && nn_is_tensor(yd) && fake_object_is(ad, "activation") && ad->set);
    if (ad->mode == CUDNN_ACTIVATION_IDENTITY || ad->mode > CUDNN_ACTIVATION_ELU)
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "activation %d", (int)ad->mode);
    if (!nn_same_dims(xd, yd) || xd->type != yd->type || (x == y && memcmp(xd->s, yd->s, sizeof xd->s)))
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM,
                       "x and y differ in shape, type, or, in place, in strides");
    NEED_TYPE(xd);
    NEED_POINTER(x, xd->type);
    NEED_POINTER(y, yd->type);
    struct act v = {.x = *xd,
                    .y = *yd,
                    .px = x,
                    .out = y,
                    .alpha = scalar(alpha),
                    .beta = scalar(beta),
                    .activation = *ad};
    return nn_queue(handle, call, activation_run, &v, sizeof v);
}

static void activation_backward_run(const void *args)
{
    const struct act *v = args;
    float *x = nn_read(&v->x, v->px, "x"), *y = nn_read(&v->y, v->py, "y"),
          *dy = nn_read(&v->dy, v->pdy, "dy");
    size_t n = nn_count(&v->x);
    for (size_t i = 0; x && y && dy && i < n; i++)
        dy[i] = dy[i] == 0 || isnan(x[i]) || isnan(y[i]) ? dy[i] * x[i] * y[i]
                                                         : dy[i] * slope(&v->activation, y[i], x[i]);
    if (x && y && dy) nn_write(&v->dx, v->out, dy, v->alpha, v->beta, "dx");
    free(x);
    free(y);
    free(dy);
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnActivationBackward(
    cudnnHandle_t handle, cudnnActivationDescriptor_t ad, const void *alpha, const cudnnTensorDescriptor_t yd,
    const void *y, const cudnnTensorDescriptor_t dyd, const void *dy, const cudnnTensorDescriptor_t xd,
    const void *x, const void *beta, const cudnnTensorDescriptor_t dxd, void *dx)
{
    const char *call = "cudnnActivationBackward";
    NN_BEGIN(call);
    NEED_TENSORS(nn_is_tensor(xd) && nn_is_tensor(yd) && nn_is_tensor(dxd) && nn_is_tensor(dyd) &&
                 fake_object_is(ad, "activation") && ad->set);
    if (!nn_same_dims(xd, yd) || !nn_same_dims(xd, dyd) || !nn_same_dims(xd, dxd) || xd->type != yd->type ||
        xd->type != dxd->type || xd->type != dyd->type)
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "the tensors differ in shape or type");
    if (memcmp(xd->s, dxd->s, sizeof xd->s) || memcmp(yd->s, dyd->s, sizeof yd->s))
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "x and dx, or y and dy, differ in strides");
    NEED_TYPE(xd);
    struct act v = {.px = x,
                    .py = y,
                    .pdy = dy,
                    .out = dx,
                    .alpha = scalar(alpha),
                    .beta = scalar(beta),
                    .activation = *ad};
    return backward(handle, call, activation_backward_run, &v, xd, yd, dxd, dyd);
}

/* --- pools --- */

struct window {
    int y0, y1, x0, x1;
    float divisor;
};

static struct window window_at(const struct act *v, int oy, int ox)
{
    struct window w;
    int h = v->x.d[2], wd = v->x.d[3];
    w.y0 = oy * v->pool.stride_h - v->pool.pad_h;
    w.x0 = ox * v->pool.stride_w - v->pool.pad_w;
    w.y1 = w.y0 + v->pool.h;
    w.x1 = w.x0 + v->pool.w;
    w.y0 = w.y0 < 0 ? 0 : w.y0;
    w.x0 = w.x0 < 0 ? 0 : w.x0;
    w.y1 = w.y1 > h ? h : w.y1;
    w.x1 = w.x1 > wd ? wd : w.x1;
    w.divisor = v->pool.mode == CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING
                    ? (float)(v->pool.h * v->pool.w)
                    : (float)((w.y1 - w.y0) * (w.x1 - w.x0));
    return w;
}

static bool is_max(const struct act *v)
{
    return v->pool.mode == CUDNN_POOLING_MAX || v->pool.mode == CUDNN_POOLING_MAX_DETERMINISTIC;
}

static void pool_run(const void *args)
{
    const struct act *v = args;
    float *x = nn_read(&v->x, v->px, "x");
    if (!x) return;
    int C = v->x.d[1], W = v->x.d[3], OH = v->y.d[2], OW = v->y.d[3];
    float *y = fresh(nn_count(&v->y)), *to = y;
    for (int n = 0; n < v->x.d[0]; n++)
        for (int oy = 0; oy < OH; oy++)
            for (int ox = 0; ox < OW; ox++) {
                struct window w = window_at(v, oy, ox);
                const float *image = x + (size_t)n * (size_t)(v->x.d[2] * W * C);
                for (int c = 0; c < C; c++) {
                    float best = -FLT_MAX, sum = 0;
                    for (int iy = w.y0; iy < w.y1; iy++)
                        for (int ix = w.x0; ix < w.x1; ix++) {
                            float value = image[(iy * W + ix) * C + c];
                            sum += value;
                            if (value > best || isnan(value)) best = value;
                        }
                    *to++ = is_max(v) ? best : sum / w.divisor;
                }
            }
    nn_write(&v->y, v->out, y, v->alpha, v->beta, "y");
    free(x);
    free(y);
}

static void pool_backward_run(const void *args)
{
    const struct act *v = args;
    float *x = nn_read(&v->x, v->px, "x"), *y = nn_read(&v->y, v->py, "y"),
          *dy = nn_read(&v->dy, v->pdy, "dy");
    float *dx = fresh(nn_count(&v->x));
    int C = v->x.d[1], W = v->x.d[3], OH = v->y.d[2], OW = v->y.d[3];
    size_t at = 0;
    for (int n = 0; x && y && dy && n < v->x.d[0]; n++)
        for (int oy = 0; oy < OH; oy++)
            for (int ox = 0; ox < OW; ox++) {
                struct window w = window_at(v, oy, ox);
                size_t image = (size_t)n * (size_t)(v->x.d[2] * W * C);
                for (int c = 0; c < C; c++, at++) {
                    bool given = false;
                    for (int iy = w.y0; iy < w.y1; iy++)
                        for (int ix = w.x0; ix < w.x1; ix++) {
                            size_t i = image + (size_t)((iy * W + ix) * C + c);
                            if (!is_max(v)) {
                                dx[i] += dy[at] / w.divisor;
                            } else if (!given && (x[i] == y[at] || isnan(y[at]))) {
                                dx[i] += dy[at] + 0 * y[at];
                                given = true;
                            }
                        }
                }
            }
    if (x && y && dy) nn_write(&v->dx, v->out, dx, v->alpha, v->beta, "dx");
    free(x);
    free(y);
    free(dy);
    free(dx);
}

static cudnnStatus_t pool_check(const char *call, const struct cudnnPoolingStruct *p, const tensor *x,
                                const tensor *y)
{
    if (y->d[0] != x->d[0] || y->d[1] != x->d[1] ||
        y->d[2] != 1 + (x->d[2] + 2 * p->pad_h - p->h) / p->stride_h ||
        y->d[3] != 1 + (x->d[3] + 2 * p->pad_w - p->w) / p->stride_w)
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "the output %d %d %d %d is not what the pool makes",
                       y->d[0], y->d[1], y->d[2], y->d[3]);
    if (x->type != y->type) return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "x and y differ in type");
    if (!nn_type_runs(x->type))
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "type %d on this card", (int)x->type);
    if (!(nn_packed_nhwc(x) && nn_packed_nhwc(y)) && !(nn_packed_nchw(x) && nn_packed_nchw(y)))
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "gaps between the pixels");
    return CUDNN_STATUS_SUCCESS;
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnPoolingForward(cudnnHandle_t handle,
                                                       const cudnnPoolingDescriptor_t pd, const void *alpha,
                                                       const cudnnTensorDescriptor_t xd, const void *x,
                                                       const void *beta, const cudnnTensorDescriptor_t yd,
                                                       void *y)
{
    const char *call = "cudnnPoolingForward";
    NN_BEGIN(call);
    NEED_TENSORS(nn_is_tensor(xd) && nn_is_tensor(yd) && fake_object_is(pd, "pooling") && pd->set);
    cudnnStatus_t rc = pool_check(call, pd, xd, yd);
    if (rc) return rc;
    NEED_POINTER(x, xd->type);
    NEED_POINTER(y, yd->type);
    struct act v =
        {.x = *xd, .y = *yd, .px = x, .out = y, .alpha = scalar(alpha), .beta = scalar(beta), .pool = *pd};
    return nn_queue(handle, call, pool_run, &v, sizeof v);
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnPoolingBackward(cudnnHandle_t handle,
                                                        const cudnnPoolingDescriptor_t pd, const void *alpha,
                                                        const cudnnTensorDescriptor_t yd, const void *y,
                                                        const cudnnTensorDescriptor_t dyd, const void *dy,
                                                        const cudnnTensorDescriptor_t xd, const void *x,
                                                        const void *beta, const cudnnTensorDescriptor_t dxd,
                                                        void *dx)
{
    const char *call = "cudnnPoolingBackward";
    NN_BEGIN(call);
    NEED_TENSORS(nn_is_tensor(xd) && nn_is_tensor(yd) && nn_is_tensor(dxd) && nn_is_tensor(dyd) &&
                 fake_object_is(pd, "pooling") && pd->set);
    cudnnStatus_t rc = pool_check(call, pd, xd, yd);
    if (rc) return rc;
    if (memcmp(xd, dxd, sizeof *xd) || memcmp(yd, dyd, sizeof *yd))
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "x and dx, or y and dy, are described differently");
    struct act v =
        {.px = x, .py = y, .pdy = dy, .out = dx, .alpha = scalar(alpha), .beta = scalar(beta), .pool = *pd};
    return backward(handle, call, pool_backward_run, &v, xd, yd, dxd, dyd);
}
