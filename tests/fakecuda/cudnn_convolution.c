/*
 * cudnn_convolution.c: the three convolutions and the fused one, as im2col and a matrix product.
 *
 * What is supported is the intersection of what the documentation promises for every card from Turing on, not
 * what a particular one can do: NHWC filters want NHWC tensors without gaps and no groups, and only the two
 * implicit-GEMM algorithms; TF32 rounds the operands where the math type allows it, so a forgotten
 * CUDNN_FMA_MATH shows in the results. FAKECUDA_SUPPORT, a list of words, widens it: "strided-conv" (gaps
 * between the pixels of y), "nhwc-groups"; or narrows it: "no-fused-conv", "bf16-channels-8".
 */
#include "nn_checks.h"

#include <stdlib.h>
#include <string.h>

enum pass { FORWARD, BACKWARD_DATA, BACKWARD_FILTER };

struct conv {
    tensor x, y; /* for backward: dx or x, dy */
    struct cudnnFilterStruct w;
    struct cudnnConvolutionStruct c;
    float alpha, beta;
    const void *px, *pw, *py;
    void *out, *workspace;
    size_t workspace_bytes;
    /* the fused call */
    float alpha2;
    const void *z, *bias;
    tensor bias_desc;
    int activation; /* -1: none */
};

static int output_side(int in, int pad, int kernel, int stride, int dilation)
{
    return 1 + (in + 2 * pad - (dilation * (kernel - 1) + 1)) / stride;
}

static bool gap_only(const tensor *t) /* NHWC whose pixels may lie further apart than they are wide */
{
    return (t->d[1] == 1 || t->s[1] == 1) && t->s[3] >= t->d[1] && t->s[2] == t->s[3] * t->d[3] &&
           t->s[0] == t->s[2] * t->d[2];
}

/* Bad parameters first, then what is merely unsupported. algo: an enumerator of that pass, or -1 for "any".
 */
static cudnnStatus_t check(const char *call, enum pass pass, const tensor *x,
                           const struct cudnnFilterStruct *w, const struct cudnnConvolutionStruct *c,
                           const tensor *y, int algo)
{
    if (!nn_is_tensor(x) || !nn_is_tensor(y) || !fake_object_is(w, "filter") || !w->set ||
        !fake_object_is(c, "convolution") || !c->set)
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "a descriptor is missing, dead or was never set");
    if (x->d[1] != w->c * c->groups || w->k % c->groups)
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH,
                       "%d channels meet a filter of %d in %d groups", x->d[1], w->c, c->groups);
    if (y->d[0] != x->d[0] || y->d[1] != w->k ||
        y->d[2] != output_side(x->d[2], c->pad_h, w->h, c->stride_h, c->dilation_h) ||
        y->d[3] != output_side(x->d[3], c->pad_w, w->w, c->stride_w, c->dilation_w))
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH,
                       "the output %d %d %d %d is not what the convolution makes", y->d[0], y->d[1], y->d[2],
                       y->d[3]);
    if (x->type != y->type || x->type != w->type || c->compute != CUDNN_DATA_FLOAT)
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "types %d %d %d, computing in %d", (int)x->type,
                       (int)w->type, (int)y->type, (int)c->compute);
    if (c->mode != CUDNN_CROSS_CORRELATION)
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "a true convolution");
    if (!nn_type_runs(x->type))
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH, "type %d needs compute capability 8.0",
                       (int)x->type);
    bool nhwc = nn_packed_nhwc(x) && nn_packed_nhwc(y), nchw = nn_packed_nchw(x) && nn_packed_nchw(y);
    if (w->format == CUDNN_TENSOR_NHWC && !nhwc && support("strided-conv") && pass == FORWARD &&
        nn_packed_nhwc(x) && gap_only(y))
        nhwc = true;
    if (w->format == CUDNN_TENSOR_NHWC ? !nhwc : !nchw)
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED_LAYOUT, "tensors not packed in the filter's format");
    if (w->format == CUDNN_TENSOR_NHWC && c->groups > 1 && !support("nhwc-groups"))
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "groups in NHWC");
    if (w->format == CUDNN_TENSOR_NHWC && x->type == CUDNN_DATA_BFLOAT16 && support("bf16-channels-8") &&
        (x->d[1] % 8 || y->d[1] % 8))
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "bfloat16 with %d and %d channels", x->d[1],
                       y->d[1]);
    if (algo >= 0 && algo > 1) /* IMPLICIT_GEMM and PRECOMP_GEMM forward, ALGO_0 and ALGO_1 backward */
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "algorithm %d for this type and layout", algo);
    return CUDNN_STATUS_SUCCESS;
}

