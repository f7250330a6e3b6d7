/* ref_norm.c: batch norm. saved = mean[c], then 1/sqrt(variance + epsilon)[c]. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/ref/ref.h"

/* The mean of one channel, and the sum of squared differences from it. */
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

/* moments [2][c]: the mean and that sum for every channel, over all parts when there are several. Returns
 * the number of pixels of a channel. */
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
            ref_put(&dx.data[i * dx.stride + (size_t)c],
                    (float)(scale * (g - sums[c] / m - xhat * dots[c] / m)), io->accumulate[0]);
        }
    }
    free(sums);
    return 0;
}
