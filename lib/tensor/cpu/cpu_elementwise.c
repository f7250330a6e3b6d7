/* cpu_elementwise.c: activations, sums, dropout, copies, softmax. Their speed is limited by memory, so
 * each of them makes only one or two passes over its tensors. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "tensor/cpu/cpu_view.h"
#include "tensor/curves.h"

void cpu_activation_backward(struct backend *b, const struct op_desc *d, const struct op_io *io)
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

void cpu_add(struct backend *b, float *y, const float *x, size_t count)
{
#pragma omp parallel num_threads(threads_for(b, count))
    {
        size_t first, last;
        share(count, &first, &last);
        b->k->add(y + first, x + first, last - first);
    }
}

/* In blocks of 64 pixels, so that float32 sums of tens of thousands are exact enough. */
void cpu_bias_gradient(struct backend *b, const struct op_desc *d, const struct op_io *io, float *scratch)
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

static void softmax_pixels(const struct view *x, const struct view *y, int c)
{
    assert(x->p && y->p);
    for (int n = 0; n < x->n; n++)
        for (size_t i = 0; i < (size_t)x->h * (size_t)x->w; i++) {
#define IN(k) pixel_of(x, i, n, (k) / x->inner)[(k) % x->inner]
            double top = IN(0), sum = 0;
            for (int k = 1; k < c; k++)
                top = IN(k) > top ? IN(k) : top;
            for (int k = 0; k < c; k++)
                sum += exp(IN(k) - top);
            for (int k = 0; k < c; k++)
                pixel_of(y, i, n, k / y->inner)[k % y->inner] = (float)(exp(IN(k) - top) / sum);
#undef IN
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
 * Copies between the channels of a whole tensor from first_c on and a part with its own layout, in either
 * direction. A part whose blocks agree with blocks of the whole is copied in runs, and any other part value
 * by value.
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
            int iy = y + d->pad_top;
            int ix = x + d->pad_left;
            if (iy < 0 || iy >= dy->h || ix < 0 || ix >= dy->w) { /* cut off */
                if (!accumulate) memset(to, 0, (size_t)dx->inner * sizeof(float));
                continue;
            }
            const float *from = at(dy, n, block, iy, ix);
            if (accumulate)
                b->k->add(to, from, (size_t)dx->inner);
            else
                memcpy(to, from, (size_t)dx->inner * sizeof(float));
        }
    });
}

/* Copies values in NHWC order from one shape to another, where their layouts differ. */
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

static void curve_forward(struct backend *b, const struct op_desc *d, const struct view *in,
                          const struct view *out)
{
    EACH_ROW(*out, {
        for (int x = 0; x < out->w; x++) {
            float *to = at(out, n, block, y, x);
            const float *from = at(in, n, block, y, x);
            if (d->curve == CURVE_SILU) /* EfficientNet computes tens of millions of them for a picture */
                b->k->silu(to, from, (size_t)out->inner);
            else
                for (int c = 0; c < out->inner; c++)
                    to[c] = (float)curve_value(d->curve, d->curve_at, from[c]);
        }
    });
}

static void curve_backward(struct backend *b, const struct op_desc *d, const struct op_io *io)
{
    struct view in = view_of(b, &io->x[0], &d->x[0]), dy = view_of(b, &io->dy, &d->y),
                dx = view_of(b, &io->dx[0], &d->x[0]);
    if (!dx.p) return;
    EACH_ROW(dx, {
        for (int x = 0; x < dx.w; x++) {
            float *to = at(&dx, n, block, y, x);
            const float *from = at(&in, n, block, y, x);
            const float *g = at(&dy, n, block, y, x);
            for (int c = 0; c < dx.inner; c++) {
                float v = (float)(g[c] * curve_slope(d->curve, d->curve_at, from[c]));
                to[c] = io->accumulate[0] ? to[c] + v : v;
            }
        }
    });
}

static bool is_dense(const struct view *v) { return v->px_stride == (size_t)v->inner; }

static void each_value_forward(struct backend *b, const struct op_desc *d, const struct op_io *io)
{
    struct view x0 = view_of(b, &io->x[0], &d->x[0]), out = view_of(b, &io->y, &d->y), others[OP_MAX_INPUTS];
    const float *mask = slot_at(&io->mask);
    struct act act = act_of(d);
    bool dense = d->kind != OP_MULTIPLY && is_dense(&x0) && is_dense(&out);
    for (int k = 1; k < d->n_x; k++) {
        others[k] = view_of(b, &io->x[k], &d->x[k]);
        dense = dense && is_dense(&others[k]);
    }
    const int step = dense ? out.w : 1; /* pixels that are taken together */
    EACH_ROW(out, {
        for (int x = 0; x < out.w; x += step) {
            float *to = at(&out, n, block, y, x);
            const float *from = at(&x0, n, block, y, x);
            size_t inner = (size_t)out.inner * (size_t)step;
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

static void each_value_backward(struct backend *b, const struct backend_op *op, const struct op_io *io)
{
    const struct op_desc *d = &op->d;
    struct view dy = view_of(b, &io->dy, &d->y);
    const float *mask = slot_at(&io->mask);
    cpu_activation_backward(b, d, io);
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

void cpu_elementwise_forward(struct backend *b, const struct op_desc *d, const struct op_io *io)
{
    struct view x = view_of(b, &io->x[0], &d->x[0]), y = view_of(b, &io->y, &d->y);
    switch (d->kind) {
    case OP_SOFTMAX: softmax_pixels(&x, &y, d->y.c); break;
    case OP_CONCAT:
        for (int i = 0; i < d->n_x; i++)
            concat_part(b, &io->y, &d->y, d->first_c[i], &io->x[i], &d->x[i], true, false);
        break;
    case OP_ZERO_PAD: zero_pad_forward(b, d, &x, &y); break;
    case OP_RESHAPE: reshape(&x, &y, false); break;
    case OP_CURVE: curve_forward(b, d, &x, &y); break;
    default: each_value_forward(b, d, io);
    }
}

void cpu_elementwise_backward(struct backend *b, const struct backend_op *op, const struct op_io *io)
{
    const struct op_desc *d = &op->d;
    struct view dx = view_of(b, &io->dx[0], &d->x[0]), dy = view_of(b, &io->dy, &d->y);
    switch (d->kind) {
    case OP_CONCAT:
        for (int i = 0; i < d->n_x; i++)
            concat_part(b, &io->dy, &d->y, d->first_c[i], &io->dx[i], &d->x[i], false, io->accumulate[i]);
        break;
    case OP_ZERO_PAD: zero_pad_backward(b, d, &dx, &dy, io->accumulate[0]); break;
    case OP_RESHAPE: reshape(&dy, &dx, io->accumulate[0]); break;
    case OP_CURVE: curve_backward(b, d, io); break;
    default: each_value_backward(b, op, io);
    }
}