/* What an algorithm asks for: odd sizes on purpose, and never less than one byte for the second algorithm. */
static size_t workspace_bytes(enum pass pass, const tensor *x, const struct cudnnFilterStruct *w,
                              const tensor *y, int algo)
{
    size_t taps = (size_t)w->h * (size_t)w->w, dw = (size_t)w->k * (size_t)w->c * taps;
    if (algo == 0) return 0;
    switch (pass) {
    case FORWARD: return taps * (size_t)y->d[2] * 4 + 12;
    case BACKWARD_DATA: return taps * (size_t)x->d[2] * 4 + (size_t)w->k * 4 + 20;
    default: return dw * 4 + 36;
    }
}

/* --- arithmetic --- */

/* The filter as [k][h*w*c], whatever its format. */
static float *filter_read(const struct cudnnFilterStruct *w, const void *p, bool tf32)
{
    size_t taps = (size_t)w->h * (size_t)w->w, c = (size_t)w->c, n = (size_t)w->k * taps * c;
    const void *host = fake_access(p, n * nn_element_bytes(w->type), FAKE_READ, "the filter");
    if (!host) return NULL;
    float *out = malloc(n * sizeof *out);
    if (!out) abort();
    for (size_t k = 0; k < (size_t)w->k; k++)
        for (size_t t = 0; t < taps; t++)
            for (size_t i = 0; i < c; i++) {
                size_t from =
                    w->format == CUDNN_TENSOR_NHWC ? (k * taps + t) * c + i : (k * c + i) * taps + t;
                float v = w->type == CUDNN_DATA_BFLOAT16 ? fake_from_bf16(((const uint16_t *)host)[from])
                                                         : ((const float *)host)[from];
                out[(k * taps + t) * c + i] = tf32 ? fake_to_tf32(v) : v;
            }
    return out;
}

static bool filter_write(const struct cudnnFilterStruct *w, void *p, const float *values, float alpha,
                         float beta)
{
    size_t taps = (size_t)w->h * (size_t)w->w, c = (size_t)w->c, n = (size_t)w->k * taps * c;
    void *host =
        fake_access(p, n * nn_element_bytes(w->type), FAKE_WRITE | (beta != 0 ? FAKE_READ : 0), "dw");
    if (!host) return false;
    for (size_t k = 0; k < (size_t)w->k; k++)
        for (size_t t = 0; t < taps; t++)
            for (size_t i = 0; i < c; i++) {
                size_t to = w->format == CUDNN_TENSOR_NHWC ? (k * taps + t) * c + i : (k * c + i) * taps + t;
                bool half = w->type == CUDNN_DATA_BFLOAT16;
                float old = beta == 0 ? 0
                            : half    ? fake_from_bf16(((uint16_t *)host)[to])
                                      : ((float *)host)[to];
                float v = alpha * values[(k * taps + t) * c + i] + beta * old;
                if (half)
                    ((uint16_t *)host)[to] = fake_to_bf16(v);
                else
                    ((float *)host)[to] = v;
            }
    return true;
}

struct geometry {
    size_t h, w, c, oh, ow, k, groups, cg, kg, taps, depth;
};

static struct geometry geometry_of(const struct conv *v)
{
    struct geometry g = {.h = (size_t)v->x.d[2],
                         .w = (size_t)v->x.d[3],
                         .c = (size_t)v->x.d[1],
                         .oh = (size_t)v->y.d[2],
                         .ow = (size_t)v->y.d[3],
                         .k = (size_t)v->y.d[1],
                         .groups = (size_t)v->c.groups};
    g.cg = g.c / g.groups;
    g.kg = g.k / g.groups;
    g.taps = (size_t)v->w.h * (size_t)v->w.w;
    g.depth = g.taps * g.cg;
    return g;
}

