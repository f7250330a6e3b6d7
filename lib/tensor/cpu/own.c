/*
 * own.c: batch norm, pools, additions, copies, activations, dropout, softmax: all bound by memory, so each is
 * one or two passes over its tensors, split among the threads by pixels, planes or channel blocks. The split
 * depends on shape and thread count only, and partial sums are added in thread order: same bits every time.
 */
#include <assert.h>
#include <math.h>
#include <omp.h>
#include <string.h>

#include "tensor/cpu/cpu.h"

struct view view_of(const struct backend *b, const struct slot *s, const struct tensor_shape *t)
{
    int inner = block_of(b, t->parent_c);
    size_t plane = (size_t)t->h * (size_t)t->w;
    struct view v = {slot_at(s),         t->n, t->h, t->w, 1, t->c, plane * (size_t)t->parent_c, 0,
                     (size_t)t->parent_c};
    if (inner != t->parent_c) {
        v.blocks = t->c / inner;
        v.inner = inner;
        v.b_stride = plane * (size_t)inner;
        v.px_stride = (size_t)inner;
        v.p = v.p ? v.p + (size_t)(t->first_c / inner) * v.b_stride : NULL;
    } else {
        v.p = v.p ? v.p + t->first_c : NULL;
    }
    return v;
}

static float *at(const struct view *v, int n, int block, int y, int x)
{
    return v->p + (size_t)n * v->n_stride + (size_t)block * v->b_stride +
           ((size_t)y * (size_t)v->w + (size_t)x) * v->px_stride;
}

static struct act act_of(const struct op_desc *d)
{
    return (struct act){(int)d->activation, d->activation_max};
}

static void share(size_t total, size_t *first, size_t *last)
{
    size_t t = (size_t)omp_get_thread_num(), n = (size_t)omp_get_num_threads();
    *first = total * t / n;
    *last = total * (t + 1) / n;
}

/* Small tensors are not worth waking the other threads for: a wake-up costs as much as some 30,000 values. */
#define SMALL_VALUES 65536
static int threads_for(const struct backend *b, const struct view *v)
{
    size_t values = (size_t)v->n * (size_t)v->blocks * (size_t)v->h * (size_t)v->w * (size_t)v->inner;
    return values < SMALL_VALUES ? 1 : b->threads;
}

/*
 * Rows of a tensor, split among threads: a row is w pixels of one block. The body sees n, block, y.
 */
#define EACH_ROW(v, ...)                                                                                     \
    do {                                                                                                     \
        const int threads_ = threads_for(b, &(v));                                                           \
        _Pragma("omp parallel num_threads(threads_)")                                                        \
        {                                                                                                    \
            size_t row_, end_;                                                                               \
            share((size_t)(v).n *(size_t)(v).blocks *(size_t)(v).h, &row_, &end_);                           \
            for (; row_ < end_; row_++) {                                                                    \
                int y = (int)(row_ % (size_t)(v).h),                                                         \
                    block = (int)(row_ / (size_t)(v).h % (size_t)(v).blocks);                                \
                int n = (int)(row_ / (size_t)(v).h / (size_t)(v).blocks);                                    \
                __VA_ARGS__                                                                                  \
            }                                                                                                \
        }                                                                                                    \
    } while (0)

/* One picture's plane of one block by one thread: for scattering backward passes. */
#define EACH_PLANE(v, ...)                                                                                   \
    do {                                                                                                     \
        const int threads_ = threads_for(b, &(v));                                                           \
        _Pragma("omp parallel num_threads(threads_)")                                                        \
        {                                                                                                    \
            size_t plane_, end_;                                                                             \
            share((size_t)(v).n *(size_t)(v).blocks, &plane_, &end_);                                        \
            for (; plane_ < end_; plane_++) {                                                                \
                int block = (int)(plane_ % (size_t)(v).blocks), n = (int)(plane_ / (size_t)(v).blocks);      \
                __VA_ARGS__                                                                                  \
            }                                                                                                \
        }                                                                                                    \
    } while (0)

