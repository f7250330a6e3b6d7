/* outer.c: gradients of the weights of convolutions by the loops of outer.h. Each thread has a part of the
 * rows of dw, so that a sum is made by one thread alone, in an order that does not depend on how many there
 * are. */
#include <omp.h>
#include <string.h>

#include "tensor/cpu/outer.h"

const struct outer_kernels *outer_kernels(const struct backend *b)
{
    return b->k == kernels_avx512() ? outer_avx512() : b->k == kernels_avx2() ? outer_avx2() : NULL;
}

bool outer_suits(const struct backend *b, const struct op_desc *d)
{
    int y_block = block_of(b, d->y.parent_c);
    return d->kind == OP_CONV && conv_groups(d) == 1 && b->k && outer_kernels(b) && y_block > 1;
}

static size_t panels_of(const struct outer_kernels *k, int c)
{
    return (size_t)((c + k->vector - 1) / k->vector);
}

static size_t panel_floats(const struct outer_kernels *k) { return (size_t)k->vector * OUTER_PART; }

/* For each thread a part of both sides as panels. */
static size_t thread_floats(const struct outer_kernels *k, const struct op_desc *d)
{
    return (panels_of(k, d->x[0].c) + panels_of(k, d->y.c)) * panel_floats(k);
}

size_t outer_workspace_bytes(const struct backend *b, const struct op_desc *d)
{
    return (size_t)b->threads * thread_floats(outer_kernels(b), d) * sizeof(float);
}

/* dw as rows of panels: those of tap 0, tap 1 and so on. */
struct gradient {
    const struct outer_kernels *k;
    const struct op_desc *d;
    struct view x, dy;
    float *dw;
};

/* Panels first .. last of dw's rows. Output pixels are taken a part at a time: what each tap reads for them
 * is copied into panels. */
static void copied_rows(const struct gradient *g, size_t first, size_t last, float *a)
{
    const struct op_desc *d = g->d;
    size_t panel = panel_floats(g->k), vector = (size_t)g->k->vector, panels = panels_of(g->k, d->x[0].c),
           ci = (size_t)d->x[0].c, co = (size_t)d->y.c, plane = (size_t)(g->dy.h * g->dy.w),
           pixels = (size_t)g->dy.n * plane;
    float *b = a + panels * panel;
    const float *at_y[OUTER_PART], *at_x[OUTER_PART];
    for (size_t i = 0; i < pixels; i += OUTER_PART) {
        size_t n = pixels - i < OUTER_PART ? pixels - i : OUTER_PART;
        for (size_t k = 0; k < n; k++)
            at_y[k] = pixel_of(&g->dy, (i + k) % plane, (int)((i + k) / plane), 0);
        g->k->copy(at_y, n, &g->dy, 0, d->y.c, b, panel);
        for (size_t row = first, to; row < last; row = to) {
            size_t tap = row / panels, base = tap * panels;
            to = last < base + panels ? last : base + panels;
            int from_c = (int)((row - base) * vector), to_c = (int)((to - base) * vector);
            to_c = to_c < d->x[0].c ? to_c : d->x[0].c;
            for (size_t k = 0; k < n; k++) {
                int p = (int)((i + k) % plane), y = p / g->dy.w * d->stride_h - d->pad_top,
                    x = p % g->dy.w * d->stride_w - d->pad_left;
                y += (int)(tap / (size_t)d->kernel_w) * d->dilation_h;
                x += (int)(tap % (size_t)d->kernel_w) * d->dilation_w;
                at_x[k] = y >= 0 && y < g->x.h && x >= 0 && x < g->x.w
                              ? at(&g->x, (int)((i + k) / plane), 0, y, x)
                              : NULL;
            }
            g->k->copy(at_x, n, &g->x, from_c, to_c, a, panel);
            struct outer_part part = {{a, panel, 0}, {b, panel, 0}, 1, n, g->dw + tap * ci * co, co};
            g->k->part(&part, from_c, to_c, d->y.c);
        }
    }
}

/* 1x1 where blocks of channels are panels: small pictures are taken together, and large ones divided. */
static void blocked_rows(const struct gradient *g, int from, int to)
{
    const struct view *x = &g->x, *dy = &g->dy;
    size_t plane = (size_t)x->h * (size_t)x->w, pieces = (plane + OUTER_PART / 2) / OUTER_PART,
           n_pictures = (size_t)x->n, vector = (size_t)g->k->vector;
    size_t together = plane < OUTER_PART ? OUTER_PART / plane : 1;
    pieces = pieces ? pieces : 1;
    for (size_t n = 0; n < n_pictures; n += together)
        for (size_t i = 0; i < pieces; i++) {
            size_t first = plane * i / pieces, last = plane * (i + 1) / pieces;
            struct outer_part p = {{x->p + n * x->n_stride + first * vector, x->b_stride, x->n_stride},
                                   {dy->p + n * dy->n_stride + first * vector, dy->b_stride, dy->n_stride},
                                   n_pictures - n < together ? n_pictures - n : together,
                                   last - first,
                                   g->dw,
                                   (size_t)g->d->y.c};
            g->k->part(&p, from, to, g->d->y.c);
        }
}

static bool is_blocked(const struct outer_kernels *k, const struct view *v)
{
    return v->inner == k->vector && v->px_stride == (size_t)k->vector;
}

void outer_gradient(const struct backend *b, const struct op_desc *d, const struct op_io *io,
                    float *workspace)
{
    struct gradient g = {outer_kernels(b), d, view_of(b, &io->x[0], &d->x[0]), view_of(b, &io->dy, &d->y),
                         slot_at(&io->dw)};
    size_t taps = (size_t)(d->kernel_h * d->kernel_w), ci = (size_t)d->x[0].c, co = (size_t)d->y.c,
           rows = taps * panels_of(g.k, d->x[0].c), values = taps * ci * co;
    bool blocked = taps == 1 && d->y.h == d->x[0].h && d->y.w == d->x[0].w && is_blocked(g.k, &g.x) &&
                   is_blocked(g.k, &g.dy);
#pragma omp parallel num_threads(b->threads)
    {
        size_t t = (size_t)omp_get_thread_num(), threads = (size_t)omp_get_num_threads();
        size_t first = rows * t / threads, last = rows * (t + 1) / threads;
        memset(g.dw + values * t / threads, 0,
               (values * (t + 1) / threads - values * t / threads) * sizeof *g.dw);
#pragma omp barrier
        if (first < last && blocked)
            blocked_rows(&g, (int)first * g.k->vector, (int)last * g.k->vector);
        else if (first < last)
            copied_rows(&g, first, last, workspace + t * thread_floats(g.k, d));
    }
}
