/* copy_thumb.c: reduces a picture to at most 128 x 128 grey levels, after cutting off uniform borders. */
#include "vector/copy_check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "vector/copy_thumb.h"

#define UNIFORM_LEVELS 14 /* a border's grey levels lie within this: JPEG leaves some ripple */
#define MOST_TRIMMED 0.45 /* of a side, from each end */
#define LEAST_BORDER 0.04 /* of a side: less of a border is no reason to lose what turning back cuts off */
#define LEAST_SIDE 16     /* shortest side of a thumb: a narrower strip cannot be compared */
#define LEAST_SPREAD 6.0  /* standard deviation in grey levels of a picture that can be compared */

/* Whether a row or column of the remaining picture has a single grey level, within *low..*high of the
 * border so far. */
static bool uniform_line(const struct frame *f, bool row, int at, int *low, int *high)
{
    int begin = row ? f->left : f->top, end = row ? f->right : f->bottom, lo = *low, hi = *high;
    int step = (end - begin) / 256 + 1; /* of a long line, some pixels are enough */
    for (int i = begin; i < end; i += step) {
        size_t x = (size_t)(row ? i : at), y = (size_t)(row ? at : i);
        int v = copy_luma(f->pixels + (y * (size_t)f->width + x) * (size_t)f->channels, f->channels);
        lo = v < lo ? v : lo;
        hi = v > hi ? v : hi;
        if (hi - lo > UNIFORM_LEVELS) return false;
    }
    *low = lo;
    *high = hi;
    return true;
}

/* Returns the largest share of a side that was cut off. */
static double trim(struct frame *f)
{
    int most_x = (int)((f->right - f->left) * MOST_TRIMMED),
        most_y = (int)((f->bottom - f->top) * MOST_TRIMMED);
    const int width = f->right, height = f->bottom;
    int low = 255, high = 0;
    while (f->top < most_y && uniform_line(f, true, f->top, &low, &high))
        f->top++;
    low = 255, high = 0;
    while (height - f->bottom < most_y && uniform_line(f, true, f->bottom - 1, &low, &high))
        f->bottom--;
    low = 255, high = 0;
    while (f->left < most_x && uniform_line(f, false, f->left, &low, &high))
        f->left++;
    low = 255, high = 0;
    while (width - f->right < most_x && uniform_line(f, false, f->right - 1, &low, &high))
        f->right--;
    return fmax(1 - (double)(f->right - f->left) / width, 1 - (double)(f->bottom - f->top) / height);
}

/* Adds a row of n values, averaged into m cells and multiplied by weight. */
static void add_row(float *cells, int m, const float *row, int n, float weight)
{
    float step = (float)n / (float)m;
    for (int x = 0; x < m; x++) {
        float from = (float)x * step, to = (float)(x + 1) * step, sum = 0;
        int last = (int)ceilf(to) < n ? (int)ceilf(to) : n;
        for (int u = (int)from; u < last; u++) {
            float begin = (float)u > from ? (float)u : from, end = (float)(u + 1) < to ? (float)(u + 1) : to;
            sum += row[u] * (end - begin);
        }
        cells[x] += sum / step * weight;
    }
}

/* Returns the weight of row v of n in cell y of m. */
static float share(int v, int n, int y, int m)
{
    float step = (float)n / (float)m, from = (float)y * step, to = (float)(y + 1) * step;
    float begin = (float)v > from ? (float)v : from, end = (float)(v + 1) < to ? (float)(v + 1) : to;
    return end > begin ? (end - begin) / step : 0;
}

static uint8_t byte_of(float v) { return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5f); }

/* Adds one row to all cells that it overlaps vertically. */
static void add_plane(float *plane, int width, int height, const float *row, int n, int v, int n_rows)
{
    int first = (int)((int64_t)v * height / n_rows), last = (int)((int64_t)(v + 1) * height / n_rows);
    for (int y = first; y <= last && y < height; y++) {
        float weight = share(v, n_rows, y, height);
        if (weight > 0) add_row(plane + y * width, width, row, n, weight);
    }
}

