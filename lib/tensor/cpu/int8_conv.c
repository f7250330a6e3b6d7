/*
 * int8_conv.c: convolutions on quantised tensors. A picture is first copied with its padding (the byte that
 * means 0), so that every window is completely in memory and the inner loop needs no code for edges or
 * strides. The work is divided into tiles of pixels times groups of output channels, small enough that the
 * weights of a group and the rows of a tile stay in a core's cache.
 */
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/cpu/cpu_view.h"
#include "tensor/cpu/int8.h"

#define TILE_BYTES (96 << 10)             /* bytes of input in a tile: half of a small second-level cache */
enum { TILE_STEP = 24, TILE_MOST = 480 }; /* pixels of a tile: multiples of the pixels of every kernel */

static bool is_padded(const struct op_desc *d)
{
    return d->pad_top || d->pad_left || d->pad_bottom || d->pad_right;
}
static int padded_h(const struct op_desc *d) { return d->x[0].h + d->pad_top + d->pad_bottom; }
static int padded_w(const struct op_desc *d) { return d->x[0].w + d->pad_left + d->pad_right; }
static int blocks_of(const struct op_desc *d) { return (d->y.c + INT8_BLOCK - 1) / INT8_BLOCK; }
static size_t block_bytes(const struct int8_conv *c)
{
    return (size_t)c->n_runs * (size_t)c->n_steps * 4 * INT8_BLOCK;
}

void int8_limits(const struct op_desc *d, float *low, float *high)
{
    *low = d->activation == OP_LINEAR ? (float)-d->y.zero : 0;
    *high = (float)(255 - d->y.zero);
    if (d->activation == OP_RELU_CAPPED) *high = fminf(*high, rintf(d->activation_max / d->y.scale));
}

int int8_conv_create(struct int8_op *op, struct error *err)
{
    const struct op_desc *d = &op->d;
    struct int8_conv *c = &op->conv;
    size_t pixel = int8_pixel_bytes(d->x[0].c), row = pixel * (size_t)padded_w(d);
    bool depthwise = d->kind == OP_DEPTHWISE, together = d->dilation_w == 1 && !depthwise;
    if (conv_groups(d) > 1) return error_set(err, EX_UNAVAILABLE, "int8: convolutions in groups stay float");
    c->n_runs = together ? d->kernel_h : d->kernel_h * d->kernel_w;
    c->n_steps = (int)(pixel / 4) * (together ? d->kernel_w : 1);
    if (!(c->run_at = mem_alloc((size_t)c->n_runs * sizeof *c->run_at, err))) return -1;
    for (int r = 0; r < c->n_runs; r++) {
        int y = together ? r : r / d->kernel_w, x = together ? 0 : r % d->kernel_w;
        c->run_at[r] = (size_t)(y * d->dilation_h) * row + (size_t)(x * d->dilation_w) * pixel;
    }
    return 0;
}

void int8_conv_destroy(struct int8_op *op)
{
    free(op->conv.weights);
    free(op->conv.depthwise);
    free(op->conv.bias);
    free(op->conv.factor);
    free(op->conv.run_at);
    free(op->conv.step_at);
    free(op->conv.n_joined);
}

size_t int8_conv_constant_bytes(const struct int8_op *op)
{
    size_t vectors = (size_t)blocks_of(&op->d) * INT8_BLOCK * (sizeof(int32_t) + sizeof(float));
    return vectors +
           (op->d.kind == OP_DEPTHWISE
                ? (size_t)op->conv.n_runs * (size_t)op->d.y.c * sizeof(int16_t)
                : (size_t)blocks_of(&op->d) * block_bytes(&op->conv) * (op->k->joins_steps ? 17 : 16) / 16);
}

/* Bytes of scratch for each thread, when the output is float or the convolution depthwise: the sums of one
 * pixel, the addresses of its taps, and, with a depth multiplier, each byte repeated as often as it is
 * used. */
static size_t sums_bytes(const struct op_desc *d)
{
    return (size_t)blocks_of(d) * INT8_BLOCK * sizeof(int32_t);
}
static size_t thread_bytes(const struct int8_op *op)
{
    size_t runs = (size_t)op->conv.n_runs;
    return (sums_bytes(&op->d) + runs * sizeof(uint8_t *) + runs * (size_t)op->d.y.c + 63) / 64 * 64;
}
static size_t padded_bytes(const struct op_desc *d)
{
    size_t pixels = is_padded(d) ? (size_t)d->x[0].n * (size_t)padded_h(d) * (size_t)padded_w(d) : 0;
    return (pixels * int8_pixel_bytes(d->x[0].c) + 63) / 64 * 64;
}
static bool goes_by_sums(const struct op_desc *d) { return d->kind == OP_DEPTHWISE || !(d->y.scale > 0); }

