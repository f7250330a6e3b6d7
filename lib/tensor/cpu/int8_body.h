/*
 * int8_body.h: the inner loops on bytes, compiled once for each instruction set. The including file may
 * define VECTOR, a set of macros for LANES sums of 32 bits. Without it the loops are plain C, with which
 * tests compare the others.
 *
 * A tile is n pixels times a few vectors of output channels, whose sums stay in registers. The bytes of the
 * window are broadcast four at a time and multiplied by weights, which are read sequentially.
 */
#include <math.h>
#include <string.h>

#include "tensor/cpu/int8_kernels.h"

static inline uint8_t to_byte(int32_t sum, float factor, float low, float high, int zero)
{
    float v = (float)sum * factor;
    v = v < low ? low : v;
    v = v > high ? high : v;
    return (uint8_t)((int)rintf(v) + zero);
}

static void to_bytes(const int32_t *sums, const float *factor, int n_c, float low, float high, int zero,
                     uint8_t *y)
{
    for (int c = 0; c < n_c; c++)
        y[c] = to_byte(sums[c], factor[c], low, high, zero);
}

#ifdef VECTOR

#define PER_BLOCK (INT8_BLOCK / LANES)
/* Without this pragma gcc 12 keeps the sums of a tile in memory between steps. */
#define UNROLLED _Pragma("GCC unroll 8")
enum { MOST_P = 8, MOST_V = 4 }; /* of any tile */

static inline __attribute__((always_inline)) VECTOR broadcast_at(const uint8_t *bytes)
{
    int32_t four;
    memcpy(&four, bytes, 4);
    return BROADCAST(four);
}

/* Computes a tile of P pixels times V vectors of sums. */
static inline __attribute__((always_inline)) void tile(const struct int8_window *w, const uint8_t *const *x,
                                                       const int P, const int V, VECTOR sums[MOST_P][MOST_V])
{
    const int8_t *at = w->weights;
    UNROLLED for (int p = 0; p < P; p++) UNROLLED for (int v = 0; v < V; v++) sums[p][v] =
        LOAD(w->bias + v * LANES);
#ifdef PRODUCTS
    if (w->step_at) {
        const int32_t *step = w->step_at;
        enum { STEP = 4 * INT8_BLOCK };
        for (int i = 0; i < w->n_fours; i++, step++, at += 4 * STEP)
            UNROLLED for (int p = 0; p < P; p++)
            {
                const uint8_t *from = x[p] + *step;
                VECTOR a = broadcast_at(from), products[MOST_V];
                UNROLLED for (int v = 0; v < V; v++) products[v] = PRODUCTS(a, LOAD(at + v * 4 * LANES));
                for (int k = 1; k < 4; k++) {
                    a = broadcast_at(from + 4 * k);
                    UNROLLED for (int v = 0; v < V; v++) products[v] =
                        ADD_PRODUCTS(products[v], PRODUCTS(a, LOAD(at + k * STEP + v * 4 * LANES)));
                }
                UNROLLED for (int v = 0; v < V; v++) sums[p][v] = ADD(sums[p][v], SUM_PRODUCTS(products[v]));
            }
        for (int i = 0; i < w->n_twos; i++, step++, at += 2 * STEP)
            UNROLLED for (int p = 0; p < P; p++)
            {
                const VECTOR a = broadcast_at(x[p] + *step), b = broadcast_at(x[p] + *step + 4);
                UNROLLED for (int v = 0; v < V; v++) sums[p][v] =
                    ADD(sums[p][v], SUM_PRODUCTS(ADD_PRODUCTS(PRODUCTS(a, LOAD(at + v * 4 * LANES)),
                                                              PRODUCTS(b, LOAD(at + STEP + v * 4 * LANES)))));
            }
        for (int i = w->n_runs * w->n_steps - 4 * w->n_fours - 2 * w->n_twos; i > 0; i--, step++, at += STEP)
            UNROLLED for (int p = 0; p < P; p++)
            {
                const VECTOR a = broadcast_at(x[p] + *step);
                UNROLLED for (int v = 0; v < V; v++) DOT(sums[p][v], a, LOAD(at + v * 4 * LANES));
            }
        return;
    }
#endif
    for (int r = 0; r < w->n_runs; r++) {
        const uint8_t *from[MOST_P];
        UNROLLED for (int p = 0; p < P; p++) from[p] = x[p] + w->run_at[r];
        for (int k = 0; k < w->n_steps; k++, at += 4 * INT8_BLOCK) {
            VECTOR weights[MOST_V];
            UNROLLED for (int v = 0; v < V; v++) weights[v] =
                LOAD(at + (size_t)(v / PER_BLOCK) * w->block_bytes + v % PER_BLOCK * 4 * LANES);
            UNROLLED for (int p = 0; p < P; p++)
            {
                const VECTOR bytes = broadcast_at(from[p] + 4 * (size_t)k);
                UNROLLED for (int v = 0; v < V; v++) DOT(sums[p][v], bytes, weights[v]);
            }
        }
    }
}

