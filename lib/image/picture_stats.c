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

/* Values are counted by their upper bits first, and later by their middle and their low bits. The tables are
 * therefore small: they stay in the first-level cache, and take little time to clear and to sum. */
#define LOW_BITS 7
#define MIDDLE_BITS 8
#define N_LOW (1u << LOW_BITS)
#define N_MIDDLE (1u << MIDDLE_BITS)
#define COARSE_SHIFT (LOW_BITS + MIDDLE_BITS)
#define N_COARSE ((65025000u >> COARSE_SHIFT) + 1)
#define N_RANKS (2 * N_BRIGHTNESS)

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

/* Computes the brightness of n pixels of three samples. n is at most PIECE. */
#define PIECE 1024
static void lights_plain(uint32_t *to, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = light(p + 3 * i);
}

#if defined(__x86_64__)
/*
 * Does the same for eight pixels at a time. Their 24 bytes are expanded to pairs of 16-bit numbers: red and
 * green, and blue and 0. A square fills 16 unsigned bits, but the instruction multiplies signed numbers. So
 * 32768 is subtracted from each square, also from the 0, and the weight of the 0 adds the difference back to
 * the sum.
 */
__attribute__((target("avx2"))) static void lights_avx2(uint32_t *to, const uint8_t *p, size_t n)
{
    const __m256i red_green =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, -1, 1, -1, 3, -1, 4, -1, 6, -1, 7, -1, 9, -1, 10, -1));
    const __m256i blue = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(2, -1, -1, -1, 5, -1, -1, -1, 8, -1, -1, -1, 11, -1, -1, -1));
    const __m256i half = _mm256_set1_epi16(-32768), weights = _mm256_set1_epi32(691 * 65536 + 241),
                  others = _mm256_set1_epi32(-1000 * 65536 + 68);
    size_t i = 0;
    for (; i + 10 <= n; i += 8) { /* reads four bytes more than it uses */
        __m256i v =
            _mm256_inserti128_si256(_mm256_castsi128_si256(
                                        _mm_loadu_si128((const __m128i *)(const void *)(p + 3 * i))),
                                    _mm_loadu_si128((const __m128i *)(const void *)(p + 3 * i + 12)), 1);
        __m256i rg = _mm256_shuffle_epi8(v, red_green), b = _mm256_shuffle_epi8(v, blue);
        rg = _mm256_madd_epi16(_mm256_xor_si256(_mm256_mullo_epi16(rg, rg), half), weights);
        b = _mm256_madd_epi16(_mm256_xor_si256(_mm256_mullo_epi16(b, b), half), others);
        _mm256_storeu_si256((__m256i *)(void *)(to + i), _mm256_add_epi32(rg, b));
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
                (t % 2 ? other : coarse)[piece[i + (size_t)t] >> COARSE_SHIFT]++;
            }
        for (; i < k; i++, p += 3) {
            for (int c = 0; c < 3; c++)
                tables[0][c][p[c]]++;
            coarse[piece[i] >> COARSE_SHIFT]++;
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

/* Returns the index of the counter that contains the value of this rank. *skipped is the number of values
 * before counts[at]; the values between this counter and that index are added to it. */
static uint32_t find_rank(const uint32_t *counts, uint32_t at, size_t rank, size_t *skipped)
{
    while (*skipped + counts[at] <= rank)
        *skipped += counts[at++];
    return at;
}

/*
 * The values themselves are not kept, except for those whose upper bits contain a wanted rank, as long as
 * they are few. Their upper bits were counted before. The second pass counts the middle bits of these values,
 * and a third one, over those that are kept or else over the picture, the low bits. An entry of `coarse` or
 * `middle` is 0 where no rank is wanted, or 1 more than the index of the table of the next bits.
 */
#define MOST_KEPT 8192
struct run {
    uint32_t value, n;
};
struct selection {
    uint8_t coarse[N_COARSE], middle[N_RANKS][N_MIDDLE];
    uint32_t by_middle[N_RANKS][N_MIDDLE], by_low[N_RANKS][N_LOW];
    struct run kept[MOST_KEPT + PIECE];
    uint32_t above, below; /* the values between these two are not wanted */
    uint8_t order[256][8], order_length[256];
};

#if defined(__x86_64__)
/* Copies those of the n values (n is a multiple of 8) that are not between `below` and `above`, and returns
 * their number. `to` has room for n. Most values of a picture are between the lowest and the highest
 * percentiles, and are left out. */
__attribute__((target("avx2"))) static size_t keep_outer_avx2(const struct selection *s, uint32_t *to,
                                                              const uint32_t *values, size_t n)
{
    const __m256i above = _mm256_set1_epi32((int)s->above), below = _mm256_set1_epi32((int)s->below);
    size_t k = 0;
    for (size_t i = 0; i < n; i += 8) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(values + i));
        __m256i inner = _mm256_and_si256(_mm256_cmpgt_epi32(v, above), _mm256_cmpgt_epi32(below, v));
        unsigned outer = 255u & ~(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(inner));
        __m256i order = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)s->order[outer]));
        _mm256_storeu_si256((__m256i *)(void *)(to + k), _mm256_permutevar8x32_epi32(v, order));
        k += s->order_length[outer];
    }
    return k;
}
#endif

