/*
 * conv_tile_body.h: the loops of conv_tile.h, included once by each conv_tile_<isa>.c, which defines vec and
 * its operations.
 */
#include <string.h>

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
 * weights. No prefetcher of a processor sees these strides. FETCH_PIXELS: R pixels from x[0] on, eight floats
 * of each. AHEAD_LINES: of weights, for eight products of each sum. */
#define FETCH(R)                                                                                             \
    do {                                                                                                     \
        FETCH_PIXELS(R, next, 3);                                                                            \
        if (runs >= far_from && runs < far_to) FETCH_PIXELS(R, far, 2);                                      \
        if (ahead < ahead_end)                                                                               \
            for (int line = 0; line < AHEAD_LINES; line++, ahead += 64)                                      \
                __builtin_prefetch(ahead, 0, 2);                                                             \
    } while (0)

/* R pixels by V vectors of up to n pixels. Where there are fewer than R the last is repeated, and not stored
 * again. */
#define TILE(R, V)                                                                                           \
    static void tile_##R##x##V(struct tile_pass *p, const float *const *x, const float *const *far,          \
                               float *const *y, float *sums, size_t n)                                       \
    {                                                                                                        \
        vec sum[R][V];                                                                                       \
        const float *row[R], *b = p->packed;                                                                 \
        const char *ahead = p->ahead, *const ahead_end = p->ahead_end;                                       \
        const float *const *next = n >= (size_t)2 * R ? x + R : x;                                           \
        for (int r = 0; r < R; r++)                                                                          \
            row[r] = x[(size_t)r < n ? (size_t)r : n - 1];                                                   \
        if (p->resume)                                                                                       \
            for (int i = 0; i < R * V; i++)                                                                  \
                sum[i / V][i % V] = LOAD(sums + i * WIDTH);                                                  \
        else                                                                                                 \
            for (int i = 0; i < R * V; i++)                                                                  \
                sum[i / V][i % V] = ZERO();                                                                  \
        const struct tile_run *runs = p->runs, *const end = runs + p->n_runs;                                \
        const struct tile_run *const far_from = runs + p->far_from, *const far_to = runs + p->far_to;        \
        if (n < R) next = row;                                                                               \
        if (p->short_runs)                                                                                   \
            for (; runs < end; runs++, b += 8 * V * WIDTH) {                                                 \
                const ptrdiff_t at = runs->at;                                                               \
                FETCH(R);                                                                                    \
                STEPS8(R, V);                                                                                \
            }                                                                                                \
        else                                                                                                 \
            for (; runs < end; runs++) {                                                                     \
                ptrdiff_t at = runs->at;                                                                     \
                const ptrdiff_t whole = at + runs->n / 8 * 8, to = at + runs->n;                             \
                for (; at < whole; at += 8, b += 8 * V * WIDTH) {                                            \
                    FETCH(R);                                                                                \
                    STEPS8(R, V);                                                                            \
                }                                                                                            \
                for (; at < to; at++, b += V * WIDTH)                                                        \
                    STEP(R, V, 0);                                                                           \
            }                                                                                                \
        p->ahead = ahead;                                                                                    \
        if (p->more) {                                                                                       \
            for (int i = 0; i < R * V; i++)                                                                  \
                STORE(sums + i * WIDTH, sum[i / V][i % V]);                                                  \
            return;                                                                                          \
        }                                                                                                    \
        const vec low = SET1(p->low), high = SET1(p->high);                                                  \
        const size_t step = p->vector_step, last = (size_t)p->last;                                          \
        vec bias[V];                                                                                         \
        for (int v = 0; v < V; v++)                                                                          \
            bias[v] = LOAD(p->bias + v * WIDTH);                                                             \
        for (int r = 0; r < R && (size_t)r < n; r++)                                                         \
            for (int v = 0; v < V; v++) {                                                                    \
                float *to = y[r] + (size_t)v * step;                                                         \
                /* max and min give their second operand when one is NaN: so NaN stays */                    \
                vec out = MIN(high, MAX(low, ADD(sum[r][v], bias[v])));                                      \
                if (v == V - 1 && last < WIDTH)                                                              \
                    memcpy(to, &out, last * sizeof *to);                                                     \
                else                                                                                         \
                    STORE(to, out);                                                                          \
            }                                                                                                \
    }
#define TILES(R, V)                                                                                          \
    for (size_t i = 0; i < n; i += R)                                                                        \
    tile_##R##x##V(p, x + i, i + R <= p->n_far ? p->far + i : x, y + i, p->sums + i * V * WIDTH, n - i)
