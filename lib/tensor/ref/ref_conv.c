/* ref_conv.c: convolution, depthwise convolution and dense layers, by their definitions, with sums in
 * double. A dense layer is a convolution of a 1x1 picture with a 1x1 kernel. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/ref/ref.h"

/* Sets *in to the row (or column) of the input that tap k of output o reads. Returns false when it is in the
 * padding. */
static bool tap(int o, int stride, int k, int dilation, int pad, int size, int *in)
{
    *in = o * stride + k * dilation - pad;
    return *in >= 0 && *in < size;
}

/*
 * y[n,p,q,k] = act(bias[k] + sum over r,s,c of w[r,s,c,k] * x[n, p*stride + r*dilation - pad, ..., c]); with
 * groups, c counts the input channels of k's group.
 */
int ref_conv_forward(const struct backend_op *op, const struct op_io *io, struct error *err)
{
    const struct op_desc *d = &op->d;
    struct ref_view x = ref_view_of(&io->x[0], &d->x[0]), y = ref_view_of(&io->y, &d->y);
    const float *w = d->constant_weights ? op->weights : ref_at(&io->w);
    const float *bias = d->constant_weights ? op->bias : ref_at(&io->bias);
    int ix, iy, groups = conv_groups(d), each_x = x.c / groups, each_y = y.c / groups;
    double *sum = mem_alloc((size_t)y.c * sizeof *sum, err);
    if (!sum) return -1;
    for (int n = 0; n < y.n; n++)
        for (int p = 0; p < y.h; p++)
            for (int q = 0; q < y.w; q++) {
                for (int k = 0; k < y.c; k++)
                    sum[k] = d->has_bias ? bias[k] : 0;
                for (int r = 0; r < d->kernel_h; r++) {
                    if (!tap(p, d->stride_h, r, d->dilation_h, d->pad_top, x.h, &iy)) continue;
                    for (int s = 0; s < d->kernel_w; s++) {
                        if (!tap(q, d->stride_w, s, d->dilation_w, d->pad_left, x.w, &ix)) continue;
                        const float *xs = ref_pixel(&x, n, iy, ix);
                        const float *ws =
                            w + ((size_t)r * (size_t)d->kernel_w + (size_t)s) * (size_t)each_x * (size_t)y.c;
                        for (int c = 0; c < x.c; c++) {
                            double v = xs[c];
                            const float *row = ws + (size_t)(c % each_x) * (size_t)y.c;
                            int first = c / each_x * each_y;
                            for (int k = first; k < first + each_y; k++)
                                sum[k] += v * row[k];
                        }
                    }
                }
                float *out = ref_pixel(&y, n, p, q);
                for (int k = 0; k < y.c; k++)
                    out[k] = ref_activate(d, (float)sum[k]);
            }
    free(sum);
    return 0;
}

/* Gradients, summed in double: of x, of the weights (n_w values), of the bias. */
struct gradient_sums {
    double *x, *w, *bias;
    size_t n_x, n_w;
};

static int sums_begin(struct gradient_sums *g, const struct op_desc *d, size_t n_w, struct error *err)
{
    size_t n_x = (size_t)d->x[0].n * (size_t)d->x[0].h * (size_t)d->x[0].w * (size_t)d->x[0].c;
    *g = (struct gradient_sums){.n_x = n_x, .n_w = n_w};
    if ((g->x = mem_zalloc(d->needs_dx ? n_x : 1, sizeof *g->x, err)) &&
        (g->w = mem_zalloc(d->needs_dw ? n_w : 1, sizeof *g->w, err)) &&
        (g->bias = mem_zalloc((size_t)d->y.c, sizeof *g->bias, err)))
        return 0;
    free(g->x);
    free(g->w);
    return -1;
}

static void sums_finish(struct gradient_sums *g, const struct op_desc *d, const struct op_io *io)
{
    float *dx = ref_at(&io->dx[0]), *dw = ref_at(&io->dw), *dbias = ref_at(&io->dbias);
    for (size_t i = 0; d->needs_dx && i < g->n_x; i++)
        dx[i] = (io->accumulate[0] ? dx[i] : 0) + (float)g->x[i];
    for (size_t i = 0; d->needs_dw && i < g->n_w; i++)
        dw[i] = (float)g->w[i];
    for (int k = 0; d->needs_dw && d->has_bias && k < d->y.c; k++)
        dbias[k] = (float)g->bias[k];
    free(g->x);
    free(g->w);
    free(g->bias);
}

