/*
 * augment_warp.c: bilinear sampling along straight lines. Positions have 32 integer bits and 32 fraction
 * bits. The four weights are 14-bit integers, so plain C and SSE compute the same bits. FILL_NEAREST needs no
 * special case for positions outside the picture: when the position is moved to the nearest edge, the result
 * is the same as when each of the four samples is moved there.
 */
#include "base/simd.h"
#include "image/augment_warp.h"

#include <math.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define ONE ((int64_t)1 << 32)

struct line {
    int64_t y, x, step_y, step_x;
}; /* positions of one output row */

static int64_t fixed(double v)
{
    return (int64_t)llrint(v * 4294967296.0); /* sides are below 2^16: far from overflow */
}

/* Gives the top left sample and the weights for position (y, x), which lies inside. Both sides are at
 * least 2. */
static inline size_t locate(int64_t y, int64_t x, int width, int height, unsigned *fy, unsigned *fx)
{
    int iy = (int)(y >> 32), ix = (int)(x >> 32);
    /* On the last line, take the pair that begins one line earlier, with weight 128. */
    iy = iy > height - 2 ? height - 2 : iy;
    ix = ix > width - 2 ? width - 2 : ix;
    *fy = (unsigned)((y - (int64_t)iy * ONE) >> 25);
    *fx = (unsigned)((x - (int64_t)ix * ONE) >> 25);
    return ((size_t)iy * (size_t)width + (size_t)ix) * 3;
}

static inline int64_t clamp(int64_t v, int64_t most)
{
    v = v < 0 ? 0 : v;
    return v > most ? most : v;
}

static void nearest_c(uint8_t *out, int n, const struct image *in, struct line l, int64_t most_y,
                      int64_t most_x)
{
    size_t stride = (size_t)in->width * 3;
    for (int i = 0; i < n; i++, out += 3, l.y += l.step_y, l.x += l.step_x) {
        unsigned fy, fx;
        const uint8_t *p =
            in->pixels + locate(clamp(l.y, most_y), clamp(l.x, most_x), in->width, in->height, &fy, &fx);
        unsigned w11 = fy * fx, w10 = fy * 128 - w11, w01 = fx * 128 - w11, w00 = 16384 - w01 - w10 - w11;
        for (int c = 0; c < 3; c++)
            out[c] = (uint8_t)((p[c] * w00 + p[c + 3] * w01 + p[stride + (size_t)c] * w10 +
                                p[stride + (size_t)c + 3] * w11 + 8192) >>
                               14);
    }
}

#if defined(__x86_64__)

