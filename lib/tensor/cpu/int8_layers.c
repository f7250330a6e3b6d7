/* int8_layers.c: pools, sums, paddings and concatenations of quantised tensors, and conversions from and
 * to floats. */
#include <math.h>
#include <omp.h>
#include <string.h>

#include "tensor/cpu/cpu_view.h"
#include "tensor/cpu/int8.h"

static uint8_t int8_byte(float value, const struct tensor_shape *s)
{
    float v = rintf(value / s->scale) + (float)s->zero;
    return (uint8_t)(v > 255 ? 255 : v > 0 ? v : 0);
}

static size_t plane_of(const struct tensor_shape *s) { return (size_t)s->h * (size_t)s->w; }
static uint8_t *pixel_at(const struct slot *at, const struct tensor_shape *s, size_t pixel)
{
    return int8_at(at, s) + pixel * int8_pixel_bytes(s->parent_c);
}

/* --- in and out --- */

void int8_upload(struct slot to, const struct tensor_shape *s, const float *nhwc, int n_rows)
{
    size_t all = (size_t)s->n * plane_of(s), filled = (size_t)n_rows * plane_of(s);
    for (size_t i = 0; i < all; i++)
        for (int c = 0; c < s->c; c++)
            pixel_at(&to, s, i)[c] =
                i < filled ? int8_byte(nhwc[i * (size_t)s->c + (size_t)c], s) : (uint8_t)s->zero;
}