void own_activation_backward(struct backend *b, const struct op_desc *d, const struct op_io *io)
{
    struct view y_view = view_of(b, &io->y, &d->y), dy = view_of(b, &io->dy, &d->y);
    struct act act = act_of(d);
    if (d->activation == OP_LINEAR) return;
    EACH_ROW(dy, {
        float *g = at(&dy, n, block, y, 0);
        const float *out = at(&y_view, n, block, y, 0);
        for (int x = 0; x < dy.w; x++)
            b->k->activate_backward(g + (size_t)x * dy.px_stride, out + (size_t)x * y_view.px_stride,
                                    (size_t)dy.inner, act);
    });
}

void own_add(struct backend *b, float *y, const float *x, size_t count)
{
#pragma omp parallel num_threads(count < SMALL_VALUES ? 1 : b->threads)
    {
        size_t first, last;
        share(count, &first, &last);
        b->k->add(y + first, x + first, last - first);
    }
}

/* In blocks of 64 pixels, so that float32 sums of tens of thousands stay exact enough. */
void own_bias_gradient(struct backend *b, const struct op_desc *d, const struct op_io *io, float *scratch)
{
    struct view dy = view_of(b, &io->dy, &d->y);
    size_t plane = (size_t)dy.h * (size_t)dy.w, n = (size_t)dy.inner;
    for (int block = 0; block < dy.blocks; block++) {
        float *to = slot_at(&io->dbias) + (size_t)block * n;
        memset(to, 0, n * sizeof *to);
        for (int picture = 0; picture < dy.n; picture++)
            for (size_t first = 0; first < plane; first += 64) {
                const float *from = dy.p + (size_t)picture * dy.n_stride + (size_t)block * dy.b_stride;
                memset(scratch, 0, n * sizeof *scratch);
                for (size_t i = first; i < plane && i < first + 64; i++)
                    b->k->add(scratch, from + i * dy.px_stride, n);
                b->k->add(to, scratch, n);
            }
    }
}

/* --- batch norm: saved = mean, 1/sqrt(variance + epsilon), scale, offset, each [c] --- */

/*
 * The channels of all pictures as pieces of work: NHWC is cut into ranges of pixels, whose partial sums are
 * then added in order; blocked layouts into channel blocks, each summed by one thread over all pictures.
 */
static size_t sums_bytes(const struct backend *b, int c)
{
    size_t per_thread = 4 * (size_t)c * sizeof(double) + 2 * (size_t)c * sizeof(float);
    return (size_t)b->threads * ((per_thread + 63) / 64 * 64) + 8 * (size_t)c * sizeof(float);
}

struct sums {
    double *first, *second;
    float *scratch;
};

static struct sums sums_of(const struct backend *b, float *workspace, int c, int thread)
{
    size_t per_thread = (4 * (size_t)c * sizeof(double) + 2 * (size_t)c * sizeof(float) + 63) / 64 * 64;
    double *d = (double *)((unsigned char *)workspace + (size_t)thread * per_thread);
    (void)b;
    return (struct sums){d, d + c, (float *)(d + 2 * c)};
}

/* Per-channel vectors behind the threads' sums: i = 0..7. */
static float *vector_of(const struct backend *b, float *workspace, int c, int i)
{
    size_t per_thread = (4 * (size_t)c * sizeof(double) + 2 * (size_t)c * sizeof(float) + 63) / 64 * 64;
    return (float *)((unsigned char *)workspace + (size_t)b->threads * per_thread) + (size_t)i * (size_t)c;
}

typedef void sum_function(const struct backend *b, const struct view *x, const struct view *dy,
                          size_t first_pixel, size_t n_pixels, int n, int block, const float *const *v,
                          struct act act, struct sums s, int c0);