__attribute__((target("sse4.1"))) static void nearest_sse(uint8_t *out, int n, const struct image *in,
                                                          struct line l, int64_t most_y, int64_t most_x)
{
    /* Extracts the four samples of each channel, as 16-bit numbers, from eight bytes of a row and eight of
     * the next row. */
    const __m128i red_green = _mm_setr_epi8(0, -1, 3, -1, 8, -1, 11, -1, 1, -1, 4, -1, 9, -1, 12, -1);
    const __m128i blue = _mm_setr_epi8(2, -1, 5, -1, 10, -1, 13, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    const __m128i half = _mm_set1_epi32(8192);
    const size_t stride = (size_t)in->width * 3;
    for (int i = 0; i < n; i++, out += 3, l.y += l.step_y, l.x += l.step_x) {
        unsigned fy, fx;
        const uint8_t *p =
            in->pixels + locate(clamp(l.y, most_y), clamp(l.x, most_x), in->width, in->height, &fy, &fx);
        unsigned w11 = fy * fx, w10 = fy * 128 - w11, w01 = fx * 128 - w11, w00 = 16384 - w01 - w10 - w11;
        __m128i weights = _mm_set1_epi64x(
            (long long)((uint64_t)w00 | (uint64_t)w01 << 16 | (uint64_t)w10 << 32 | (uint64_t)w11 << 48));
        __m128i taps = _mm_unpacklo_epi64(_mm_loadl_epi64((const __m128i *)p),
                                          _mm_loadl_epi64((const __m128i *)(p + stride)));
        __m128i rg = _mm_madd_epi16(_mm_shuffle_epi8(taps, red_green), weights);
        __m128i b = _mm_madd_epi16(_mm_shuffle_epi8(taps, blue), weights);
        __m128i v = _mm_srli_epi32(_mm_add_epi32(_mm_hadd_epi32(rg, b), half), 14);
        v = _mm_packus_epi16(_mm_packs_epi32(v, v), v);
        uint32_t rgb = (uint32_t)_mm_cvtsi128_si32(v);
        out[0] = (uint8_t)rgb;
        out[1] = (uint8_t)(rgb >> 8);
        out[2] = (uint8_t)(rgb >> 16);
    }
}

/*
 * Eight pixels at a time: positions, offsets and weights are vectors, then each pixel takes two loads. Sides
 * are below 2^16 and the picture below 2^31 bytes, so that offsets fit into 32 bits. Returns how many pixels
 * it wrote. A block writes four bytes beyond its last pixel.
 */
__attribute__((target("avx2"))) static int nearest_avx2(uint8_t *out, int n, const struct image *in,
                                                        const struct line *l, int64_t most_y, int64_t most_x)
{
    const __m128i pairs = _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1);
    const __m128i squeeze = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    const __m128i half = _mm_set1_epi32(8192);
    /* AVX2 cannot shift signed 64-bit numbers right. Adding 2^55, which is far above any position, makes
     * them positive for the shift; afterwards it is subtracted again. */
    const int64_t bias = (int64_t)1 << 55;
    const __m256i unbias = _mm256_set1_epi32(1 << 30), zero = _mm256_setzero_si256(),
                  one28 = _mm256_set1_epi32(128);
    const __m256i top_y = _mm256_set1_epi32((int)(most_y >> 25)),
                  top_x = _mm256_set1_epi32((int)(most_x >> 25));
    const __m256i last_y = _mm256_set1_epi32(in->height - 2), last_x = _mm256_set1_epi32(in->width - 2);
    const __m256i stride = _mm256_set1_epi32(in->width * 3), three = _mm256_set1_epi32(3),
                  whole = _mm256_set1_epi32(16384);
    int64_t lanes[4][4];
    for (int k = 0; k < 4; k++) {
        static const int at[2][4] = {{0, 1, 4, 5}, {2, 3, 6, 7}};
        lanes[0][k] = l->y + bias + at[0][k] * l->step_y;
        lanes[1][k] = l->y + bias + at[1][k] * l->step_y;
        lanes[2][k] = l->x + bias + at[0][k] * l->step_x;
        lanes[3][k] = l->x + bias + at[1][k] * l->step_x;
    }
    __m256i y0 = _mm256_loadu_si256((const __m256i *)lanes[0]),
            y1 = _mm256_loadu_si256((const __m256i *)lanes[1]);
    __m256i x0 = _mm256_loadu_si256((const __m256i *)lanes[2]),
            x1 = _mm256_loadu_si256((const __m256i *)lanes[3]);
    const __m256i step_y = _mm256_set1_epi64x(8 * l->step_y), step_x = _mm256_set1_epi64x(8 * l->step_x);
    const uint8_t *pixels = in->pixels;
    const size_t row = (size_t)in->width * 3;
    int done = 0;
    for (; done + 10 <= n; done += 8, out += 24) {
        int32_t offset[8], top[8], bottom[8];
        /* The low halves are in the order (0 1 4 5) and (2 3 6 7), because instructions work on 128-bit
         * lanes. This puts 0 to 7 in order. */
        __m256i y =
            _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(_mm256_srli_epi64(y0, 25)),
                                                  _mm256_castsi256_ps(_mm256_srli_epi64(y1, 25)), 0x88));
        __m256i x =
            _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(_mm256_srli_epi64(x0, 25)),
                                                  _mm256_castsi256_ps(_mm256_srli_epi64(x1, 25)), 0x88));
        y0 = _mm256_add_epi64(y0, step_y);
        y1 = _mm256_add_epi64(y1, step_y);
        x0 = _mm256_add_epi64(x0, step_x);
        x1 = _mm256_add_epi64(x1, step_x);
        y = _mm256_min_epi32(_mm256_max_epi32(_mm256_sub_epi32(y, unbias), zero), top_y);
        x = _mm256_min_epi32(_mm256_max_epi32(_mm256_sub_epi32(x, unbias), zero), top_x);
        __m256i iy = _mm256_min_epi32(_mm256_srli_epi32(y, 7), last_y),
                ix = _mm256_min_epi32(_mm256_srli_epi32(x, 7), last_x);
        __m256i fy = _mm256_sub_epi32(y, _mm256_slli_epi32(iy, 7)),
                fx = _mm256_sub_epi32(x, _mm256_slli_epi32(ix, 7));
        __m256i w11 = _mm256_mullo_epi16(fy, fx), w10 = _mm256_sub_epi32(_mm256_mullo_epi16(fy, one28), w11);
        __m256i w01 = _mm256_sub_epi32(_mm256_mullo_epi16(fx, one28), w11);
        __m256i w00 = _mm256_sub_epi32(_mm256_sub_epi32(whole, w01), _mm256_add_epi32(w10, w11));
        _mm256_storeu_si256((__m256i *)offset,
                            _mm256_add_epi32(_mm256_mullo_epi32(iy, stride), _mm256_mullo_epi32(ix, three)));
        _mm256_storeu_si256((__m256i *)top, _mm256_or_si256(w00, _mm256_slli_epi32(w01, 16)));
        _mm256_storeu_si256((__m256i *)bottom, _mm256_or_si256(w10, _mm256_slli_epi32(w11, 16)));
        for (int four = 0; four < 8; four += 4) {
            __m128i v[4];
            for (int k = 0; k < 4; k++) {
                const uint8_t *p = pixels + (uint32_t)offset[four + k];
                __m128i a = _mm_shuffle_epi8(_mm_loadl_epi64((const __m128i *)p), pairs);
                __m128i b = _mm_shuffle_epi8(_mm_loadl_epi64((const __m128i *)(p + row)), pairs);
                __m128i sum = _mm_add_epi32(_mm_madd_epi16(a, _mm_set1_epi32(top[four + k])),
                                            _mm_madd_epi16(b, _mm_set1_epi32(bottom[four + k])));
                v[k] = _mm_srli_epi32(_mm_add_epi32(sum, half), 14);
            }
            __m128i all = _mm_packus_epi16(_mm_packs_epi32(v[0], v[1]), _mm_packs_epi32(v[2], v[3]));
            _mm_storeu_si128((__m128i *)(out + four * 3), _mm_shuffle_epi8(all, squeeze));
        }
    }
    return done;
}