/* dx is the correlation of dy with w, dw that of x with dy, and dbias the sum of dy. */
int ref_conv_backward(const struct backend_op *op, const struct op_io *io, struct error *err)
{
    const struct op_desc *d = &op->d;
    struct ref_view x = ref_view_of(&io->x[0], &d->x[0]), dy = ref_view_of(&io->dy, &d->y);
    const float *w = d->constant_weights ? op->weights : ref_at(&io->w);
    struct gradient_sums g;
    int ix, iy, groups = conv_groups(d), each_x = x.c / groups, each_y = dy.c / groups;
    if (sums_begin(&g, d, (size_t)d->kernel_h * (size_t)d->kernel_w * (size_t)each_x * (size_t)dy.c, err))
        return -1;
    ref_activation_backward(d, io);
    for (int n = 0; n < dy.n; n++)
        for (int p = 0; p < dy.h; p++)
            for (int q = 0; q < dy.w; q++) {
                const float *at_y = ref_pixel(&dy, n, p, q);
                for (int k = 0; k < dy.c; k++)
                    g.bias[k] += at_y[k];
                for (int r = 0; r < d->kernel_h; r++) {
                    if (!tap(p, d->stride_h, r, d->dilation_h, d->pad_top, x.h, &iy)) continue;
                    for (int s = 0; s < d->kernel_w; s++) {
                        if (!tap(q, d->stride_w, s, d->dilation_w, d->pad_left, x.w, &ix)) continue;
                        size_t tap_w =
                            ((size_t)r * (size_t)d->kernel_w + (size_t)s) * (size_t)each_x * (size_t)dy.c;
                        size_t at_x =
                            (((size_t)n * (size_t)x.h + (size_t)iy) * (size_t)x.w + (size_t)ix) * (size_t)x.c;
                        for (int c = 0; c < x.c; c++) {
                            size_t at_w = tap_w + (size_t)(c % each_x) * (size_t)dy.c;
                            int first = c / each_x * each_y, last = first + each_y;
                            if (d->needs_dx) {
                                double v = 0;
                                for (int k = first; k < last; k++)
                                    v += (double)at_y[k] * w[at_w + (size_t)k];
                                g.x[at_x + (size_t)c] += v;
                            }
                            if (d->needs_dw) {
                                double v = ref_pixel(&x, n, iy, ix)[c];
                                for (int k = first; k < last; k++)
                                    g.w[at_w + (size_t)k] += v * at_y[k];
                            }
                        }
                    }
                }
            }
    sums_finish(&g, d, io);
    return 0;
}

/* y[n,p,q,c*m + j] = act(bias + sum over r,s of w[r,s,c,j] * x[n,...,c]), m = depth multiplier */
void ref_depthwise_forward(const struct backend_op *op, const struct op_io *io)
{
    const struct op_desc *d = &op->d;
    struct ref_view x = ref_view_of(&io->x[0], &d->x[0]), y = ref_view_of(&io->y, &d->y);
    const float *w = d->constant_weights ? op->weights : ref_at(&io->w);
    const float *bias = d->constant_weights ? op->bias : ref_at(&io->bias);
    int m = y.c / x.c, ix, iy;
    for (int n = 0; n < y.n; n++)
        for (int p = 0; p < y.h; p++)
            for (int q = 0; q < y.w; q++)
                for (int k = 0; k < y.c; k++) {
                    double sum = d->has_bias ? bias[k] : 0;
                    for (int r = 0; r < d->kernel_h; r++)
                        for (int s = 0; s < d->kernel_w; s++)
                            if (tap(p, d->stride_h, r, d->dilation_h, d->pad_top, x.h, &iy) &&
                                tap(q, d->stride_w, s, d->dilation_w, d->pad_left, x.w, &ix))
                                sum += (double)ref_pixel(&x, n, iy, ix)[k / m] *
                                       w[((size_t)r * (size_t)d->kernel_w + (size_t)s) * (size_t)y.c +
                                         (size_t)k];
                    ref_pixel(&y, n, p, q)[k] = ref_activate(d, (float)sum);
                }
}

int ref_depthwise_backward(const struct backend_op *op, const struct op_io *io, struct error *err)
{
    const struct op_desc *d = &op->d;
    struct ref_view x = ref_view_of(&io->x[0], &d->x[0]), dy = ref_view_of(&io->dy, &d->y);
    const float *w = d->constant_weights ? op->weights : ref_at(&io->w);
    struct gradient_sums g;
    int m = dy.c / x.c, ix, iy;
    if (sums_begin(&g, d, (size_t)d->kernel_h * (size_t)d->kernel_w * (size_t)dy.c, err)) return -1;
    ref_activation_backward(d, io);
    for (int n = 0; n < dy.n; n++)
        for (int p = 0; p < dy.h; p++)
            for (int q = 0; q < dy.w; q++)
                for (int k = 0; k < dy.c; k++) {
                    double at_y = ref_pixel(&dy, n, p, q)[k];
                    g.bias[k] += at_y;
                    for (int r = 0; r < d->kernel_h; r++)
                        for (int s = 0; s < d->kernel_w; s++)
                            if (tap(p, d->stride_h, r, d->dilation_h, d->pad_top, x.h, &iy) &&
                                tap(q, d->stride_w, s, d->dilation_w, d->pad_left, x.w, &ix)) {
                                size_t at_w =
                                    ((size_t)r * (size_t)d->kernel_w + (size_t)s) * (size_t)dy.c + (size_t)k;
                                size_t pixel =
                                    ((size_t)n * (size_t)x.h + (size_t)iy) * (size_t)x.w + (size_t)ix;
                                if (d->needs_dx) g.x[pixel * (size_t)x.c + (size_t)(k / m)] += at_y * w[at_w];
                                if (d->needs_dw) g.w[at_w] += at_y * ref_pixel(&x, n, iy, ix)[k / m];
                            }
                }
    sums_finish(&g, d, io);
    return 0;
}