/* Rows of pixels of the output, columns [tap][channel of the group]; or back, added into x. */
static void columns(const struct conv *v, const struct geometry *g, size_t group, float *x, float *col,
                    bool back)
{
    for (size_t oy = 0; oy < g->oh; oy++)
        for (size_t ox = 0; ox < g->ow; ox++)
            for (size_t t = 0; t < g->taps; t++) {
                long iy = (long)(oy * (size_t)v->c.stride_h) - v->c.pad_h +
                          (long)(t / (size_t)v->w.w) * v->c.dilation_h;
                long ix = (long)(ox * (size_t)v->c.stride_w) - v->c.pad_w +
                          (long)(t % (size_t)v->w.w) * v->c.dilation_w;
                float *at = col + ((oy * g->ow + ox) * g->taps + t) * g->cg;
                bool inside = iy >= 0 && ix >= 0 && iy < (long)g->h && ix < (long)g->w;
                float *pixel = inside ? x + ((size_t)iy * g->w + (size_t)ix) * g->c + group * g->cg : NULL;
                if (!back && inside)
                    memcpy(at, pixel, g->cg * sizeof *at);
                else if (!back)
                    memset(at, 0, g->cg * sizeof *at);
                else if (inside)
                    for (size_t i = 0; i < g->cg; i++)
                        pixel[i] += at[i];
            }
}

static void round_all(float *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = fake_to_tf32(p[i]);
}

static bool uses_tf32(const struct conv *v)
{
    return v->x.type == CUDNN_DATA_FLOAT && v->c.math != CUDNN_FMA_MATH && fake_compute_capability() >= 80;
}

/* A transposed copy: [rows][columns] to [columns][rows] */
static void transpose(const float *from, size_t rows, size_t columns_, size_t ld, float *to)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns_; c++)
            to[c * rows + r] = from[r * ld + c];
}

static void forward_run(const void *args)
{
    const struct conv *v = args;
    struct geometry g = geometry_of(v);
    bool tf32 = uses_tf32(v);
    nn_poison_workspace(v->workspace, v->workspace_bytes);
    float *x = nn_read(&v->x, v->px, "x"), *w = x ? filter_read(&v->w, v->pw, tf32) : NULL;
    if (!x || !w) {
        free(x);
        return;
    }
    size_t in = g.h * g.w * g.c, out = g.oh * g.ow * g.k, pixels = g.oh * g.ow;
    float *y = fresh((size_t)v->x.d[0] * out), *col = fresh(pixels * g.depth), *wt = fresh(g.depth * g.kg);
    if (tf32) round_all(x, (size_t)v->x.d[0] * in);
    for (size_t n = 0; n < (size_t)v->x.d[0]; n++)
        for (size_t group = 0; group < g.groups; group++) {
            transpose(w + group * g.kg * g.depth, g.kg, g.depth, g.depth, wt);
            columns(v, &g, group, x + n * in, col, false);
            fake_gemm(pixels, g.kg, g.depth, col, g.depth, wt, g.kg, y + n * out + group * g.kg, g.k, false);
        }
    if (v->activation >= 0) {
        const void *bias =
            fake_access(v->bias, g.k * nn_element_bytes(v->bias_desc.type), FAKE_READ, "the bias");
        float *z = v->alpha2 != 0 ? nn_read(&v->y, v->z, "z") : NULL;
        size_t all = (size_t)v->x.d[0] * out;
        for (size_t i = 0; bias && i < all; i++) {
            float b = v->bias_desc.type == CUDNN_DATA_BFLOAT16
                          ? fake_from_bf16(((const uint16_t *)bias)[i % g.k])
                          : ((const float *)bias)[i % g.k];
            y[i] = v->alpha * y[i] + (z ? v->alpha2 * z[i] : 0) + b;
            if (v->activation == CUDNN_ACTIVATION_RELU && y[i] < 0)
                y[i] = 0; /* a NaN stays one, so that poison is not washed away */
        }
        free(z);
        if (bias) nn_write(&v->y, v->out, y, 1, 0, "y");
    } else {
        nn_write(&v->y, v->out, y, v->alpha, v->beta, "y");
    }
    free(x);
    free(w);
    free(y);
    free(col);
    free(wt);
}

