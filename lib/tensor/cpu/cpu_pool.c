/* cpu_pool.c: max, average and global average pools. For max, saved is the number of the tap with the
 * largest value, one byte for each output value in the order of y as a whole tensor. */
#include <assert.h>
#include <string.h>

#include "tensor/cpu/cpu_view.h"

struct window {
    int y0, y1, x0, x1;
}; /* the input pixels in the window of an output pixel */

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

/*
 * Finds consecutive windows of row y, from output pixel x on, that have the same size: all that are
 * completely inside the picture, or else a single one. Returns the input pixel at which the first begins.
 */
static const float *windows_from(const struct op_desc *d, const struct view *in, const struct view *out,
                                 int n, int block, int y, int x, struct windows *w)
{
    struct window first = window_of(d, y, x);
    int y0 = first.y0 > 0 ? first.y0 : 0, x0 = first.x0 > 0 ? first.x0 : 0, last = x;
    if (first.x0 >= 0 && first.x0 + d->kernel_w <= in->w)
        last = (in->w - d->kernel_w + d->pad_left) / d->stride_w;
    last = last < out->w ? last : out->w - 1;
    *w = (struct windows){.n = (size_t)(last - x + 1),
                          .y_step = out->px_stride,
                          .x_step = (size_t)d->stride_w * in->px_stride,
                          .row_stride = (size_t)in->w * in->px_stride,
                          .px_stride = in->px_stride,
                          .n_rows = first.y1 - y0,
                          .n_cols = first.x1 - x0,
                          .n_c = out->inner,
                          .first_tap = (y0 - first.y0) * d->kernel_w + (x0 - first.x0),
                          .tap_stride = d->kernel_w,
                          .share = 1.0f / (float)((first.y1 - y0) * (first.x1 - x0))};
    return at(in, n, block, y0, x0);
}

static void pool_forward(struct backend *b, const struct op_desc *d, const struct view *in,
                         const struct view *out, uint8_t *saved)
{
    EACH_ROW(*out, {
        struct windows w;
        for (int x = 0; x < out->w; x += (int)w.n) {
            const float *from = windows_from(d, in, out, n, block, y, x, &w);
            float *to = at(out, n, block, y, x);
            if (d->kind == OP_AVERAGE_POOL)
                b->k->sum_windows(to, from, &w);
            else
                b->k->max_windows(to, saved ? winners_of(d, out, saved, n, block, y, x) : NULL, from, &w);
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

/* Each input pixel sums over the windows that contain it, so that rows can be divided among threads in any
 * way. */
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
        /* y is a vector: the channels of a block are side by side, whatever the layout of x is. */
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

void cpu_pool_forward(struct backend *b, const struct op_desc *d, const struct op_io *io)
{
    struct view x = view_of(b, &io->x[0], &d->x[0]), y = view_of(b, &io->y, &d->y);
    if (d->kind == OP_GLOBAL_AVERAGE_POOL)
        global_forward(b, &x, &y);
    else
        pool_forward(b, d, &x, &y,
                     d->kind == OP_MAX_POOL && d->training ? (uint8_t *)slot_at(&io->saved) : NULL);
}

void cpu_pool_backward(struct backend *b, const struct op_desc *d, const struct op_io *io)
{
    struct view dx = view_of(b, &io->dx[0], &d->x[0]), dy = view_of(b, &io->dy, &d->y);
    if (d->kind == OP_MAX_POOL)
        max_backward(b, d, &dx, &dy, (uint8_t *)slot_at(&io->saved), io->accumulate[0]);
    else if (d->kind == OP_AVERAGE_POOL)
        average_backward(b, d, &dx, &dy, io->accumulate[0]);
    else
        global_backward(b, &dx, &dy, io->accumulate[0]);
}
