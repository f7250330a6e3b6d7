/*
 * cudnn_ops.c: activations, pools, batch norm, softmax and element by element calls of the stand-in of libcudnn.
 * FAKECUDA_SUPPORT words: "no-fused-norm" (no batch norm with its activation), "no-type-transform"
 * (cudnnTransformTensor keeps to one type).
 */
#include "nn.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool support(const char *word)
{
    const char *list = getenv("FAKECUDA_SUPPORT");
    return list && strstr(list, word);
}

static float scalar(const void *p) { return *(const float *)p; }

static float *fresh(size_t n)
{
    float *p = calloc(n ? n : 1, sizeof *p);
    if (!p)
        abort();
    return p;
}

#define NEED_TENSORS(condition) \
    do { \
        if (!(condition)) \
            return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "a tensor descriptor is missing, dead or was never set"); \
    } while (0)
#define NEED_TYPE(t) \
    do { \
        if (!nn_type_runs((t)->type)) \
            return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "type %d on this card", (int)(t)->type); \
    } while (0)
#define NEED_POINTER(p, type) \
    do { \
        const char *bad_ = nn_bad_pointer(p, nn_element_bytes(type)); \
        if (bad_) \
            return nn_fail(call, CUDNN_STATUS_BAD_PARAM, #p " is %s", bad_); \
    } while (0)

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

/* --- activation --------------------------------------------------------------------------------------------------- */

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
    if (x)
        nn_write(&v->y, v->out, x, v->alpha, v->beta, "y");
    free(x);
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnActivationForward(cudnnHandle_t handle, cudnnActivationDescriptor_t ad,
                                                          const void *alpha, const cudnnTensorDescriptor_t xd,
                                                          const void *x, const void *beta,
                                                          const cudnnTensorDescriptor_t yd, void *y)
{
    const char *call = "cudnnActivationForward";
    NN_BEGIN(call);
    NEED_TENSORS(nn_is_tensor(xd) && nn_is_tensor(yd) && fake_object_is(ad, "activation") && ad->set);
    if (ad->mode == CUDNN_ACTIVATION_IDENTITY || ad->mode > CUDNN_ACTIVATION_ELU)
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "activation %d", (int)ad->mode);
    if (!nn_same_dims(xd, yd) || xd->type != yd->type || (x == y && memcmp(xd->s, yd->s, sizeof xd->s)))
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "x and y differ in shape, type, or, in place, in strides");
    NEED_TYPE(xd);
    NEED_POINTER(x, xd->type);
    NEED_POINTER(y, yd->type);
    struct act v = {
        .x = *xd, .y = *yd, .px = x, .out = y, .alpha = scalar(alpha), .beta = scalar(beta), .activation = *ad};
    return nn_queue(handle, call, activation_run, &v, sizeof v);
}

static void activation_backward_run(const void *args)
{
    const struct act *v = args;
    float *x = nn_read(&v->x, v->px, "x"), *y = nn_read(&v->y, v->py, "y"), *dy = nn_read(&v->dy, v->pdy, "dy");
    size_t n = nn_count(&v->x);
    for (size_t i = 0; x && y && dy && i < n; i++)
        dy[i] =
            dy[i] == 0 || isnan(x[i]) || isnan(y[i]) ? dy[i] * x[i] * y[i] : dy[i] * slope(&v->activation, y[i], x[i]);
    if (x && y && dy)
        nn_write(&v->dx, v->out, dy, v->alpha, v->beta, "dx");
    free(x);
    free(y);
    free(dy);
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnActivationBackward(cudnnHandle_t handle, cudnnActivationDescriptor_t ad,
                                                           const void *alpha, const cudnnTensorDescriptor_t yd,
                                                           const void *y, const cudnnTensorDescriptor_t dyd,
                                                           const void *dy, const cudnnTensorDescriptor_t xd,
                                                           const void *x, const void *beta,
                                                           const cudnnTensorDescriptor_t dxd, void *dx)
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
    NEED_POINTER(x, xd->type);
    NEED_POINTER(y, yd->type);
    NEED_POINTER(dy, dyd->type);
    NEED_POINTER(dx, dxd->type);
    struct act v = {.x = *xd,
                    .y = *yd,
                    .dx = *dxd,
                    .dy = *dyd,
                    .px = x,
                    .py = y,
                    .pdy = dy,
                    .out = dx,
                    .alpha = scalar(alpha),
                    .beta = scalar(beta),
                    .activation = *ad};
    return nn_queue(handle, call, activation_backward_run, &v, sizeof v);
}

