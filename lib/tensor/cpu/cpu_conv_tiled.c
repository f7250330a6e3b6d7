/*
 * cpu_conv_tiled.c: forward convolutions without padding and with constant weights by the loops of
 * conv_tile.h, with AVX2 only: 1x1 (for AVX-512 see pointwise.h), and what minimal filtering is not suited
 * for, above all stride 2 (with AVX-512 oneDNN is as fast). With AVX2 oneDNN 2.6 reaches 70 % of the
 * multipliers' peak for 1x1. It also runs once for each picture, and needs a dense output, so that a
 * concatenation has to be copied.
 *
 * Where a thread would get few pixels, output channels are divided instead, so that weights are read once.
 * A sum depends neither on the division nor on other pictures.
 */
#include <math.h>
#include <omp.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/cpu/conv_tile.h"
#include "tensor/cpu/cpu_view.h"

enum { PIXELS = 384, FEW_PIXELS = 96, LEAST_CHANNELS = 16 };
/* The inputs of the pixels that are taken together: they stay in the second-level cache while panels of
 * weights go through it. */
#define BLOCK_BYTES ((size_t)192 * 1024)
#define SMALL_CONV ((size_t)512 * 1024) /* multiply-adds: below this one thread is done first */

static bool is_padded(const struct op_desc *d)
{
    return d->pad_top || d->pad_left || (d->y.h - 1) * d->stride_h + d->kernel_h > d->x[0].h ||
           (d->y.w - 1) * d->stride_w + d->kernel_w > d->x[0].w;
}

bool conv_tiled_suits(const struct backend *b, const struct op_desc *d)
{
    if (!b->k || b->k != kernels_avx2() || d->kind != OP_CONV || !d->constant_weights || d->training)
        return false;
    int block = block_of(b, d->y.parent_c);
    bool whole_vectors = block == d->y.parent_c || block == TILE_VECTOR;
    return whole_vectors && conv_groups(d) == 1 && d->dilation_h == 1 && d->dilation_w == 1 &&
           !is_padded(d) && d->activation != OP_SIGMOID && d->x[0].c >= LEAST_CHANNELS &&
           d->y.c >= TILE_VECTOR;
}

/* Of the vectors that are left; four are taken as two and two, because one alone is slow. */
static int panel_vectors(int left)
{
    return left == TILE_WIDEST + 1 ? 2 : left < TILE_WIDEST ? left : TILE_WIDEST;
}
static int vectors_of(int c) { return (c + TILE_VECTOR - 1) / TILE_VECTOR; }

static size_t sums_of(const struct op_desc *d)
{
    return (size_t)d->kernel_h * (size_t)d->kernel_w * (size_t)d->x[0].c;
}

size_t conv_tiled_packed_bytes(const struct op_desc *d)
{
    return page_aligned(sums_of(d) * (size_t)vectors_of(d->y.c) * (size_t)TILE_VECTOR * sizeof(float));
}

/* Keras' [kh,kw,cin,cout] as panels, each in the order in which a window is read: blocks of channels, rows,
 * columns, channels. */
void conv_tiled_pack(const struct backend *b, const struct op_desc *d, const float *keras, float *packed)
{
    int inner = block_of(b, d->x[0].c), vectors = vectors_of(d->y.c);
    size_t ci = (size_t)d->x[0].c, co = (size_t)d->y.c;
    for (int v = 0, some; v < vectors; v += some) {
        some = panel_vectors(vectors - v);
        size_t first = (size_t)(v * TILE_VECTOR), width = (size_t)(some * TILE_VECTOR),
               there = co - first < width ? co - first : width;
        for (size_t c0 = 0; c0 < ci; c0 += (size_t)inner)
            for (size_t tap = 0; tap < (size_t)(d->kernel_h * d->kernel_w); tap++)
                for (size_t i = 0; i < (size_t)inner; i++, packed += width) {
                    memcpy(packed, keras + (tap * ci + c0 + i) * co + first, there * sizeof *packed);
                    memset(packed + there, 0, (width - there) * sizeof *packed);
                }
    }
}

/* The workspace has the runs, then the bias in whole vectors. */
static size_t runs_bytes(const struct backend *b, const struct op_desc *d)
{
    size_t runs = (size_t)(d->x[0].c / block_of(b, d->x[0].c) * d->kernel_h);
    return (runs * sizeof(ptrdiff_t) + 63) / 64 * 64;
}

size_t conv_tiled_workspace_bytes(const struct backend *b, const struct op_desc *d)
{
    return page_aligned(runs_bytes(b, d) + (size_t)vectors_of(d->y.c) * (size_t)TILE_VECTOR * sizeof(float));
}

/* --- running --- */

struct tiled {
    const struct op_desc *d;
    struct view x, y;
    const float *packed, *bias;
    const ptrdiff_t *runs;
};

/* Pixels that are taken together: where their windows begin, and their outputs. */
struct block {
    size_t n;
    const float *x[PIXELS];
    float *y[PIXELS];
};

/* The panels of a block whose middle is in vectors from .. to. Meanwhile the next panel is fetched, and with
 * each panel a part of the next block, so that memory is read all the time and not only with the first
 * panel. */