size_t int8_conv_workspace_bytes(const struct int8_op *op)
{
    return padded_bytes(&op->d) + (goes_by_sums(&op->d) ? (size_t)op->threads * thread_bytes(op) : 0);
}

/* Whether the sum of the products of n adjacent steps of a block cannot overflow 16 bits, whatever the
 * bytes are: the bounds are 255 times the sum of the positive weights, and of the negative ones. */
static bool is_safe(const int8_t *steps, int n)
{
    for (int i = 0; i < 4 * INT8_BLOCK; i += 2) {
        int above = 0, below = 0;
        for (int k = 0; k < 2 * n; k++) {
            int w = steps[k / 2 * 4 * INT8_BLOCK + i + k % 2];
            above += w > 0 ? w : 0;
            below -= w < 0 ? w : 0;
        }
        if (above * 255 > INT16_MAX || below * 255 > INT16_MAX) return false;
    }
    return true;
}

/* The number of steps from s on that can be added together: 4 or 2 if that is safe and the run is long
 * enough, and otherwise 1. */
static int together(const struct int8_conv *c, const int8_t *run, int s)
{
    const int8_t *at = run + (size_t)s * 4 * INT8_BLOCK;
    if (s % 4 == 0 && s + 4 <= c->n_steps && is_safe(at, 4)) return 4;
    return s % 2 == 0 && s + 2 <= c->n_steps && is_safe(at, 2) ? 2 : 1;
}

/* Sorts the steps of each block: first groups of four that can be added in 16 bits, then groups of two,
 * then single steps. In real networks most weights are much smaller than the largest of their channel, so
 * that most steps are in groups of four, which take 5 multiplications instead of 8. */
static int order_steps(struct int8_op *op, struct error *err)
{
    struct int8_conv *c = &op->conv;
    size_t all = (size_t)c->n_runs * (size_t)c->n_steps, blocks = (size_t)blocks_of(&op->d);
    enum { STEP = 4 * INT8_BLOCK };
    if ((!c->step_at && !(c->step_at = mem_alloc(blocks * all * sizeof *c->step_at, err))) ||
        (!c->n_joined && !(c->n_joined = mem_zalloc(2 * blocks, sizeof *c->n_joined, err))))
        return -1;
    int8_t *natural = mem_alloc(block_bytes(c), err);
    if (!natural) return -1;
    for (size_t k = 0; k < blocks; k++) {
        int8_t *to = c->weights + k * block_bytes(c);
        int32_t *at = c->step_at + k * all;
        memcpy(natural, to, block_bytes(c));
        memset(c->n_joined + 2 * k, 0, 2 * sizeof *c->n_joined);
        for (int wanted = 4; wanted > 0; wanted /= 2)
            for (int r = 0; r < c->n_runs; r++) {
                const int8_t *run = natural + (size_t)r * (size_t)c->n_steps * STEP;
                for (int s = 0, n; s < c->n_steps; s += n) {
                    if ((n = together(c, run, s)) != wanted) continue;
                    memcpy(to, run + (size_t)s * STEP, (size_t)n * STEP);
                    to += (size_t)n * STEP;
                    *at++ = (int32_t)(c->run_at[r] + (size_t)s * 4);
                    if (n > 1) c->n_joined[2 * k + (n == 2)]++;
                }
            }
    }
    free(natural);
    return 0;
}

static void pack(const struct int8_op *op, const float *keras)
{
    const struct op_desc *d = &op->d;
    const struct int8_conv *c = &op->conv;
    int pixel = (int)int8_pixel_bytes(d->x[0].c), per_run = c->n_runs == d->kernel_h ? d->kernel_w : 1;
    memset(c->weights, 0, (size_t)blocks_of(d) * block_bytes(c));
    for (int tap = 0; tap < d->kernel_h * d->kernel_w; tap++)
        for (int ci = 0; ci < d->x[0].c; ci++)
            for (int co = 0; co < d->y.c; co++) {
                int run = tap / per_run, at = tap % per_run * pixel + ci;
                size_t to = (size_t)(co / INT8_BLOCK) * block_bytes(c) +
                            ((size_t)run * (size_t)c->n_steps + (size_t)(at / 4)) * 4 * INT8_BLOCK +
                            (size_t)(co % INT8_BLOCK * 4 + at % 4);
                c->weights[to] = (int8_t)
                    keras[((size_t)tap * (size_t)d->x[0].c + (size_t)ci) * (size_t)d->y.c + (size_t)co];
            }
}