/* Blurs by 1 2 1 in both directions, so that shifts by a fraction of a pixel matter less. */
static void soften(float *plane, int width, int height)
{
    for (int y = 0; y < height; y++) {
        float before = plane[y * width];
        for (int x = 0; x < width; x++) {
            float here = plane[y * width + x], next = x + 1 < width ? plane[y * width + x + 1] : here;
            plane[y * width + x] = (before + 2 * here + next) / 4;
            before = here;
        }
    }
    for (int x = 0; x < width; x++) {
        float before = plane[x];
        for (int y = 0; y < height; y++) {
            float here = plane[y * width + x], next = y + 1 < height ? plane[(y + 1) * width + x] : here;
            plane[y * width + x] = (before + 2 * here + next) / 4;
            before = here;
        }
    }
}

/* Averages over exact areas, so that the thumb of a mirrored picture is the mirrored thumb. */
static void shrink(const struct frame *f, struct copy_thumb *t)
{
    enum { PIECE = 4096, SMALL = COPY_COLOURS * COPY_COLOURS };
    float luma[COPY_SIDE * COPY_SIDE] = {0}, cb[SMALL] = {0}, cr[SMALL] = {0};
    float row[3][PIECE];
    int w = f->right - f->left, h = f->bottom - f->top, skip = w / PIECE + 1, n = w / skip;
    for (int v = 0; v < h; v++) {
        const uint8_t *p =
            f->pixels + ((size_t)(f->top + v) * (size_t)f->width + (size_t)f->left) * (size_t)f->channels;
        for (int u = 0; u < n; u++, p += f->channels * skip) {
            float r = p[0], g = p[f->channels == 1 ? 0 : 1], b = p[f->channels == 1 ? 0 : 2];
            row[0][u] = 0.299f * r + 0.587f * g + 0.114f * b;
            row[1][u] = -0.169f * r - 0.331f * g + 0.5f * b;
            row[2][u] = 0.5f * r - 0.419f * g - 0.081f * b;
        }
        add_plane(luma, t->width, t->height, row[0], n, v, h);
        add_plane(cb, COPY_COLOURS, COPY_COLOURS, row[1], n, v, h);
        add_plane(cr, COPY_COLOURS, COPY_COLOURS, row[2], n, v, h);
    }
    soften(luma, t->width, t->height);
    for (int i = 0; i < t->width * t->height; i++)
        t->luma[i] = byte_of(luma[i]);
    for (int i = 0; i < SMALL; i++) {
        t->cb[i] = byte_of(cb[i] + 128);
        t->cr[i] = byte_of(cr[i] + 128);
    }
}

static void make_thumb(struct copy_thumb *t, const struct frame *f)
{
    double sum = 0, squares = 0;
    int w = f->right - f->left, h = f->bottom - f->top, longer = w > h ? w : h;
    if (longer < LEAST_SIDE) return;
    t->width = (uint8_t)(((int64_t)w * COPY_SIDE + longer / 2) / longer);
    t->height = (uint8_t)(((int64_t)h * COPY_SIDE + longer / 2) / longer);
    if (t->width < LEAST_SIDE || t->height < LEAST_SIDE) {
        t->width = t->height = 0;
        return;
    }
    shrink(f, t);
    int n = t->width * t->height;
    for (int i = 0; i < n; i++) {
        sum += t->luma[i];
        squares += (double)t->luma[i] * t->luma[i];
    }
    if (squares / n - sum / n * (sum / n) < LEAST_SPREAD * LEAST_SPREAD) t->width = t->height = 0;
}

/* A turned picture is turned back where a uniform border shows then: the original is compared without it.
 * Without a border, registration turns it, and nothing is cut off. */
void copy_thumb_make(struct copy_thumb *t, const uint8_t *pixels, int width, int height, int channels)
{
    struct frame f = {pixels, width, channels, 0, 0, width, height}, back;
    memset(t, 0, sizeof *t);
    double turn = copy_find_turn(&f);
    uint8_t *turned = turn != 0 ? copy_turn_back(&f, turn, &back) : NULL;
    if (turned && trim(&back) >= LEAST_BORDER)
        f = back;
    else
        trim(&f);
    make_thumb(t, &f);
    free(turned);
}

bool copy_thumb_sound(const struct copy_thumb *t)
{
    return (t->width == 0 && t->height == 0) || (t->width >= LEAST_SIDE && t->width <= COPY_SIDE &&
                                                 t->height >= LEAST_SIDE && t->height <= COPY_SIDE);
}
