/*
 * cpu_conv_tiled.c: computes forward convolutions with constant weights with the loops of conv_tile.h: 1x1
 * convolutions, and those for which minimal filtering is not suited, above all with stride 2. oneDNN 2.6
 * reaches 70 % of the multipliers' peak for 1x1. It also runs once for each picture, and needs a dense
 * output, so that a concatenation has to be copied.
 *
 * When each thread would get few pixels, output channels are divided among the threads instead, so that
 * weights are read once. A sum does not depend on the division or on other pictures.
 */
#include <math.h>
#include <omp.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "tensor/cpu/conv_tile.h"
#include "tensor/cpu/cpu_view.h"

enum { PIXELS = 384, FEW_PIXELS = 96, LEAST_CHANNELS = 16 };
enum { UNIT = 24 };                     /* pixels: of tiles of any shape a whole number, nearly */
#define SMALL_CONV ((size_t)512 * 1024) /* multiply-adds below which one thread is faster */

static const struct tile_kernels *kernels_for(const struct backend *b)
{
    return b->k == kernels_avx512() ? tiles_avx512() : b->k == kernels_avx2() ? tiles_avx2() : NULL;
}

static bool is_padded(const struct op_desc *d)
{
    return d->pad_top || d->pad_left || (d->y.h - 1) * d->stride_h + d->kernel_h > d->x[0].h ||
           (d->y.w - 1) * d->stride_w + d->kernel_w > d->x[0].w;
}

bool conv_tiled_suits(const struct backend *b, const struct op_desc *d)
{
    const struct tile_kernels *k = b->k ? kernels_for(b) : NULL;
    if (!k || d->kind != OP_CONV || !d->constant_weights || d->training) return false;
    int block = block_of(b, d->y.parent_c);
    bool whole_vectors = block == d->y.parent_c || block == k->vector;
    return whole_vectors && conv_groups(d) == 1 && d->dilation_h == 1 && d->dilation_w == 1 &&
           !is_padded(d) && d->activation != OP_SIGMOID && d->x[0].c >= LEAST_CHANNELS && d->y.c >= k->vector;
}

/* Of the vectors that are left: the last panels are equally wide, because one vector alone is slow. */
static int panel_vectors(const struct tile_kernels *k, int left)
{
    return left <= k->widest ? left : left < 2 * k->widest ? (left + 1) / 2 : k->widest;
}
static int vectors_of(const struct tile_kernels *k, int c) { return (c + k->vector - 1) / k->vector; }

static size_t sums_of(const struct op_desc *d)
{
    return (size_t)d->kernel_h * (size_t)d->kernel_w * (size_t)d->x[0].c;
}

static size_t columns_of(const struct tile_kernels *k, const struct op_desc *d)
{
    return (size_t)vectors_of(k, d->y.c) * (size_t)k->vector;
}

size_t conv_tiled_packed_bytes(const struct backend *b, const struct op_desc *d)
{
    return page_aligned(sums_of(d) * columns_of(kernels_for(b), d) * sizeof(float));
}

/* A panel of turned weights, n_rows of them; a line of keras is read at once. */
static void pack_turned(const float *keras, size_t n_rows, size_t there, size_t width, float *packed)
{
    for (size_t first = 0; first < n_rows; first += 16, packed += 16 * width)
        for (size_t c = 0; c < width; c++)
            for (size_t i = 0; i < 16 && first + i < n_rows; i++)
                packed[i * width + c] = c < there ? keras[c * n_rows + first + i] : 0;
}

/* Keras' [kh,kw,cin,cout] as panels, each in the order in which a window is read: blocks of channels, rows,
 * columns, channels. */
void conv_tiled_pack(const struct backend *b, const struct op_desc *d, const float *keras, bool turned,
                     float *packed)
{
    const struct tile_kernels *k = kernels_for(b);
    int inner = block_of(b, d->x[0].c), vectors = vectors_of(k, d->y.c);
    size_t ci = (size_t)d->x[0].c, co = (size_t)d->y.c;
    for (int v = 0, some; v < vectors; v += some) {
        some = panel_vectors(k, vectors - v);
        size_t first = (size_t)(v * k->vector), width = (size_t)(some * k->vector),
               there = co - first < width ? co - first : width;
        if (turned) {
            pack_turned(keras + first * ci, ci, there, width, packed);
            packed += ci * width;
            continue;
        }
        for (size_t c0 = 0; c0 < ci; c0 += (size_t)inner)
            for (size_t tap = 0; tap < (size_t)(d->kernel_h * d->kernel_w); tap++)
                for (size_t i = 0; i < (size_t)inner; i++, packed += width) {
                    memcpy(packed, keras + (tap * ci + c0 + i) * co + first, there * sizeof *packed);
                    memset(packed + there, 0, (width - there) * sizeof *packed);
                }
    }
}

/* Returns the largest number of a window's floats that one pass reads. */
static size_t pass_floats(const struct tile_kernels *k)
{
    return k->pass_bytes / sizeof(float) / (size_t)(k->widest * k->vector) / 8 * 8;
}

/* Computes the runs that a window reads: its rows in each block of channels, in pieces that fit into a
 * pass. */
