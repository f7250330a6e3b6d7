#include "image/picture_stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/mem.h"
#include "base/simd.h"
#include "image/edge_width.h"

/* --- brightness --- */

/* 1000 times the squared brightness in 255ths, exact in integers: at most 65,025,000. */
static inline uint32_t light(const uint8_t *p)
{
    return 241u * p[0] * p[0] + 691u * p[1] * p[1] + 68u * p[2] * p[2];
}

#define FINE_BITS 13 /* values that share their upper bits are counted together first */
#define N_COARSE ((65025000u >> FINE_BITS) + 1)
#define N_FINE (1u << FINE_BITS)

/* Position of the q-th percentile of n values: returns k, and sets *t to the position between the sorted
 * values k and k + 1. */
static size_t rank_of(double q, size_t n, double *t)
{
    double x = q / 100 * (double)(n - 1);
    size_t k = (size_t)x;
    *t = x - (double)k;
    return k;
}

static double between(double a, double b, double t)
{
    return t < 0.5 ? a + (b - a) * t : b - (b - a) * (1 - t);
}

static const double percents[N_BRIGHTNESS] = {1, 5, 10, 15, 90, 95, 99};

static void gray_brightness(const uint64_t counts[256], size_t n, double *out)
{
    for (int i = 0; i < N_BRIGHTNESS; i++) {
        double t, value[2];
        size_t k = rank_of(percents[i], n, &t), before = 0;
        int v = 0;
        for (int side = 0; side < 2; side++) {
            size_t wanted = k + (size_t)side < n ? k + (size_t)side : n - 1;
            while (before + counts[v] <= wanted)
                before += counts[v++];
            value[side] = v / 255.0;
        }
        out[i] = between(value[0], value[1], t);
    }
}

/* The brightness of n pixels of three samples, n at most PIECE. */
#define PIECE 512
static void lights_plain(uint32_t *to, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = light(p + 3 * i);
}

#if defined(__x86_64__)
/* The same for eight pixels at a time: their 24 bytes are expanded to one sample in each 32 bits. */
__attribute__((target("avx2"))) static void lights_avx2(uint32_t *to, const uint8_t *p, size_t n)
{
    const __m128i first = _mm_setr_epi8(0, -1, -1, -1, 3, -1, -1, -1, 6, -1, -1, -1, 9, -1, -1, -1);
    const __m256i red = _mm256_broadcastsi128_si256(first);
    const __m256i green = _mm256_broadcastsi128_si256(_mm_add_epi8(first, _mm_set1_epi32(1)));
    const __m256i blue = _mm256_broadcastsi128_si256(_mm_add_epi8(first, _mm_set1_epi32(2)));
    size_t i = 0;
    for (; i + 10 <= n; i += 8) { /* reads four bytes more than it uses */
        __m256i v =
            _mm256_inserti128_si256(_mm256_castsi128_si256(
                                        _mm_loadu_si128((const __m128i *)(const void *)(p + 3 * i))),
                                    _mm_loadu_si128((const __m128i *)(const void *)(p + 3 * i + 12)), 1);
        __m256i r = _mm256_shuffle_epi8(v, red), g = _mm256_shuffle_epi8(v, green),
                b = _mm256_shuffle_epi8(v, blue);
        /* a square fits 16 bits, and the upper ones are 0 */
        r = _mm256_mullo_epi32(_mm256_mullo_epi16(r, r), _mm256_set1_epi32(241));
        g = _mm256_mullo_epi32(_mm256_mullo_epi16(g, g), _mm256_set1_epi32(691));
        b = _mm256_mullo_epi32(_mm256_mullo_epi16(b, b), _mm256_set1_epi32(68));
        _mm256_storeu_si256((__m256i *)(void *)(to + i), _mm256_add_epi32(_mm256_add_epi32(r, g), b));
    }
    lights_plain(to + i, p + 3 * i, n - i);
}
#else
#define lights_avx2 lights_plain
#endif

static void lights(uint32_t *to, const uint8_t *p, size_t n)
{
    (simd_level() >= SIMD_AVX2 ? lights_avx2 : lights_plain)(to, p, n);
}

/* Counts the samples of a picture of three channels, and the upper bits of the brightness of its pixels.
 * Adjacent pixels are often equal, and incrementing the same counter twice in a row is slow, so they use
 * separate tables. */