static void backward_data_run(const void *args)
{
    const struct conv *v = args;
    struct geometry g = geometry_of(v);
    bool tf32 = uses_tf32(v);
    nn_poison_workspace(v->workspace, v->workspace_bytes);
    float *dy = nn_read(&v->y, v->py, "dy"), *w = dy ? filter_read(&v->w, v->pw, tf32) : NULL;
    if (!dy || !w) {
        free(dy);
        return;
    }
    size_t in = g.h * g.w * g.c, out = g.oh * g.ow * g.k, pixels = g.oh * g.ow;
    float *dx = fresh((size_t)v->x.d[0] * in), *col = fresh(pixels * g.depth);
    if (tf32) round_all(dy, (size_t)v->x.d[0] * out);
    for (size_t n = 0; n < (size_t)v->x.d[0]; n++)
        for (size_t group = 0; group < g.groups; group++) {
            fake_gemm(pixels, g.depth, g.kg, dy + n * out + group * g.kg, g.k, w + group * g.kg * g.depth,
                      g.depth, col, g.depth, false);
            columns(v, &g, group, dx + n * in, col, true);
        }
    nn_write(&v->x, v->out, dx, v->alpha, v->beta, "dx");
    free(dy);
    free(w);
    free(dx);
    free(col);
}

static void backward_filter_run(const void *args)
{
    const struct conv *v = args;
    struct geometry g = geometry_of(v);
    bool tf32 = uses_tf32(v);
    nn_poison_workspace(v->workspace, v->workspace_bytes);
    float *x = nn_read(&v->x, v->px, "x"), *dy = x ? nn_read(&v->y, v->py, "dy") : NULL;
    if (!x || !dy) {
        free(x);
        return;
    }
    size_t in = g.h * g.w * g.c, out = g.oh * g.ow * g.k, pixels = g.oh * g.ow;
    float *dw = fresh(g.k * g.depth), *col = fresh(pixels * g.depth), *dyt = fresh(g.kg * pixels);
    if (tf32) {
        round_all(x, (size_t)v->x.d[0] * in);
        round_all(dy, (size_t)v->x.d[0] * out);
    }
    for (size_t n = 0; n < (size_t)v->x.d[0]; n++)
        for (size_t group = 0; group < g.groups; group++) {
            columns(v, &g, group, x + n * in, col, false);
            transpose(dy + n * out + group * g.kg, pixels, g.kg, g.k, dyt);
            fake_gemm(g.kg, g.depth, pixels, dyt, pixels, col, g.depth, dw + group * g.kg * g.depth, g.depth,
                      true);
        }
    filter_write(&v->w, v->out, dw, v->alpha, v->beta);
    free(x);
    free(dy);
    free(dw);
    free(col);
    free(dyt);
}

/* --- calls --- */