static int window_runs(const struct backend *b, const struct op_desc *d, const struct view *x,
                       struct tile_run *runs)
{
    int n = 0, inner = block_of(b, d->x[0].c);
    ptrdiff_t most = (ptrdiff_t)pass_floats(kernels_for(b)), row = (ptrdiff_t)inner * d->kernel_w;
    for (int block = 0; block < d->x[0].c / inner; block++)
        for (int r = 0; r < d->kernel_h; r++)
            for (ptrdiff_t i = 0; i < row; i += most, n++)
                if (runs)
                    runs[n] = (struct tile_run){(ptrdiff_t)((size_t)block * x->b_stride +
                                                            (size_t)(r * x->w) * x->px_stride) +
                                                    i,
                                                row - i < most ? row - i : most};
    return n;
}

/* The workspace has the runs, the bias in whole vectors, then for each thread the sums between passes. */
static size_t runs_bytes(const struct backend *b, const struct op_desc *d)
{
    return ((size_t)window_runs(b, d, NULL, NULL) * sizeof(struct tile_run) + 63) / 64 * 64;
}

static size_t sums_floats(const struct tile_kernels *k)
{
    return (size_t)PIXELS * (size_t)(k->widest * k->vector);
}

size_t conv_tiled_workspace_bytes(const struct backend *b, const struct op_desc *d)
{
    const struct tile_kernels *k = kernels_for(b);
    return page_aligned(runs_bytes(b, d) +
                        (columns_of(k, d) + (size_t)b->threads * sums_floats(k)) * sizeof(float));
}

/* --- running --- */

struct tiled {
    const struct tile_kernels *k;
    const struct op_desc *d;
    struct view x, y, residual; /* residual.p is NULL where nothing is added before the activation */
    bool add;
    const float *packed, *bias;
    const struct tile_run *runs;
    int n_runs;
    size_t block_pixels;
};

/* Pixels that are computed together: the addresses of their windows and of their outputs. */
struct block {
    size_t n;
    const float *x[PIXELS + TILE_PIXELS - 1]; /* the last is repeated */
    float *y[PIXELS];
    const float *residual[PIXELS];
};

/* The passes of one panel. */
static void multiply_panel(const struct tiled *t, struct tile_pass *p, const struct block *block,
                           float *const *y)
{
    size_t most = pass_floats(t->k), width = (size_t)(p->vectors * t->k->vector);
    p->resume = false;
    for (int first = 0, far_from = p->far_from, far_to = p->far_to; first < t->n_runs; first += p->n_runs) {
        size_t floats = 0;
        for (p->n_runs = 0; first + p->n_runs < t->n_runs; p->n_runs++) {
            size_t more = (size_t)t->runs[first + p->n_runs].n;
            if (floats && floats + more > most) break;
            floats += more;
        }
        const char *next = (const char *)(p->packed + floats * width);
        p->runs = t->runs + first;
        p->far_from = far_from - first;
        p->far_to = far_to - first;
        p->more = first + p->n_runs < t->n_runs;
        p->ahead = p->ahead > next ? p->ahead : next;
        t->k->pass(p, block->x, y, block->n);
        p->packed += floats * width;
        p->resume = true;
    }
}

/* The panels of a block whose middle is in vectors from .. to. Meanwhile the next weights are fetched, and
 * with each panel a part of the next block, so that memory is read all the time and not only with the first
 * panel. */
static void multiply(const struct tiled *t, const struct block *block, const struct block *later, int from,
                     int to, float *sums)
{
    const struct op_desc *d = t->d;
    int vectors = vectors_of(t->k, d->y.c);
    struct tile_pass p = {.sums = sums,
                          .add = t->add,
                          .short_runs = t->x.inner * d->kernel_w == 8,
                          .vector_step = t->y.blocks == 1 ? (size_t)t->k->vector : t->y.b_stride,
                          .residual_step =
                              t->residual.blocks == 1 ? (size_t)t->k->vector : t->residual.b_stride,
                          .low = d->activation == OP_LINEAR ? -INFINITY : 0,
                          .high = d->activation == OP_RELU_CAPPED ? d->activation_max : INFINITY,
                          .far = later->x,
                          .n_far = later->n};
    for (int v = 0; v < vectors; v += p.vectors) {
        p.vectors = panel_vectors(t->k, vectors - v);
        if (2 * v + p.vectors < 2 * from || 2 * v + p.vectors >= 2 * to) continue; /* by its middle */
        size_t first = (size_t)(v * t->k->vector), floats = (size_t)(p.vectors * t->k->vector) * sums_of(d);
        float *at[PIXELS];
        const float *residual_at[PIXELS];
        for (size_t i = 0; i < block->n; i++)
            at[i] = block->y[i] + (size_t)v * p.vector_step;
        for (size_t i = 0; t->residual.p && i < block->n; i++)
            residual_at[i] = block->residual[i] + (size_t)v * p.residual_step;
        p.residual = t->residual.p ? residual_at : NULL;
        p.packed = t->packed + first * sums_of(d);
        p.ahead_end = (const char *)(p.packed + (v + p.vectors < to ? 2 * floats : floats));
        p.far_from = later->n ? t->n_runs * v / vectors : 0;
        p.far_to = later->n ? t->n_runs * (v + p.vectors) / vectors : 0;
        p.bias = t->bias + first;
        p.last = v + p.vectors < vectors ? t->k->vector : d->y.c - (vectors - 1) * t->k->vector;
        multiply_panel(t, &p, block, at);
    }
}