/* --- pools -------------------------------------------------------------------------------------------------------- */

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
    w.divisor = v->pool.mode == CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING ? (float)(v->pool.h * v->pool.w)
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
    if (!x)
        return;
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
                            if (value > best || isnan(value))
                                best = value;
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
    float *x = nn_read(&v->x, v->px, "x"), *y = nn_read(&v->y, v->py, "y"), *dy = nn_read(&v->dy, v->pdy, "dy");
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
    if (x && y && dy)
        nn_write(&v->dx, v->out, dx, v->alpha, v->beta, "dx");
    free(x);
    free(y);
    free(dy);
    free(dx);
}

static cudnnStatus_t pool_check(const char *call, const struct cudnnPoolingStruct *p, const tensor *x, const tensor *y)
{
    if (y->d[0] != x->d[0] || y->d[1] != x->d[1] || y->d[2] != 1 + (x->d[2] + 2 * p->pad_h - p->h) / p->stride_h ||
        y->d[3] != 1 + (x->d[3] + 2 * p->pad_w - p->w) / p->stride_w)
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "the output %d %d %d %d is not what the pool makes", y->d[0],
                       y->d[1], y->d[2], y->d[3]);
    if (x->type != y->type)
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "x and y differ in type");
    if (!nn_type_runs(x->type))
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "type %d on this card", (int)x->type);
    if (!(nn_packed_nhwc(x) && nn_packed_nhwc(y)) && !(nn_packed_nchw(x) && nn_packed_nchw(y)))
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "gaps between the pixels");
    return CUDNN_STATUS_SUCCESS;
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnPoolingForward(cudnnHandle_t handle, const cudnnPoolingDescriptor_t pd,
                                                       const void *alpha, const cudnnTensorDescriptor_t xd,
                                                       const void *x, const void *beta,
                                                       const cudnnTensorDescriptor_t yd, void *y)
{
    const char *call = "cudnnPoolingForward";
    NN_BEGIN(call);
    NEED_TENSORS(nn_is_tensor(xd) && nn_is_tensor(yd) && fake_object_is(pd, "pooling") && pd->set);
    cudnnStatus_t rc = pool_check(call, pd, xd, yd);
    if (rc)
        return rc;
    NEED_POINTER(x, xd->type);
    NEED_POINTER(y, yd->type);
    struct act v = {.x = *xd, .y = *yd, .px = x, .out = y, .alpha = scalar(alpha), .beta = scalar(beta), .pool = *pd};
    return nn_queue(handle, call, pool_run, &v, sizeof v);
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnPoolingBackward(cudnnHandle_t handle, const cudnnPoolingDescriptor_t pd,
                                                        const void *alpha, const cudnnTensorDescriptor_t yd,
                                                        const void *y, const cudnnTensorDescriptor_t dyd,
                                                        const void *dy, const cudnnTensorDescriptor_t xd, const void *x,
                                                        const void *beta, const cudnnTensorDescriptor_t dxd, void *dx)
{
    const char *call = "cudnnPoolingBackward";
    NN_BEGIN(call);
    NEED_TENSORS(nn_is_tensor(xd) && nn_is_tensor(yd) && nn_is_tensor(dxd) && nn_is_tensor(dyd) &&
                 fake_object_is(pd, "pooling") && pd->set);
    cudnnStatus_t rc = pool_check(call, pd, xd, yd);
    if (rc)
        return rc;
    if (memcmp(xd, dxd, sizeof *xd) || memcmp(yd, dyd, sizeof *yd))
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "x and dx, or y and dy, are described differently");
    NEED_POINTER(x, xd->type);
    NEED_POINTER(y, yd->type);
    NEED_POINTER(dy, dyd->type);
    NEED_POINTER(dx, dxd->type);
    struct act v = {.x = *xd,
                    .y = *yd,
                    .dx = *dxd,
                    .dy = *dyd,
                    .px = x,
                    .py = y,
                    .pdy = dy,
                    .out = dx,
                    .alpha = scalar(alpha),
                    .beta = scalar(beta),
                    .pool = *pd};
    return nn_queue(handle, call, pool_backward_run, &v, sizeof v);
}