static inline __attribute__((always_inline)) void tile_bytes(const struct int8_window *w,
                                                             const uint8_t *const *x, uint8_t *y,
                                                             size_t y_stride, const int P, const int V)
{
    VECTOR sums[MOST_P][MOST_V];
    tile(w, x, P, V, sums);
    const VECTOR_F low = SPLAT_F(w->low), high = SPLAT_F(w->high);
    const VECTOR zero = SPLAT(w->zero);
    UNROLLED for (int p = 0; p < P; p++)
    {
        uint8_t *to = y + (size_t)p * y_stride;
        UNROLLED for (int v = 0; v < V; v += PER_BLOCK)
        {
            VECTOR r[PER_BLOCK];
            for (int i = 0; i < PER_BLOCK; i++)
                r[i] =
                    ADD(zero, TO_INT(CLAMP(MUL(TO_FLOAT(sums[p][v + i]), LOAD_F(w->factor + (v + i) * LANES)),
                                           low, high)));
            int left = w->n_channels - v * LANES;
            if (left >= INT8_BLOCK) {
                STORE_BYTES(to + v * LANES, r);
            } else {
                uint8_t block[INT8_BLOCK];
                STORE_BYTES(block, r);
                memcpy(to + v * LANES, block, (size_t)left);
            }
        }
    }
}

static inline __attribute__((always_inline)) void tile_sums(const struct int8_window *w,
                                                            const uint8_t *const *x, int32_t *y, const int P,
                                                            const int V)
{
    VECTOR sums[MOST_P][MOST_V];
    tile(w, x, P, V, sums);
    UNROLLED for (int p = 0; p < P; p++) UNROLLED for (int v = 0; v < V; v++)
        STORE(y + (p * V + v) * LANES, sums[p][v]);
}

/* One function for each size of tile, so that all sums are in registers. */
#define TILE(P, V)                                                                                           \
    static                                                                                                   \
        __attribute__((noinline)) void tile_##P##_##V(const struct int8_window *w, const uint8_t *const *x,  \
                                                      uint8_t *y, size_t y_stride)                           \
    {                                                                                                        \
        tile_bytes(w, x, y, y_stride, P, V);                                                                 \
    }
TILES(TILE)
#undef TILE

static void conv(const struct int8_window *w, const uint8_t *const *x, int n_pixels, uint8_t *y,
                 size_t y_stride)
{
    static void (*const tiles[5][MOST_P + 1])(const struct int8_window *, const uint8_t *const *, uint8_t *,
                                              size_t) = {
#define TILE(P, V) [(V) / PER_BLOCK][P] = tile_##P##_##V,
        TILES(TILE)
#undef TILE
    };
    tiles[w->n_blocks][n_pixels](w, x, y, y_stride);
}

static void conv_sums(const struct int8_window *w, const uint8_t *const *x, int n_pixels, int32_t *sums)
{
    struct int8_window one = *w;
    one.n_blocks = 1;
    for (int p = 0; p < n_pixels; p++)
        for (int k = 0; k < w->n_blocks; k++) {
            one.weights = w->weights + (size_t)k * w->block_bytes;
            one.bias = w->bias + k * INT8_BLOCK;
            tile_sums(&one, x + p, sums + (p * w->n_blocks + k) * INT8_BLOCK, 1, PER_BLOCK);
        }
}

#else

static void conv_sums(const struct int8_window *w, const uint8_t *const *x, int n_pixels, int32_t *sums)
{
    for (int p = 0; p < n_pixels; p++)
        for (int k = 0; k < w->n_blocks; k++) {
            int32_t *y = sums + (p * w->n_blocks + k) * INT8_BLOCK;
            const int8_t *at = w->weights + (size_t)k * w->block_bytes;
            memcpy(y, w->bias + k * INT8_BLOCK, INT8_BLOCK * sizeof *y);
            for (int r = 0; r < w->n_runs; r++)
                for (int s = 0; s < w->n_steps; s++, at += 4 * INT8_BLOCK) {
                    const uint8_t *four = x[p] + w->run_at[r] + 4 * (size_t)s;
                    for (int c = 0; c < INT8_BLOCK; c++)
                        for (int i = 0; i < 4; i++)
                            y[c] += four[i] * at[4 * c + i];
                }
        }
}

