/* cpu_moves.c: operations that copy values of other pixels or channels: resizing, and selecting channels. */
#include <assert.h>
#include <string.h>

#include "tensor/cpu/cpu_view.h"
#include "tensor/resize_tap.h"

static float *channel(const struct view *v, int n, int y, int x, int c)
{
    return at(v, n, c / v->inner, y, x) + c % v->inner;
}

/*
 * One row of pixels; forward: y from x, else x gets the gradients of y added. Where each pixel has its
 * channels together, they are taken in runs.
 */
static void channels_row(struct backend *b, const struct op_desc *d, const struct view *x,
                         const struct view *y, int n, int row, bool forward)
{
    bool together = x->blocks == 1 && y->blocks == 1, run = d->pick_groups == 1 && d->pick_step == 1;
    int groups = d->pick_groups, c = d->y.c;
    for (int p = 0; p < y->w; p++) {
        float *in = at(x, n, 0, row, p) + d->pick_first, *out = at(y, n, 0, row, p);
        if (together && run && forward)
            memcpy(out, in, (size_t)c * sizeof *out);
        else if (together && run)
            b->k->add(in, out, (size_t)c);
        else if (together)
            for (int k = 0; k < groups; k++) {
                float *from = in + k * d->pick_span;
                if (forward)
                    for (int i = k; i < c; i += groups, from += d->pick_step)
                        out[i] = *from;
                else
                    for (int i = k; i < c; i += groups, from += d->pick_step)
                        *from += out[i];
            }
        else
            for (int i = 0; i < c; i++) {
                float *from = channel(x, n, row, p, op_channel(d, i)), *to = channel(y, n, row, p, i);
                *(forward ? to : from) = forward ? *from : *from + *to;
            }
    }
}

static void clear_row(const struct view *v, int n, int row)
{
    for (int block = 0; block < v->blocks; block++)
        for (int p = 0; p < v->w; p++)
            memset(at(v, n, block, row, p), 0, (size_t)v->inner * sizeof(float));
}

static void channels(struct backend *b, const struct op_desc *d, const struct view *x, const struct view *y,
                     bool forward, bool clear)
{
#pragma omp parallel num_threads(threads_for(b, view_values(y)))
    {
        size_t i, end;
        share((size_t)y->n * (size_t)y->h, &i, &end);
        for (; i < end; i++) {
            int n = (int)(i / (size_t)y->h), row = (int)(i % (size_t)y->h);
            if (clear) clear_row(x, n, row);
            channels_row(b, d, x, y, n, row, forward);
        }
    }
}

static void resize(struct backend *b, const struct op_desc *d, const struct view *in, const struct view *out)
{
    EACH_ROW(*out, {
        struct resize_tap v = resize_tap(y, in->h, out->h, d->nearest, d->from_corner);
        for (int x = 0; x < out->w; x++) {
            struct resize_tap h = resize_tap(x, in->w, out->w, d->nearest, d->from_corner);
            float *to = at(out, n, block, y, x);
            const float *aa = at(in, n, block, v.a, h.a);
            const float *ab = at(in, n, block, v.a, h.b);
            const float *ba = at(in, n, block, v.b, h.a);
            const float *bb = at(in, n, block, v.b, h.b);
            if (d->nearest) {
                memcpy(to, aa, (size_t)out->inner * sizeof *to);
                continue;
            }
            for (int c = 0; c < out->inner; c++)
                to[c] =
                    resize_mix(resize_mix(aa[c], ab[c], h.share), resize_mix(ba[c], bb[c], h.share), v.share);
        }
    });
}

/* By planes: pixels of several rows of dy go into one of dx. */
static void resize_backward(struct backend *b, const struct op_desc *d, const struct view *dx,
                            const struct view *dy, bool accumulate)
{
    EACH_PLANE(*dx, {
        for (int y = 0; y < dx->h && !accumulate; y++)
            for (int x = 0; x < dx->w; x++)
                memset(at(dx, n, block, y, x), 0, (size_t)dx->inner * sizeof(float));
        for (int y = 0; y < dy->h; y++) {
            struct resize_tap v = resize_tap(y, dx->h, dy->h, d->nearest, d->from_corner);
            for (int x = 0; x < dy->w; x++) {
                struct resize_tap h = resize_tap(x, dx->w, dy->w, d->nearest, d->from_corner);
                const float *from = at(dy, n, block, y, x);
                for (int i = 0; i < 4; i++) {
                    double part = (i & 2 ? v.share : 1 - v.share) * (i & 1 ? h.share : 1 - h.share);
                    float *to = at(dx, n, block, i & 2 ? v.b : v.a, i & 1 ? h.b : h.a);
                    for (int c = 0; part != 0 && c < dx->inner; c++)
                        to[c] += (float)(from[c] * part);
                }
            }
        }
    });
}

void cpu_moves_forward(struct backend *b, const struct op_desc *d, const struct op_io *io)
{
    struct view x = view_of(b, &io->x[0], &d->x[0]), y = view_of(b, &io->y, &d->y);
    assert(x.p && y.p);
    if (d->kind == OP_CHANNELS)
        channels(b, d, &x, &y, true, false);
    else
        resize(b, d, &x, &y);
}

void cpu_moves_backward(struct backend *b, const struct op_desc *d, const struct op_io *io)
{
    struct view dx = view_of(b, &io->dx[0], &d->x[0]), dy = view_of(b, &io->dy, &d->y);
    if (!dx.p) return;
    assert(dy.p);
    if (d->kind == OP_CHANNELS)
        channels(b, d, &dx, &dy, false, !io->accumulate[0]);
    else
        resize_backward(b, d, &dx, &dy, io->accumulate[0]);
}
