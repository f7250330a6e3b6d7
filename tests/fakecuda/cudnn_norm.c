/*
 * cudnn_norm.c: batch norm of the stand-in of libcudnn.
 * FAKECUDA_SUPPORT word: "no-fused-norm" (no batch norm with its activation).
 */
#include "nn_checks.h"

#include <math.h>
#include <string.h>

struct norm {
    tensor x, y, bn;
    bool spatial, relu, has_saved;
    float alpha, beta, alpha_p, beta_p;
    const void *px, *py, *pdy, *scale, *bias, *mean, *variance;
    void *out, *running_mean, *running_variance, *saved_mean, *saved_inverse, *dscale, *dbias, *workspace,
        *reserve;
    size_t workspace_bytes, reserve_bytes;
    double factor, epsilon;
};

/* x is dense NHWC: for spatial norms the statistic of element i is i % C; for per-activation ones it is i %
 * (H*W*C). */
static size_t norm_groups(const struct norm *v) { return nn_count(&v->bn); }

static float *norm_vector(const struct norm *v, const void *p, const char *what)
{
    return nn_read(&v->bn, p, what);
}

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
    if (ok) nn_write(&v->y, v->out, x, v->alpha, v->beta, "y");
    free(x);
    free(s);
    free(b);
    free(m);
    free(var);
}

static void running_update(const struct norm *v, void *p, const float *value, const char *what)
{
    tensor t = v->bn;
    if (p) nn_write(&t, p, value, (float)v->factor, (float)(1 - v->factor), what);
}

static void norm_training_run(const void *args)
{
    const struct norm *v = args;
    nn_poison_workspace(v->workspace, v->workspace_bytes);
    nn_poison_workspace(v->reserve, v->reserve_bytes);
    float *x = nn_read(&v->x, v->px, "x"), *s = norm_vector(v, v->scale, "the scale"),
          *b = norm_vector(v, v->bias, "the bias");
    size_t n = nn_count(&v->x), groups = norm_groups(v), m = n / groups;
    if (!x || !s || !b) goto out;
    double *sum = calloc(groups * 2, sizeof *sum);
    float *mean = fresh(groups), *inverse = fresh(groups), *unbiased = fresh(groups);
    if (!sum) abort();
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
        if (v->relu && x[i] < 0) x[i] = 0;
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
        if (!sums) abort();
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
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "scale and bias %d %d %d %d do not fit", bn->d[0],
                       bn->d[1], bn->d[2], bn->d[3]);
    if (!nn_same_dims(x, y) || x->type != y->type || !(epsilon >= CUDNN_BN_MIN_EPSILON))
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "x and y differ in shape or type, or epsilon is %g",
                       epsilon);
    if (!nn_type_runs(x->type) || x->d[0] > 65535)
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "type %d on this card, or %d pictures", (int)x->type,
                       x->d[0]);
    if (!(nn_packed_nhwc(x) && nn_packed_nhwc(y)) && !(nn_packed_nchw(x) && nn_packed_nchw(y)))
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "gaps between the pixels");
    return CUDNN_STATUS_SUCCESS;
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnBatchNormalizationForwardInference(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void *alpha, const void *beta,
    const cudnnTensorDescriptor_t xd, const void *x, const cudnnTensorDescriptor_t yd, void *y,
    const cudnnTensorDescriptor_t bd, const void *scale, const void *bias, const void *mean,
    const void *variance, double epsilon)
{
    const char *call = "cudnnBatchNormalizationForwardInference";
    NN_BEGIN(call);
    cudnnStatus_t rc = norm_check(call, mode, xd, yd, bd, epsilon);
    if (rc) return rc;
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
    if (v->px == v->out) return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "y overwrites x");
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

/* The arguments that the plain and the fused call share, by their names. */
#define FORWARD_ARGUMENTS                                                                                    \
    .x = *xd, .y = *yd, .bn = *bd, .px = x, .out = y, .scale = scale, .bias = bias, .alpha = scalar(alpha),  \
    .beta = scalar(beta), .factor = factor, .running_mean = running_mean,                                    \
    .running_variance = running_variance, .epsilon = epsilon, .saved_mean = saved_mean,                      \
    .saved_inverse = saved_inverse
#define BACKWARD_ARGUMENTS                                                                                   \
    .alpha = scalar(alpha), .beta = scalar(beta), .alpha_p = scalar(alpha_p), .beta_p = scalar(beta_p),      \
    .dscale = dscale, .dbias = dbias, .epsilon = epsilon, .saved_mean = (void *)saved_mean,                  \
    .saved_inverse = (void *)saved_inverse
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
    struct norm v = {FORWARD_ARGUMENTS};
    return rc ? rc : training(call, handle, norm_training_run, &v);
}

static bool fused_norm_ok(cudnnBatchNormMode_t mode, cudnnBatchNormOps_t ops, const tensor *x,
                          const cudnnActivationDescriptor_t ad)
{
    bool relu = ops == CUDNN_BATCHNORM_OPS_BN_ACTIVATION;
    return mode == CUDNN_BATCHNORM_SPATIAL_PERSISTENT && (relu || ops == CUDNN_BATCHNORM_OPS_BN) &&
           nn_packed_nhwc(x) && x->d[1] % 4 == 0 && nn_type_runs(x->type) &&
           (!relu || (fake_object_is(ad, "activation") && ad->mode == CUDNN_ACTIVATION_RELU)) &&
           !support("no-fused-norm");
}