static void conv(const struct int8_window *w, const uint8_t *const *x, int n_pixels, uint8_t *y,
                 size_t y_stride)
{
    int32_t sums[INT8_BLOCK];
    struct int8_window one = *w;
    one.n_blocks = 1;
    for (int p = 0; p < n_pixels; p++)
        for (int k = 0; k < w->n_blocks; k++) {
            int left = w->n_channels - k * INT8_BLOCK;
            one.weights = w->weights + (size_t)k * w->block_bytes;
            one.bias = w->bias + k * INT8_BLOCK;
            conv_sums(&one, x + p, 1, sums);
            to_bytes(sums, w->factor + k * INT8_BLOCK, left < INT8_BLOCK ? left : INT8_BLOCK, w->low, w->high,
                     w->zero, y + (size_t)p * y_stride + k * INT8_BLOCK);
        }
}

#endif

static void depthwise(const uint8_t *const *at, int n_taps, const int16_t *weights, const int32_t *bias,
                      int n_c, int32_t *sums)
{
    memcpy(sums, bias, (size_t)n_c * sizeof *sums);
    for (int t = 0; t < n_taps; t++) {
        const uint8_t *x = at[t];
        const int16_t *w = weights + (size_t)t * (size_t)n_c;
        for (int c = 0; c < n_c; c++) /* a product fits into 16 bits */
            sums[c] += (int16_t)((int16_t)x[c] * w[c]);
    }
}

static void maximum(uint8_t *y, const uint8_t *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] > y[i] ? x[i] : y[i];
}

static void sum(uint32_t *y, const uint8_t *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}

static void mean(uint8_t *y, const uint32_t *sums, size_t n, float share)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (uint8_t)(int)((float)(int)sums[i] * share + 0.5f);
}

static void max_of(uint8_t *y, const uint8_t *const *at, int n_taps, size_t n)
{
    size_t c = 0;
#ifdef VECTOR
    for (; c + 4 * LANES <= n; c += 4 * LANES) {
        VECTOR most = LOAD(at[0] + c);
        for (int t = 1; t < n_taps; t++)
            most = MAX_BYTES(most, LOAD(at[t] + c));
        STORE(y + c, most);
    }
#endif
    for (; c < n; c++) {
        y[c] = at[0][c];
        for (int t = 1; t < n_taps; t++)
            y[c] = at[t][c] > y[c] ? at[t][c] : y[c];
    }
}

/* Averages one block of channels after another. The sums of a block stay in a register: 256 * 255 fits into
 * 16 bits. */
static void mean_of(uint8_t *y, const uint8_t *const *at, int n_taps, size_t n, float share)
{
    size_t c = 0;
#ifdef VECTOR
    typedef uint8_t half __attribute__((vector_size(2 * LANES), aligned(1), may_alias));
    typedef uint16_t half_words __attribute__((vector_size(4 * LANES)));
    typedef uint16_t words __attribute__((vector_size(2 * LANES)));
    typedef int32_t ints __attribute__((vector_size(4 * LANES)));
    typedef float floats __attribute__((vector_size(4 * LANES)));
    for (; c + 2 * LANES <= n; c += 2 * LANES) {
        union {
            half_words all;
            words part[2];
        } sums = {{0}};
        for (int t = 0; t < n_taps; t++)
            sums.all += __builtin_convertvector(*(const half *)(at[t] + c), half_words);
        VECTOR r[2];
        UNROLLED for (int i = 0; i < 2; i++)
        {
            floats mean = __builtin_convertvector(__builtin_convertvector(sums.part[i], ints), floats);
            r[i] = (VECTOR) __builtin_convertvector(mean * share + 0.5f, ints);
        }
        UNROLLED for (int i = 0; i < 2; i += PER_BLOCK) STORE_BYTES(y + c + i * LANES, r + i);
    }
#endif
    for (; c < n; c++) {
        int sum_of_taps = 0;
        for (int t = 0; t < n_taps; t++)
            sum_of_taps += at[t][c];
        y[c] = (uint8_t)(int)((float)sum_of_taps * share + 0.5f);
    }
}

static void add(uint8_t *y, const uint8_t *a, const uint8_t *b, size_t n, const float factor[2],
                const int zeros[3], float low, float high)
{
    const float fa = factor[0], fb = factor[1];
    const int za = zeros[0], zb = zeros[1], zy = zeros[2];
    for (size_t i = 0; i < n; i++) {
        float v = (float)((int)a[i] - za) * fa + (float)((int)b[i] - zb) * fb;
        v = v < low ? low : v;
        v = v > high ? high : v;
        y[i] = (uint8_t)((int)rintf(v) + zy);
    }
}

static const struct int8_kernels table = {
    .isa = INT8_ISA,
#ifdef PRODUCTS
    .joins_steps = true,
#endif
    .most_blocks = MOST_BLOCKS,
    .most_pixels = MOST_PIXELS,
    .conv = conv,
    .conv_sums = conv_sums,
    .depthwise = depthwise,
    .to_bytes = to_bytes,
    .max = maximum,
    .max_of = max_of,
    .sum = sum,
    .mean = mean,
    .mean_of = mean_of,
    .add = add,
};