/* The sum of (x - zero) * w over taps and input channels is the sum of x * w minus zero times the sum of
 * w. */
static void load_vectors(const struct int8_op *op, const float *keras, const float *factor, const float *bias)
{
    const struct op_desc *d = &op->d;
    const struct tensor_shape *x = &d->x[0], *y = &d->y;
    size_t n_c = (size_t)y->c,
           n = (size_t)(d->kernel_h * d->kernel_w) * (d->kind == OP_DEPTHWISE ? 1 : (size_t)x->c);
    for (size_t c = 0; c < n_c; c++) {
        float scale = x->scale * factor[c]; /* in float, as in onnxruntime */
        double sum = 0, whole = rint((double)bias[c] / (double)scale);
        for (size_t i = 0; i < n; i++)
            sum += (double)keras[i * n_c + c];
        whole = fmax(fmin(whole, 1 << 30), -(1 << 30)) - sum * x->zero;
        op->conv.bias[c] = (int32_t)fmax(fmin(whole, INT32_MAX), INT32_MIN);
        op->conv.factor[c] = y->scale > 0 ? scale / y->scale : scale;
    }
}

int int8_conv_load(struct int8_op *op, const float *weights, const float *bias, struct error *err)
{
    const struct op_desc *d = &op->d;
    struct int8_conv *c = &op->conv;
    size_t padded = (size_t)blocks_of(d) * INT8_BLOCK, n = (size_t)c->n_runs * (size_t)d->y.c;
    bool depthwise = d->kind == OP_DEPTHWISE;
    if (!c->bias && !(c->bias = mem_zalloc(padded, sizeof *c->bias, err))) return -1;
    if (!c->factor && !(c->factor = mem_zalloc(padded, sizeof *c->factor, err))) return -1;
    load_vectors(op, weights, bias, bias + d->y.c);
    if (depthwise) {
        if (!c->depthwise && !(c->depthwise = mem_alloc(n * sizeof *c->depthwise, err))) return -1;
        for (size_t i = 0; i < n; i++)
            c->depthwise[i] = (int16_t)weights[i];
        return 0;
    }
    if (!c->weights &&
        !(c->weights = mem_aligned(64, (size_t)blocks_of(d) * block_bytes(c) + INT8_BEYOND, err)))
        return -1;
    pack(op, weights);
    return op->k->joins_steps ? order_steps(op, err) : 0;
}

/* --- running --- */

/* Copies the pictures with their padding around them. */
static void pad(struct backend *b, const struct op_desc *d, const uint8_t *x, uint8_t *to)
{
    size_t pixel = int8_pixel_bytes(d->x[0].c), from_row = pixel * (size_t)d->x[0].w,
           row = pixel * (size_t)padded_w(d), left = pixel * (size_t)d->pad_left;
    int h = padded_h(d);
#pragma omp parallel for num_threads(b->threads) schedule(static)
    for (int i = 0; i < d->x[0].n * h; i++) {
        uint8_t *out = to + (size_t)i * row;
        int y = i % h - d->pad_top;
        if (y < 0 || y >= d->x[0].h) {
            memset(out, d->x[0].zero, row);
            continue;
        }
        memset(out, d->x[0].zero, left);
        memcpy(out + left, x + ((size_t)(i / h) * (size_t)d->x[0].h + (size_t)y) * from_row, from_row);
        memset(out + left + from_row, d->x[0].zero, row - left - from_row);
    }
}

struct job {
    const struct int8_op *op;
    const uint8_t *x; /* padded */
    struct slot y;
    size_t n_pixels;
    int tile_pixels, n_tiles, group_blocks, n_groups;
};

static const uint8_t *window_at(const struct job *j, size_t pixel)
{
    const struct op_desc *d = &j->op->d;
    size_t plane = (size_t)d->y.h * (size_t)d->y.w, n = pixel / plane, i = pixel % plane;
    size_t y = i / (size_t)d->y.w * (size_t)d->stride_h, x = i % (size_t)d->y.w * (size_t)d->stride_w;
    return j->x + ((n * (size_t)padded_h(d) + y) * (size_t)padded_w(d) + x) * int8_pixel_bytes(d->x[0].c);
}