static cudnnStatus_t check_pointers(const char *call, const struct conv *v, enum pass pass, int algo,
                                    bool aliases_ok)
{
    const void *reads[2] = {pass == BACKWARD_DATA ? v->py : v->px, pass == BACKWARD_FILTER ? v->py : v->pw};
    for (int i = 0; i < 3; i++) {
        const void *p = i < 2 ? reads[i] : v->out;
        const char *bad = nn_bad_pointer(p, 16);
        if (bad) return nn_fail(call, CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER, "%s (operand %d)", bad, i);
    }
    if (!aliases_ok && (v->out == reads[0] || v->out == reads[1]))
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "the result overwrites an operand");
    size_t need = workspace_bytes(pass, &v->x, &v->w, &v->y, algo);
    if (v->workspace_bytes < need)
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM_SIZE_INSUFFICIENT,
                       "the workspace has %zu bytes, algorithm %d needs %zu", v->workspace_bytes, algo, need);
    if (need && nn_bad_pointer(v->workspace, 16))
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "the workspace is %s", nn_bad_pointer(v->workspace, 16));
    return CUDNN_STATUS_SUCCESS;
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnConvolutionForward(cudnnHandle_t handle, const void *alpha,
                                                           const cudnnTensorDescriptor_t xd, const void *x,
                                                           const cudnnFilterDescriptor_t wd, const void *w,
                                                           const cudnnConvolutionDescriptor_t cd,
                                                           cudnnConvolutionFwdAlgo_t algo, void *workspace,
                                                           size_t bytes, const void *beta,
                                                           const cudnnTensorDescriptor_t yd, void *y)
{
    const char *call = "cudnnConvolutionForward";
    NN_BEGIN(call);
    cudnnStatus_t rc = check(call, FORWARD, xd, wd, cd, yd, (int)algo);
    if (rc) return rc;
    struct conv v = {.x = *xd,
                     .y = *yd,
                     .w = *wd,
                     .c = *cd,
                     .alpha = scalar(alpha),
                     .beta = scalar(beta),
                     .px = x,
                     .pw = w,
                     .out = y,
                     .workspace = workspace,
                     .workspace_bytes = bytes,
                     .activation = -1};
    rc = check_pointers(call, &v, FORWARD, (int)algo, false);
    return rc ? rc : nn_queue(handle, call, forward_run, &v, sizeof v);
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnConvolutionBiasActivationForward(
    cudnnHandle_t handle, const void *alpha1, const cudnnTensorDescriptor_t xd, const void *x,
    const cudnnFilterDescriptor_t wd, const void *w, const cudnnConvolutionDescriptor_t cd,
    cudnnConvolutionFwdAlgo_t algo, void *workspace, size_t bytes, const void *alpha2,
    const cudnnTensorDescriptor_t zd, const void *z, const cudnnTensorDescriptor_t bd, const void *bias,
    const cudnnActivationDescriptor_t ad, const cudnnTensorDescriptor_t yd, void *y)
{
    const char *call = "cudnnConvolutionBiasActivationForward";
    NN_BEGIN(call);
    cudnnStatus_t rc = check(call, FORWARD, xd, wd, cd, yd, (int)algo);
    if (rc) return rc;
    if (!nn_is_tensor(zd) || !nn_is_tensor(bd) || !fake_object_is(ad, "activation") || !ad->set)
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "a descriptor is missing, dead or was never set");
    if (!nn_same_dims(zd, yd) || zd->type != yd->type || memcmp(zd->s, yd->s, sizeof zd->s))
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "z is described otherwise than y");
    if (support("no-fused-conv")) return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "turned off");
    if (ad->mode != CUDNN_ACTIVATION_RELU && ad->mode != CUDNN_ACTIVATION_IDENTITY)
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "activation %d", (int)ad->mode);
    if (ad->nan != CUDNN_NOT_PROPAGATE_NAN)
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "NaN propagation");
    if (ad->mode == CUDNN_ACTIVATION_IDENTITY && algo != CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM)
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "without an activation only IMPLICIT_PRECOMP_GEMM");
    if (bd->d[0] != 1 || bd->d[1] != wd->k || bd->d[2] != 1 || bd->d[3] != 1 || bd->type != yd->type)
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED,
                       "the bias has another shape or type than y's channels");
    if (nn_bad_pointer(bias, nn_element_bytes(bd->type)) || nn_bad_pointer(z, nn_element_bytes(zd->type)))
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "bias or z is not in device memory");
    struct conv v = {.x = *xd,
                     .y = *yd,
                     .w = *wd,
                     .c = *cd,
                     .alpha = scalar(alpha1),
                     .px = x,
                     .pw = w,
                     .out = y,
                     .workspace = workspace,
                     .workspace_bytes = bytes,
                     .alpha2 = scalar(alpha2),
                     .z = z,
                     .bias = bias,
                     .bias_desc = *bd,
                     .activation = (int)ad->mode};
    rc = check_pointers(call, &v, FORWARD, (int)algo, false);
    return rc ? rc : nn_queue(handle, call, forward_run, &v, sizeof v);
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnConvolutionBackwardData(
    cudnnHandle_t handle, const void *alpha, const cudnnFilterDescriptor_t wd, const void *w,
    const cudnnTensorDescriptor_t dyd, const void *dy, const cudnnConvolutionDescriptor_t cd,
    cudnnConvolutionBwdDataAlgo_t algo, void *workspace, size_t bytes, const void *beta,
    const cudnnTensorDescriptor_t dxd, void *dx)
{
    const char *call = "cudnnConvolutionBackwardData";
    NN_BEGIN(call);
    cudnnStatus_t rc = check(call, BACKWARD_DATA, dxd, wd, cd, dyd, (int)algo);
    if (rc) return rc;
    struct conv v = {.x = *dxd,
                     .y = *dyd,
                     .w = *wd,
                     .c = *cd,
                     .alpha = scalar(alpha),
                     .beta = scalar(beta),
                     .pw = w,
                     .py = dy,
                     .out = dx,
                     .workspace = workspace,
                     .workspace_bytes = bytes,
                     .activation = -1};
    rc = check_pointers(call, &v, BACKWARD_DATA, (int)algo, false);
    return rc ? rc : nn_queue(handle, call, backward_data_run, &v, sizeof v);
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnConvolutionBackwardFilter(
    cudnnHandle_t handle, const void *alpha, const cudnnTensorDescriptor_t xd, const void *x,
    const cudnnTensorDescriptor_t dyd, const void *dy, const cudnnConvolutionDescriptor_t cd,
    cudnnConvolutionBwdFilterAlgo_t algo, void *workspace, size_t bytes, const void *beta,
    const cudnnFilterDescriptor_t dwd, void *dw)
{
    const char *call = "cudnnConvolutionBackwardFilter";
    NN_BEGIN(call);
    cudnnStatus_t rc = check(call, BACKWARD_FILTER, xd, dwd, cd, dyd, (int)algo);
    if (rc) return rc;
    struct conv v = {.x = *xd,
                     .y = *dyd,
                     .w = *dwd,
                     .c = *cd,
                     .alpha = scalar(alpha),
                     .beta = scalar(beta),
                     .px = x,
                     .py = dy,
                     .out = dw,
                     .workspace = workspace,
                     .workspace_bytes = bytes,
                     .activation = -1};
    rc = check_pointers(call, &v, BACKWARD_FILTER, (int)algo, false);
    return rc ? rc : nn_queue(handle, call, backward_filter_run, &v, sizeof v);
}

struct bias_gradient {
    tensor dy, db;
    float alpha, beta;
    const void *from;
    void *to;
};

static void bias_run(const void *args)
{
    const struct bias_gradient *v = args;
    float *dy = nn_read(&v->dy, v->from, "dy");
    if (!dy) return;
    size_t c = (size_t)v->dy.d[1], n = nn_count(&v->dy);
    double *sum = calloc(c, sizeof *sum);
    float *out = fresh(c);
    for (size_t i = 0; sum && i < n; i++)
        sum[i % c] += dy[i];
    for (size_t i = 0; sum && i < c; i++)
        out[i] = (float)sum[i];
    nn_write(&v->db, v->to, out, v->alpha, v->beta, "db");
    free(dy);
    free(sum);
    free(out);
}

FAKE_API cudnnStatus_t CUDNNWINAPI cudnnConvolutionBackwardBias(cudnnHandle_t handle, const void *alpha,
                                                                const cudnnTensorDescriptor_t dyd,
                                                                const void *dy, const void *beta,
                                                                const cudnnTensorDescriptor_t dbd, void *db)
{
    const char *call = "cudnnConvolutionBackwardBias";
    NN_BEGIN(call);
    if (!nn_is_tensor(dyd) || !nn_is_tensor(dbd) || dbd->d[0] != 1 || dbd->d[1] != dyd->d[1] ||
        dbd->d[2] != 1 || dbd->d[3] != 1 || dbd->type != dyd->type)
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM,
                       "the gradient has another shape or type than the channels of dy");
    if (nn_bad_pointer(dy, nn_element_bytes(dyd->type)) || nn_bad_pointer(db, nn_element_bytes(dbd->type)))
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "not device memory");
    struct bias_gradient v = {*dyd, *dbd, scalar(alpha), scalar(beta), dy, db};
    return nn_queue(handle, call, bias_run, &v, sizeof v);
}