#endif

/* Returns the index of the sample, in a line of n, to use for position i, which may be outside; -1: use
 * the constant colour. */
static int outside(int64_t i, int n, enum augment_fill fill)
{
    if (i >= 0 && i < n) return (int)i;
    switch (fill) {
    case FILL_NEAREST: return i < 0 ? 0 : n - 1;
    case FILL_WRAP: return (int)(((i % n) + n) % n);
    case FILL_REFLECT: { /* d c b a | a b c d | d c b a, as Keras and scipy mean it */
        int64_t k = ((i % (2 * n)) + 2 * n) % (2 * n);
        return (int)(k < n ? k : 2 * n - 1 - k);
    }
    default: return -1;
    }
}

static void any_fill(uint8_t *out, int n, const struct image *in, struct line l, enum augment_fill fill,
                     const uint8_t value[3])
{
    size_t stride = (size_t)in->width * 3;
    for (int i = 0; i < n; i++, out += 3, l.y += l.step_y, l.x += l.step_x) {
        int64_t iy = l.y >> 32, ix = l.x >> 32;
        unsigned fy = (unsigned)((l.y & (ONE - 1)) >> 25), fx = (unsigned)((l.x & (ONE - 1)) >> 25);
        unsigned w[4], sum[3] = {8192, 8192, 8192};
        w[3] = fy * fx;
        w[2] = fy * 128 - w[3];
        w[1] = fx * 128 - w[3];
        w[0] = 16384 - w[1] - w[2] - w[3];
        for (int k = 0; k < 4; k++) {
            int y = outside(iy + (k >> 1), in->height, fill), x = outside(ix + (k & 1), in->width, fill);
            const uint8_t *p = y < 0 || x < 0 ? value : in->pixels + (size_t)y * stride + (size_t)x * 3;
            for (int c = 0; c < 3; c++)
                sum[c] += w[k] * p[c];
        }
        for (int c = 0; c < 3; c++)
            out[c] = (uint8_t)(sum[c] >> 14);
    }
}

void augment_warp(struct image *out, const struct image *in, const double m[6], enum augment_fill fill,
                  const uint8_t value[3])
{
    int64_t most_y = (int64_t)(in->height - 1) * ONE, most_x = (int64_t)(in->width - 1) * ONE;
    bool thin = in->width < 2 || in->height < 2;
    enum simd simd = simd_level();
    /* Half of a 1/128: it makes the truncation that follows round to the nearest. */
    const int64_t half = (int64_t)1 << 24;
    for (int y = 0; y < out->height; y++) {
        struct line l = {fixed(m[0] * y + m[2]) + half, fixed(m[3] * y + m[5]) + half, fixed(m[1]),
                         fixed(m[4])};
        uint8_t *to = out->pixels + (size_t)y * (size_t)out->width * 3;
        if (thin || fill != FILL_NEAREST) {
            any_fill(to, out->width, in, l, fill, value);
            continue;
        }
#if defined(__x86_64__)
        if (simd > SIMD_BASE) {
            int done = simd >= SIMD_AVX2 && image_bytes(in) < INT32_MAX
                           ? nearest_avx2(to, out->width, in, &l, most_y, most_x)
                           : 0;
            l.y += done * l.step_y;
            l.x += done * l.step_x;
            nearest_sse(to + 3 * done, out->width - done, in, l, most_y, most_x);
            continue;
        }
#endif
        (void)simd;
        nearest_c(to, out->width, in, l, most_y, most_x);
    }
}