void int8_upload_u8(struct backend *b, struct slot to, const struct tensor_shape *s, const uint8_t *nhwc,
                    int n_rows, float scale, float offset)
{
    size_t n_c = (size_t)s->c, step = int8_pixel_bytes(s->parent_c);
    uint8_t bytes[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = int8_byte((float)i * scale + offset, s);
#pragma omp parallel for num_threads(b->threads) schedule(static)
    for (int row = 0; row < s->n * s->h; row++) {
        size_t first = (size_t)row * (size_t)s->w;
        const uint8_t *in = row / s->h < n_rows ? nhwc + first * n_c : NULL;
        uint8_t *out = pixel_at(&to, s, first);
        for (size_t i = 0; i < (size_t)s->w; i++, out += step) {
            if (!in)
                memset(out, s->zero, n_c);
            else if (n_c == 3) { /* a picture */
                out[0] = bytes[in[3 * i]];
                out[1] = bytes[in[3 * i + 1]];
                out[2] = bytes[in[3 * i + 2]];
            } else
                for (size_t c = 0; c < n_c; c++)
                    out[c] = bytes[in[i * n_c + c]];
        }
    }
}

void int8_download(struct slot from, const struct tensor_shape *s, float *nhwc, int n_rows)
{
    for (size_t i = 0; i < (size_t)n_rows * plane_of(s); i++)
        for (int c = 0; c < s->c; c++)
            nhwc[i * (size_t)s->c + (size_t)c] = (float)(pixel_at(&from, s, i)[c] - s->zero) * s->scale;
}

/* --- pools --- */

static const uint8_t *tap_at(const struct op_desc *d, const struct slot *x, int n, int y, int xx, int tap)
{
    int iy = y * d->stride_h + tap / d->kernel_w - d->pad_top,
        ix = xx * d->stride_w + tap % d->kernel_w - d->pad_left;
    if (iy < 0 || iy >= d->x[0].h || ix < 0 || ix >= d->x[0].w) return NULL;
    return pixel_at(x, &d->x[0],
                    ((size_t)n * (size_t)d->x[0].h + (size_t)iy) * (size_t)d->x[0].w + (size_t)ix);
}

/* The same of a whole window without divisions: the pixels that are in the picture. */
static int taps_of(const struct op_desc *d, const struct slot *x, int n, int y, int xx, const uint8_t **at)
{
    const struct tensor_shape *s = &d->x[0];
    int top = y * d->stride_h - d->pad_top, left = xx * d->stride_w - d->pad_left, n_taps = 0;
    int bottom = top + d->kernel_h < s->h ? top + d->kernel_h : s->h,
        right = left + d->kernel_w < s->w ? left + d->kernel_w : s->w;
    for (int iy = top > 0 ? top : 0; iy < bottom; iy++)
        for (int ix = left > 0 ? left : 0; ix < right; ix++)
            at[n_taps++] = pixel_at(x, s, (size_t)(n * s->h + iy) * (size_t)s->w + (size_t)ix);
    return n_taps;
}

/* PART: channels that are summed at a time. SMALL_WINDOW: most taps for taps_of. */
enum { PART = 512, SMALL_WINDOW = 49 };

static void put_mean(const struct int8_op *op, const struct op_io *io, const struct view *v, size_t pixel,
                     int first, int n_c, const uint32_t *sums, int n)
{
    const struct op_desc *d = &op->d;
    if (d->y.scale > 0) {
        op->k->mean(pixel_at(&io->y, &d->y, pixel) + first, sums, (size_t)n_c, 1 / (float)n);
        return;
    }
    size_t plane = plane_of(&d->y);
    float share = d->x[0].scale / (float)n;
    for (int i = 0; i < n_c; i++) {
        int c = first + i;
        pixel_of(v, pixel % plane, (int)(pixel / plane), c / v->inner)[c % v->inner] =
            (float)((int)sums[i] - n * d->x[0].zero) * share;
    }
}

static void pool(struct backend *b, struct int8_op *op, const struct op_io *io)
{
    const struct op_desc *d = &op->d;
    bool all = d->kind == OP_GLOBAL_AVERAGE_POOL, largest = d->kind == OP_MAX_POOL;
    bool small = !all && (largest || d->y.scale > 0) && d->kernel_h * d->kernel_w <= SMALL_WINDOW;
    struct op_desc w = *d;
    struct view v = {0};
    if (all) {
        w.kernel_h = d->x[0].h;
        w.kernel_w = d->x[0].w;
        w.stride_h = w.stride_w = 1;
        w.pad_top = w.pad_left = 0;
    }
    if (!(d->y.scale > 0)) v = view_of(b, &io->y, &d->y);
    const int n_rows = d->y.n * d->y.h;
#pragma omp parallel for num_threads(b->threads) schedule(static)
    for (int row = 0; row < n_rows; row++)
        for (int x = 0; x < d->y.w; x++) {
            size_t pixel = (size_t)row * (size_t)d->y.w + (size_t)x;
            const uint8_t *at[SMALL_WINDOW];
            if (small) {
                int n = taps_of(d, &io->x[0], row / d->y.h, row % d->y.h, x, at);
                uint8_t *y = pixel_at(&io->y, &d->y, pixel);
                if (n == 0) /* a window of padding alone */
                    memset(y, d->x[0].zero, (size_t)d->y.c);
                else if (largest)
                    op->k->max_of(y, at, n, (size_t)d->y.c);
                else
                    op->k->mean_of(y, at, n, (size_t)d->y.c, 1 / (float)n);
                continue;
            }
            for (int first = 0; first < d->y.c; first += PART) {
                int n_c = d->y.c - first < PART ? d->y.c - first : PART, n = 0;
                uint32_t sums[PART];
                uint8_t *y = largest ? pixel_at(&io->y, &d->y, pixel) + first : NULL;
                if (!largest) memset(sums, 0, (size_t)n_c * sizeof *sums);
                for (int tap = 0; tap < w.kernel_h * w.kernel_w; tap++) {
                    const uint8_t *from = tap_at(&w, &io->x[0], row / d->y.h, row % d->y.h, x, tap);
                    if (!from) continue;
                    if (!largest)
                        op->k->sum(sums, from + first, (size_t)n_c);
                    else if (n)
                        op->k->max(y, from + first, (size_t)n_c);
                    else
                        memcpy(y, from + first, (size_t)n_c);
                    n++;
                }
                if (!largest) put_mean(op, io, &v, pixel, first, n_c, sums, n);
            }
        }
}

/* --- the rest --- */

static void add_two(struct backend *b, struct int8_op *op, const struct op_io *io)
{
    const struct op_desc *d = &op->d;
    const float factor[2] = {d->x[0].scale / d->y.scale, d->x[1].scale / d->y.scale};
    const int zeros[3] = {d->x[0].zero, d->x[1].zero, d->y.zero};
    float low, high;
    int8_limits(d, &low, &high);
#pragma omp parallel for num_threads(b->threads) schedule(static)
    for (size_t i = 0; i < (size_t)d->y.n * plane_of(&d->y); i++)
        op->k->add(pixel_at(&io->y, &d->y, i), pixel_at(&io->x[0], &d->x[0], i),
                   pixel_at(&io->x[1], &d->x[1], i), (size_t)d->y.c, factor, zeros, low, high);
}

static void zero_pad(struct backend *b, const struct op_desc *d, const struct op_io *io)
{
#pragma omp parallel for num_threads(b->threads) schedule(static)
    for (int row = 0; row < d->y.n * d->y.h; row++)
        for (int x = 0; x < d->y.w; x++) {
            int n = row / d->y.h, iy = row % d->y.h - d->pad_top, ix = x - d->pad_left;
            uint8_t *y = pixel_at(&io->y, &d->y, (size_t)row * (size_t)d->y.w + (size_t)x);
            bool inside = iy >= 0 && iy < d->x[0].h && ix >= 0 && ix < d->x[0].w;
            size_t from =
                inside ? ((size_t)n * (size_t)d->x[0].h + (size_t)iy) * (size_t)d->x[0].w + (size_t)ix : 0;
            if (inside)
                memcpy(y, pixel_at(&io->x[0], &d->x[0], from), (size_t)d->y.c);
            else
                memset(y, d->y.zero, (size_t)d->y.c);
        }
}

/* Copies one input of a concatenation, converting between bytes and floats if necessary. */
static void convert(struct backend *b, const struct op_desc *d, const struct op_io *io, int k)
{
    const struct tensor_shape *x = &d->x[k];
    struct tensor_shape y = d->y;
    struct view from = {0}, to = {0};
    uint8_t bytes[256];
    bool same = x->scale == y.scale && x->zero == y.zero;
    y.c = x->c;
    y.first_c += d->first_c[k];
    if (!(x->scale > 0)) from = view_of(b, &io->x[k], x);
    /* The layout of a float y may not allow a view of this slice, so use a view of the whole tensor. */
    int first = d->first_c[k];
    if (!(y.scale > 0)) to = view_of(b, &io->y, &d->y);
    for (int i = 0; i < 256 && x->scale > 0 && y.scale > 0; i++)
        bytes[i] = int8_byte((float)(i - x->zero) * x->scale, &y);
    size_t plane = plane_of(x);
#pragma omp parallel for num_threads(b->threads) schedule(static)
    for (size_t i = 0; i < (size_t)x->n * plane; i++) {
        const uint8_t *in = x->scale > 0 ? pixel_at(&io->x[k], x, i) : NULL;
        uint8_t *out = y.scale > 0 ? pixel_at(&io->y, &y, i) : NULL;
        int n = (int)(i / plane);
        if (in && out && same) {
            memcpy(out, in, (size_t)x->c);
            continue;
        }
        for (int c = 0; c < x->c; c++) {
            if (in && out) {
                out[c] = bytes[in[c]];
                continue;
            }
            float value = in ? (float)(in[c] - x->zero) * x->scale
                             : pixel_of(&from, i % plane, n, c / from.inner)[c % from.inner];
            if (out)
                out[c] = int8_byte(value, &y);
            else
                pixel_of(&to, i % plane, n, (c + first) / to.inner)[(c + first) % to.inner] = value;
        }
    }
}

void int8_layer_forward(struct backend *b, struct int8_op *op, const struct op_io *io)
{
    switch (op->d.kind) {
    case OP_MAX_POOL:
    case OP_AVERAGE_POOL:
    case OP_GLOBAL_AVERAGE_POOL: pool(b, op, io); break;
    case OP_ADD: add_two(b, op, io); break;
    case OP_ZERO_PAD: zero_pad(b, &op->d, io); break;
    default:
        for (int k = 0; k < op->d.n_x; k++)
            convert(b, &op->d, io, k);
    }
}