/* Chooses the sizes of tiles and groups so that each thread gets several, if there is enough work. */
static void divide(struct job *j, int threads)
{
    const struct op_desc *d = &j->op->d;
    size_t each = int8_pixel_bytes(d->x[0].c) * (size_t)(d->stride_h * d->stride_w), most = j->n_pixels;
    const struct int8_kernels *k = j->op->k;
    size_t step = k->most_pixels[1] > TILE_STEP ? (size_t)k->most_pixels[1] : TILE_STEP;
    size_t pixels = TILE_BYTES / each / step * step, weights = block_bytes(&j->op->conv);
    int blocks = blocks_of(d), some = k->most_blocks > 4 ? k->most_blocks : 4;
    pixels = pixels < step ? step : pixels > TILE_MOST ? TILE_MOST : pixels;
    /* All channels at once if their weights fit into the cache together with the tile. */
    j->group_blocks = (size_t)blocks * weights <= 2 * TILE_BYTES || blocks < some ? blocks : some;
    for (;;) {
        j->n_tiles = (int)((most + pixels - 1) / pixels);
        j->n_groups = (blocks + j->group_blocks - 1) / j->group_blocks;
        if (threads == 1 || j->n_tiles * j->n_groups >= 4 * threads) break;
        if (pixels > 2 * step && most > 2 * step)
            pixels = (pixels / 2 + step - 1) / step * step;
        else if (j->group_blocks > 2)
            j->group_blocks = (j->group_blocks + 1) / 2;
        else if (pixels > step)
            pixels = step;
        else
            break;
    }
    j->tile_pixels = (int)pixels;
}

static void run_tile(const struct job *j, int item)
{
    const struct int8_op *op = j->op;
    const struct int8_kernels *k = op->k;
    const struct int8_conv *c = &op->conv;
    const struct op_desc *d = &op->d;
    const uint8_t *x[TILE_MOST];
    size_t first = (size_t)(item % j->n_tiles) * (size_t)j->tile_pixels;
    int n =
        (int)(j->n_pixels - first < (size_t)j->tile_pixels ? j->n_pixels - first : (size_t)j->tile_pixels);
    int block = item / j->n_tiles * j->group_blocks, end = block + j->group_blocks, all = blocks_of(d);
    size_t y_stride = int8_pixel_bytes(d->y.parent_c);
    uint8_t *y = int8_at(&j->y, &d->y) + first * y_stride;
    struct int8_window w = {.block_bytes = block_bytes(c),
                            .run_at = c->run_at,
                            .n_runs = c->n_runs,
                            .n_steps = c->n_steps,
                            .zero = d->y.zero};
    int8_limits(d, &w.low, &w.high);
    for (int i = 0; i < n; i++)
        x[i] = window_at(j, first + (size_t)i);
    end = end < all ? end : all;
    while (block < end) {
        /* Divide the rest into parts of about equal size, because a single block is inefficient. */
        int left = end - block, parts = (left + k->most_blocks - 1) / k->most_blocks;
        w.n_blocks = (left + parts - 1) / parts;
        w.weights = c->weights + (size_t)block * w.block_bytes;
        if (c->step_at) {
            w.step_at = c->step_at + (size_t)block * (size_t)(c->n_runs * c->n_steps);
            w.n_fours = c->n_joined[2 * block];
            w.n_twos = c->n_joined[2 * block + 1];
        }
        w.bias = c->bias + block * INT8_BLOCK;
        w.factor = c->factor + block * INT8_BLOCK;
        w.n_channels = d->y.c - block * INT8_BLOCK;
        if (w.n_channels > w.n_blocks * INT8_BLOCK) w.n_channels = w.n_blocks * INT8_BLOCK;
        int step = k->most_pixels[w.n_blocks];
        for (int i = 0; i < n;) {
            int now = n - i;
            if (now > step) now = now >= 2 * step ? step : (now + 1) / 2;
            k->conv(&w, x + i, now, y + (size_t)i * y_stride + block * INT8_BLOCK, y_stride);
            i += now;
        }
        block += w.n_blocks;
    }
}