/* Runs f over everything; afterwards the totals are in thread 0's sums. */
static void sum_all(const struct backend *b, const struct view *x, const struct view *dy, int c,
                    float *workspace, sum_function *f, const float *const *v, struct act act)
{
    size_t plane = (size_t)x->h * (size_t)x->w;
    /* One run of pixels through all pictures: not where one block of channels of a blocked tensor is meant,
     * as x or as dy. */
    bool one_run = x->blocks == 1 && x->n_stride == plane * x->px_stride &&
                   (!dy || dy->n_stride == plane * dy->px_stride);
    for (int t = 0; t < b->threads; t++)
        memset(sums_of(b, workspace, c, t).first, 0, 2 * (size_t)c * sizeof(double));
#pragma omp parallel num_threads(b->threads)
    {
        struct sums s = sums_of(b, workspace, c, omp_get_thread_num());
        size_t first, last;
        if (one_run) {
            share((size_t)x->n * plane, &first, &last);
            if (first < last) f(b, x, dy, first, last - first, 0, 0, v, act, s, 0);
        } else {
            share((size_t)x->blocks, &first, &last);
            for (; first < last; first++)
                for (int n = 0; n < x->n; n++)
                    f(b, x, dy, 0, plane, n, (int)first, v, act, s, (int)first * x->inner);
        }
    }
    struct sums total = sums_of(b, workspace, c, 0);
    for (int t = 1; t < b->threads; t++) {
        struct sums s = sums_of(b, workspace, c, t);
        for (int k = 0; k < c; k++) {
            total.first[k] += s.first[k];
            total.second[k] += s.second[k];
        }
    }
}

static float *pixel_of(const struct view *v, size_t pixel, int n, int block)
{
    return v->p + (size_t)n * v->n_stride + (size_t)block * v->b_stride + pixel * v->px_stride;
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

/*
 * The moments of all parts of the batch, about the moving mean, which every part has: that becomes the shift.
 * Returns the pixels of the whole.
 */
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
    x->sum(x, total.first, 2 * (size_t)c); /* second lies behind first */
    return m * x->n_parts;
}