static void multiply(const struct tiled *t, const struct block *block, const struct block *later, int from,
                     int to)
{
    const struct op_desc *d = t->d;
    int vectors = vectors_of(d->y.c);
    struct tile_panel p = {.runs = t->runs,
                           .n_runs = t->x.blocks * d->kernel_h,
                           .run = t->x.inner * d->kernel_w,
                           .vector_step = t->y.blocks == 1 ? (size_t)TILE_VECTOR : t->y.b_stride,
                           .low = d->activation == OP_LINEAR ? -INFINITY : 0,
                           .high = d->activation == OP_RELU_CAPPED ? d->activation_max : INFINITY,
                           .far = later->n ? later->x : block->x,
                           .n_far = later->n ? later->n : 1};
    for (int v = 0; v < vectors; v += p.vectors) {
        p.vectors = panel_vectors(vectors - v);
        if (2 * v + p.vectors < 2 * from || 2 * v + p.vectors >= 2 * to) continue; /* by its middle */
        size_t first = (size_t)(v * TILE_VECTOR), floats = (size_t)(p.vectors * TILE_VECTOR) * sums_of(d);
        float *at[PIXELS];
        for (size_t i = 0; i < block->n; i++)
            at[i] = block->y[i] + (size_t)v * p.vector_step;
        p.packed = t->packed + first * sums_of(d);
        p.ahead = (const char *)(p.packed + floats);
        p.ahead_end = v + p.vectors < to ? (const char *)(p.packed + 2 * floats) : p.ahead;
        if (later->n) {
            p.far_from = p.n_runs * v / vectors;
            p.far_to = p.n_runs * (v + p.vectors) / vectors;
        }
        p.bias = t->bias + first;
        p.last = v + p.vectors < vectors ? TILE_VECTOR : d->y.c - (vectors - 1) * TILE_VECTOR;
        tile_panel(&p, block->x, at, block->n);
    }
}

/* Walks over the output pixels of pictures in order. */
struct walk {
    int n, y, x;
    size_t left;
};

static void take_block(const struct tiled *t, struct walk *w, size_t most, struct block *block)
{
    const struct op_desc *d = t->d;
    block->n = w->left < most ? w->left : most;
    w->left -= block->n;
    for (size_t i = 0; i < block->n; i++) {
        block->x[i] = at(&t->x, w->n, 0, w->y * d->stride_h, w->x * d->stride_w);
        block->y[i] = at(&t->y, w->n, 0, w->y, w->x);
        if (++w->x < t->y.w) continue;
        w->x = 0;
        if (++w->y < t->y.h) continue;
        w->y = 0;
        w->n++;
    }
}

/* Pixels first .. last of all pictures. */
static void multiply_pixels(const struct tiled *t, size_t first, size_t last, int from, int to)
{
    const struct op_desc *d = t->d;
    size_t plane = (size_t)(t->y.h * t->y.w), pixel = first % plane;
    size_t most = BLOCK_BYTES / sizeof(float) / (size_t)(d->x[0].c * d->stride_h * d->stride_w) / 24 * 24;
    struct walk w = {(int)(first / plane), (int)(pixel / (size_t)t->y.w), (int)(pixel % (size_t)t->y.w),
                     last - first};
    struct block blocks[2];
    most = most < 24 ? 24 : most > PIXELS ? PIXELS : most;
    take_block(t, &w, most, &blocks[0]);
    for (int i = 0; blocks[i].n; i = 1 - i) {
        take_block(t, &w, most, &blocks[1 - i]);
        multiply(t, &blocks[i], &blocks[1 - i], from, to);
    }
}

void conv_tiled_forward(const struct backend *b, const struct backend_op *op, const struct op_io *io,
                        float *workspace)
{
    const struct op_desc *d = &op->d;
    ptrdiff_t *runs = (ptrdiff_t *)(void *)workspace;
    float *bias = workspace + runs_bytes(b, d) / sizeof(float);
    struct tiled t = {.d = d,
                      .x = view_of(b, &io->x[0], &d->x[0]),
                      .y = view_of(b, &io->y, &d->y),
                      .packed = op->conv.packed,
                      .bias = bias,
                      .runs = runs};
    int vectors = vectors_of(d->y.c);
    for (int block = 0; block < t.x.blocks; block++)
        for (int r = 0; r < d->kernel_h; r++)
            *runs++ = (ptrdiff_t)((size_t)block * t.x.b_stride + (size_t)(r * t.x.w) * t.x.px_stride);
    memset(bias, 0, (size_t)(vectors * TILE_VECTOR) * sizeof *bias);
    if (d->has_bias) memcpy(bias, op->bias, (size_t)d->y.c * sizeof *bias);
    size_t pixels = (size_t)t.y.n * (size_t)t.y.h * (size_t)t.y.w;
    bool by_channels = pixels < (size_t)b->threads * FEW_PIXELS;
    const int n_threads = pixels * sums_of(d) * (size_t)d->y.c < SMALL_CONV ? 1 : b->threads;
#pragma omp parallel num_threads(n_threads)
    {
        size_t i = (size_t)omp_get_thread_num(), threads = (size_t)omp_get_num_threads();
        if (by_channels)
            multiply_pixels(&t, 0, pixels, (int)((size_t)vectors * i / threads),
                            (int)((size_t)vectors * (i + 1) / threads));
        else
            multiply_pixels(&t, pixels * i / threads, pixels * (i + 1) / threads, 0, vectors);
    }
}