#define TABLES 4
#define FINE_TABLES 2
static int count_colours(const struct image *m, uint64_t counts[3][256], uint32_t *coarse, struct error *err)
{
    size_t n = (size_t)m->width * (size_t)m->height;
    uint32_t(*tables)[3][256] = mem_zalloc(TABLES, sizeof *tables, err);
    uint32_t *other = mem_zalloc(N_COARSE, sizeof *other, err), piece[PIECE];
    int rc = -1;
    if (!tables || !other) goto out;
    for (size_t at = 0; at < n; at += PIECE) {
        size_t k = n - at < PIECE ? n - at : PIECE, i = 0;
        const uint8_t *p = m->pixels + 3 * at;
        lights(piece, p, k);
        for (; i + TABLES <= k; i += TABLES, p += 3 * TABLES)
            for (int t = 0; t < TABLES; t++) {
                tables[t][0][p[3 * t]]++;
                tables[t][1][p[3 * t + 1]]++;
                tables[t][2][p[3 * t + 2]]++;
                (t % 2 ? other : coarse)[piece[i + (size_t)t] >> FINE_BITS]++;
            }
        for (; i < k; i++, p += 3) {
            for (int c = 0; c < 3; c++)
                tables[0][c][p[c]]++;
            coarse[piece[i] >> FINE_BITS]++;
        }
    }
    for (int t = 0; t < TABLES; t++)
        for (int c = 0; c < 3; c++)
            for (int v = 0; v < 256; v++)
                counts[c][v] += tables[t][c][v];
    for (size_t v = 0; v < N_COARSE; v++)
        coarse[v] += other[v];
    rc = 0;
out:
    free(tables);
    free(other);
    return rc;
}

/*
 * The values themselves are not kept. Their upper bits were counted before. This second pass counts the lower
 * bits of values whose upper bits contain a wanted rank.
 */
static int colour_brightness(const struct image *m, const uint32_t *coarse, double *out, struct error *err)
{
    size_t n = (size_t)m->width * (size_t)m->height, ranks[2 * N_BRIGHTNESS], skipped[2 * N_BRIGHTNESS];
    double fractions[N_BRIGHTNESS], values[2 * N_BRIGHTNESS];
    uint32_t bins[2 * N_BRIGHTNESS], piece[PIECE];
    int8_t slot[N_COARSE];
    int n_slots = 0;
    memset(slot, -1, N_COARSE);
    for (int i = 0; i < N_BRIGHTNESS; i++) {
        ranks[2 * i] = rank_of(percents[i], n, &fractions[i]);
        ranks[2 * i + 1] = ranks[2 * i] + 1 < n ? ranks[2 * i] + 1 : n - 1;
    }
    for (int i = 0; i < 2 * N_BRIGHTNESS; i++) {
        uint32_t bin = 0;
        skipped[i] = 0;
        while (skipped[i] + coarse[bin] <= ranks[i])
            skipped[i] += coarse[bin++];
        bins[i] = bin;
        if (slot[bin] < 0) slot[bin] = (int8_t)n_slots++;
    }
    uint32_t *room = mem_zalloc((size_t)n_slots * N_FINE * FINE_TABLES, sizeof *room, err),
             *fine[FINE_TABLES];
    if (!room) return -1;
    for (int t = 0; t < FINE_TABLES; t++)
        fine[t] = room + (size_t)t * (size_t)n_slots * N_FINE;
    for (size_t at = 0; at < n; at += PIECE) {
        size_t k = n - at < PIECE ? n - at : PIECE;
        lights(piece, m->pixels + 3 * at, k);
        for (size_t i = 0; i < k; i++) {
            int s = slot[piece[i] >> FINE_BITS];
            if (s >= 0) fine[i % FINE_TABLES][(size_t)s * N_FINE + (piece[i] & (N_FINE - 1))]++;
        }
    }
    for (size_t v = 0, n_fine = (size_t)n_slots * N_FINE; v < n_fine; v++)
        for (int t = 1; t < FINE_TABLES; t++)
            fine[0][v] += fine[t][v];
    for (int i = 0; i < 2 * N_BRIGHTNESS; i++) {
        const uint32_t *counts = fine[0] + (size_t)slot[bins[i]] * N_FINE;
        size_t before = skipped[i];
        uint32_t low = 0;
        while (before + counts[low] <= ranks[i])
            before += counts[low++];
        values[i] = sqrt(((double)(bins[i] << FINE_BITS) + low) / 1000) / 255;
    }
    for (int i = 0; i < N_BRIGHTNESS; i++)
        out[i] = between(values[2 * i], values[2 * i + 1], fractions[i]);
    free(room);
    return 0;
}