/* --- batch norm --------------------------------------------------------------------------------------------------- */

struct norm {
    tensor x, y, bn;
    bool spatial, relu, has_saved;
    float alpha, beta, alpha_p, beta_p;
    const void *px, *py, *pdy, *scale, *bias, *mean, *variance;
    void *out, *running_mean, *running_variance, *saved_mean, *saved_inverse, *dscale, *dbias, *workspace, *reserve;
    size_t workspace_bytes, reserve_bytes;
    double factor, epsilon;
};

/* x is dense NHWC: for spatial norms the statistic of element i is i % C; for per-activation ones it is i % (H*W*C). */
static size_t norm_groups(const struct norm *v) { return nn_count(&v->bn); }

static float *norm_vector(const struct norm *v, const void *p, const char *what) { return nn_read(&v->bn, p, what); }

static void norm_inference_run(const void *args)
{
    const struct norm *v = args;
    float *x = nn_read(&v->x, v->px, "x"), *s = norm_vector(v, v->scale, "the scale"),
          *b = norm_vector(v, v->bias, "the bias");
    float *m = norm_vector(v, v->mean, "the mean"), *var = norm_vector(v, v->variance, "the variance");
    size_t n = nn_count(&v->x), groups = norm_groups(v);
    bool ok = x && s && b && m && var;
    for (size_t i = 0; ok && i < n; i++) {
        size_t g = i % groups;
        x[i] = s[g] * (x[i] - m[g]) / sqrtf((float)v->epsilon + var[g]) + b[g];
    }
    if (ok)
        nn_write(&v->y, v->out, x, v->alpha, v->beta, "y");
    free(x);
    free(s);
    free(b);
    free(m);
    free(var);
}

static void running_update(const struct norm *v, void *p, const float *value, const char *what)
{
    tensor t = v->bn;
    if (p)
        nn_write(&t, p, value, (float)v->factor, (float)(1 - v->factor), what);
}

static void norm_training_run(const void *args)
{
    const struct norm *v = args;
    nn_poison_workspace(v->workspace, v->workspace_bytes);
    nn_poison_workspace(v->reserve, v->reserve_bytes);
    float *x = nn_read(&v->x, v->px, "x"), *s = norm_vector(v, v->scale, "the scale"),
          *b = norm_vector(v, v->bias, "the bias");
    size_t n = nn_count(&v->x), groups = norm_groups(v), m = n / groups;
    if (!x || !s || !b)
        goto out;
    double *sum = calloc(groups * 2, sizeof *sum);
    float *mean = fresh(groups), *inverse = fresh(groups), *unbiased = fresh(groups);
    if (!sum)
        abort();
    for (size_t i = 0; i < n; i++)
        sum[i % groups] += x[i];
    for (size_t g = 0; g < groups; g++)
        sum[g] /= (double)m;
    for (size_t i = 0; i < n; i++)
        sum[groups + i % groups] += (x[i] - sum[i % groups]) * (x[i] - sum[i % groups]);
    for (size_t g = 0; g < groups; g++) {
        mean[g] = (float)sum[g];
        inverse[g] = (float)(1 / sqrt(sum[groups + g] / (double)m + v->epsilon));
        unbiased[g] = (float)(sum[groups + g] / (double)(m > 1 ? m - 1 : 1));
    }
    for (size_t i = 0; i < n; i++) {
        size_t g = i % groups;
        x[i] = (x[i] - mean[g]) * inverse[g] * s[g] + b[g];
        if (v->relu && x[i] < 0)
            x[i] = 0;
    }
    nn_write(&v->y, v->out, x, v->alpha, v->beta, "y");
    running_update(v, v->running_mean, mean, "the running mean");
    running_update(v, v->running_variance, unbiased, "the running variance");
    if (v->saved_mean) {
        nn_write(&v->bn, v->saved_mean, mean, 1, 0, "the saved mean");
        nn_write(&v->bn, v->saved_inverse, inverse, 1, 0, "the saved deviation");
    }
    free(sum);
    free(mean);
    free(inverse);
    free(unbiased);
out:
    free(x);
    free(s);
    free(b);
}

