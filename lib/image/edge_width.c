/* edge_width.c: takes grey lines from a picture, averaged over blocks if the picture is large, and
 * measures their rises and falls. */
#include "image/edge_width.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
    MOST_SIDE = 512,
    LINES = 32,
    LEAST_RISE = 40,
    WIGGLE = 8, /* a smaller fall does not end a rise: it may be noise or a compression artefact */
    LEAST_EDGES = 12,
    PARTS = 8, /* bins a pixel */
    BINS = MOST_SIDE * PARTS
};

struct edges {
    uint32_t of_width[BINS];
    uint32_t n;
};

/* Returns the position, between samples, at which v has covered this share of its rise (or fall) from
 * v[from] to v[to]. */
static double crossing(const float *v, int from, int to, float share)
{
    float level = v[from] + share * (v[to] - v[from]);
    bool up = v[to] > v[from];
    for (int i = from + 1; i <= to; i++)
        if (up ? v[i] >= level : v[i] <= level) {
            float step = v[i] - v[i - 1];
            return step != 0 ? i - 1 + (double)((level - v[i - 1]) / step) : i;
        }
    return to;
}

static void take_rise(struct edges *e, const float *v, int from, int to, int n)
{
    float rise = v[to] - v[from];
    if ((rise < 0 ? -rise : rise) < LEAST_RISE || 3 * (to - from) > n) return;
    int bin = (int)(PARTS * (crossing(v, from, to, 0.9f) - crossing(v, from, to, 0.1f)));
    e->of_width[bin < 0 ? 0 : bin < BINS ? bin : BINS - 1]++;
    e->n++;
}

/* Turning points: a rise ends where the line has fallen by WIGGLE below its highest point. A flat part before
 * or after a rise belongs to neither: a rise begins at the last sample of its lowest level. */
static void take_line(struct edges *e, const float *v, int n)
{
    int low = 0, high = 0, direction = 0;
    for (int i = 1; i < n; i++) {
        if (direction >= 0 && v[i] > v[high]) high = i;
        if (direction <= 0 && v[i] < v[low]) low = i;
        if (direction == 0) {
            if (v[i] == v[low]) low = i;
            if (v[i] == v[high]) high = i;
            if (v[high] - v[low] >= WIGGLE) direction = high > low ? 1 : -1;
        } else if (direction > 0 && v[high] - v[i] >= WIGGLE) {
            take_rise(e, v, low, high, n);
            direction = -1;
            for (low = i; low - 1 > high && v[low - 1] < v[low]; low--) {
            }
        } else if (direction < 0 && v[i] - v[low] >= WIGGLE) {
            take_rise(e, v, high, low, n);
            direction = 1;
            for (high = i; high - 1 > low && v[high - 1] > v[high]; high--) {
            }
        }
    }
    if (direction) take_rise(e, v, direction > 0 ? low : high, direction > 0 ? high : low, n);
}

/* One line of the copy: row `at`, or column `at`, in blocks of side f. */
static void read_line(const struct image *m, float *v, int n, int at, bool column, int f)
{
    size_t ch = (size_t)m->channels, row = (size_t)m->width * ch;
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
    float *line = mem_alloc((size_t)(MOST_SIDE + 1) * sizeof *line, err);
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