/* --- the picture at 64 px --- */

#define SMALL_PX 64
#define WEIGHT_BITS 22

static double cubic(double x) /* Keys' kernel, a = -0.5 */
{
    x = fabs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

/* For each of n_out results, the first input sample, the number of samples, and their weights in fixed
 * point. */
struct taps {
    int *first, *n;
    int32_t *weights;
    int room; /* weights of one result */
};

static void taps_release(struct taps *t)
{
    free(t->first);
    free(t->n);
    free(t->weights);
}

static int taps_make(struct taps *t, int n_in, int n_out, struct error *err)
{
    double scale = (double)n_in / n_out, stretch = scale > 1 ? scale : 1, *k = NULL;
    *t = (struct taps){.room = (int)ceil(4 * stretch) + 2};
    t->first = mem_zalloc((size_t)n_out, sizeof *t->first, err);
    t->n = mem_zalloc((size_t)n_out, sizeof *t->n, err);
    t->weights = mem_zalloc((size_t)n_out * (size_t)t->room, sizeof *t->weights, err);
    k = mem_zalloc((size_t)t->room, sizeof *k, err);
    if (!t->first || !t->n || !t->weights || !k) {
        free(k);
        taps_release(t);
        return -1;
    }
    for (int i = 0; i < n_out; i++) {
        double centre = (i + 0.5) * scale, sum = 0;
        int first = (int)(centre - 2 * stretch + 0.5), last = (int)(centre + 2 * stretch + 0.5);
        if (centre - 2 * stretch + 0.5 < 0) first = 0;
        if (last > n_in) last = n_in;
        for (int j = first; j < last; j++)
            sum += k[j - first] = cubic((j - centre + 0.5) / stretch);
        for (int j = 0; j < last - first; j++) {
            double w = k[j] / sum * (1 << WEIGHT_BITS);
            t->weights[i * t->room + j] = (int32_t)(w + (w < 0 ? -0.5 : 0.5));
        }
        t->first[i] = first;
        t->n[i] = last - first;
    }
    free(k);
    return 0;
}

static inline uint8_t rounded(int32_t sum)
{
    int32_t v = (sum + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/*
 * The horizontal pass, for LANES rows at once: their samples are transposed first, so that one weight applies
 * to a whole vector.
 */
#define LANES 16
#if defined(__x86_64__)
/* columns[i][k] = rows[k][i] for 16 x 16 bytes, by four steps of interleaving. */
static inline void transpose_16(uint8_t (*columns)[LANES], const uint8_t *rows, size_t stride)
{
    __m128i v[16], w[16];
    for (size_t k = 0; k < 16; k++)
        v[k] = _mm_loadu_si128((const __m128i *)(const void *)(rows + k * stride));
    for (int step = 0; step < 4; step++) {
        for (int k = 0; k < 8; k++) {
            w[2 * k] = _mm_unpacklo_epi8(v[k], v[k + 8]);
            w[2 * k + 1] = _mm_unpackhi_epi8(v[k], v[k + 8]);
        }
        memcpy(v, w, sizeof v);
    }
    for (size_t k = 0; k < 16; k++)
        _mm_storeu_si128((__m128i *)(void *)columns[k], v[k]);
}
#endif

/* Weighted sums of n columns, `step` apart, and their samples of 0..255. */
typedef void sums_function(uint8_t *out, const uint8_t (*columns)[LANES], size_t step, const int32_t *weights,
                           int n);

static void sums_plain(uint8_t *out, const uint8_t (*columns)[LANES], size_t step, const int32_t *weights,
                       int n)
{
    int32_t sums[LANES] = {0};
    for (int j = 0; j < n; j++, columns += step)
        for (int k = 0; k < LANES; k++)
            sums[k] += weights[j] * (*columns)[k];
    for (int k = 0; k < LANES; k++)
        out[k] = rounded(sums[k]);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void sums_avx2(uint8_t *out, const uint8_t (*columns)[LANES],
                                                      size_t step, const int32_t *weights, int n)
{
    __m256i low = _mm256_set1_epi32(1 << (WEIGHT_BITS - 1)), high = low;
    for (int j = 0; j < n; j++, columns += step) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)*columns);
        __m256i w = _mm256_set1_epi32(weights[j]);
        low = _mm256_add_epi32(low, _mm256_mullo_epi32(_mm256_cvtepu8_epi32(v), w));
        high = _mm256_add_epi32(high, _mm256_mullo_epi32(_mm256_cvtepu8_epi32(_mm_srli_si128(v, 8)), w));
    }
    low = _mm256_permute4x64_epi64(_mm256_packs_epi32(_mm256_srai_epi32(low, WEIGHT_BITS),
                                                      _mm256_srai_epi32(high, WEIGHT_BITS)),
                                   0xd8);
    _mm_storeu_si128((__m128i *)(void *)out,
                     _mm_packus_epi16(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)));
}
#else
#define sums_avx2 sums_plain
#endif

