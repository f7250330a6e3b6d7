/*
 * cudnn_convolution.c: the arithmetic of the three convolutions, as im2col and a matrix product, and the bias
 * gradient. cudnn_graph.c has the calls.
 */
#include "nn_checks.h"
#include "nn_conv.h"

#include <stdlib.h>
#include <string.h>

/* --- arithmetic --- */

/* The filter as [k][h*w*c]: how it lies, too. */
static float *filter_read(const struct nn_filter *w, const void *p, bool tf32)
{
    size_t n = (size_t)w->k * (size_t)w->h * (size_t)w->w * (size_t)w->c;
    const void *host = fake_access(p, n * nn_element_bytes(w->type), FAKE_READ, "the filter");
    if (!host) return NULL;
    float *out = malloc(n * sizeof *out);
    if (!out) abort();
    for (size_t i = 0; i < n; i++) {
        float v = nn_element(host, i, w->type);
        out[i] = tf32 ? fake_to_tf32(v) : v;
    }
    return out;
}

static bool filter_write(const struct nn_filter *w, void *p, const float *values, float beta)
{
    size_t n = (size_t)w->k * (size_t)w->h * (size_t)w->w * (size_t)w->c;
    void *host =
        fake_access(p, n * nn_element_bytes(w->type), FAKE_WRITE | (beta != 0 ? FAKE_READ : 0), "dw");
    if (!host) return false;
    for (size_t i = 0; i < n; i++) {
        float old = beta == 0 ? 0 : nn_element(host, i, w->type);
        nn_store(host, i, w->type, values[i] + beta * old);
    }
    return true;
}

struct geometry {
    size_t h, w, c, oh, ow, k, groups, cg, kg, taps, depth;
};

static struct geometry geometry_of(const struct nn_conv *v)
{
    struct geometry g = {.h = (size_t)v->x.d[2],
                         .w = (size_t)v->x.d[3],
                         .c = (size_t)v->x.d[1],
                         .oh = (size_t)v->y.d[2],
                         .ow = (size_t)v->y.d[3],
                         .k = (size_t)v->y.d[1],
                         .groups = (size_t)v->groups};
    g.cg = g.c / g.groups;
    g.kg = g.k / g.groups;
    g.taps = (size_t)v->w.h * (size_t)v->w.w;
    g.depth = g.taps * g.cg;
    return g;
}

/* Rows of pixels of the output, columns [tap][channel of the group]; or back, added into x. */
static void columns(const struct nn_conv *v, const struct geometry *g, size_t group, float *x, float *col,
                    bool back)
{
    for (size_t oy = 0; oy < g->oh; oy++)
        for (size_t ox = 0; ox < g->ow; ox++)
            for (size_t t = 0; t < g->taps; t++) {
                long iy =
                    (long)(oy * (size_t)v->stride_h) - v->pad_h + (long)(t / (size_t)v->w.w) * v->dilation_h;
                long ix =
                    (long)(ox * (size_t)v->stride_w) - v->pad_w + (long)(t % (size_t)v->w.w) * v->dilation_w;
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

/* A transposed copy: [rows][columns] to [columns][rows] */
static void transpose(const float *from, size_t rows, size_t columns_, size_t ld, float *to)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns_; c++)
            to[c * rows + r] = from[r * ld + c];
}

/* Plans are timed on zeros, whose product needs no work. */
static bool all_zero(const float *p, size_t n)
{
    while (n > 0 && p[n - 1] == 0)
        n--;
    return n == 0;
}

static void wobble(const struct nn_conv *v, float *p, size_t n)
{
    static unsigned runs;
    float by = 1 + 1e-6f * (float)(++runs % 97);
    for (size_t i = 0; v->wobbles && i < n; i++)
        p[i] *= by;
}