static void norm_forward(struct backend *b, struct backend_op *op, const struct op_io *io, float *workspace)
{
    const struct op_desc *d = &op->d;
    int c = d->y.c;
    struct view x = view_of(b, &io->x[0], &d->x[0]), y = view_of(b, &io->y, &d->y);
    const float *gamma = slot_at(&io->gamma), *beta = slot_at(&io->beta);
    float *moving_mean = slot_at(&io->mean), *moving_variance = slot_at(&io->variance),
          *saved = slot_at(&io->saved);
    float *scale = vector_of(b, workspace, c, 0), *offset = vector_of(b, workspace, c, 1),
          *shift = vector_of(b, workspace, c, 2);
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
    struct sums total = sums_of(b, workspace, c, 0);
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
static void norm_backward(struct backend *b, struct backend_op *op, const struct op_io *io, float *workspace)
{
    const struct op_desc *d = &op->d;
    int c = d->y.c;
    struct view x = view_of(b, &io->x[0], &d->x[0]), dy = view_of(b, &io->dy, &d->y),
                dx = view_of(b, &io->dx[0], &d->x[0]);
    const float *saved = slot_at(&io->saved), *mean = saved, *inverse = saved + c, *scale = saved + 2 * c,
                *offset = saved + 3 * c;
    float *dgamma = slot_at(&io->dw), *dbeta = slot_at(&io->dbias);
    float *vb = vector_of(b, workspace, c, 0), *v0 = vector_of(b, workspace, c, 1);
    struct act act = act_of(d);
    double m = (double)x.n * x.h * x.w;
    const float *vectors[] = {scale, offset, mean};
    sum_all(b, &x, &dy, c, workspace, sum_gradients, vectors, act);
    struct sums total = sums_of(b, workspace, c, 0);
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

/* --- pools: saved (max) = number of the winning tap, a byte for each output value in the order of y as a
 * whole tensor --- */

struct window {
    int y0, y1, x0, x1;
}; /* the input pixels an output pixel sees */

static struct window window_of(const struct op_desc *d, int p, int q)
{
    struct window w = {p * d->stride_h - d->pad_top, 0, q * d->stride_w - d->pad_left, 0};
    w.y1 = w.y0 + d->kernel_h < d->x[0].h ? w.y0 + d->kernel_h : d->x[0].h;
    w.x1 = w.x0 + d->kernel_w < d->x[0].w ? w.x0 + d->kernel_w : d->x[0].w;
    return w;
}

static uint8_t *winners_of(const struct op_desc *d, const struct view *v, uint8_t *saved, int n, int block,
                           int y, int x)
{
    size_t pixel =
        (((size_t)n * (size_t)v->blocks + (size_t)block) * (size_t)d->y.h + (size_t)y) * (size_t)d->y.w +
        (size_t)x;
    return saved + pixel * (size_t)v->inner;
}

static void max_forward(struct backend *b, const struct op_desc *d, const struct view *in,
                        const struct view *out, uint8_t *saved)
{
    EACH_ROW(*out, {
        for (int x = 0; x < out->w; x++) {
            struct window w = window_of(d, y, x);
            int y0 = w.y0 > 0 ? w.y0 : 0, x0 = w.x0 > 0 ? w.x0 : 0;
            b->k->max_window(at(out, n, block, y, x),
                             saved ? winners_of(d, out, saved, n, block, y, x) : NULL,
                             at(in, n, block, y0, x0), (size_t)in->w * in->px_stride, in->px_stride,
                             w.y1 - y0, w.x1 - x0, (y0 - w.y0) * d->kernel_w + (x0 - w.x0), d->kernel_w,
                             out->inner);
        }
    });
}

static void clear_plane(const struct view *v, int n, int block)
{
    for (size_t i = 0; i < (size_t)v->h * (size_t)v->w; i++)
        memset(pixel_of(v, i, n, block), 0, (size_t)v->inner * sizeof(float));
}

static void max_backward(struct backend *b, const struct op_desc *d, const struct view *dx,
                         const struct view *dy, uint8_t *saved, bool accumulate)
{
    EACH_PLANE(*dx, {
        if (!accumulate) clear_plane(dx, n, block);
        for (int p = 0; p < dy->h; p++)
            for (int q = 0; q < dy->w; q++) {
                struct window w = window_of(d, p, q);
                const uint8_t *win = winners_of(d, dy, saved, n, block, p, q);
                for (int iy = w.y0 > 0 ? w.y0 : 0; iy < w.y1; iy++)
                    for (int ix = w.x0 > 0 ? w.x0 : 0; ix < w.x1; ix++)
                        b->k->scatter_equal(at(dx, n, block, iy, ix), at(dy, n, block, p, q), win,
                                            (uint8_t)((iy - w.y0) * d->kernel_w + (ix - w.x0)),
                                            (size_t)dx->inner);
            }
    });
}

static void average_forward(struct backend *b, const struct op_desc *d, const struct view *in,
                            const struct view *out)
{
    EACH_ROW(*out, {
        for (int x = 0; x < out->w; x++) {
            struct window w = window_of(d, y, x);
            int y0 = w.y0 > 0 ? w.y0 : 0, x0 = w.x0 > 0 ? w.x0 : 0;
            b->k->sum_window(at(out, n, block, y, x), at(in, n, block, y0, x0), (size_t)in->w * in->px_stride,
                             in->px_stride, w.y1 - y0, w.x1 - x0, 1.0f / (float)((w.y1 - y0) * (w.x1 - x0)),
                             0, out->inner);
        }
    });
}

/* Gathers: each input pixel adds up the windows that see it, so that rows can be shared out freely. */
static void average_backward(struct backend *b, const struct op_desc *d, const struct view *dx,
                             const struct view *dy, bool accumulate)
{
    EACH_ROW(*dx, {
        int p0 = (y + d->pad_top - d->kernel_h + d->stride_h) / d->stride_h,
            p1 = (y + d->pad_top) / d->stride_h;
        p0 = y + d->pad_top - d->kernel_h + 1 > 0 ? p0 : 0;
        p1 = p1 < dy->h - 1 ? p1 : dy->h - 1;
        for (int x = 0; x < dx->w; x++) {
            float *to = at(dx, n, block, y, x);
            int q0 = x + d->pad_left - d->kernel_w + 1 > 0
                         ? (x + d->pad_left - d->kernel_w + d->stride_w) / d->stride_w
                         : 0;
            int q1 = (x + d->pad_left) / d->stride_w;
            q1 = q1 < dy->w - 1 ? q1 : dy->w - 1;
            if (!accumulate) memset(to, 0, (size_t)dx->inner * sizeof(float));
            for (int p = p0; p <= p1; p++)
                for (int q = q0; q <= q1; q++) {
                    struct window w = window_of(d, p, q);
                    int count = (w.y1 - (w.y0 > 0 ? w.y0 : 0)) * (w.x1 - (w.x0 > 0 ? w.x0 : 0));
                    b->k->axpy(to, at(dy, n, block, p, q), (size_t)dx->inner, 1.0f / (float)count);
                }
        }
    });
}

static void global_forward(struct backend *b, const struct view *in, const struct view *out)
{
    assert(in->p && out->p);
    EACH_PLANE(*in, {
        /* y is a vector: block's channels lie side by side whatever the layout of x */
        float *to = out->p + (size_t)n * out->n_stride + (size_t)block * (size_t)in->inner;
        memset(to, 0, (size_t)in->inner * sizeof(float));
        for (size_t i = 0; i < (size_t)in->h * (size_t)in->w; i++)
            b->k->add(to, pixel_of(in, i, n, block), (size_t)in->inner);
        b->k->scale(to, (size_t)in->inner, 1.0f / (float)(in->h * in->w));
    });
}

static void global_backward(struct backend *b, const struct view *dx, const struct view *dy, bool accumulate)
{
    EACH_PLANE(*dx, {
        const float *from = dy->p + (size_t)n * dy->n_stride + (size_t)block * (size_t)dx->inner;
        if (!accumulate) clear_plane(dx, n, block);
        for (size_t i = 0; i < (size_t)dx->h * (size_t)dx->w; i++)
            b->k->axpy(pixel_of(dx, i, n, block), from, (size_t)dx->inner, 1.0f / (float)(dx->h * dx->w));
    });
}

/* --- the rest --- */

static void softmax_rows(const struct view *x, const struct view *y, int c)
{
    assert(x->p && y->p);
    for (int n = 0; n < x->n; n++) {
        const float *in = x->p + (size_t)n * x->n_stride;
        float *out = y->p + (size_t)n * y->n_stride;
        double top = in[0], sum = 0;
        for (int k = 1; k < c; k++)
            top = in[k] > top ? in[k] : top;
        for (int k = 0; k < c; k++)
            sum += exp(in[k] - top);
        for (int k = 0; k < c; k++)
            out[k] = (float)(exp(in[k] - top) / sum);
    }
}

/* Copies or adds pixel by pixel. */
static void copy_view(struct backend *b, const struct view *from, const struct view *to, bool accumulate)
{
    EACH_ROW(*from, {
        for (int x = 0; x < from->w; x++) {
            float *t = at(to, n, block, y, x);
            const float *f = at(from, n, block, y, x);
            if (accumulate)
                b->k->add(t, f, (size_t)from->inner);
            else
                memcpy(t, f, (size_t)from->inner * sizeof(float));
        }
    });
}

/*
 * Channels first_c.. of a whole tensor and a part of its own layout, in either direction. Parts whose blocks
 * fall on blocks of the whole are copied in runs; odd channel counts on a blocked machine value by value.
 */
static void concat_part(struct backend *b, const struct slot *whole, const struct tensor_shape *shape,
                        int first_c, const struct slot *part, const struct tensor_shape *part_shape,
                        bool to_whole, bool accumulate)
{
    struct tensor_shape slice = *shape;
    struct view p = view_of(b, part, part_shape), all = view_of(b, whole, shape);
    if (!p.p) return;
    if (all.blocks == 1 ? p.blocks == 1 : p.inner == all.inner && first_c % all.inner == 0) {
        slice.first_c += first_c;
        slice.c = part_shape->c;
        struct view v = view_of(b, whole, &slice);
        copy_view(b, to_whole ? &p : &v, to_whole ? &v : &p, accumulate);
        return;
    }
    for (int n = 0; n < p.n; n++)
        for (int y = 0; y < p.h; y++)
            for (int x = 0; x < p.w; x++)
                for (int k = 0; k < part_shape->c; k++) {
                    float *small = at(&p, n, k / p.inner, y, x) + k % p.inner;
                    float *large = at(&all, n, (first_c + k) / all.inner, y, x) + (first_c + k) % all.inner;
                    float *t = to_whole ? large : small;
                    float f = to_whole ? *small : *large;
                    *t = accumulate ? *t + f : f;
                }
}

static void zero_pad_forward(struct backend *b, const struct op_desc *d, const struct view *in,
                             const struct view *out)
{
    EACH_ROW(*out, {
        for (int x = 0; x < out->w; x++) {
            int iy = y - d->pad_top;
            int ix = x - d->pad_left;
            bool inside = iy >= 0 && iy < in->h && ix >= 0 && ix < in->w;
            if (inside)
                memcpy(at(out, n, block, y, x), at(in, n, block, iy, ix), (size_t)out->inner * sizeof(float));
            else
                memset(at(out, n, block, y, x), 0, (size_t)out->inner * sizeof(float));
        }
    });
}

static void zero_pad_backward(struct backend *b, const struct op_desc *d, const struct view *dx,
                              const struct view *dy, bool accumulate)
{
    EACH_ROW(*dx, {
        for (int x = 0; x < dx->w; x++) {
            float *to = at(dx, n, block, y, x);
            const float *from = at(dy, n, block, y + d->pad_top, x + d->pad_left);
            if (accumulate)
                b->k->add(to, from, (size_t)dx->inner);
            else
                memcpy(to, from, (size_t)dx->inner * sizeof(float));
        }
    });
}

/* Values in NHWC order from one shape to another; only where layouts differ, that is on blocked machines. */
static void reshape(const struct view *from, const struct view *to, bool accumulate)
{
    int from_c = from->blocks * from->inner, to_c = to->blocks * to->inner;
    size_t count = (size_t)from->n * (size_t)from->h * (size_t)from->w * (size_t)from_c;
    size_t from_row = (size_t)from->h * (size_t)from->w * (size_t)from_c,
           to_row = (size_t)to->h * (size_t)to->w * (size_t)to_c;
    for (size_t i = 0; i < count; i++) {
        size_t n = i / from_row, f = i % from_row, t = i % to_row;
        int fc = (int)(f % (size_t)from_c), tc = (int)(t % (size_t)to_c);
        float v = pixel_of(from, f / (size_t)from_c, (int)n, fc / from->inner)[fc % from->inner];
        float *out = pixel_of(to, t / (size_t)to_c, (int)n, tc / to->inner) + tc % to->inner;
        *out = accumulate ? *out + v : v;
    }
}

static void elementwise_forward(struct backend *b, struct backend_op *op, const struct op_io *io)
{
    const struct op_desc *d = &op->d;
    struct view x0 = view_of(b, &io->x[0], &d->x[0]), out = view_of(b, &io->y, &d->y), others[OP_MAX_INPUTS];
    const float *mask = slot_at(&io->mask);
    struct act act = act_of(d);
    for (int k = 1; k < d->n_x; k++)
        others[k] = view_of(b, &io->x[k], &d->x[k]);
    if (d->kind == OP_AFFINE) {
        affine_rows(b, &x0, &out, op->scale, op->bias, act);
        return;
    }
    EACH_ROW(out, {
        for (int x = 0; x < out.w; x++) {
            float *to = at(&out, n, block, y, x);
            const float *from = at(&x0, n, block, y, x);
            size_t inner = (size_t)out.inner;
            if (d->kind == OP_MULTIPLY) {
                b->k->multiply(to, from, mask + (size_t)n * (size_t)d->y.c + (size_t)block * inner, inner);
                continue;
            }
            if (d->kind == OP_ACTIVATION) {
                b->k->activate(to, from, inner, act);
                continue;
            }
            memcpy(to, from, inner * sizeof(float)); /* ADD */
            for (int k = 1; k < d->n_x; k++)
                b->k->add(to, at(&others[k], n, block, y, x), inner);
            if (act.kind != OP_LINEAR) b->k->activate(to, to, inner, act);
        }
    });
}

static void elementwise_backward(struct backend *b, struct backend_op *op, const struct op_io *io,
                                 float *workspace)
{
    const struct op_desc *d = &op->d;
    struct view dy = view_of(b, &io->dy, &d->y);
    const float *mask = slot_at(&io->mask);
    float *zero = workspace;
    own_activation_backward(b, d, io);
    if (d->kind == OP_AFFINE) memset(zero, 0, (size_t)d->y.c * sizeof(float));
    for (int i = 0; i < d->n_x; i++) {
        struct view dx = view_of(b, &io->dx[i], &d->x[i]);
        bool accumulate = io->accumulate[i];
        if (!dx.p) continue;
        if (d->kind == OP_ADD || d->kind == OP_ACTIVATION) {
            copy_view(b, &dy, &dx, accumulate);
            continue;
        }
        EACH_ROW(dx, {
            for (int x = 0; x < dx.w; x++) {
                float *to = at(&dx, n, block, y, x);
                float *g = at(&dy, n, block, y, x);
                size_t c0 = (size_t)block * (size_t)dx.inner;
                size_t inner = (size_t)dx.inner;
                const float *m =
                    d->kind == OP_MULTIPLY ? mask + (size_t)n * (size_t)d->y.c + c0 : op->scale + c0;
                if (accumulate) {
                    b->k->multiply(g, g, m, inner); /* dy may be overwritten */
                    b->k->add(to, g, inner);
                } else {
                    b->k->multiply(to, g, m, inner);
                }
            }
        });
    }
}

size_t own_saved_bytes(const struct backend_op *op)
{
    const struct op_desc *d = &op->d;
    if (d->kind == OP_BATCH_NORM) return 4 * (size_t)d->y.c * sizeof(float);
    if (d->kind == OP_MAX_POOL && d->training)
        return (size_t)d->y.n * (size_t)d->y.h * (size_t)d->y.w * (size_t)d->y.c;
    return 0;
}

size_t own_workspace_bytes(const struct backend *b, const struct op_desc *d)
{
    return d->kind == OP_BATCH_NORM ? sums_bytes(b, d->y.c)
           : d->kind == OP_AFFINE   ? (size_t)d->y.c * sizeof(float)
                                    : 0;
}

void own_forward(struct backend *b, struct backend_op *op, const struct op_io *io, float *workspace)
{
    const struct op_desc *d = &op->d;
    struct view x = view_of(b, &io->x[0], &d->x[0]), y = view_of(b, &io->y, &d->y);
    switch (d->kind) {
    case OP_BATCH_NORM: norm_forward(b, op, io, workspace); break;
    case OP_MAX_POOL: max_forward(b, d, &x, &y, d->training ? (uint8_t *)slot_at(&io->saved) : NULL); break;
    case OP_AVERAGE_POOL: average_forward(b, d, &x, &y); break;
    case OP_GLOBAL_AVERAGE_POOL: global_forward(b, &x, &y); break;
    case OP_SOFTMAX: softmax_rows(&x, &y, d->y.c); break;
    case OP_CONCAT:
        for (int i = 0; i < d->n_x; i++)
            concat_part(b, &io->y, &d->y, d->first_c[i], &io->x[i], &d->x[i], true, false);
        break;
    case OP_ZERO_PAD: zero_pad_forward(b, d, &x, &y); break;
    case OP_RESHAPE: reshape(&x, &y, false); break;
    default: elementwise_forward(b, op, io);
    }
}

void own_backward(struct backend *b, struct backend_op *op, const struct op_io *io, float *workspace)
{
    const struct op_desc *d = &op->d;
    struct view dx = view_of(b, &io->dx[0], &d->x[0]), dy = view_of(b, &io->dy, &d->y);
    bool accumulate = io->accumulate[0];
    switch (d->kind) {
    case OP_BATCH_NORM: norm_backward(b, op, io, workspace); break;
    case OP_MAX_POOL: max_backward(b, d, &dx, &dy, (uint8_t *)slot_at(&io->saved), accumulate); break;
    case OP_AVERAGE_POOL: average_backward(b, d, &dx, &dy, accumulate); break;
    case OP_GLOBAL_AVERAGE_POOL: global_backward(b, &dx, &dy, accumulate); break;
    case OP_CONCAT:
        for (int i = 0; i < d->n_x; i++)
            concat_part(b, &io->dy, &d->y, d->first_c[i], &io->dx[i], &d->x[i], false, io->accumulate[i]);
        break;
    case OP_ZERO_PAD: zero_pad_backward(b, d, &dx, &dy, accumulate); break;
    case OP_RESHAPE: reshape(&dy, &dx, accumulate); break;
    default: elementwise_backward(b, op, io, workspace);
    }
}
