/* ref_pool.c: pools. For max, saved is the pixel y*w + x of the largest input, the
 * first of equal ones, as int32. */
#include <assert.h>
#include <string.h>

#include "tensor/ref/ref.h"

/* Returns a description in which a global average pool is one window over the whole map. */
static struct op_desc with_window(const struct op_desc *given)
{
    struct op_desc d = *given;
    if (d.kind == OP_GLOBAL_AVERAGE_POOL) {
        d.kernel_h = d.x[0].h;
        d.kernel_w = d.x[0].w;
        d.pad_top = d.pad_left = 0;
    }
    return d;
}

void ref_pool_forward(const struct backend_op *op, const struct op_io *io)
{
    const struct op_desc windowed = with_window(&op->d), *d = &windowed;
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
    const struct op_desc windowed = with_window(&op->d), *d = &windowed;
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
