/*
 * resize_kernels.c: weighted sums along rows and columns. 16-bit weights times 8-bit samples are exact in 32
 * bits. The order of the additions therefore does not matter, and the vector loops give the bits of plain C.
 */
#include "base/simd.h"
#include "image/resize_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static inline uint8_t level(int32_t sum, int bits)
{
    int32_t v = (sum + (1 << (bits - 1))) >> bits;
    return v < 0 ? 0 : v > 255 ? 255 : (uint8_t)v;
}

/* --- along rows --- */

static void row_c(uint8_t *out, int n_out, const uint8_t *in, int channels, const struct taps *t)
{
    for (int i = 0; i < n_out; i++) {
        const int16_t *w = t->weights + (size_t)i * (size_t)t->stride;
        const uint8_t *p = in + (size_t)t->first[i] * (size_t)channels;
        for (int c = 0; c < channels; c++) {
            int32_t sum = 0;
            for (int k = 0; k < t->n; k++)
                sum += w[k] * p[(size_t)k * (size_t)channels + (size_t)c];
            *out++ = level(sum, t->bits);
        }
    }
}

#if defined(__x86_64__)

/* Pixels 0 and 1 (or 2 and 3) of four RGB pixels as pairs of 16-bit numbers, r0 r1 g0 g1 b0 b1, which
 * pmaddwd multiplies by w0 w1 w0 w1 w0 w1. */
#define PAIR_01 0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1
#define PAIR_23 6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1

__attribute__((target("sse4.1"))) static inline void store_rgb(uint8_t *out, __m128i sum, __m128i half,
                                                               __m128i bits)
{
    __m128i v = _mm_sra_epi32(_mm_add_epi32(sum, half), bits);
    v = _mm_packus_epi16(_mm_packs_epi32(v, v), v);
    uint32_t rgb = (uint32_t)_mm_cvtsi128_si32(v);
    out[0] = (uint8_t)rgb;
    out[1] = (uint8_t)(rgb >> 8);
    out[2] = (uint8_t)(rgb >> 16);
}

__attribute__((target("sse4.1"))) static void row_rgb_sse(uint8_t *out, int n_out, const uint8_t *in,
                                                          const struct taps *t)
{
    const __m128i p01 = _mm_setr_epi8(PAIR_01), p23 = _mm_setr_epi8(PAIR_23);
    const __m128i half = _mm_set1_epi32(1 << (t->bits - 1)), bits = _mm_cvtsi32_si128(t->bits);
    for (int i = 0; i < n_out; i++, out += 3) {
        const int16_t *w = t->weights + (size_t)i * (size_t)t->stride;
        const uint8_t *p = in + (size_t)t->first[i] * 3;
        __m128i sum = _mm_setzero_si128();
        for (int k = 0; k < t->n; k += 4, p += 12) {
            __m128i pixels = _mm_loadu_si128((const __m128i *)p);
            __m128i weights = _mm_loadl_epi64((const __m128i *)(w + k));
            __m128i a = _mm_madd_epi16(_mm_shuffle_epi8(pixels, p01), _mm_shuffle_epi32(weights, 0x00));
            __m128i b = _mm_madd_epi16(_mm_shuffle_epi8(pixels, p23), _mm_shuffle_epi32(weights, 0x55));
            sum = _mm_add_epi32(sum, _mm_add_epi32(a, b));
        }
        store_rgb(out, sum, half, bits);
    }
}