/* Writes sums of one pixel as floats. */
static void put_floats(const struct int8_op *op, const struct view *v, size_t pixel, const int32_t *sums)
{
    const struct op_desc *d = &op->d;
    size_t plane = (size_t)d->y.h * (size_t)d->y.w;
    for (int c = 0; c < d->y.c; c++) {
        float y = (float)sums[c] * op->conv.factor[c];
        if (d->activation == OP_SIGMOID) y = 1 / (1 + expf(-y));
        if (d->activation == OP_RELU || d->activation == OP_RELU_CAPPED) y = y > 0 ? y : 0;
        if (d->activation == OP_RELU_CAPPED) y = y < d->activation_max ? y : d->activation_max;
        pixel_of(v, pixel % plane, (int)(pixel / plane), c / v->inner)[c % v->inner] = y;
    }
}

static void depthwise_sums(const struct int8_op *op, const uint8_t *x, const uint8_t **at, uint8_t *wide,
                           int32_t *sums)
{
    const struct op_desc *d = &op->d;
    int multiplier = d->y.c / d->x[0].c;
    for (int r = 0; r < op->conv.n_runs; r++) {
        at[r] = x + op->conv.run_at[r];
        if (multiplier == 1) continue;
        uint8_t *copy = wide + (size_t)r * (size_t)d->y.c;
        for (int c = 0; c < d->y.c; c++)
            copy[c] = at[r][c / multiplier];
        at[r] = copy;
    }
    op->k->depthwise(at, op->conv.n_runs, op->conv.depthwise, op->conv.bias, d->y.c, sums);
}

static void forward_by_sums(struct backend *b, struct int8_op *op, const struct job *j, uint8_t *scratch)
{
    const struct op_desc *d = &op->d;
    const struct int8_conv *c = &op->conv;
    struct view v = {0};
    float low = 0, high = 0;
    if (d->y.scale > 0)
        int8_limits(d, &low, &high);
    else
        v = view_of(b, &j->y, &d->y);
#pragma omp parallel num_threads(b->threads)
    {
        uint8_t *own = scratch + (size_t)omp_get_thread_num() * thread_bytes(op);
        int32_t *sums = (int32_t *)(void *)own;
        const uint8_t **at = (const uint8_t **)(void *)(own + sums_bytes(d));
        uint8_t *wide = (uint8_t *)(at + c->n_runs);
#pragma omp for schedule(static)
        for (size_t i = 0; i < j->n_pixels; i++) {
            const uint8_t *x = window_at(j, i);
            if (d->kind == OP_DEPTHWISE)
                depthwise_sums(op, x, at, wide, sums);
            else
                for (int k = 0; k < blocks_of(d); k++) {
                    struct int8_window w = {.weights = c->weights + (size_t)k * block_bytes(c),
                                            .run_at = c->run_at,
                                            .n_runs = c->n_runs,
                                            .n_steps = c->n_steps,
                                            .n_blocks = 1,
                                            .step_at = c->step_at
                                                           ? c->step_at +
                                                                 (size_t)k * (size_t)(c->n_runs * c->n_steps)
                                                           : NULL,
                                            .n_fours = c->step_at ? c->n_joined[2 * k] : 0,
                                            .n_twos = c->step_at ? c->n_joined[2 * k + 1] : 0,
                                            .bias = c->bias + k * INT8_BLOCK};
                    op->k->conv_sums(&w, &x, 1, sums + k * INT8_BLOCK);
                }
            if (d->y.scale > 0)
                op->k->to_bytes(sums, c->factor, d->y.c, low, high, d->y.zero,
                                int8_at(&j->y, &d->y) + i * int8_pixel_bytes(d->y.parent_c));
            else
                put_floats(op, &v, i, sums);
        }
    }
}

void int8_conv_forward(struct backend *b, struct int8_op *op, const struct op_io *io, uint8_t *workspace)
{
    const struct op_desc *d = &op->d;
    struct job j = {.op = op,
                    .x = int8_at(&io->x[0], &d->x[0]),
                    .y = io->y,
                    .n_pixels = (size_t)d->y.n * (size_t)d->y.h * (size_t)d->y.w};
    if (is_padded(d)) {
        pad(b, d, j.x, workspace);
        j.x = workspace;
    }
    if (goes_by_sums(d)) {
        forward_by_sums(b, op, &j, workspace + padded_bytes(d));
        return;
    }
    divide(&j, b->threads);
    const int n_items = j.n_tiles * j.n_groups;
#pragma omp parallel for num_threads(b->threads) schedule(dynamic, 1)
    for (int i = 0; i < n_items; i++)
        run_tile(&j, i);
}
