/*
 * ref_ops.c: everything but convolutions, as the definitions say, sums in double.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/ref/ref.h"

float ref_activate(const struct op_desc *d, float v)
{
    switch (d->activation) {
    case OP_RELU: return v > 0 ? v : v != v ? v : 0; /* NaN stays NaN, so that a broken run shows */
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

static void put(float *to, float v, bool accumulate) { *to = accumulate ? *to + v : v; }

/* --- batch norm: saved = mean[c], then 1/sqrt(variance + epsilon)[c] --- */

/* Mean and sum of squared distances from it of one channel. */
static void channel_moments(const struct ref_view *x, int c, double *mean, double *spread)
{
    size_t m = ref_pixels(x);
    *mean = *spread = 0;
    for (size_t i = 0; i < m; i++)
        *mean += x->data[i * x->stride + (size_t)c];
    *mean /= (double)m;
    for (size_t i = 0; i < m; i++) {
        double r = x->data[i * x->stride + (size_t)c] - *mean;
        *spread += r * r;
    }
}

/* moments [2][c]: every channel's mean and spread, of all parts where there are several. Returns the pixels
 * of a channel. */
static double batch_moments(const struct ref_view *x, struct op_exchange *parts, double *moments)
{
    size_t n_c = (size_t)x->c;
    double m = (double)ref_pixels(x);
    for (int c = 0; c < x->c; c++)
        channel_moments(x, c, &moments[c], &moments[n_c + (size_t)c]);
    if (!parts) return m;
    double *mine = moments + 2 * n_c, whole = m * parts->n_parts;
    memcpy(mine, moments, n_c * sizeof *mine);
    parts->sum(parts, moments, n_c);
    for (size_t c = 0; c < n_c; c++) {
        moments[c] /= parts->n_parts;
        moments[n_c + c] += m * (mine[c] - moments[c]) * (mine[c] - moments[c]);
    }
    parts->sum(parts, moments + n_c, n_c);
    return whole;
}

int ref_batch_norm_forward(const struct backend_op *op, const struct op_io *io, struct error *err)
{
    const struct op_desc *d = &op->d;
    struct ref_view x = ref_view_of(&io->x[0], &d->x[0]), y = ref_view_of(&io->y, &d->y);
    const float *gamma = ref_at(&io->gamma), *beta = ref_at(&io->beta);
    float *moving_mean = ref_at(&io->mean), *moving_variance = ref_at(&io->variance),
          *saved = ref_at(&io->saved);
    assert(x.data && y.data && moving_mean && moving_variance);
    double *moments = mem_zalloc(3 * (size_t)x.c, sizeof *moments, err);
    size_t n_pixels = ref_pixels(&x);
    if (!moments) return -1;
    double m = io->use_moving ? 0 : batch_moments(&x, io->exchange, moments);
    for (int c = 0; c < x.c; c++) {
        double mean = moving_mean[c], variance = moving_variance[c];
        if (!io->use_moving) {
            mean = moments[c];
            variance = moments[x.c + c];
            double unbiased = variance / (m > 1 ? m - 1 : 1);
            variance /= m;
            moving_mean[c] = (float)(io->momentum * moving_mean[c] + (1 - io->momentum) * mean);
            moving_variance[c] = (float)(io->momentum * moving_variance[c] + (1 - io->momentum) * unbiased);
        }
        double inverse = 1 / sqrt(variance + d->epsilon);
        if (!io->use_moving && saved) {
            saved[c] = (float)mean;
            saved[x.c + c] = (float)inverse;
        }
        double scale = gamma ? gamma[c] * inverse : inverse, shift = beta ? beta[c] : 0;
        for (size_t i = 0; i < n_pixels; i++)
            y.data[i * y.stride + (size_t)c] =
                ref_activate(d, (float)((x.data[i * x.stride + (size_t)c] - mean) * scale + shift));
    }
    free(moments);
    return 0;
}