static void norm_backward_run(const void *args)
{
    const struct norm *v = args;
    nn_poison_workspace(v->workspace, v->workspace_bytes);
    float *x = nn_read(&v->x, v->px, "x"), *dy = nn_read(&v->y, v->pdy, "dy"),
          *s = norm_vector(v, v->scale, "the scale");
    float *mean = norm_vector(v, v->saved_mean, "the saved mean"),
          *inverse = norm_vector(v, v->saved_inverse, "the saved deviation");
    float *y = v->relu ? nn_read(&v->y, v->py, "y") : NULL;
    size_t n = nn_count(&v->x), groups = norm_groups(v);
    double m = (double)(n / groups);
    if (x && dy && s && mean && inverse && (y || !v->relu)) {
        double *sums = calloc(groups * 2, sizeof *sums);
        float *ds = fresh(groups), *db = fresh(groups);
        if (!sums)
            abort();
        for (size_t i = 0; v->relu && i < n; i++)
            dy[i] = y[i] > 0 ? dy[i] : 0;
        for (size_t i = 0; i < n; i++) {
            size_t g = i % groups;
            sums[g] += dy[i];
            sums[groups + g] += dy[i] * (x[i] - mean[g]) * inverse[g];
        }
        for (size_t i = 0; i < n; i++) {
            size_t g = i % groups;
            double normal = (x[i] - mean[g]) * (double)inverse[g];
            x[i] = (float)(s[g] * inverse[g] * (dy[i] - sums[g] / m - normal * sums[groups + g] / m));
        }
        for (size_t g = 0; g < groups; g++) {
            db[g] = (float)sums[g];
            ds[g] = (float)sums[groups + g];
        }
        nn_write(&v->x, v->out, x, v->alpha, v->beta, "dx");
        nn_write(&v->bn, v->dscale, ds, v->alpha_p, v->beta_p, "the scale's gradient");
        nn_write(&v->bn, v->dbias, db, v->alpha_p, v->beta_p, "the bias's gradient");
        free(sums);
        free(ds);
        free(db);
    }
    free(x);
    free(dy);
    free(s);
    free(mean);
    free(inverse);
    free(y);
}

static cudnnStatus_t norm_check(const char *call, cudnnBatchNormMode_t mode, const tensor *x, const tensor *y,
                                const tensor *bn, double epsilon)
{
    if (!nn_is_tensor(x) || !nn_is_tensor(y) || !nn_is_tensor(bn))
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "a tensor descriptor is missing, dead or was never set");
    bool per_activation = mode == CUDNN_BATCHNORM_PER_ACTIVATION;
    if (bn->d[0] != 1 || bn->d[1] != x->d[1] || bn->d[2] != (per_activation ? x->d[2] : 1) ||
        bn->d[3] != (per_activation ? x->d[3] : 1) || bn->type != CUDNN_DATA_FLOAT)
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "scale and bias %d %d %d %d do not fit", bn->d[0], bn->d[1],
                       bn->d[2], bn->d[3]);
    if (!nn_same_dims(x, y) || x->type != y->type || !(epsilon >= CUDNN_BN_MIN_EPSILON))
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "x and y differ in shape or type, or epsilon is %g", epsilon);
    if (!nn_type_runs(x->type))
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "type %d on this card", (int)x->type);
    if (!(nn_packed_nhwc(x) && nn_packed_nhwc(y)) && !(nn_packed_nchw(x) && nn_packed_nchw(y)))
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "gaps between the pixels");
    return CUDNN_STATUS_SUCCESS;
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnBatchNormalizationForwardInference(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void *alpha, const void *beta,
    const cudnnTensorDescriptor_t xd, const void *x, const cudnnTensorDescriptor_t yd, void *y,
    const cudnnTensorDescriptor_t bd, const void *scale, const void *bias, const void *mean, const void *variance,
    double epsilon)
{
    const char *call = "cudnnBatchNormalizationForwardInference";
    NN_BEGIN(call);
    cudnnStatus_t rc = norm_check(call, mode, xd, yd, bd, epsilon);
    if (rc)
        return rc;
    NEED_POINTER(x, xd->type);
    NEED_POINTER(y, yd->type);
    NEED_POINTER(scale, bd->type);
    NEED_POINTER(bias, bd->type);
    NEED_POINTER(mean, bd->type);
    NEED_POINTER(variance, bd->type);
    struct norm v = {.x = *xd,
                     .y = *yd,
                     .bn = *bd,
                     .px = x,
                     .out = y,
                     .scale = scale,
                     .bias = bias,
                     .mean = mean,
                     .variance = variance,
                     .alpha = scalar(alpha),
                     .beta = scalar(beta),
                     .epsilon = epsilon};
    return nn_queue(handle, call, norm_inference_run, &v, sizeof v);
}