/* Copies those of the n values (at most PIECE) whose upper bits are wanted, and returns their number. */
static size_t keep_wanted(const struct selection *s, uint32_t *to, const uint32_t *values, size_t n)
{
    size_t k = 0;
#if defined(__x86_64__)
    uint32_t outer[PIECE + 8];
    if (simd_level() >= SIMD_AVX2) {
        size_t whole = n / 8 * 8, n_outer = keep_outer_avx2(s, outer, values, whole);
        memcpy(outer + n_outer, values + whole, (n - whole) * sizeof *values);
        n = n_outer + n - whole;
        values = outer;
    }
#endif
    for (size_t i = 0; i < n; i++) { /* without a branch, which would often be mispredicted */
        to[k] = values[i];
        k += s->coarse[values[i] >> COARSE_SHIFT] != 0;
    }
    return k;
}

/* Sets `above` and `below` to the ends of the widest range, below some wanted value, in which no value is
 * wanted. Also sets, for each subset of eight values, the positions of its members. */
static void prepare_outer(struct selection *s)
{
    uint32_t last = 0, widest = 0;
    s->above = s->below = 0;
    for (uint32_t bin = 0; bin < N_COARSE; bin++) {
        if (!s->coarse[bin]) continue;
        if (bin - last > widest) {
            widest = bin - last;
            s->above = (last << COARSE_SHIFT) + (1u << COARSE_SHIFT) - 1;
            s->below = bin << COARSE_SHIFT;
        }
        last = bin;
    }
    for (unsigned set = 0; set < 256; set++)
        for (uint8_t i = 0; i < 8; i++)
            if (set >> i & 1) s->order[set][s->order_length[set]++] = i;
}

/* Finds runs of equal values, of which drawings have many, and returns their number. */
static size_t find_runs(struct run *to, const uint32_t *values, size_t n)
{
    size_t k = 0;
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && values[end] == values[i];)
            end++;
        to[k++] = (struct run){values[i], (uint32_t)(end - i)};
    }
    return k;
}

/* Finds the runs of wanted values among the k pixels at p (at most PIECE), and returns their number. */
static size_t wanted_runs(const struct selection *s, struct run *to, const uint8_t *p, size_t k)
{
    uint32_t piece[PIECE], wanted[PIECE];
    lights(piece, p, k);
    return find_runs(to, wanted, keep_wanted(s, wanted, piece, k));
}

static void count_middle(struct selection *s, const struct run *runs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t v = runs[i].value;
        s->by_middle[s->coarse[v >> COARSE_SHIFT] - 1][v >> LOW_BITS & (N_MIDDLE - 1)] += runs[i].n;
    }
}

static void count_low(struct selection *s, const struct run *runs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t v = runs[i].value;
        int t = s->middle[s->coarse[v >> COARSE_SHIFT] - 1][v >> LOW_BITS & (N_MIDDLE - 1)];
        if (t) s->by_low[t - 1][v & (N_LOW - 1)] += runs[i].n;
    }
}