/* dx = gamma*inverse * (dy - mean(dy) - xhat * mean(dy * xhat)) */
int ref_batch_norm_backward(const struct backend_op *op, const struct op_io *io, struct error *err)
{
    const struct op_desc *d = &op->d;
    struct ref_view x = ref_view_of(&io->x[0], &d->x[0]), dy = ref_view_of(&io->dy, &d->y);
    struct ref_view dx = ref_view_of(&io->dx[0], &d->x[0]);
    const float *gamma = ref_at(&io->gamma), *saved = ref_at(&io->saved);
    float *dgamma = ref_at(&io->dw), *dbeta = ref_at(&io->dbias);
    assert(x.data && dy.data && saved && (dx.data || !d->needs_dx));
    double *sums = mem_zalloc(2 * (size_t)x.c, sizeof *sums, err);
    size_t n_pixels = ref_pixels(&x);
    double m = (double)n_pixels;
    if (!sums) return -1;
    double *dots = sums + x.c;
    ref_activation_backward(d, io);
    for (int c = 0; c < x.c; c++) {
        double mean = saved[c], inverse = saved[x.c + c];
        for (size_t i = 0; i < n_pixels; i++) {
            double g = dy.data[i * dy.stride + (size_t)c];
            sums[c] += g;
            dots[c] += g * (x.data[i * x.stride + (size_t)c] - mean) * inverse;
        }
        if (dgamma) dgamma[c] = (float)dots[c];
        if (dbeta) dbeta[c] = (float)sums[c];
    }
    if (io->exchange) {
        io->exchange->sum(io->exchange, sums, 2 * (size_t)x.c);
        m *= io->exchange->n_parts;
    }
    for (int c = 0; d->needs_dx && c < x.c; c++) {
        double mean = saved[c], inverse = saved[x.c + c];
        double scale = (gamma ? gamma[c] : 1.0) * inverse;
        for (size_t i = 0; i < n_pixels; i++) {
            double xhat = (x.data[i * x.stride + (size_t)c] - mean) * inverse;
            double g = dy.data[i * dy.stride + (size_t)c];
            put(&dx.data[i * dx.stride + (size_t)c], (float)(scale * (g - sums[c] / m - xhat * dots[c] / m)),
                io->accumulate[0]);
        }
    }
    free(sums);
    return 0;
}

/* --- pools: saved (max) = the pixel y*w + x of the input that won, the first of equals, as int32 --- */

void ref_pool_forward(const struct backend_op *op, const struct op_io *io)
{
    const struct op_desc *d = &op->d;
    struct ref_view x = ref_view_of(&io->x[0], &d->x[0]), y = ref_view_of(&io->y, &d->y);
    int32_t *winner = d->training && d->kind == OP_MAX_POOL ? (int32_t *)ref_at(&io->saved) : NULL;
    for (int n = 0; n < y.n; n++)
        for (int p = 0; p < y.h; p++)
            for (int q = 0; q < y.w; q++)
                for (int c = 0; c < y.c; c++) {
                    double sum = 0;
                    float best = 0;
                    int count = 0, at = 0;
                    for (int r = 0; r < d->kernel_h; r++)
                        for (int s = 0; s < d->kernel_w; s++) {
                            int iy = p * d->stride_h + r - d->pad_top, ix = q * d->stride_w + s - d->pad_left;
                            if (iy < 0 || iy >= x.h || ix < 0 || ix >= x.w) continue;
                            float v = ref_pixel(&x, n, iy, ix)[c];
                            sum += v;
                            if (!count++ || v > best || v != v) {
                                best = v;
                                at = iy * x.w + ix;
                            }
                        }
                    ref_pixel(&y, n, p, q)[c] = d->kind == OP_MAX_POOL ? best : (float)(sum / count);
                    if (winner)
                        winner[(((size_t)n * (size_t)y.h + (size_t)p) * (size_t)y.w + (size_t)q) *
                                   (size_t)y.c +
                               (size_t)c] = at;
                }
}

