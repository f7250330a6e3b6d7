/* ref_moves.c: operations that copy values of other pixels or channels: resizing, and selecting channels. */
#include <assert.h>
#include <string.h>

#include "tensor/ref/ref.h"
#include "tensor/resize_tap.h"

/* The four pixels from which pixel (p, q) of y is interpolated, and the weights of the second row and
 * column. */
struct taps {
    float *from[2][2];
    double down, right;
};

static struct taps taps_of(const struct op_desc *d, const struct ref_view *x, const struct ref_view *y, int n,
                           int p, int q)
{
    struct resize_tap v = resize_tap(p, x->h, y->h, d->nearest, d->from_corner),
                      h = resize_tap(q, x->w, y->w, d->nearest, d->from_corner);
    return (struct taps){{{ref_pixel(x, n, v.a, h.a), ref_pixel(x, n, v.a, h.b)},
                          {ref_pixel(x, n, v.b, h.a), ref_pixel(x, n, v.b, h.b)}},
                         v.share,
                         h.share};
}

static void clear(const struct ref_view *v)
{
    for (size_t i = 0; i < ref_pixels(v); i++)
        memset(v->data + i * v->stride, 0, (size_t)v->c * sizeof(float));
}

void ref_moves_forward(const struct op_desc *d, const struct op_io *io)
{
    struct ref_view x = ref_view_of(&io->x[0], &d->x[0]), y = ref_view_of(&io->y, &d->y);
    assert(x.data && y.data);
    for (int n = 0; n < y.n; n++)
        for (int p = 0; p < y.h; p++)
            for (int q = 0; q < y.w; q++) {
                float *to = ref_pixel(&y, n, p, q);
                if (d->kind == OP_CHANNELS) {
                    for (int c = 0; c < y.c; c++)
                        to[c] = ref_pixel(&x, n, p, q)[op_channel(d, c)];
                    continue;
                }
                struct taps t = taps_of(d, &x, &y, n, p, q);
                for (int c = 0; c < y.c; c++)
                    to[c] = resize_mix(resize_mix(t.from[0][0][c], t.from[0][1][c], t.right),
                                       resize_mix(t.from[1][0][c], t.from[1][1][c], t.right), t.down);
            }
}

void ref_moves_backward(const struct op_desc *d, const struct op_io *io)
{
    struct ref_view dx = ref_view_of(&io->dx[0], &d->x[0]), dy = ref_view_of(&io->dy, &d->y);
    if (!dx.data) return;
    assert(dy.data);
    if (!io->accumulate[0]) clear(&dx);
    for (int n = 0; n < dy.n; n++)
        for (int p = 0; p < dy.h; p++)
            for (int q = 0; q < dy.w; q++) {
                const float *from = ref_pixel(&dy, n, p, q);
                if (d->kind == OP_CHANNELS) {
                    for (int c = 0; c < dy.c; c++)
                        ref_pixel(&dx, n, p, q)[op_channel(d, c)] += from[c];
                    continue;
                }
                struct taps t = taps_of(d, &dx, &dy, n, p, q);
                for (int i = 0; i < 4; i++) {
                    double share = (i & 2 ? t.down : 1 - t.down) * (i & 1 ? t.right : 1 - t.right);
                    for (int c = 0; share != 0 && c < dy.c; c++)
                        t.from[i >> 1][i & 1][c] += (float)(from[c] * share);
                }
            }
}
