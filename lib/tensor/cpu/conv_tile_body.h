/*
 * conv_tile_body.h: the loops of conv_tile.h, included once by each conv_tile_<isa>.c, which defines vec and
 * its operations.
 */
#include <string.h>

/* `n` floats of the v-th vector that is added to pixel i. */
static inline vec residual_of(const struct tile_pass *p, size_t i, int v, size_t n)
{
    const float *from = p->residual[i] + (size_t)v * p->residual_step;
    vec some = ZERO();
    if (n >= WIDTH) return LOAD(from);
    memcpy(&some, from, n * sizeof *from);
    return some;
}

#define UNROLLED _Pragma("GCC unroll 8")

/* With a constant I, the compiler unrolls the loops and keeps the sums in registers. */
#define STEP(R, V, I)                                                                                        \
    do {                                                                                                     \
        vec w[V];                                                                                            \
        for (int v = 0; v < V; v++)                                                                          \
            w[v] = LOAD(b + ((I)*V + v) * WIDTH);                                                            \
        UNROLLED for (int r = 0; r < R; r++)                                                                 \
        {                                                                                                    \
            vec value = SET1(row[r][at + (I)]);                                                              \
            for (int v = 0; v < V; v++)                                                                      \
                ACCUMULATE(sum[r][v], value, w[v]);                                                          \
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

/* Prefetches the inputs of the next tile, a part of those of the next block of pixels, and the next weights.
 * The processor's own prefetcher does not recognise these strides. FETCH_PIXELS: R pixels from x[0] on, eight
 * floats of each. AHEAD_LINES: cache lines of weights, for eight products of each sum. */
#define FETCH(R)                                                                                             \
    do {                                                                                                     \
        FETCH_PIXELS(R, next, 3);                                                                            \
        if (runs >= far_from && runs < far_to) FETCH_PIXELS(R, far, 2);                                      \
        if (ahead < ahead_end)                                                                               \
            for (int line = 0; line < AHEAD_LINES; line++, ahead += 64)                                      \
                __builtin_prefetch(ahead, 0, 2);                                                             \
    } while (0)

/*
 * Tiles of R pixels by V vectors. Results for pixels beyond n are not stored. All tiles are in one function
 * because gcc 12 gives registers to the sums only where the loops over them are within another loop.
 */
#define TILES(R, V)                                                                                          \
    static void tiles_##R##x##V(struct tile_pass *p, const float *const *x, float *const *y, size_t n)       \
    {                                                                                                        \
        const vec low = SET1(p->low), high = SET1(p->high);                                                  \
        const char *ahead = p->ahead, *const ahead_end = p->ahead_end;                                       \
        const struct tile_run *const far_from = p->runs + p->far_from, *const far_to = p->runs + p->far_to;  \
        const size_t step = p->vector_step, last = (size_t)p->last;                                          \
        const bool add = p->add;                                                                             \
        float *sums = p->sums;                                                                               \
        for (size_t i = 0; i < n; i += R, x += R, y += R, sums += R * V * WIDTH) {                           \
            vec sum[R][V];                                                                                   \
            const size_t left = n - i;                                                                       \
            const float *row[R], *b = p->packed;                                                             \
            const float *const *next = left >= (size_t)2 * R ? x + R : x;                                    \
            const float *const *far = i + R <= p->n_far ? p->far + i : x;                                    \
            UNROLLED for (int r = 0; r < R; r++)                                                             \
            {                                                                                                \
                row[r] = x[r];                                                                               \
                for (int v = 0; v < V; v++)                                                                  \
                    sum[r][v] = ZERO();                                                                      \
            }                                                                                                \
            if (p->resume) UNROLLED                                                                          \
            for (int r = 0; r < R; r++)                                                                      \
                for (int v = 0; v < V; v++)                                                                  \
                    sum[r][v] = LOAD(sums + (r * V + v) * WIDTH);                                            \
            const struct tile_run *runs = p->runs, *const end = runs + p->n_runs;                            \
            if (p->short_runs)                                                                               \
                for (; runs < end; runs++, b += 8 * V * WIDTH) {                                             \
                    const ptrdiff_t at = runs->at;                                                           \
                    FETCH(R);                                                                                \
                    STEPS8(R, V);                                                                            \
                }                                                                                            \
            else                                                                                             \
                for (; runs < end; runs++) {                                                                 \
                    ptrdiff_t at = runs->at;                                                                 \
                    const ptrdiff_t whole = at + runs->n / 8 * 8, to = at + runs->n;                         \
                    for (; at < whole; at += 8, b += 8 * V * WIDTH) {                                        \
                        FETCH(R);                                                                            \
                        STEPS8(R, V);                                                                        \
                    }                                                                                        \
                    for (; at < to; at++, b += V * WIDTH)                                                    \
                        STEP(R, V, 0);                                                                       \
                }                                                                                            \
            if (p->more) {                                                                                   \
                UNROLLED for (int r = 0; r < R; r++) for (int v = 0; v < V; v++)                             \
                    STORE(sums + (r * V + v) * WIDTH, sum[r][v]);                                            \
                continue;                                                                                    \
            }                                                                                                \
            UNROLLED for (size_t r = 0; r < R; r++)                                                          \
            {                                                                                                \
                if (r >= left) break;                                                                        \
                for (int v = 0; v < V; v++) {                                                                \
                    float *to = y[r] + (size_t)v * step;                                                     \
                    vec out = ADD(sum[r][v], LOAD(p->bias + v * WIDTH));                                     \
                    if (p->residual) out = ADD(out, residual_of(p, i + r, v, v == V - 1 ? last : WIDTH));    \
                    /* max and min give their second operand when one is NaN: so NaN stays */                \
                    out = MIN(high, MAX(low, out));                                                          \
                    if (add) out = ADD(out, LOAD(to)); /* what is beyond a last vector is not stored */      \
                    if (v == V - 1 && last < WIDTH)                                                          \
                        memcpy(to, &out, last * sizeof *to);                                                 \
                    else                                                                                     \
                        STORE(to, out);                                                                      \
                }                                                                                            \
            }                                                                                                \
        }                                                                                                    \
        p->ahead = ahead;                                                                                    \
    }