/* --- workspace and search --- */

#define WORKSPACE(Name, pass, x, w, y, Algo, ...)                                                            \
    FAKE_API cudnnStatus_t CUDNNWINAPI cudnnGetConvolution##Name##WorkspaceSize(cudnnHandle_t handle,        \
                                                                                __VA_ARGS__, Algo algo,      \
                                                                                size_t *size)                \
    {                                                                                                        \
        const char *call = "cudnnGetConvolution" #Name "WorkspaceSize";                                      \
        NN_BEGIN(call);                                                                                      \
        cudnnStatus_t rc = check(call, pass, x, w, cd, y, (int)algo);                                        \
        if (rc) return rc;                                                                                   \
        *size = workspace_bytes(pass, x, w, y, (int)algo);                                                   \
        return CUDNN_STATUS_SUCCESS;                                                                         \
    }
WORKSPACE(Forward, FORWARD, xd, wd, yd, cudnnConvolutionFwdAlgo_t, const cudnnTensorDescriptor_t xd,
          const cudnnFilterDescriptor_t wd, const cudnnConvolutionDescriptor_t cd,
          const cudnnTensorDescriptor_t yd)
WORKSPACE(BackwardData, BACKWARD_DATA, dxd, wd, dyd, cudnnConvolutionBwdDataAlgo_t,
          const cudnnFilterDescriptor_t wd, const cudnnTensorDescriptor_t dyd,
          const cudnnConvolutionDescriptor_t cd, const cudnnTensorDescriptor_t dxd)
