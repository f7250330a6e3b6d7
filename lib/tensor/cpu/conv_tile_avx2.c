/* conv_tile_avx2.c: the loops of conv_tile.h: 12 sums of 8 floats stay in registers. */
#include "tensor/cpu/conv_tile.h"

#ifdef __x86_64__
#pragma GCC target("avx2,fma")
#include <stdbool.h>
#include <string.h>

#include "tensor/cpu/simd_avx2.h"

_Static_assert(WIDTH == TILE_VECTOR, "vectors of 8 floats");

#define STEP(R, V, I)                                                                                        \
    do {                                                                                                     \
        vec column[V];                                                                                       \
        for (int v = 0; v < V; v++)                                                                          \
            column[v] = LOAD(b + ((I)*V + v) * WIDTH);                                                       \
        for (int r = 0; r < R; r++) {                                                                        \
            vec value = SET1(row[r][at + (I)]);                                                              \
            for (int v = 0; v < V; v++)                                                                      \
                sum[r][v] = FMA(value, column[v], sum[r][v]);                                                \
        }                                                                                                    \
    } while (0)

#define STEPS8(R, V)                                                                                         \
    STEP(R, V, 0);                                                                                           \
    STEP(R, V, 1);                                                                                           \
    STEP(R, V, 2);                                                                                           \
    STEP(R, V, 3);                                                                                           \
    STEP(R, V, 4);                                                                                           \
    STEP(R, V, 5);                                                                                           \
    STEP(R, V, 6);                                                                                           \
    STEP(R, V, 7)

/* Fetches what is read next: by the next tile, by the next block of pixels (its part of it), and the next
 * panel. No prefetcher of a processor sees these strides. */
#define FETCH(R)                                                                                             \
    do {                                                                                                     \
        for (int line = 0; line < (R + 1) / 2; line++)                                                       \
            __builtin_prefetch(next + at + line * 16);                                                       \
        if (runs >= far_from && runs < far_to)                                                               \
            for (int line = 0; line <= R / 2; line++)                                                        \
                __builtin_prefetch(far + at + line * 16, 0, 2);                                              \
        if (ahead < ahead_end) {                                                                             \
            __builtin_prefetch(ahead, 0, 2);                                                                 \
            __builtin_prefetch(ahead + 64, 0, 2);                                                            \
            ahead += 128;                                                                                    \
        }                                                                                                    \
    } while (0)

/* R pixels by V vectors of up to n pixels. Where there are fewer than R the last is repeated, and not stored
 * again. */
#define TILE(R, V)                                                                                           \
    static void tile_##R##x##V(struct tile_panel *p, const float *const *x, const float *far,                \
                               float *const *y, size_t n)                                                    \
    {                                                                                                        \
        vec sum[R][V];                                                                                       \
        const float *row[R], *b = p->packed;                                                                 \
        const char *ahead = p->ahead, *const ahead_end = p->ahead_end;                                       \
        const float *next = x[n > R ? R : 0];                                                                \
        for (int r = 0; r < R; r++) {                                                                        \
            row[r] = x[(size_t)r < n ? (size_t)r : n - 1];                                                   \
            for (int v = 0; v < V; v++)                                                                      \
                sum[r][v] = ZERO();                                                                          \
        }                                                                                                    \
        const ptrdiff_t *runs = p->runs, *const end = runs + p->n_runs;                                      \
        const ptrdiff_t *const far_from = runs + p->far_from, *const far_to = runs + p->far_to;              \
        const ptrdiff_t length = p->run, whole = length / 8 * 8;                                             \
        if (length == 8)                                                                                     \
            for (; runs < end; runs++, b += 8 * V * WIDTH) {                                                 \
                const ptrdiff_t at = *runs;                                                                  \
                FETCH(R);                                                                                    \
                STEPS8(R, V);                                                                                \
            }                                                                                                \
        else                                                                                                 \
            for (; runs < end; runs++) {                                                                     \
                ptrdiff_t at = *runs;                                                                        \
                for (const ptrdiff_t to = at + whole; at < to; at += 8, b += 8 * V * WIDTH) {                \
                    FETCH(R);                                                                                \
                    STEPS8(R, V);                                                                            \
                }                                                                                            \
                for (const ptrdiff_t to = at + length - whole; at < to; at++, b += V * WIDTH)                \
                    STEP(R, V, 0);                                                                           \
            }                                                                                                \
        p->ahead = ahead;                                                                                    \
        const vec low = SET1(p->low), high = SET1(p->high);                                                  \
        for (int r = 0; r < R && (size_t)r < n; r++)                                                         \
            for (int v = 0; v < V; v++) {                                                                    \
                float *to = y[r] + (size_t)v * p->vector_step;                                               \
                /* max and min give their second operand when one is NaN: so NaN stays */                    \
                vec out = MIN(high, MAX(low, ADD(sum[r][v], LOAD(p->bias + v * WIDTH))));                    \
                if (v == V - 1 && p->last < WIDTH)                                                           \
                    memcpy(to, &out, (size_t)p->last * sizeof *to);                                          \
                else                                                                                         \
                    STORE(to, out);                                                                          \
            }                                                                                                \
    }
#define TILES(R, V)                                                                                          \
    for (size_t i = 0; i < n; i += R)                                                                        \
    tile_##R##x##V(p, x + i, p->far[i < p->n_far ? i : 0], y + i, n - i)

TILE(4, 3)
TILE(6, 2)
TILE(8, 1)

void tile_panel(struct tile_panel *p, const float *const *x, float *const *y, size_t n)
{
    switch (p->vectors) {
    case 3: TILES(4, 3); break;
    case 2: TILES(6, 2); break;
    default: TILES(8, 1);
    }
}

#else
#include <assert.h>

void tile_panel(struct tile_panel *p, const float *const *x, float *const *y, size_t n) { assert(0); }
#endif