#define FUSED_WORKSPACE(x) ((size_t)(x)->d[1] * 8 + 24)
#define FUSED_RESERVE(x) (nn_count(x) / 8 + 40)

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t ops,
    const cudnnTensorDescriptor_t xd, const cudnnTensorDescriptor_t zd, const cudnnTensorDescriptor_t yd,
    const cudnnTensorDescriptor_t bd, const cudnnActivationDescriptor_t ad, size_t *size)
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
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t ops,
    const cudnnTensorDescriptor_t xd, const cudnnTensorDescriptor_t yd, const cudnnTensorDescriptor_t dyd,
    const cudnnTensorDescriptor_t dzd, const cudnnTensorDescriptor_t dxd, const cudnnTensorDescriptor_t bd,
    const cudnnActivationDescriptor_t ad, size_t *size)
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
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t ops,
    const cudnnActivationDescriptor_t ad, const cudnnTensorDescriptor_t xd, size_t *size)
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
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t ops, const void *alpha,
    const void *beta, const cudnnTensorDescriptor_t xd, const void *x, const cudnnTensorDescriptor_t zd,
    const void *z, const cudnnTensorDescriptor_t yd, void *y, const cudnnTensorDescriptor_t bd,
    const void *scale, const void *bias, double factor, void *running_mean, void *running_variance,
    double epsilon, void *saved_mean, void *saved_inverse, cudnnActivationDescriptor_t ad, void *workspace,
    size_t workspace_bytes, void *reserve, size_t reserve_bytes)
{
    const char *call = "cudnnBatchNormalizationForwardTrainingEx";
    NN_BEGIN(call);
    COPY_TENSORS(xd, yd, bd);
    cudnnStatus_t rc = norm_check(call, mode, xd, yd, bd, epsilon);
    if (rc) return rc;
    if (!fused_norm_ok(mode, ops, xd, ad))
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "this batch norm with its activation");
    if (workspace_bytes < FUSED_WORKSPACE(xd) || reserve_bytes < FUSED_RESERVE(xd) ||
        nn_bad_pointer(workspace, 16) || nn_bad_pointer(reserve, 16))
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT,
                       "workspace %zu of %zu or reserve %zu of %zu bytes", workspace_bytes,
                       FUSED_WORKSPACE(xd), reserve_bytes, FUSED_RESERVE(xd));
    struct norm v = {FORWARD_ARGUMENTS,      .relu = ops == CUDNN_BATCHNORM_OPS_BN_ACTIVATION,
                     .workspace = workspace, .workspace_bytes = workspace_bytes,
                     .reserve = reserve,     .reserve_bytes = reserve_bytes};
    return training(call, handle, norm_training_run, &v);
}

static cudnnStatus_t backward_check(const char *call, cudnnBatchNormMode_t mode, const tensor *xd,
                                    const tensor *dyd, const tensor *dxd, const tensor *bd,
                                    const struct norm *v)
{
    cudnnStatus_t rc = norm_check(call, mode, xd, dyd, bd, v->epsilon);
    if (rc) return rc;
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
    const void *dy, const cudnnTensorDescriptor_t dxd, void *dx, const cudnnTensorDescriptor_t bd,
    const void *scale, void *dscale, void *dbias, double epsilon, const void *saved_mean,
    const void *saved_inverse)
{
    const char *call = "cudnnBatchNormalizationBackward";
    NN_BEGIN(call);
    COPY_TENSORS(xd, dyd, bd);
    NEED_TENSORS(nn_is_tensor(dxd));
    struct norm v =
        {.x = *xd, .y = *dyd, .bn = *bd, .px = x, .pdy = dy, .out = dx, .scale = scale, BACKWARD_ARGUMENTS};
    cudnnStatus_t rc = backward_check(call, mode, xd, dyd, dxd, bd, &v);
    return rc ? rc : nn_queue(handle, call, norm_backward_run, &v, sizeof v);
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnBatchNormalizationBackwardEx(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t ops, const void *alpha,
    const void *beta, const void *alpha_p, const void *beta_p, const cudnnTensorDescriptor_t xd,
    const void *x, const cudnnTensorDescriptor_t yd, const void *y, const cudnnTensorDescriptor_t dyd,
    const void *dy, const cudnnTensorDescriptor_t dzd, void *dz, const cudnnTensorDescriptor_t dxd, void *dx,
    const cudnnTensorDescriptor_t bd, const void *scale, const void *bias, void *dscale, void *dbias,
    double epsilon, const void *saved_mean, const void *saved_inverse, cudnnActivationDescriptor_t ad,
    void *workspace, size_t workspace_bytes, void *reserve, size_t reserve_bytes)
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
                     BACKWARD_ARGUMENTS,
                     .relu = ops == CUDNN_BATCHNORM_OPS_BN_ACTIVATION,
                     .workspace = workspace,
                     .workspace_bytes = workspace_bytes};
    cudnnStatus_t rc = backward_check(call, mode, xd, dyd, dxd, bd, &v);
    if (rc) return rc;
    if (!fused_norm_ok(mode, ops, xd, ad))
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "this batch norm with its activation");
    if (*(const float *)beta != 0)
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "adding to dx: not documented for this call");
    if (workspace_bytes < FUSED_WORKSPACE(xd) + 8 || reserve_bytes < FUSED_RESERVE(xd) ||
        nn_bad_pointer(workspace, 16) || nn_bad_pointer(reserve, 16) || nn_bad_pointer(bias, 4))
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT,
                       "workspace, reserve or bias: too small or not there");
    return nn_queue(handle, call, norm_backward_run, &v, sizeof v);
}