/* columns: [row][LANES] of n rows of pixels. */
static void put_side_by_side(uint8_t (*columns)[LANES], const uint8_t *from, size_t row, int n)
{
    size_t i = 0;
#if defined(__x86_64__)
    for (; n == LANES && i + 16 <= row; i += 16)
        transpose_16(columns + i, from + i, row);
#endif
    for (; i < row; i++)
        for (int k = 0; k < n; k++)
            columns[i][k] = from[(size_t)k * row + i];
}

static inline __attribute__((always_inline)) int across_rows(struct image *out, const struct image *in,
                                                             const struct taps *t, struct error *err)
{
    size_t row = (size_t)in->width * (size_t)in->channels;
    size_t ch = (size_t)in->channels, n_out = (size_t)out->width;
    uint8_t(*columns)[LANES] = mem_zalloc(row, sizeof *columns, err);
    sums_function *sums = simd_level() >= SIMD_AVX2 ? sums_avx2 : sums_plain;
    if (!columns) return -1;
    for (int y = 0; y < in->height; y += LANES) {
        int n = in->height - y < LANES ? in->height - y : LANES;
        put_side_by_side(columns, in->pixels + (size_t)y * row, row, n);
        for (size_t x = 0; x < n_out; x++)
            for (size_t c = 0; c < ch; c++) {
                uint8_t reduced[LANES];
                sums(reduced, (const uint8_t(*)[LANES])columns + (size_t)t->first[x] * ch + c, ch,
                     t->weights + x * (size_t)t->room, t->n[x]);
                for (int k = 0; k < n; k++)
                    out->pixels[((size_t)(y + k) * n_out + x) * ch + c] = reduced[k];
            }
    }
    free(columns);
    return 0;
}

/* One pass: changes the width or the height. It is compiled twice, because a vector of 32-bit products
 * takes ten instructions without AVX2. */
static inline __attribute__((always_inline)) int resample_body(struct image *out, const struct image *in,
                                                               bool across, int n_out, struct error *err)
{
    int ch = in->channels, n_in = across ? in->width : in->height;
    struct taps t;
    if (taps_make(&t, n_in, n_out, err)) return -1;
    int rc = image_reserve(out, across ? n_out : in->width, across ? in->height : n_out, ch, err);
    size_t row = (size_t)in->width * (size_t)ch;
    if (!rc && across) {
        rc = across_rows(out, in, &t, err);
    } else if (!rc) {
        int32_t *sums = mem_alloc(row * sizeof *sums, err);
        if (!sums) rc = -1;
        for (int y = 0; !rc && y < n_out; y++) {
            memset(sums, 0, row * sizeof *sums);
            for (int j = 0; j < t.n[y]; j++) {
                const uint8_t *from = in->pixels + (size_t)(t.first[y] + j) * row;
                int32_t w = t.weights[y * t.room + j];
                for (size_t i = 0; i < row; i++)
                    sums[i] += w * from[i];
            }
            for (size_t i = 0; i < row; i++)
                out->pixels[(size_t)y * row + i] = rounded(sums[i]);
        }
        free(sums);
    }
    taps_release(&t);
    return rc;
}

__attribute__((target("avx2"))) static int resample_avx2(struct image *out, const struct image *in,
                                                         bool across, int n_out, struct error *err)
{
    return resample_body(out, in, across, n_out, err);
}

static int resample(struct image *out, const struct image *in, bool across, int n_out, struct error *err)
{
    return simd_level() >= SIMD_AVX2 ? resample_avx2(out, in, across, n_out, err)
                                     : resample_body(out, in, across, n_out, err);
}