static int colour_brightness(const struct image *m, const uint32_t *coarse, double *out, struct error *err)
{
    size_t n = (size_t)m->width * (size_t)m->height, ranks[N_RANKS], skipped[N_RANKS] = {0}, n_kept = 0;
    double fractions[N_BRIGHTNESS], values[N_RANKS];
    uint32_t bins[N_RANKS];
    int n_coarse = 0, n_middle = 0;
    bool all_kept = true;
    struct selection *s = mem_zalloc(1, sizeof *s, err);
    if (!s) return -1;
    for (int i = 0; i < N_BRIGHTNESS; i++) {
        ranks[2 * i] = rank_of(percents[i], n, &fractions[i]);
        ranks[2 * i + 1] = ranks[2 * i] + 1 < n ? ranks[2 * i] + 1 : n - 1;
    }
    for (int i = 0; i < N_RANKS; i++) {
        bool on = i > 0 && skipped[i - 1] <= ranks[i]; /* from there; not so only in tiny pictures */
        skipped[i] = on ? skipped[i - 1] : 0;
        bins[i] = find_rank(coarse, on ? bins[i - 1] : 0, ranks[i], &skipped[i]);
        if (!s->coarse[bins[i]]) s->coarse[bins[i]] = (uint8_t)++n_coarse;
    }
    prepare_outer(s);
    for (size_t at = 0; at < n; at += PIECE) {
        if (n_kept > MOST_KEPT) all_kept = false;
        if (!all_kept) n_kept = 0;
        size_t k = wanted_runs(s, s->kept + n_kept, m->pixels + 3 * at, n - at < PIECE ? n - at : PIECE);
        count_middle(s, s->kept + n_kept, k);
        n_kept += k;
    }
    for (int i = 0; i < N_RANKS; i++) {
        int t = s->coarse[bins[i]] - 1;
        uint32_t middle = find_rank(s->by_middle[t], 0, ranks[i], &skipped[i]);
        bins[i] = bins[i] << MIDDLE_BITS | middle;
        if (!s->middle[t][middle]) s->middle[t][middle] = (uint8_t)++n_middle;
    }
    if (all_kept) count_low(s, s->kept, n_kept);
    for (size_t at = 0; !all_kept && at < n; at += PIECE)
        count_low(s, s->kept, wanted_runs(s, s->kept, m->pixels + 3 * at, n - at < PIECE ? n - at : PIECE));
    for (int i = 0; i < N_RANKS; i++) {
        int t = s->middle[s->coarse[bins[i] >> MIDDLE_BITS] - 1][bins[i] & (N_MIDDLE - 1)] - 1;
        uint32_t low = find_rank(s->by_low[t], 0, ranks[i], &skipped[i]);
        values[i] = sqrt(((double)(bins[i] << LOW_BITS) + low) / 1000) / 255;
    }
    for (int i = 0; i < N_BRIGHTNESS; i++)
        out[i] = between(values[2 * i], values[2 * i + 1], fractions[i]);
    free(s);
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
    int room; /* weights of one result: an even number, the unused ones are 0 */
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
    *t = (struct taps){.room = ((int)ceil(4 * stretch) + 3) / 2 * 2};
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

/* Weighted sums of n vectors of LANES samples, `step` bytes apart, and their samples of 0..255. */
typedef void sums_function(uint8_t *out, const uint8_t *samples, size_t step, const int32_t *weights, int n);

static void sums_plain(uint8_t *out, const uint8_t *samples, size_t step, const int32_t *weights, int n)
{
    int32_t sums[LANES] = {0};
    for (int j = 0; j < n; j++, samples += step)
        for (int k = 0; k < LANES; k++)
            sums[k] += weights[j] * samples[k];
    for (int k = 0; k < LANES; k++)
        out[k] = rounded(sums[k]);
}

#if defined(__x86_64__)
/*
 * For sums_avx2, which takes two vectors at once, as pairs of 16 bits: each weight, below 2^23, becomes one
 * of 12 bits and one of 16 with a sign, 4096 times that. Two weights become a pair of lower parts and a pair
 * of upper ones.
 */
static void pair_weights(int32_t *weights, int n)
{
    for (int j = 0; j < n; j += 2) {
        uint32_t a = (uint32_t)weights[j], b = (uint32_t)weights[j + 1];
        weights[j] = (int32_t)((a & 4095) | (b & 4095) << 16);
        weights[j + 1] = (int32_t)((a >> 12 & 0xffff) | b >> 12 << 16);
    }
}

__attribute__((target("avx2"))) static void sums_avx2(uint8_t *out, const uint8_t *samples, size_t step,
                                                      const int32_t *weights, int n)
{
    __m256i low = _mm256_set1_epi32(1 << (WEIGHT_BITS - 1)), high = low;
    const __m256i zero = _mm256_setzero_si256();
    __m256i low_upper = zero, high_upper = zero;
    for (int j = 0; j < n; j += 2, samples += 2 * step) {
        const uint8_t *next = samples + (j + 1 < n ? step : 0); /* the last weight of an odd number is 0 */
        __m128i a = _mm_loadu_si128((const __m128i *)(const void *)samples),
                b = _mm_loadu_si128((const __m128i *)(const void *)next);
        __m256i first = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b)),
                second = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(a, b));
        __m256i lower = _mm256_set1_epi32(weights[j]), upper = _mm256_set1_epi32(weights[j + 1]);
        low = _mm256_add_epi32(low, _mm256_madd_epi16(first, lower));
        low_upper = _mm256_add_epi32(low_upper, _mm256_madd_epi16(first, upper));
        high = _mm256_add_epi32(high, _mm256_madd_epi16(second, lower));
        high_upper = _mm256_add_epi32(high_upper, _mm256_madd_epi16(second, upper));
    }
    low = _mm256_add_epi32(low, _mm256_slli_epi32(low_upper, 12));
    high = _mm256_add_epi32(high, _mm256_slli_epi32(high_upper, 12));
    low = _mm256_permute4x64_epi64(_mm256_packs_epi32(_mm256_srai_epi32(low, WEIGHT_BITS),
                                                      _mm256_srai_epi32(high, WEIGHT_BITS)),
                                   0xd8);
    _mm_storeu_si128((__m128i *)(void *)out,
                     _mm_packus_epi16(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)));
}
#else
#define sums_avx2 sums_plain
#define pair_weights(weights, n) ((void)(weights), (void)(n))
#endif

