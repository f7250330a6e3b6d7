#include "hash/near_kernels.h"

#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static inline __attribute__((always_inline)) size_t scan_body(const uint64_t *x, const uint64_t *y,
                                                              const struct near_range *ranges,
                                                              size_t n_ranges, uint64_t qx, uint64_t qy,
                                                              int limit, uint32_t *hits)
{
    size_t count = 0;
    for (size_t r = 0; r < n_ranges; r++)
        for (uint32_t i = ranges[r].begin; i < ranges[r].end; i++) {
            hits[count] = i;
            count += __builtin_popcountll(x[i] ^ qx) + __builtin_popcountll(y[i] ^ qy) <= limit;
        }
    return count;
}

static size_t scan_plain(const uint64_t *x, const uint64_t *y, const struct near_range *ranges,
                         size_t n_ranges, uint64_t qx, uint64_t qy, int limit, uint32_t *hits)
{
    return scan_body(x, y, ranges, n_ranges, qx, qy, limit, hits);
}

#if defined(__x86_64__)

/* Counts the set bits of each 64-bit lane: a table of 16 entries by byte shuffle, then sums of bytes. */
__attribute__((target("avx2"))) static inline __m256i popcount_avx2(__m256i v)
{
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2,
                                           2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i low = _mm256_set1_epi8(15);
    return _mm256_add_epi8(_mm256_shuffle_epi8(table, _mm256_and_si256(v, low)),
                           _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(v, 4), low)));
}

__attribute__((target("avx2,popcnt,bmi"))) static size_t scan_avx2(const uint64_t *x, const uint64_t *y,
                                                                   const struct near_range *ranges,
                                                                   size_t n_ranges, uint64_t qx, uint64_t qy,
                                                                   int limit, uint32_t *hits)
{
    const __m256i vx = _mm256_set1_epi64x((long long)qx), vy = _mm256_set1_epi64x((long long)qy);
    const __m256i bound = _mm256_set1_epi64x(limit + 1), zero = _mm256_setzero_si256();
    size_t count = 0;
    for (size_t r = 0; r < n_ranges; r++) {
        uint32_t i = ranges[r].begin, end = ranges[r].end;
        for (; end - i < 3 && i < end; i++) { /* one or two elements are faster without vectors */
            hits[count] = i;
            count += __builtin_popcountll(x[i] ^ qx) + __builtin_popcountll(y[i] ^ qy) <= limit;
        }
        for (; i < end; i += 4) {
            __m256i a = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(x + i)), vx);
            __m256i b = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(y + i)), vy);
            __m256i s = _mm256_sad_epu8(_mm256_add_epi8(popcount_avx2(a), popcount_avx2(b)), zero);
            unsigned m = (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(bound, s)));
            if (end - i < 4) m &= (1u << (end - i)) - 1;
            for (; m; m &= m - 1)
                hits[count++] = i + (uint32_t)__builtin_ctz(m);
            if (end - i < 4) break;
        }
    }
    return count;
}

__attribute__((target("avx512f,avx512vl,avx512vpopcntdq,bmi,bmi2"))) static size_t scan_avx512(
    const uint64_t *x, const uint64_t *y, const struct near_range *ranges, size_t n_ranges, uint64_t qx,
    uint64_t qy, int limit, uint32_t *hits)
{
    const __m512i vx = _mm512_set1_epi64((long long)qx), vy = _mm512_set1_epi64((long long)qy);
    const __m512i bound = _mm512_set1_epi64(limit);
    size_t count = 0;
    for (size_t r = 0; r < n_ranges; r++) {
        uint32_t end = ranges[r].end;
        for (uint32_t i = ranges[r].begin; i < end; i += 8) {
            __mmask8 in = (__mmask8)_bzhi_u32(0xff, end - i);
            __m512i a = _mm512_popcnt_epi64(_mm512_xor_si512(_mm512_loadu_si512(x + i), vx));
            __m512i b = _mm512_popcnt_epi64(_mm512_xor_si512(_mm512_loadu_si512(y + i), vy));
            unsigned m = _mm512_mask_cmple_epi64_mask(in, _mm512_add_epi64(a, b), bound);
            for (; m; m &= m - 1)
                hits[count++] = i + (uint32_t)__builtin_ctz(m);
            if (end - i <= 8) break;
        }
    }
    return count;
}

__attribute__((target("popcnt"))) static size_t scan_popcnt(const uint64_t *x, const uint64_t *y,
                                                            const struct near_range *ranges, size_t n_ranges,
                                                            uint64_t qx, uint64_t qy, int limit,
                                                            uint32_t *hits)
{
    return scan_body(x, y, ranges, n_ranges, qx, qy, limit, hits);
}

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("bmi2");
}
static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt"); }
static bool has_popcnt(void) { return __builtin_cpu_supports("popcnt"); }

#endif

static bool has_always(void) { return true; }

const struct near_kernel *near_kernel_find(const char *name)
{
    static const struct {
        struct near_kernel kernel;
        bool (*runs)(void);
    } kernels[] = {
#if defined(__x86_64__)
        {{"avx512", scan_avx512}, has_avx512},
        {{"avx2", scan_avx2}, has_avx2},
        {{"popcnt", scan_popcnt}, has_popcnt},
#endif
        {{"plain", scan_plain}, has_always},
    };
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if ((!name || !strcmp(name, kernels[i].kernel.name)) && kernels[i].runs()) return &kernels[i].kernel;
    return NULL;
}