__attribute__((target("avx2"))) static void row_rgb_avx2(uint8_t *out, int n_out, const uint8_t *in,
                                                         const struct taps *t)
{
    const __m256i p01 = _mm256_broadcastsi128_si256(_mm_setr_epi8(PAIR_01));
    const __m256i p23 = _mm256_broadcastsi128_si256(_mm_setr_epi8(PAIR_23));
    const __m256i w01 = _mm256_setr_epi32(0, 0, 0, 0, 2, 2, 2, 2),
                  w23 = _mm256_setr_epi32(1, 1, 1, 1, 3, 3, 3, 3);
    const __m128i half = _mm_set1_epi32(1 << (t->bits - 1)), bits = _mm_cvtsi32_si128(t->bits);
    for (int i = 0; i < n_out; i++, out += 3) {
        const int16_t *w = t->weights + (size_t)i * (size_t)t->stride;
        const uint8_t *p = in + (size_t)t->first[i] * 3;
        __m256i sum = _mm256_setzero_si256();
        for (int k = 0; k < t->n; k += 8, p += 24) {
            __m256i pixels =
                _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)p)),
                                        _mm_loadu_si128((const __m128i *)(p + 12)), 1);
            __m256i weights = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(w + k)));
            __m256i a = _mm256_madd_epi16(_mm256_shuffle_epi8(pixels, p01),
                                          _mm256_permutevar8x32_epi32(weights, w01));
            __m256i b = _mm256_madd_epi16(_mm256_shuffle_epi8(pixels, p23),
                                          _mm256_permutevar8x32_epi32(weights, w23));
            sum = _mm256_add_epi32(sum, _mm256_add_epi32(a, b));
        }
        store_rgb(out, _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1)), half,
                  bits);
    }
}

#endif

void resize_rows(struct image *out, const struct image *in, const struct taps *t)
{
    size_t in_stride = (size_t)in->width * (size_t)in->channels,
           out_stride = (size_t)out->width * (size_t)out->channels;
    enum simd simd = simd_level();
    for (int y = 0; y < in->height; y++) {
        const uint8_t *from = in->pixels + (size_t)y * in_stride;
        uint8_t *to = out->pixels + (size_t)y * out_stride;
#if defined(__x86_64__)
        if (in->channels == 3 && simd >= SIMD_AVX2) {
            row_rgb_avx2(to, out->width, from, t);
            continue;
        }
        if (in->channels == 3 && simd == SIMD_SSE41) {
            row_rgb_sse(to, out->width, from, t);
            continue;
        }
#endif
        (void)simd;
        row_c(to, out->width, from, in->channels, t);
    }
}

/* --- down columns --- */

/* out[x] for x in from..n-1: sum over k of w[k] * in[k * stride + x]. */
static void column_c(uint8_t *out, size_t from, size_t n, const uint8_t *in, size_t stride, const int16_t *w,
                     const struct taps *t)
{
    for (size_t x = from; x < n; x++) {
        int32_t sum = 0;
        for (int k = 0; k < t->n; k++)
            sum += w[k] * in[(size_t)k * stride + x];
        out[x] = level(sum, t->bits);
    }
}

#if defined(__x86_64__)

__attribute__((target("sse4.1"))) static size_t column_sse(uint8_t *out, size_t n, const uint8_t *in,
                                                           size_t stride, const int16_t *w,
                                                           const struct taps *t)
{
    const __m128i zero = _mm_setzero_si128(), half = _mm_set1_epi32(1 << (t->bits - 1)),
                  bits = _mm_cvtsi32_si128(t->bits);
    size_t x = 0;
    for (; x + 16 <= n; x += 16) {
        __m128i s0 = half, s1 = half, s2 = half, s3 = half;
        for (int k = 0; k < t->n; k += 2) {
            const uint8_t *p = in + (size_t)k * stride + x;
            __m128i a = _mm_loadu_si128((const __m128i *)p);
            __m128i b = k + 1 < t->n ? _mm_loadu_si128((const __m128i *)(p + stride)) : zero;
            __m128i weights =
                _mm_set1_epi32((int32_t)((uint32_t)(uint16_t)w[k] | (uint32_t)(uint16_t)w[k + 1] << 16));
            __m128i low = _mm_unpacklo_epi8(a, b), high = _mm_unpackhi_epi8(a, b);
            s0 = _mm_add_epi32(s0, _mm_madd_epi16(_mm_unpacklo_epi8(low, zero), weights));
            s1 = _mm_add_epi32(s1, _mm_madd_epi16(_mm_unpackhi_epi8(low, zero), weights));
            s2 = _mm_add_epi32(s2, _mm_madd_epi16(_mm_unpacklo_epi8(high, zero), weights));
            s3 = _mm_add_epi32(s3, _mm_madd_epi16(_mm_unpackhi_epi8(high, zero), weights));
        }
        __m128i v0 = _mm_packs_epi32(_mm_sra_epi32(s0, bits), _mm_sra_epi32(s1, bits));
        __m128i v1 = _mm_packs_epi32(_mm_sra_epi32(s2, bits), _mm_sra_epi32(s3, bits));
        _mm_storeu_si128((__m128i *)(out + x), _mm_packus_epi16(v0, v1));
    }
    return x;
}

