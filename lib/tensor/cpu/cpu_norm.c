/*
 * cpu_norm.c: batch norm, and frozen batch norms that could not be folded into a convolution (OP_AFFINE).
 * saved has the mean, 1/sqrt(variance + epsilon), the scale and the offset, each [c].
 */
#include <math.h>
#include <string.h>

#include "tensor/cpu/cpu_view.h"

/*
 * How the channels of all pictures are divided: NHWC into PARTS ranges of pixels, whose partial sums are then
 * added in order; blocked layouts into blocks of channels, each of which one thread sums over all pictures.
 * Neither depends on the number of threads, so that the bits are always the same.
 */
enum { PARTS = 32 };

static size_t part_bytes(int c)
{
    return (4 * (size_t)c * sizeof(double) + 2 * (size_t)c * sizeof(float) + 63) / 64 * 64;
}

size_t cpu_batch_norm_workspace_bytes(int c) { return PARTS * part_bytes(c) + 8 * (size_t)c * sizeof(float); }

struct sums {
    double *first, *second;
    float *scratch;
};

static struct sums sums_of(float *workspace, int c, int part)
{
    double *d = (double *)((unsigned char *)workspace + (size_t)part * part_bytes(c));
    return (struct sums){d, d + c, (float *)(d + 2 * c)};
}

/* Vectors with one value for each channel, after the sums of the parts: i = 0..7. */
static float *vector_of(float *workspace, int c, int i)
{
    return (float *)sums_of(workspace, c, PARTS).first + (size_t)i * (size_t)c;
}

typedef void sum_function(const struct backend *b, const struct view *x, const struct view *dy,
                          size_t first_pixel, size_t n_pixels, int n, int block, const float *const *v,
                          struct act act, struct sums s, int c0);

/* Runs f over all values. Afterwards the sums of part 0 hold the totals. */
static void sum_all(const struct backend *b, const struct view *x, const struct view *dy, int c,
                    float *workspace, sum_function *f, const float *const *v, struct act act)
{
    size_t plane = (size_t)x->h * (size_t)x->w;
    /* All pictures are one run of pixels, unless x or dy is one block of channels of a blocked tensor. */
    bool one_run = x->blocks == 1 && x->n_stride == plane * x->px_stride &&
                   (!dy || dy->n_stride == plane * dy->px_stride);
    const int n_parts = one_run ? PARTS : 1;
    const size_t pixels = (size_t)x->n * plane;
    for (int t = 0; t < n_parts; t++)
        memset(sums_of(workspace, c, t).first, 0, 2 * (size_t)c * sizeof(double));
#pragma omp parallel for num_threads(b->threads) schedule(static)
    for (int i = 0; i < (one_run ? PARTS : x->blocks); i++) {
        size_t first = pixels * (size_t)i / PARTS, last = pixels * (size_t)(i + 1) / PARTS;
        if (one_run && first < last)
            f(b, x, dy, first, last - first, 0, 0, v, act, sums_of(workspace, c, i), 0);
        struct sums s = sums_of(workspace, c, 0);
        s.scratch += 2 * i * x->inner;
        for (int n = 0; !one_run && n < x->n; n++)
            f(b, x, dy, 0, plane, n, i, v, act, s, i * x->inner);
    }
    struct sums total = sums_of(workspace, c, 0);
    for (int t = 1; t < n_parts; t++) {
        struct sums s = sums_of(workspace, c, t);
        for (int k = 0; k < c; k++) {
            total.first[k] += s.first[k];
            total.second[k] += s.second[k];
        }
    }
}

static void sum_moments(const struct backend *b, const struct view *x, const struct view *dy, size_t first,
                        size_t n_pixels, int n, int block, const float *const *v, struct act act,
                        struct sums s, int c0)
{
    b->k->moments(pixel_of(x, first, n, block), x->px_stride, n_pixels, x->inner, v[0] + c0, s.first + c0,
                  s.second + c0, s.scratch);
}

static void sum_gradients(const struct backend *b, const struct view *x, const struct view *dy, size_t first,
                          size_t n_pixels, int n, int block, const float *const *v, struct act act,
                          struct sums s, int c0)
{
    b->k->norm_sums(pixel_of(x, first, n, block), x->px_stride, pixel_of(dy, first, n, block), dy->px_stride,
                    n_pixels, x->inner, v[0] + c0, v[1] + c0, v[2] + c0, act, s.first + c0, s.second + c0,
                    s.scratch);
}

/* y = act(x*scale + offset), by rows */
static void affine_rows(struct backend *b, const struct view *x, const struct view *out, const float *scale,
                        const float *offset, struct act act)
{
    EACH_ROW(*x, {
        b->k->affine(at(x, n, block, y, 0), x->px_stride, at(out, n, block, y, 0), out->px_stride,
                     (size_t)x->w, x->inner, scale + block * x->inner, offset + block * x->inner, act);
    });
}

/* The moments of all parts of the batch, relative to the moving mean, which every part has. Returns the
 * number of pixels of the whole batch. */
static double exchange_moments(struct op_exchange *x, struct sums total, float *shift,
                               const float *moving_mean, int c, double m)
{
    for (int k = 0; k < c; k++) {
        double r = total.first[k] / m, spread = total.second[k] / m - r * r,
               away = shift[k] + r - moving_mean[k];
        total.first[k] = m * away;
        total.second[k] = m * (spread + away * away);
        shift[k] = moving_mean[k];
    }
    x->sum(x, total.first, 2 * (size_t)c); /* second follows first */
    return m * x->n_parts;
}

