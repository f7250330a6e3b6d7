/* ref_elementwise.c: activations, sums, dropout, copies, softmax. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "tensor/curves.h"
#include "tensor/ref/ref.h"

float ref_activate(const struct op_desc *d, float v)
{
    switch (d->activation) {
    /* NaN stays NaN, so that a run with invalid values is noticed */
    case OP_RELU: return v > 0 ? v : v != v ? v : 0;
    case OP_RELU_CAPPED: return v > 0 ? (v < d->activation_max ? v : d->activation_max) : v != v ? v : 0;
    case OP_SIGMOID: return (float)(1 / (1 + exp(-(double)v)));
    case OP_LINEAR: break;
    }
    return v;
}

static float slope(const struct op_desc *d, float y)
{
    switch (d->activation) {
    case OP_RELU: return y > 0;
    case OP_RELU_CAPPED: return y > 0 && y < d->activation_max;
    case OP_SIGMOID: return y * (1 - y);
    case OP_LINEAR: break;
    }
    return 1;
}

void ref_activation_backward(const struct op_desc *d, const struct op_io *io)
{
    if (d->activation == OP_LINEAR) return;
    struct ref_view y = ref_view_of(&io->y, &d->y), dy = ref_view_of(&io->dy, &d->y);
    assert(y.data && dy.data);
    for (size_t i = 0; i < ref_pixels(&y); i++)
        for (int c = 0; c < y.c; c++)
            dy.data[i * dy.stride + (size_t)c] *= slope(d, y.data[i * y.stride + (size_t)c]);
}

static void softmax(const struct ref_view *x, struct ref_view *y)
{
    for (size_t i = 0; i < ref_pixels(x); i++) {
        const float *in = x->data + i * x->stride;
        float *out = y->data + i * y->stride;
        double top = in[0], sum = 0;
        for (int c = 1; c < x->c; c++)
            top = in[c] > top ? in[c] : top;
        for (int c = 0; c < x->c; c++)
            sum += exp(in[c] - top);
        for (int c = 0; c < x->c; c++)
            out[c] = (float)(exp(in[c] - top) / sum);
    }
}

void ref_elementwise_forward(const struct backend_op *op, const struct op_io *io)
{
    const struct op_desc *d = &op->d;
    struct ref_view x = ref_view_of(&io->x[0], &d->x[0]), y = ref_view_of(&io->y, &d->y);
    const float *mask = ref_at(&io->mask);
    assert(x.data && y.data);
    switch (d->kind) {
    case OP_SOFTMAX: softmax(&x, &y); return;
    case OP_CONCAT:
        for (int i = 0; i < d->n_x; i++) {
            struct ref_view part = ref_view_of(&io->x[i], &d->x[i]);
            assert(part.data);
            for (size_t k = 0; k < ref_pixels(&part); k++)
                memcpy(y.data + k * y.stride + d->first_c[i], part.data + k * part.stride,
                       (size_t)part.c * sizeof(float));
        }
        return;
    case OP_ZERO_PAD:
        for (int n = 0; n < y.n; n++)
            for (int p = 0; p < y.h; p++)
                for (int q = 0; q < y.w; q++) {
                    int iy = p - d->pad_top, ix = q - d->pad_left;
                    bool inside = iy >= 0 && iy < x.h && ix >= 0 && ix < x.w;
                    for (int c = 0; c < y.c; c++)
                        ref_pixel(&y, n, p, q)[c] = inside ? ref_pixel(&x, n, iy, ix)[c] : 0;
                }
        return;
    case OP_CURVE:
        for (size_t i = 0; i < ref_pixels(&x); i++)
            for (int c = 0; c < x.c; c++)
                y.data[i * y.stride + (size_t)c] =
                    (float)curve_value(d->curve, d->curve_at, x.data[i * x.stride + (size_t)c]);
        return;
    case OP_RESHAPE: memcpy(y.data, x.data, ref_pixels(&x) * (size_t)x.c * sizeof(float)); return;
    default: /* ACTIVATION AFFINE MULTIPLY ADD: value by value */
        for (size_t i = 0; i < ref_pixels(&x); i++)
            for (int c = 0; c < x.c; c++) {
                float v = x.data[i * x.stride + (size_t)c];
                if (d->kind == OP_AFFINE)
                    v = v * op->weights[c] + op->bias[c];
                else if (d->kind == OP_MULTIPLY)
                    v *= mask[i * (size_t)x.c + (size_t)c];
                for (int k = 1; k < d->n_x; k++) {
                    struct ref_view other = ref_view_of(&io->x[k], &d->x[k]);
                    assert(other.data);
                    v += other.data[i * other.stride + (size_t)c];
                }
                y.data[i * y.stride + (size_t)c] = ref_activate(d, v);
            }
    }
}

void ref_elementwise_backward(const struct backend_op *op, const struct op_io *io)
{
    const struct op_desc *d = &op->d;
    struct ref_view dy = ref_view_of(&io->dy, &d->y), x = ref_view_of(&io->x[0], &d->x[0]);
    const float *mask = ref_at(&io->mask);
    assert(dy.data);
    ref_activation_backward(d, io);
    for (int k = 0; k < d->n_x; k++) {
        struct ref_view dx = ref_view_of(&io->dx[k], &d->x[k]);
        bool add = io->accumulate[k];
        if (!dx.data) continue;
        for (int n = 0; n < dx.n; n++)
            for (int p = 0; p < dx.h; p++)
                for (int q = 0; q < dx.w; q++) {
                    float *to = ref_pixel(&dx, n, p, q);
                    size_t flat = ((size_t)n * (size_t)dx.h + (size_t)p) * (size_t)dx.w + (size_t)q;
                    for (int c = 0; c < dx.c; c++)
                        switch (d->kind) {
                        case OP_CONCAT:
                            ref_put(&to[c], ref_pixel(&dy, n, p, q)[d->first_c[k] + c], add);
                            break;
                        case OP_ZERO_PAD: {
                            int iy = p + d->pad_top, ix = q + d->pad_left; /* pads below 0 cut off */
                            bool inside = iy >= 0 && iy < dy.h && ix >= 0 && ix < dy.w;
                            ref_put(&to[c], inside ? ref_pixel(&dy, n, iy, ix)[c] : 0, add);
                            break;
                        }
                        case OP_RESHAPE:
                            ref_put(&to[c], dy.data[flat * (size_t)dx.c + (size_t)c], add);
                            break;
                        case OP_CURVE:
                            ref_put(&to[c],
                                    (float)(ref_pixel(&dy, n, p, q)[c] *
                                            curve_slope(d->curve, d->curve_at, ref_pixel(&x, n, p, q)[c])),
                                    add);
                            break;
                        case OP_AFFINE:
                            ref_put(&to[c], ref_pixel(&dy, n, p, q)[c] * op->weights[c], add);
                            break;
                        case OP_MULTIPLY:
                            ref_put(&to[c],
                                    ref_pixel(&dy, n, p, q)[c] * mask[flat * (size_t)dx.c + (size_t)c], add);
                            break;
                        default: /* ACTIVATION ADD */ ref_put(&to[c], ref_pixel(&dy, n, p, q)[c], add);
                        }
                }
    }
}