/* The same for 32 samples. Unpacking and packing both work within 128-bit lanes, so that they cancel out. */
__attribute__((target("avx2"))) static size_t column_avx2(uint8_t *out, size_t n, const uint8_t *in,
                                                          size_t stride, const int16_t *w,
                                                          const struct taps *t)
{
    const __m256i zero = _mm256_setzero_si256(), half = _mm256_set1_epi32(1 << (t->bits - 1));
    const __m128i bits = _mm_cvtsi32_si128(t->bits);
    size_t x = 0;
    for (; x + 32 <= n; x += 32) {
        __m256i s0 = half, s1 = half, s2 = half, s3 = half;
        for (int k = 0; k < t->n; k += 2) {
            const uint8_t *p = in + (size_t)k * stride + x;
            __m256i a = _mm256_loadu_si256((const __m256i *)p);
            __m256i b = k + 1 < t->n ? _mm256_loadu_si256((const __m256i *)(p + stride)) : zero;
            __m256i weights =
                _mm256_set1_epi32((int32_t)((uint32_t)(uint16_t)w[k] | (uint32_t)(uint16_t)w[k + 1] << 16));
            __m256i low = _mm256_unpacklo_epi8(a, b), high = _mm256_unpackhi_epi8(a, b);
            s0 = _mm256_add_epi32(s0, _mm256_madd_epi16(_mm256_unpacklo_epi8(low, zero), weights));
            s1 = _mm256_add_epi32(s1, _mm256_madd_epi16(_mm256_unpackhi_epi8(low, zero), weights));
            s2 = _mm256_add_epi32(s2, _mm256_madd_epi16(_mm256_unpacklo_epi8(high, zero), weights));
            s3 = _mm256_add_epi32(s3, _mm256_madd_epi16(_mm256_unpackhi_epi8(high, zero), weights));
        }
        __m256i v0 = _mm256_packs_epi32(_mm256_sra_epi32(s0, bits), _mm256_sra_epi32(s1, bits));
        __m256i v1 = _mm256_packs_epi32(_mm256_sra_epi32(s2, bits), _mm256_sra_epi32(s3, bits));
        _mm256_storeu_si256((__m256i *)(out + x), _mm256_packus_epi16(v0, v1));
    }
    return x;
}

#endif

void resize_columns(struct image *out, const struct image *in, const struct taps *t)
{
    size_t stride = (size_t)in->width * (size_t)in->channels;
    enum simd simd = simd_level();
    for (int y = 0; y < out->height; y++) {
        const int16_t *w = t->weights + (size_t)y * (size_t)t->stride;
        const uint8_t *from = in->pixels + (size_t)t->first[y] * stride;
        uint8_t *to = out->pixels + (size_t)y * stride;
        size_t done = 0;
#if defined(__x86_64__)
        if (simd >= SIMD_AVX2)
            done = column_avx2(to, stride, from, stride, w, t);
        else if (simd == SIMD_SSE41)
            done = column_sse(to, stride, from, stride, w, t);
#endif
        (void)simd;
        column_c(to, done, stride, from, stride, w, t);
    }
}
