/* edge_width.c: reads grey lines of a picture, averaged over blocks if the picture is large, and measures
 * their rises and falls. */
#include "image/edge_width.h"

#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/mem.h"

enum {
    MOST_SIDE = 512,
    LINES = 32,
    LEAST_RISE = 40,
    WIGGLE = 8, /* a smaller fall does not end a rise: it may be noise or a compression artefact */
    LEAST_EDGES = 12,
    PARTS = 8, /* bins a pixel */
    BINS = MOST_SIDE * PARTS,
    SPARE = 8 /* samples past the end of a line that may be read */
};

struct edges {
    uint32_t of_width[BINS];
    uint32_t n;
};

/*
 * Returns the position, between samples, at which v reaches this level at or after *from. *from becomes the
 * sample after it. Some sample must reach the level, and SPARE more may be read. Most rises take a few
 * samples, but their number varies. There is no branch for each sample, because branches would often be
 * mispredicted.
 */
static inline double crossing(const float *v, int *from, float level, bool up)
{
    int i = *from;
#if defined(__x86_64__)
    const __m128 sign = _mm_set1_ps(up ? 0.0f : -0.0f), wanted = _mm_xor_ps(_mm_set1_ps(level), sign);
    for (int reached = 0; !reached; i += reached ? __builtin_ctz((unsigned)reached) : SPARE) {
        __m128 a = _mm_xor_ps(_mm_loadu_ps(v + i), sign), b = _mm_xor_ps(_mm_loadu_ps(v + i + 4), sign);
        reached = _mm_movemask_ps(_mm_cmpge_ps(a, wanted)) | _mm_movemask_ps(_mm_cmpge_ps(b, wanted)) << 4;
    }
#else
    while (up ? v[i] < level : v[i] > level)
        i++;
#endif
    *from = i;
    float step = v[i] - v[i - 1];
    return step != 0 ? i - 1 + (double)((level - v[i - 1]) / step) : i;
}

static void take_rise(struct edges *e, const float *v, int from, int to, int n)
{
    float rise = v[to] - v[from];
    if ((rise < 0 ? -rise : rise) < LEAST_RISE || 3 * (to - from) > n) return;
    int at = from + 1;
    double tenth = crossing(v, &at, v[from] + 0.1f * rise, rise > 0);
    int bin = (int)(PARTS * (crossing(v, &at, v[from] + 0.9f * rise, rise > 0) - tenth));
    e->of_width[bin < 0 ? 0 : bin < BINS ? bin : BINS - 1]++;
    e->n++;
}

/* Turning points: a rise ends where the line has fallen by WIGGLE below its highest point. A flat part before
 * or after a rise belongs to neither: a rise begins at the last sample of its lowest level. */
static void take_line(struct edges *e, const float *v, int n)
{
    int low = 0, high = 0, i = 1;
    for (; i < n && v[high] - v[low] < WIGGLE; i++) {
        if (v[i] >= v[high]) high = i;
        if (v[i] <= v[low]) low = i;
    }
    if (v[high] - v[low] < WIGGLE) return;
    for (bool up = high > low;; up = !up) {
        int from = up ? low : high, to = up ? high : low;
        float end = v[to];
        if (up)
            for (; i < n && end - v[i] < WIGGLE; i++) {
                if (v[i] > end) end = v[to = i];
            }
        else
            for (; i < n && v[i] - end < WIGGLE; i++) {
                if (v[i] < end) end = v[to = i];
            }
        take_rise(e, v, from, to, n);
        if (i == n) return;
        *(up ? &high : &low) = to;
        *(up ? &low : &high) = i++;
    }
}

/* Reads one line of the copy: row `at`, or column `at`, averaged over blocks of side f. */
static void read_line(const struct image *m, float *v, int n, int at, bool column, int f)
{
    size_t ch = (size_t)m->channels, row = (size_t)m->width * ch;
    if (f == 1 && ch == 3) { /* the same without its loops */
        const uint8_t *p = m->pixels + (size_t)at * (column ? ch : row);
        for (size_t i = 0, step = column ? row : ch; i < (size_t)n; i++, p += step)
            v[i] = (float)(19595 * p[0] + 38470 * p[1] + 7471 * p[2]) * (1.0f / 65536);
        return;
    }
    memset(v, 0, (size_t)n * sizeof *v);
    for (int k = 0; k < f; k++) {
        const uint8_t *p = column ? m->pixels + ((size_t)at * (size_t)f + (size_t)k) * ch
                                  : m->pixels + ((size_t)at * (size_t)f + (size_t)k) * row;
        size_t step = column ? row : ch;
        for (int i = 0; i < n; i++) {
            uint32_t sum = 0;
            for (int j = 0; j < f; j++, p += step)
                sum += ch == 1 ? (uint32_t)p[0] << 16 : 19595u * p[0] + 38470u * p[1] + 7471u * p[2];
            v[i] += (float)sum;
        }
    }
    float scale = 1.0f / (65536.0f * (float)f * (float)f);
    for (int i = 0; i < n; i++)
        v[i] *= scale;
}

int edge_width(const struct image *m, double *width, struct error *err)
{
    int longer = m->width > m->height ? m->width : m->height, f = (longer + MOST_SIDE - 1) / MOST_SIDE;
    int w = m->width / f, h = m->height / f;
    struct edges *e = mem_zalloc(1, sizeof *e, err);
    float *line = mem_zalloc(MOST_SIDE + 1 + SPARE, sizeof *line, err);
    int rc = e && line ? 0 : -1;
    *width = 0;
    for (int column = 0; rc == 0 && column < 2; column++) {
        int n_lines = column ? w : h, n = column ? h : w, taken = n_lines < LINES ? n_lines : LINES;
        for (int k = 0; n > 2 && k < taken; k++) {
            read_line(m, line, n, (int)((2 * (int64_t)k + 1) * n_lines / (2 * taken)), column, f);
            take_line(e, line, n);
        }
    }
    if (rc == 0 && e->n >= LEAST_EDGES) {
        uint32_t left = e->n / 10;
        int bin = 0;
        while (left >= e->of_width[bin])
            left -= e->of_width[bin++];
        *width = (bin + 0.5) / PARTS;
    }
    free(e);
    free(line);
    return rc;
}