/* Writes n rows of pixels side by side: columns is [row][LANES]. */
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

/* Writes, for n rows, rows[k] = the k-th samples of n_columns vectors. n_columns is at most SMALL_PX * 3. */
static void put_in_rows(uint8_t *rows, const uint8_t (*columns)[LANES], size_t n_columns, int n)
{
    size_t i = 0;
#if defined(__x86_64__)
    for (uint8_t turned[16][LANES]; i + 16 <= n_columns; i += 16) {
        transpose_16(turned, columns[i], LANES);
        for (int k = 0; k < n; k++)
            memcpy(rows + (size_t)k * n_columns + i, turned[k], 16);
    }
#endif
    for (; i < n_columns; i++)
        for (int k = 0; k < n; k++)
            rows[(size_t)k * n_columns + i] = columns[i][k];
}

static int across_rows(struct image *out, const struct image *in, const struct taps *t, sums_function *sums,
                       struct error *err)
{
    size_t ch = (size_t)in->channels, n_out = (size_t)out->width, row = (size_t)in->width * ch;
    uint8_t(*columns)[LANES] = mem_zalloc(row, sizeof *columns, err), reduced[SMALL_PX * 3][LANES];
    if (!columns) return -1;
    for (int y = 0; y < in->height; y += LANES) {
        int n = in->height - y < LANES ? in->height - y : LANES;
        put_side_by_side(columns, in->pixels + (size_t)y * row, row, n);
        for (size_t x = 0; x < n_out; x++)
            for (size_t c = 0; c < ch; c++)
                sums(reduced[x * ch + c], columns[(size_t)t->first[x] * ch + c], ch * LANES,
                     t->weights + x * (size_t)t->room, t->n[x]);
        put_in_rows(out->pixels + (size_t)y * n_out * ch, (const uint8_t(*)[LANES])reduced, n_out * ch, n);
    }
    free(columns);
    return 0;
}

/* The vertical pass, for LANES columns at once, of a picture whose rows have at least so many samples. */
static void down_columns(struct image *out, const struct image *in, const struct taps *t, sums_function *sums)
{
    size_t row = (size_t)in->width * (size_t)in->channels;
    for (int y = 0; y < out->height; y++) {
        const uint8_t *from = in->pixels + (size_t)t->first[y] * row;
        const int32_t *weights = t->weights + (size_t)y * (size_t)t->room;
        uint8_t *to = out->pixels + (size_t)y * row;
        for (size_t i = 0; i + LANES <= row; i += LANES)
            sums(to + i, from + i, row, weights, t->n[y]);
        if (row % LANES) /* some of the columns before once more */
            sums(to + row - LANES, from + row - LANES, row, weights, t->n[y]);
    }
}

/* Does the same for a picture whose rows have fewer than LANES samples, in a copy with LANES samples a
 * row. */
static int down_narrow(struct image *out, const struct image *in, const struct taps *t, sums_function *sums,
                       struct error *err)
{
    size_t row = (size_t)in->width * (size_t)in->channels;
    uint8_t(*copy)[LANES] = mem_zalloc((size_t)in->height, sizeof *copy, err), reduced[LANES];
    if (!copy) return -1;
    for (size_t y = 0; y < (size_t)in->height; y++)
        memcpy(copy[y], in->pixels + y * row, row);
    for (size_t y = 0; y < (size_t)out->height; y++) {
        sums(reduced, copy[t->first[y]], LANES, t->weights + y * (size_t)t->room, t->n[y]);
        memcpy(out->pixels + y * row, reduced, row);
    }
    free(copy);
    return 0;
}

/* Runs one pass, which changes the width or the height to n_out, at most SMALL_PX. */
static int resample(struct image *out, const struct image *in, bool across, int n_out, struct error *err)
{
    struct taps t;
    sums_function *sums = simd_level() >= SIMD_AVX2 ? sums_avx2 : sums_plain;
    if (taps_make(&t, across ? in->width : in->height, n_out, err)) return -1;
    if (sums == sums_avx2) pair_weights(t.weights, n_out * t.room);
    int rc = image_reserve(out, across ? n_out : in->width, across ? in->height : n_out, in->channels, err);
    if (!rc && across)
        rc = across_rows(out, in, &t, sums, err);
    else if (!rc && in->width * in->channels < LANES)
        rc = down_narrow(out, in, &t, sums, err);
    else if (!rc)
        down_columns(out, in, &t, sums);
    taps_release(&t);
    return rc;
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