void nn_conv_forward_run(const void *args)
{
    const struct nn_conv *v = args;
    struct geometry g = geometry_of(v);
    bool tf32 = v->tf32;
    nn_poison_workspace(v->workspace, v->workspace_bytes);
    float *x = nn_read(&v->x, v->px, "x"), *w = x ? filter_read(&v->w, v->pw, tf32) : NULL;
    if (!x || !w) {
        free(x);
        return;
    }
    size_t in = g.h * g.w * g.c, out = g.oh * g.ow * g.k, pixels = g.oh * g.ow;
    float *y = fresh((size_t)v->x.d[0] * out), *col = fresh(pixels * g.depth), *wt = fresh(g.depth * g.kg);
    if (tf32) round_all(x, (size_t)v->x.d[0] * in);
    for (size_t n = all_zero(x, (size_t)v->x.d[0] * in) ? (size_t)v->x.d[0] : 0; n < (size_t)v->x.d[0]; n++)
        for (size_t group = 0; group < g.groups; group++) {
            transpose(w + group * g.kg * g.depth, g.kg, g.depth, g.depth, wt);
            columns(v, &g, group, x + n * in, col, false);
            fake_gemm(pixels, g.kg, g.depth, col, g.depth, wt, g.kg, y + n * out + group * g.kg, g.k, false);
        }
    size_t all = (size_t)v->x.d[0] * out;
    float *z = v->add ? nn_read(&v->add_desc, v->add, "the addend") : NULL;
    const void *bias =
        v->bias ? fake_access(v->bias, g.k * nn_element_bytes(v->y.type), FAKE_READ, "the bias") : NULL;
    for (size_t i = 0; i < all; i++) {
        if (z) y[i] += z[i];
        if (bias) y[i] += nn_element(bias, i % g.k, v->y.type);
        if (v->relu && y[i] < 0) y[i] = 0; /* a NaN stays one, so that poison is not washed away */
    }
    free(z);
    nn_write(&v->y, v->out, y, 1, v->beta, "y");
    free(x);
    free(w);
    free(y);
    free(col);
    free(wt);
}

void nn_conv_backward_data_run(const void *args)
{
    const struct nn_conv *v = args;
    struct geometry g = geometry_of(v);
    bool tf32 = v->tf32;
    nn_poison_workspace(v->workspace, v->workspace_bytes);
    float *dy = nn_read(&v->y, v->py, "dy"), *w = dy ? filter_read(&v->w, v->pw, tf32) : NULL;
    if (!dy || !w) {
        free(dy);
        return;
    }
    size_t in = g.h * g.w * g.c, out = g.oh * g.ow * g.k, pixels = g.oh * g.ow;
    float *dx = fresh((size_t)v->x.d[0] * in), *col = fresh(pixels * g.depth);
    if (tf32) round_all(dy, (size_t)v->x.d[0] * out);
    for (size_t n = all_zero(dy, (size_t)v->x.d[0] * out) ? (size_t)v->x.d[0] : 0; n < (size_t)v->x.d[0]; n++)
        for (size_t group = 0; group < g.groups; group++) {
            fake_gemm(pixels, g.depth, g.kg, dy + n * out + group * g.kg, g.k, w + group * g.kg * g.depth,
                      g.depth, col, g.depth, false);
            columns(v, &g, group, dx + n * in, col, true);
        }
    wobble(v, dx, (size_t)v->x.d[0] * in);
    nn_write(&v->x, v->out, dx, 1, v->beta, "dx");
    free(dy);
    free(w);
    free(dx);
    free(col);
}

void nn_conv_backward_filter_run(const void *args)
{
    const struct nn_conv *v = args;
    struct geometry g = geometry_of(v);
    bool tf32 = v->tf32;
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
    for (size_t n = all_zero(x, (size_t)v->x.d[0] * in) ? (size_t)v->x.d[0] : 0; n < (size_t)v->x.d[0]; n++)
        for (size_t group = 0; group < g.groups; group++) {
            columns(v, &g, group, x + n * in, col, false);
            transpose(dy + n * out + group * g.kg, pixels, g.kg, g.k, dyt);
            fake_gemm(g.kg, g.depth, pixels, dyt, pixels, col, g.depth, dw + group * g.kg * g.depth, g.depth,
                      true);
        }
    wobble(v, dw, g.k * g.depth);
    filter_write(&v->w, v->out, dw, v->beta);
    free(x);
    free(dy);
    free(dw);
    free(col);
    free(dyt);
}

/* --- the bias gradient --- */

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
    if (dyd->type == CUDNN_DATA_BFLOAT16)
        return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "a bias gradient in bfloat16");
    if (!nn_packed_nhwc(dyd)) return nn_fail(call, CUDNN_STATUS_NOT_SUPPORTED, "gaps between the pixels");
    if (nn_bad_pointer(dy, nn_element_bytes(dyd->type)) || nn_bad_pointer(db, nn_element_bytes(dbd->type)))
        return nn_fail(call, CUDNN_STATUS_BAD_PARAM, "not device memory");
    struct bias_gradient v = {*dyd, *dbd, scalar(alpha), scalar(beta), dy, db};
    return nn_queue(handle, call, bias_run, &v, sizeof v);
}
