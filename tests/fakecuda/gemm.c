/*
 * gemm.c: the one loop that has to be quick, so that whole networks pass through the stand-ins in seconds.
 * Rows of B are packed sixteen columns wide and six rows of A meet them at a time; the compiler makes vectors
 * of it.
 */
#include "fake.h"

#include <stdlib.h>
#include <string.h>

#define ROWS 6
#define COLUMNS 16
#define DEPTH 256

typedef float vector __attribute__((vector_size(32), aligned(4)));

static inline __attribute__((always_inline)) void tile_body(size_t k, const float *a, size_t lda,
                                                            const float *b, float *c, size_t ldc)
{
    vector sum[ROWS][2];
    for (int r = 0; r < ROWS; r++) {
        sum[r][0] = *(const vector *)(c + (size_t)r * ldc);
        sum[r][1] = *(const vector *)(c + (size_t)r * ldc + 8);
    }
    for (size_t i = 0; i < k; i++) {
        vector b0 = *(const vector *)(b + i * COLUMNS), b1 = *(const vector *)(b + i * COLUMNS + 8);
        for (int r = 0; r < ROWS; r++) {
            float v = a[(size_t)r * lda + i];
            sum[r][0] += v * b0;
            sum[r][1] += v * b1;
        }
    }
    for (int r = 0; r < ROWS; r++) {
        *(vector *)(c + (size_t)r * ldc) = sum[r][0];
        *(vector *)(c + (size_t)r * ldc + 8) = sum[r][1];
    }
}

static void tile_plain(size_t k, const float *a, size_t lda, const float *b, float *c, size_t ldc)
{
    tile_body(k, a, lda, b, c, ldc);
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"), optimize("O3", "unroll-loops", "fp-contract=fast"))) static void tile_avx2(
    size_t k, const float *a, size_t lda, const float *b, float *c, size_t ldc)
{
    tile_body(k, a, lda, b, c, ldc);
}

static void tile_full(size_t k, const float *a, size_t lda, const float *b, float *c, size_t ldc)
{
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        tile_avx2(k, a, lda, b, c, ldc);
    else
        tile_plain(k, a, lda, b, c, ldc);
}
#else
#define tile_full tile_plain
#endif

static void tile(size_t rows, size_t columns, size_t k, const float *a, size_t lda, const float *b, float *c,
                 size_t ldc)
{
    if (rows == ROWS && columns == COLUMNS) {
        tile_full(k, a, lda, b, c, ldc);
        return;
    }
    float out[ROWS * COLUMNS] = {0}, some[ROWS * DEPTH];
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = 0; i < k; i++)
            some[r * DEPTH + i] = r < rows ? a[r * lda + i] : 0;
    for (size_t r = 0; r < rows; r++)
        memcpy(out + r * COLUMNS, c + r * ldc, columns * sizeof *c);
    tile_full(k, some, DEPTH, b, out, COLUMNS);
    for (size_t r = 0; r < rows; r++)
        memcpy(c + r * ldc, out + r * COLUMNS, columns * sizeof *c);
}

void fake_gemm(size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb, float *c,
               size_t ldc, bool add)
{
    size_t panels = (n + COLUMNS - 1) / COLUMNS;
    float *packed = malloc(panels * COLUMNS * DEPTH * sizeof *packed);
    if (!packed) abort();
    if (!add)
        for (size_t r = 0; r < m; r++)
            memset(c + r * ldc, 0, n * sizeof *c);
    for (size_t k0 = 0; k0 < k; k0 += DEPTH) {
        size_t depth = k - k0 < DEPTH ? k - k0 : DEPTH;
        for (size_t p = 0; p < panels; p++)
            for (size_t i = 0; i < depth; i++)
                for (size_t j = 0; j < COLUMNS; j++)
                    packed[(p * DEPTH + i) * COLUMNS + j] =
                        p * COLUMNS + j < n ? b[(k0 + i) * ldb + p * COLUMNS + j] : 0;
        for (size_t r = 0; r < m; r += ROWS)
            for (size_t p = 0; p < panels; p++)
                tile(m - r < ROWS ? m - r : ROWS, n - p * COLUMNS < COLUMNS ? n - p * COLUMNS : COLUMNS,
                     depth, a + r * lda + k0, lda, packed + p * DEPTH * COLUMNS, c + r * ldc + p * COLUMNS,
                     ldc);
    }
    free(packed);
}