/* Iterates over the output pixels of all pictures in order. */
struct walk {
    int n, y, x;
    size_t left;
};

static void take_block(const struct tiled *t, struct walk *w, struct block *block)
{
    const struct op_desc *d = t->d;
    block->n = w->left < t->block_pixels ? w->left : t->block_pixels;
    w->left -= block->n;
    for (size_t i = 0; i < block->n; i++) {
        block->x[i] = at(&t->x, w->n, 0, w->y * d->stride_h, w->x * d->stride_w);
        block->y[i] = at(&t->y, w->n, 0, w->y, w->x);
        if (t->residual.p) block->residual[i] = at(&t->residual, w->n, 0, w->y, w->x);
        if (++w->x < t->y.w) continue;
        w->x = 0;
        if (++w->y < t->y.h) continue;
        w->y = 0;
        w->n++;
    }
    for (size_t i = 0; block->n && i < TILE_PIXELS - 1; i++)
        block->x[block->n + i] = block->x[block->n - 1];
}

/* Computes the pixels first .. last of all pictures. */
static void multiply_pixels(const struct tiled *t, size_t first, size_t last, int from, int to, float *sums)
{
    size_t plane = (size_t)(t->y.h * t->y.w), pixel = first % plane;
    struct walk w = {(int)(first / plane), (int)(pixel / (size_t)t->y.w), (int)(pixel % (size_t)t->y.w),
                     last - first};
    struct block blocks[2];
    take_block(t, &w, &blocks[0]);
    for (int i = 0; blocks[i].n; i = 1 - i) {
        take_block(t, &w, &blocks[1 - i]);
        multiply(t, &blocks[i], &blocks[1 - i], from, to, sums);
    }
}

/* Pixels that are taken together: their inputs stay in the second-level cache while panels of weights go
 * through it. Those of a thread are divided evenly. */
static size_t block_pixels(const struct op_desc *d, size_t pixels)
{
    long cache = sysconf(_SC_LEVEL2_CACHE_SIZE);
    size_t bytes = cache < 768 * 1024 ? (size_t)192 * 1024 : (size_t)cache / 4;
    size_t most = bytes / sizeof(float) / (size_t)(d->x[0].c * d->stride_h * d->stride_w) / UNIT * UNIT;
    most = most < UNIT ? UNIT : most > PIXELS ? PIXELS : most;
    size_t blocks = (pixels + most - 1) / most, each = (pixels + blocks - 1) / blocks;
    each = (each + UNIT - 1) / UNIT * UNIT;
    return each < PIXELS ? each : PIXELS;
}

void conv_tiled_forward(const struct backend *b, const struct backend_op *op, const struct op_io *io,
                        float *workspace)
{
    const struct op_desc *d = &op->d;
    struct tile_run *runs = (struct tile_run *)(void *)workspace;
    float *bias = workspace + runs_bytes(b, d) / sizeof(float);
    struct tiled t = {.k = kernels_for(b),
                      .d = d,
                      .x = view_of(b, &io->x[0], &d->x[0]),
                      .y = view_of(b, &io->y, &d->y),
                      .add = io->accumulate[0],
                      .packed = op->conv.packed,
                      .bias = bias,
                      .runs = runs};
    size_t vectors = (size_t)vectors_of(t.k, d->y.c);
    float *sums = bias + columns_of(t.k, d);
    if (d->n_x > 1) t.residual = view_of(b, &io->x[1], &d->x[1]);
    t.n_runs = window_runs(b, d, &t.x, runs);
    memset(bias, 0, columns_of(t.k, d) * sizeof *bias);
    if (d->has_bias) memcpy(bias, op->bias, (size_t)d->y.c * sizeof *bias);
    size_t pixels = (size_t)t.y.n * (size_t)t.y.h * (size_t)t.y.w;
    const int n_threads = pixels * sums_of(d) * (size_t)d->y.c < SMALL_CONV ? 1 : b->threads;
    bool by_channels = pixels < (size_t)n_threads * FEW_PIXELS;
    t.block_pixels =
        block_pixels(d, by_channels ? pixels : (pixels + (size_t)n_threads - 1) / (size_t)n_threads);
#pragma omp parallel num_threads(n_threads)
    {
        size_t i = (size_t)omp_get_thread_num(), threads = (size_t)omp_get_num_threads();
        float *mine = sums + i * sums_floats(t.k);
        if (by_channels)
            multiply_pixels(&t, 0, pixels, (int)(vectors * i / threads), (int)(vectors * (i + 1) / threads),
                            mine);
        else
            multiply_pixels(&t, pixels * i / threads, pixels * (i + 1) / threads, 0, (int)vectors, mine);
    }
}
