/* ref_scale.c: products of two tensors, and scales and shifts that learn. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "tensor/ref/ref.h"

/* Returns the factors for pixel i (of h*w in a picture): those of the pixel, or those of its picture. */
static const float *factor_at(const struct ref_view *x, const struct ref_view *factor, size_t i)
{
    size_t plane = (size_t)x->h * (size_t)x->w;
    bool vector = factor->h == 1 && factor->w == 1;
    return factor->data + (vector ? i / plane : i) * factor->stride;
}

void ref_product_forward(const struct backend_op *op, const struct op_io *io)
{
    const struct op_desc *d = &op->d;
    struct ref_view x = ref_view_of(&io->x[0], &d->x[0]), f = ref_view_of(&io->x[1], &d->x[1]);
    struct ref_view y = ref_view_of(&io->y, &d->y);
    assert(x.data && f.data && y.data);
    for (size_t i = 0; i < ref_pixels(&x); i++) {
        const float *factor = factor_at(&x, &f, i);
        for (int c = 0; c < x.c; c++)
            y.data[i * y.stride + (size_t)c] = x.data[i * x.stride + (size_t)c] * factor[c];
    }
}

void ref_product_backward(const struct backend_op *op, const struct op_io *io)
{
    const struct op_desc *d = &op->d;
    struct ref_view x = ref_view_of(&io->x[0], &d->x[0]), f = ref_view_of(&io->x[1], &d->x[1]);
    struct ref_view dy = ref_view_of(&io->dy, &d->y);
    struct ref_view dx = ref_view_of(&io->dx[0], &d->x[0]), df = ref_view_of(&io->dx[1], &d->x[1]);
    size_t n_factors = ref_pixels(&f), each = ref_pixels(&x) / n_factors;
    assert(x.data && f.data && dy.data);
    for (size_t i = 0; dx.data && i < ref_pixels(&x); i++) {
        const float *factor = factor_at(&x, &f, i);
        for (int c = 0; c < x.c; c++)
            ref_put(&dx.data[i * dx.stride + (size_t)c], dy.data[i * dy.stride + (size_t)c] * factor[c],
                    io->accumulate[0]);
    }
    for (size_t k = 0; df.data && k < n_factors; k++)
        for (int c = 0; c < f.c; c++) {
            double sum = 0;
            for (size_t i = k * each; i < (k + 1) * each; i++)
                sum += (double)dy.data[i * dy.stride + (size_t)c] * x.data[i * x.stride + (size_t)c];
            ref_put(&df.data[k * df.stride + (size_t)c], (float)sum, io->accumulate[1]);
        }
}

void ref_scale_forward(const struct backend_op *op, const struct op_io *io)
{
    const struct op_desc *d = &op->d;
    struct ref_view x = ref_view_of(&io->x[0], &d->x[0]), y = ref_view_of(&io->y, &d->y);
    const float *w = ref_at(&io->w), *bias = ref_at(&io->bias);
    assert(x.data && y.data && (w || !d->scale_c) && (bias || !d->bias_c));
    for (size_t i = 0; i < ref_pixels(&x); i++)
        for (int c = 0; c < x.c; c++) {
            float v = x.data[i * x.stride + (size_t)c];
            if (d->scale_c) v *= w[d->scale_c > 1 ? c : 0];
            if (d->bias_c) v += bias[d->bias_c > 1 ? c : 0];
            y.data[i * y.stride + (size_t)c] = v;
        }
}

int ref_scale_backward(const struct backend_op *op, const struct op_io *io, struct error *err)
{
    const struct op_desc *d = &op->d;
    struct ref_view x = ref_view_of(&io->x[0], &d->x[0]), dy = ref_view_of(&io->dy, &d->y);
    struct ref_view dx = ref_view_of(&io->dx[0], &d->x[0]);
    const float *w = ref_at(&io->w);
    float *dw = ref_at(&io->dw), *dbias = ref_at(&io->dbias);
    double *sums = mem_zalloc(2 * (size_t)x.c, sizeof *sums, err), *dots = sums + x.c;
    if (!sums) return -1;
    assert(x.data && dy.data);
    for (size_t i = 0; i < ref_pixels(&dy); i++)
        for (int c = 0; c < x.c; c++) {
            float g = dy.data[i * dy.stride + (size_t)c];
            sums[d->bias_c > 1 ? c : 0] += g;
            dots[d->scale_c > 1 ? c : 0] += (double)g * x.data[i * x.stride + (size_t)c];
            if (!dx.data) continue;
            float slope = d->scale_c ? w[d->scale_c > 1 ? c : 0] : 1;
            ref_put(&dx.data[i * dx.stride + (size_t)c], g * slope, io->accumulate[0]);
        }
    for (int c = 0; dw && c < d->scale_c; c++)
        dw[c] = (float)dots[c];
    for (int c = 0; dbias && c < d->bias_c; c++)
        dbias[c] = (float)sums[c];
    free(sums);
    return 0;
}