static cudnnStatus_t training(const char *call, cudnnHandle_t handle, fake_work work, const struct norm *v)
{
    NEED_POINTER(v->px, v->x.type);
    NEED_POINTER(v->out, v->y.type);
    NEED_POINTER(v->scale, v->bn.type);
    NEED_POINTER(v->bias, v->bn.type);
    if (!v->running_mean != !v->running_variance || !v->saved_mean != !v->saved_inverse)
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "of each pair both or neither may be null");
    if (v->px == v->out)
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "y overwrites x");
    if (v->running_mean) {
        NEED_POINTER(v->running_mean, v->bn.type);
        NEED_POINTER(v->running_variance, v->bn.type);
    }
    if (v->saved_mean) {
        NEED_POINTER(v->saved_mean, v->bn.type);
        NEED_POINTER(v->saved_inverse, v->bn.type);
    }
    return nn_queue(handle, call, work, v, sizeof *v);
}

#define COPY_TENSORS(a, b, c) NEED_TENSORS(nn_is_tensor(a) && nn_is_tensor(b) && nn_is_tensor(c))

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnBatchNormalizationForwardTraining(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void *alpha, const void *beta,
    const cudnnTensorDescriptor_t xd, const void *x, const cudnnTensorDescriptor_t yd, void *y,
    const cudnnTensorDescriptor_t bd, const void *scale, const void *bias, double factor, void *running_mean,
    void *running_variance, double epsilon, void *saved_mean, void *saved_inverse)
{
    const char *call = "cudnnBatchNormalizationForwardTraining";
    NN_BEGIN(call);
    COPY_TENSORS(xd, yd, bd);
    cudnnStatus_t rc = norm_check(call, mode, xd, yd, bd, epsilon);
    struct norm v = {.x = *xd,
                     .y = *yd,
                     .bn = *bd,
                     .px = x,
                     .out = y,
                     .scale = scale,
                     .bias = bias,
                     .alpha = scalar(alpha),
                     .beta = scalar(beta),
                     .factor = factor,
                     .running_mean = running_mean,
                     .running_variance = running_variance,
                     .epsilon = epsilon,
                     .saved_mean = saved_mean,
                     .saved_inverse = saved_inverse};
    return rc ? rc : training(call, handle, norm_training_run, &v);
}

static bool fused_norm_ok(cudnnBatchNormMode_t mode, cudnnBatchNormOps_t ops, const tensor *x,
                          const cudnnActivationDescriptor_t ad)
{
    return mode == CUDNN_BATCHNORM_SPATIAL_PERSISTENT && ops == CUDNN_BATCHNORM_OPS_BN_ACTIVATION &&
           nn_packed_nhwc(x) && x->d[1] % 4 == 0 && x->type == CUDNN_DATA_BFLOAT16 && nn_type_runs(x->type) &&
           fake_object_is(ad, "activation") && ad->mode == CUDNN_ACTIVATION_RELU && !support("no-fused-norm");
}