void cpu_batch_norm_forward(struct backend *b, const struct backend_op *op, const struct op_io *io,
                            float *workspace)
{
    const struct op_desc *d = &op->d;
    int c = d->y.c;
    struct view x = view_of(b, &io->x[0], &d->x[0]), y = view_of(b, &io->y, &d->y);
    const float *gamma = slot_at(&io->gamma), *beta = slot_at(&io->beta);
    float *moving_mean = slot_at(&io->mean), *moving_variance = slot_at(&io->variance),
          *saved = slot_at(&io->saved);
    float *scale = vector_of(workspace, c, 0), *offset = vector_of(workspace, c, 1),
          *shift = vector_of(workspace, c, 2);
    double m = (double)x.n * x.h * x.w;
    if (io->use_moving) {
        for (int k = 0; k < c; k++) {
            double inverse = 1 / sqrt(moving_variance[k] + d->epsilon),
                   s = gamma ? gamma[k] * inverse : inverse;
            scale[k] = (float)s;
            offset[k] = (float)((beta ? beta[k] : 0) - moving_mean[k] * s);
        }
        affine_rows(b, &x, &y, scale, offset, act_of(d));
        return;
    }
    for (int k = 0; k < c; k++)
        shift[k] = *(at(&x, 0, k / x.inner, 0, 0) + k % x.inner);
    const float *vectors[] = {shift};
    sum_all(b, &x, NULL, c, workspace, sum_moments, vectors, act_of(d));
    struct sums total = sums_of(workspace, c, 0);
    if (io->exchange) m = exchange_moments(io->exchange, total, shift, moving_mean, c, m);
    for (int k = 0; k < c; k++) {
        double r = total.first[k] / m, mean = shift[k] + r, variance = total.second[k] / m - r * r;
        variance = variance > 0 || variance != variance ? variance : 0;
        double unbiased = m > 1 ? variance * m / (m - 1) : variance;
        double inverse = 1 / sqrt(variance + d->epsilon), s = gamma ? gamma[k] * inverse : inverse;
        moving_mean[k] = (float)(io->momentum * moving_mean[k] + (1 - io->momentum) * mean);
        moving_variance[k] = (float)(io->momentum * moving_variance[k] + (1 - io->momentum) * unbiased);
        saved[k] = (float)mean;
        saved[c + k] = (float)inverse;
        saved[2 * c + k] = (float)s;
        saved[3 * c + k] = (float)((beta ? beta[k] : 0) - mean * s);
    }
    affine_rows(b, &x, &y, saved + 2 * c, saved + 3 * c, act_of(d));
}

/* dx = scale*g - scale/m * (sum g + xhat * sum g*xhat), as a*g + b*x + c0 */
void cpu_batch_norm_backward(struct backend *b, const struct backend_op *op, const struct op_io *io,
                             float *workspace)
{
    const struct op_desc *d = &op->d;
    int c = d->y.c;
    struct view x = view_of(b, &io->x[0], &d->x[0]), dy = view_of(b, &io->dy, &d->y),
                dx = view_of(b, &io->dx[0], &d->x[0]);
    const float *saved = slot_at(&io->saved), *mean = saved, *inverse = saved + c, *scale = saved + 2 * c,
                *offset = saved + 3 * c;
    float *dgamma = slot_at(&io->dw), *dbeta = slot_at(&io->dbias);
    float *vb = vector_of(workspace, c, 0), *v0 = vector_of(workspace, c, 1);
    struct act act = act_of(d);
    double m = (double)x.n * x.h * x.w;
    const float *vectors[] = {scale, offset, mean};
    sum_all(b, &x, &dy, c, workspace, sum_gradients, vectors, act);
    struct sums total = sums_of(workspace, c, 0);
    for (int k = 0; k < c; k++) {
        if (dgamma) dgamma[k] = (float)(total.second[k] * inverse[k]);
        if (dbeta) dbeta[k] = (float)total.first[k];
    }
    if (io->exchange) {
        io->exchange->sum(io->exchange, total.first, 2 * (size_t)c);
        m *= io->exchange->n_parts;
    }
    for (int k = 0; k < c; k++) {
        double sum = total.first[k], dot = total.second[k] * inverse[k]; /* of xhat */
        double slope = -scale[k] * dot / m * inverse[k];
        vb[k] = (float)slope;
        v0[k] = (float)(-scale[k] * sum / m - slope * mean[k]);
    }
    if (!dx.p) return;
    int accumulate = io->accumulate[0];
    EACH_ROW(x, {
        int c0 = block * x.inner;
        b->k->norm_input(at(&x, n, block, y, 0), x.px_stride, at(&dy, n, block, y, 0), dy.px_stride,
                         at(&dx, n, block, y, 0), dx.px_stride, (size_t)x.w, x.inner, scale + c0, offset + c0,
                         scale + c0, vb + c0, v0 + c0, act, accumulate);
    });
}

void cpu_affine_forward(struct backend *b, const struct backend_op *op, const struct op_io *io)
{
    struct view x = view_of(b, &io->x[0], &op->d.x[0]), y = view_of(b, &io->y, &op->d.y);
    affine_rows(b, &x, &y, op->scale, op->bias, act_of(&op->d));
}