WORKSPACE(BackwardFilter, BACKWARD_FILTER, xd, dwd, dyd, cudnnConvolutionBwdFilterAlgo_t,
          const cudnnTensorDescriptor_t xd, const cudnnTensorDescriptor_t dyd,
          const cudnnConvolutionDescriptor_t cd, const cudnnFilterDescriptor_t dwd)

/*
 * The search gives every algorithm with its status, the quickest first, as documented: 0 takes no workspace
 * and, backward, is not deterministic; 1 is. It fails as a whole only for bad parameters.
 */
#define SEARCH(Name, Algo, Perf, pass, x, w, y, count_, ...)                                                 \
    FAKE_API cudnnStatus_t CUDNNWINAPI cudnnFindConvolution##Name##AlgorithmEx(cudnnHandle_t handle,         \
                                                                               __VA_ARGS__, const int asked, \
                                                                               int *found, Perf *perf,       \
                                                                               void *workspace,              \
                                                                               size_t bytes)                 \
    {                                                                                                        \
        const char *call = "cudnnFindConvolution" #Name "AlgorithmEx";                                       \
        NN_BEGIN(call);                                                                                      \
        cudnnStatus_t rc = check(call, pass, x, w, cd, y, -1);                                               \
        if (rc / 1000 == 2 || asked < 1)                                                                     \
            return rc ? rc : nn_fail(call, CUDNN_STATUS_BAD_PARAM, "%d results wanted", asked);              \
        if (bytes && nn_bad_pointer(workspace, 16))                                                          \
            return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "the workspace is %s",                              \
                           nn_bad_pointer(workspace, 16));                                                   \
        *found = 0;                                                                                          \
        for (int i = 0; i < (count_) && *found < asked; i++) {                                               \
            int algo = i < 2 ? (pass == FORWARD ? 1 - i : i) : i;                                            \
            cudnnStatus_t status = rc ? rc : check(call, pass, x, w, cd, y, algo);                           \
            size_t need = status ? 0 : workspace_bytes(pass, x, w, y, algo);                                 \
            if (!status && need > bytes) status = CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED;      \
            perf[(*found)++] = (Perf){.algo = (Algo)algo,                                                    \
                                      .status = status,                                                      \
                                      .time = status ? -1.f : (float)(i + 1),                                \
                                      .memory = need,                                                        \
                                      .determinism = pass != FORWARD && algo == 0 ? CUDNN_NON_DETERMINISTIC  \
                                                                                  : CUDNN_DETERMINISTIC,     \
                                      .mathType = cd->math};                                                 \
        }                                                                                                    \
        return CUDNN_STATUS_SUCCESS;                                                                         \
    }
SEARCH(Forward, cudnnConvolutionFwdAlgo_t, cudnnConvolutionFwdAlgoPerf_t, FORWARD, xd, wd, yd,
       CUDNN_CONVOLUTION_FWD_ALGO_COUNT, const cudnnTensorDescriptor_t xd, const void *xp,
       const cudnnFilterDescriptor_t wd, const void *wp, const cudnnConvolutionDescriptor_t cd,
       const cudnnTensorDescriptor_t yd, void *yp)
SEARCH(BackwardData, cudnnConvolutionBwdDataAlgo_t, cudnnConvolutionBwdDataAlgoPerf_t, BACKWARD_DATA, dxd, wd,
       dyd, CUDNN_CONVOLUTION_BWD_DATA_ALGO_COUNT, const cudnnFilterDescriptor_t wd, const void *wp,
       const cudnnTensorDescriptor_t dyd, const void *dyp, const cudnnConvolutionDescriptor_t cd,
       const cudnnTensorDescriptor_t dxd, void *dxp)
SEARCH(BackwardFilter, cudnnConvolutionBwdFilterAlgo_t, cudnnConvolutionBwdFilterAlgoPerf_t, BACKWARD_FILTER,
       xd, dwd, dyd, CUDNN_CONVOLUTION_BWD_FILTER_ALGO_COUNT, const cudnnTensorDescriptor_t xd,
       const void *xp, const cudnnTensorDescriptor_t dyd, const void *dyp,
       const cudnnConvolutionDescriptor_t cd, const cudnnFilterDescriptor_t dwd, void *dwp)
