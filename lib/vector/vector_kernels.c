/* vector_kernels.c: see vector_kernels.h. */
#include "vector/vector_kernels.h"

#include <string.h>

#include "base/simd.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static uint64_t run_plain(const uint8_t *a, const int8_t *group, const int16_t *bias, size_t n4,
                          int32_t limit, int32_t *out)
{
    uint64_t hits = 0;
    for (int r = 0; r < VECTOR_ROWS; r++)
        for (int k = 0; k < VECTOR_GROUP; k++) {
            int32_t sum = 0;
            for (size_t i = 0; i < n4; i++)
                for (int v = 0; v < 4; v++)
                    sum += (a[((size_t)r * n4 + i) * 4 + (size_t)v] - 64) *
                           group[(i * VECTOR_GROUP + (size_t)k) * 4 + (size_t)v];
            out[r * VECTOR_GROUP + k] = sum;
            hits |= (uint64_t)(sum > limit) << (r * VECTOR_GROUP + k);
        }
    (void)bias;
    return hits;
}

#if defined(__x86_64__)

static inline int32_t four_bytes(const uint8_t *p)
{
    int32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

__attribute__((target("avx2"))) static uint64_t run_avx2(const uint8_t *a, const int8_t *group,
                                                         const int16_t *bias, size_t n4, int32_t limit,
                                                         int32_t *out)
{
    const __m256i ones = _mm256_set1_epi16(1), over = _mm256_set1_epi32(limit);
    __m256i low[VECTOR_ROWS], high[VECTOR_ROWS];
    uint64_t hits = 0;
    for (int r = 0; r < VECTOR_ROWS; r++) {
        low[r] = _mm256_loadu_si256((const __m256i *)(const void *)bias);
        high[r] = _mm256_loadu_si256((const __m256i *)(const void *)(bias + 16));
    }
    for (size_t i = 0; i < n4; i++) {
        __m256i b0 = _mm256_loadu_si256((const __m256i *)(const void *)(group + i * 64));
        __m256i b1 = _mm256_loadu_si256((const __m256i *)(const void *)(group + i * 64 + 32));
#pragma GCC unroll 4
        for (int r = 0; r < VECTOR_ROWS; r++) {
            __m256i x = _mm256_set1_epi32(four_bytes(a + ((size_t)r * n4 + i) * 4));
            low[r] = _mm256_add_epi16(low[r], _mm256_maddubs_epi16(x, b0));
            high[r] = _mm256_add_epi16(high[r], _mm256_maddubs_epi16(x, b1));
        }
    }
    for (int r = 0; r < VECTOR_ROWS; r++) {
        __m256i s0 = _mm256_madd_epi16(low[r], ones), s1 = _mm256_madd_epi16(high[r], ones);
        uint64_t hit =
            (uint64_t)(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(s0, over))) |
            (uint64_t)(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(s1, over))) << 8;
        if (hit) {
            _mm256_storeu_si256((__m256i *)(void *)(out + r * VECTOR_GROUP), s0);
            _mm256_storeu_si256((__m256i *)(void *)(out + r * VECTOR_GROUP + 8), s1);
        }
        hits |= hit << (r * VECTOR_GROUP);
    }
    return hits;
}

__attribute__((target("avx512f,avx512bw"))) static uint64_t run_avx512(const uint8_t *a, const int8_t *group,
                                                                       const int16_t *bias, size_t n4,
                                                                       int32_t limit, int32_t *out)
{
    const __m512i ones = _mm512_set1_epi16(1), over = _mm512_set1_epi32(limit);
    __m512i sum[VECTOR_ROWS];
    uint64_t hits = 0;
    for (int r = 0; r < VECTOR_ROWS; r++)
        sum[r] = _mm512_loadu_si512(bias);
    for (size_t i = 0; i < n4; i++) {
        __m512i b = _mm512_loadu_si512(group + i * 64);
#pragma GCC unroll 4
        for (int r = 0; r < VECTOR_ROWS; r++)
            sum[r] = _mm512_add_epi16(sum[r], _mm512_maddubs_epi16(_mm512_set1_epi32(four_bytes(
                                                                       a + ((size_t)r * n4 + i) * 4)),
                                                                   b));
    }
    for (int r = 0; r < VECTOR_ROWS; r++) {
        __m512i s = _mm512_madd_epi16(sum[r], ones);
        uint64_t hit = _mm512_cmpgt_epi32_mask(s, over);
        if (hit) _mm512_storeu_si512(out + r * VECTOR_GROUP, s);
        hits |= hit << (r * VECTOR_GROUP);
    }
    return hits;
}

#endif

static const struct vector_kernel_row kernels[] = {
#if defined(__x86_64__)
    {"avx512", run_avx512},
    {"avx2", run_avx2},
#endif
    {"plain", run_plain},
};

const struct vector_kernel_row *vector_kernel_find(const char *name)
{
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
        enum simd needs = !strcmp(kernels[i].name, "avx512") ? SIMD_AVX512
                          : !strcmp(kernels[i].name, "avx2") ? SIMD_AVX2
                                                             : SIMD_BASE;
        if ((!name || !strcmp(name, kernels[i].name)) && simd_level() >= needs) return &kernels[i];
    }
    return NULL;
}