#define FUSED_WORKSPACE(x) ((size_t)(x)->d[1] * 8 + 24)
#define FUSED_RESERVE(x) (nn_count(x) / 8 + 40)

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t ops, const cudnnTensorDescriptor_t xd,
    const cudnnTensorDescriptor_t zd, const cudnnTensorDescriptor_t yd, const cudnnTensorDescriptor_t bd,
    const cudnnActivationDescriptor_t ad, size_t *size)
{
    const char *call = "cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize";
    NN_BEGIN(call);
    COPY_TENSORS(xd, yd, bd);
    if (!fused_norm_ok(mode, ops, xd, ad))
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "this batch norm with its activation");
    *size = FUSED_WORKSPACE(xd);
    return CUDNN_STATUS_SUCCESS;
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnGetBatchNormalizationBackwardExWorkspaceSize(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t ops, const cudnnTensorDescriptor_t xd,
    const cudnnTensorDescriptor_t yd, const cudnnTensorDescriptor_t dyd, const cudnnTensorDescriptor_t dzd,
    const cudnnTensorDescriptor_t dxd, const cudnnTensorDescriptor_t bd, const cudnnActivationDescriptor_t ad,
    size_t *size)
{
    const char *call = "cudnnGetBatchNormalizationBackwardExWorkspaceSize";
    NN_BEGIN(call);
    COPY_TENSORS(xd, dyd, bd);
    if (!fused_norm_ok(mode, ops, xd, ad))
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "this batch norm with its activation");
    *size = FUSED_WORKSPACE(xd) + 8;
    return CUDNN_STATUS_SUCCESS;
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnGetBatchNormalizationTrainingExReserveSpaceSize(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t ops, const cudnnActivationDescriptor_t ad,
    const cudnnTensorDescriptor_t xd, size_t *size)
{
    const char *call = "cudnnGetBatchNormalizationTrainingExReserveSpaceSize";
    NN_BEGIN(call);
    NEED_TENSORS(nn_is_tensor(xd));
    if (!fused_norm_ok(mode, ops, xd, ad))
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "this batch norm with its activation");
    *size = FUSED_RESERVE(xd);
    return CUDNN_STATUS_SUCCESS;
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnBatchNormalizationForwardTrainingEx(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t ops, const void *alpha, const void *beta,
    const cudnnTensorDescriptor_t xd, const void *x, const cudnnTensorDescriptor_t zd, const void *z,
    const cudnnTensorDescriptor_t yd, void *y, const cudnnTensorDescriptor_t bd, const void *scale, const void *bias,
    double factor, void *running_mean, void *running_variance, double epsilon, void *saved_mean, void *saved_inverse,
    cudnnActivationDescriptor_t ad, void *workspace, size_t workspace_bytes, void *reserve, size_t reserve_bytes)
{
    const char *call = "cudnnBatchNormalizationForwardTrainingEx";
    NN_BEGIN(call);
    COPY_TENSORS(xd, yd, bd);
    cudnnStatus_t rc = norm_check(call, mode, xd, yd, bd, epsilon);
    if (rc)
        return rc;
    if (!fused_norm_ok(mode, ops, xd, ad))
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "this batch norm with its activation");
    if (workspace_bytes < FUSED_WORKSPACE(xd) || reserve_bytes < FUSED_RESERVE(xd) || nn_bad_pointer(workspace, 16) ||
        nn_bad_pointer(reserve, 16))
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT,
                       "workspace %zu of %zu or reserve %zu of %zu bytes", workspace_bytes, FUSED_WORKSPACE(xd),
                       reserve_bytes, FUSED_RESERVE(xd));
    struct norm v = {.x = *xd,
                     .y = *yd,
                     .bn = *bd,
                     .px = x,
                     .out = y,
                     .scale = scale,
                     .bias = bias,
                     .alpha = scalar(alpha),
                     .beta = scalar(beta),
                     .factor = factor,
                     .running_mean = running_mean,
                     .running_variance = running_variance,
                     .epsilon = epsilon,
                     .saved_mean = saved_mean,
                     .saved_inverse = saved_inverse,
                     .relu = true,
                     .workspace = workspace,
                     .workspace_bytes = workspace_bytes,
                     .reserve = reserve,
                     .reserve_bytes = reserve_bytes};
    return training(call, handle, norm_training_run, &v);
}