void ref_pool_backward(const struct backend_op *op, const struct op_io *io)
{
    const struct op_desc *d = &op->d;
    struct ref_view dx = ref_view_of(&io->dx[0], &d->x[0]), dy = ref_view_of(&io->dy, &d->y);
    const int32_t *winner = (const int32_t *)ref_at(&io->saved);
    if (!d->needs_dx) return;
    assert(dx.data && dy.data && (winner || d->kind != OP_MAX_POOL));
    if (!io->accumulate[0]) memset(dx.data, 0, ref_pixels(&dx) * dx.stride * sizeof(float));
    for (int n = 0; n < dy.n; n++)
        for (int p = 0; p < dy.h; p++)
            for (int q = 0; q < dy.w; q++) {
                int y0 = p * d->stride_h - d->pad_top, x0 = q * d->stride_w - d->pad_left;
                int y1 = y0 + d->kernel_h < dx.h ? y0 + d->kernel_h : dx.h;
                int x1 = x0 + d->kernel_w < dx.w ? x0 + d->kernel_w : dx.w;
                y0 = y0 > 0 ? y0 : 0;
                x0 = x0 > 0 ? x0 : 0;
                const float *g = ref_pixel(&dy, n, p, q);
                for (int c = 0; c < dy.c; c++) {
                    if (d->kind == OP_MAX_POOL) {
                        size_t out = ((size_t)n * (size_t)dy.h + (size_t)p) * (size_t)dy.w + (size_t)q;
                        int at = winner[out * (size_t)dy.c + (size_t)c];
                        ref_pixel(&dx, n, at / dx.w, at % dx.w)[c] += g[c];
                        continue;
                    }
                    float share = g[c] / (float)((y1 - y0) * (x1 - x0));
                    for (int iy = y0; iy < y1; iy++)
                        for (int ix = x0; ix < x1; ix++)
                            ref_pixel(&dx, n, iy, ix)[c] += share;
                }
            }
}

/* --- the rest --- */

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

void ref_other_forward(const struct backend_op *op, const struct op_io *io)
{
    const struct op_desc *d = &op->d;
    struct ref_view x = ref_view_of(&io->x[0], &d->x[0]), y = ref_view_of(&io->y, &d->y);
    const float *mask = ref_at(&io->mask);
    assert(x.data && y.data);
    switch (d->kind) {
    case OP_SOFTMAX: softmax(&x, &y); return;
    case OP_GLOBAL_AVERAGE_POOL:
        for (int n = 0; n < x.n; n++)
            for (int c = 0; c < x.c; c++) {
                double sum = 0;
                for (int p = 0; p < x.h; p++)
                    for (int q = 0; q < x.w; q++)
                        sum += ref_pixel(&x, n, p, q)[c];
                ref_pixel(&y, n, 0, 0)[c] = (float)(sum / ((double)x.h * x.w));
            }
        return;
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

void ref_other_backward(const struct backend_op *op, const struct op_io *io)
{
    const struct op_desc *d = &op->d;
    struct ref_view dy = ref_view_of(&io->dy, &d->y);
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
                        case OP_GLOBAL_AVERAGE_POOL:
                            put(&to[c], ref_pixel(&dy, n, 0, 0)[c] / (float)(dx.h * dx.w), add);
                            break;
                        case OP_CONCAT: put(&to[c], ref_pixel(&dy, n, p, q)[d->first_c[k] + c], add); break;
                        case OP_ZERO_PAD:
                            put(&to[c], ref_pixel(&dy, n, p + d->pad_top, q + d->pad_left)[c], add);
                            break;
                        case OP_RESHAPE: put(&to[c], dy.data[flat * (size_t)dx.c + (size_t)c], add); break;
                        case OP_AFFINE: put(&to[c], ref_pixel(&dy, n, p, q)[c] * op->weights[c], add); break;
                        case OP_MULTIPLY:
                            put(&to[c], ref_pixel(&dy, n, p, q)[c] * mask[flat * (size_t)dx.c + (size_t)c],
                                add);
                            break;
                        default: /* ACTIVATION ADD */ put(&to[c], ref_pixel(&dy, n, p, q)[c], add);
                        }
                }
    }
}