/*
 * Reduces the longer side to at most 64 px. A pass that does not change the length is skipped. The vertical
 * pass comes first if the height loses more than twice as many pixels as the width, as in Pillow 13.
 */
static int reduce(struct image *out, const struct image *m, struct error *err)
{
    struct image half = IMAGE_EMPTY;
    double ratio = (double)(m->width > m->height ? m->width : m->height) / SMALL_PX;
    int w = m->width, h = m->height, rc;
    if (ratio > 1) {
        w = (int)(m->width / ratio) > 1 ? (int)(m->width / ratio) : 1;
        h = (int)(m->height / ratio) > 1 ? (int)(m->height / ratio) : 1;
    }
    bool wide = w != m->width, high = h != m->height;
    if (!wide && !high) return image_copy(out, m, err);
    if (!wide || !high) return resample(out, m, wide, wide ? w : h, err);
    bool down = m->height - h > 2 * (m->width - w);
    rc = resample(&half, m, !down, down ? h : w, err) || resample(out, &half, down, down ? w : h, err) ? -1
                                                                                                       : 0;
    image_release(&half);
    return rc;
}

static void edges_and_grays(const struct image *m, struct picture_stats *out)
{
    uint8_t gray[SMALL_PX * SMALL_PX];
    uint64_t counts[256] = {0}, sum = 0, squares = 0;
    int w = m->width, h = m->height, n = w * h;
    for (int i = 0; i < n; i++) {
        const uint8_t *p = m->pixels + (size_t)(i * m->channels);
        gray[i] =
            m->channels == 1 ? p[0] : (uint8_t)((19595u * p[0] + 38470u * p[1] + 7471u * p[2] + 32768) >> 16);
        counts[gray[i]]++;
    }
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            const uint8_t *p = gray + y * w + x;
            int v = *p; /* the outermost pixels keep their gray */
            if (y > 0 && y < h - 1 && x > 0 && x < w - 1) {
                v = 8 * v - p[-1] - p[1] - p[-w - 1] - p[-w] - p[-w + 1] - p[w - 1] - p[w] - p[w + 1];
                v = v < 0 ? 0 : v > 255 ? 255 : v;
            }
            sum += (uint64_t)v;
            squares += (uint64_t)(v * v);
        }
    out->blurriness = sqrt(((double)squares - (double)sum * (double)sum / n) / n);
    double mean = n / 256.0, variance = 0;
    for (int i = 0; i < 256; i++)
        variance += ((double)counts[i] - mean) * ((double)counts[i] - mean);
    out->gray_counts_std = sqrt(variance / 256);
}

/* --- the statistics --- */

int picture_stats(const struct image *m, struct picture_stats *out, struct error *err)
{
    uint64_t counts[3][256] = {{0}};
    uint32_t *coarse = NULL;
    struct image small = IMAGE_EMPTY;
    size_t n = (size_t)m->width * (size_t)m->height;
    double mean[3], sum = 0;
    int rc = -1;
    *out = (struct picture_stats){.brightness_mean = 0};
    if (m->channels == 1) {
        for (size_t i = 0; i < n; i++)
            counts[0][m->pixels[i]]++;
    } else if (!(coarse = mem_zalloc(N_COARSE, sizeof *coarse, err)) ||
               count_colours(m, counts, coarse, err)) {
        goto out;
    }
    for (int c = 0; c < 3; c++) {
        uint64_t total = 0;
        for (unsigned v = 0; v < 256; v++)
            total += v * counts[c < m->channels ? c : 0][v];
        mean[c] = (double)total / (double)n;
    }
    out->brightness_mean =
        sqrt(0.241 * (mean[0] * mean[0]) + 0.691 * (mean[1] * mean[1]) + 0.068 * (mean[2] * mean[2])) / 255;
    for (int c = 0; c < m->channels; c++)
        for (int v = 0; v < 256; v++)
            if (counts[c][v]) {
                double p = (double)counts[c][v] / ((double)n * m->channels);
                sum += p * log(p) * (1 / log(2.0));
            }
    out->entropy = -sum;
    if (m->channels == 1) gray_brightness(counts[0], n, out->brightness);
    if ((coarse && colour_brightness(m, coarse, out->brightness, err)) || reduce(&small, m, err)) goto out;
    edges_and_grays(&small, out);
    rc = edge_width(m, &out->edge_width, err);
out:
    free(coarse);
    image_release(&small);
    return rc;
}