static cudnnStatus_t backward_check(const char *call, cudnnBatchNormMode_t mode, const tensor *xd, const tensor *dyd,
                                    const tensor *dxd, const tensor *bd, const struct norm *v)
{
    cudnnStatus_t rc = norm_check(call, mode, xd, dyd, bd, v->epsilon);
    if (rc)
        return rc;
    if (!nn_same_dims(xd, dxd) || xd->type != dxd->type || memcmp(xd->s, dxd->s, sizeof xd->s))
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "x and dx are described differently");
    NEED_POINTER(v->px, xd->type);
    NEED_POINTER(v->pdy, xd->type);
    NEED_POINTER(v->out, xd->type);
    NEED_POINTER(v->scale, bd->type);
    NEED_POINTER(v->dscale, bd->type);
    NEED_POINTER(v->dbias, bd->type);
    NEED_POINTER(v->saved_mean, bd->type); /* the real one would compute them anew; winnow always has them */
    NEED_POINTER(v->saved_inverse, bd->type);
    return CUDNN_STATUS_SUCCESS;
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnBatchNormalizationBackward(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void *alpha, const void *beta, const void *alpha_p,
    const void *beta_p, const cudnnTensorDescriptor_t xd, const void *x, const cudnnTensorDescriptor_t dyd,
    const void *dy, const cudnnTensorDescriptor_t dxd, void *dx, const cudnnTensorDescriptor_t bd, const void *scale,
    void *dscale, void *dbias, double epsilon, const void *saved_mean, const void *saved_inverse)
{
    const char *call = "cudnnBatchNormalizationBackward";
    NN_BEGIN(call);
    COPY_TENSORS(xd, dyd, bd);
    NEED_TENSORS(nn_is_tensor(dxd));
    struct norm v = {.x = *xd,
                     .y = *dyd,
                     .bn = *bd,
                     .px = x,
                     .pdy = dy,
                     .out = dx,
                     .scale = scale,
                     .alpha = scalar(alpha),
                     .beta = scalar(beta),
                     .alpha_p = scalar(alpha_p),
                     .beta_p = scalar(beta_p),
                     .dscale = dscale,
                     .dbias = dbias,
                     .epsilon = epsilon,
                     .saved_mean = (void *)saved_mean,
                     .saved_inverse = (void *)saved_inverse};
    cudnnStatus_t rc = backward_check(call, mode, xd, dyd, dxd, bd, &v);
    return rc ? rc : nn_queue(handle, call, norm_backward_run, &v, sizeof v);
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnBatchNormalizationBackwardEx(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t ops, const void *alpha, const void *beta,
    const void *alpha_p, const void *beta_p, const cudnnTensorDescriptor_t xd, const void *x,
    const cudnnTensorDescriptor_t yd, const void *y, const cudnnTensorDescriptor_t dyd, const void *dy,
    const cudnnTensorDescriptor_t dzd, void *dz, const cudnnTensorDescriptor_t dxd, void *dx,
    const cudnnTensorDescriptor_t bd, const void *scale, const void *bias, void *dscale, void *dbias, double epsilon,
    const void *saved_mean, const void *saved_inverse, cudnnActivationDescriptor_t ad, void *workspace,
    size_t workspace_bytes, void *reserve, size_t reserve_bytes)
{
    const char *call = "cudnnBatchNormalizationBackwardEx";
    NN_BEGIN(call);
    COPY_TENSORS(xd, dyd, bd);
    NEED_TENSORS(nn_is_tensor(dxd) && nn_is_tensor(yd));
    struct norm v = {.x = *xd,
                     .y = *dyd,
                     .bn = *bd,
                     .px = x,
                     .py = y,
                     .pdy = dy,
                     .out = dx,
                     .scale = scale,
                     .bias = bias,
                     .alpha = scalar(alpha),
                     .beta = scalar(beta),
                     .alpha_p = scalar(alpha_p),
                     .beta_p = scalar(beta_p),
                     .dscale = dscale,
                     .dbias = dbias,
                     .epsilon = epsilon,
                     .saved_mean = (void *)saved_mean,
                     .saved_inverse = (void *)saved_inverse,
                     .relu = true,
                     .workspace = workspace,
                     .workspace_bytes = workspace_bytes};
    cudnnStatus_t rc = backward_check(call, mode, xd, dyd, dxd, bd, &v);
    if (rc)
        return rc;
    if (!fused_norm_ok(mode, ops, xd, ad))
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "this batch norm with its activation");
    if (workspace_bytes < FUSED_WORKSPACE(xd) + 8 || reserve_bytes < FUSED_RESERVE(xd) ||
        nn_bad_pointer(workspace, 16) || nn_bad_pointer(reserve, 16) || nn_bad_pointer(bias, 4))
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT,
                       "workspace, reserve or bias: too small or not there");
    return nn_queue(handle, call, norm_backward_run, &v, sizeof v);
}
