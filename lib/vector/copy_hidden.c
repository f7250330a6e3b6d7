/*
 * copy_hidden.c: finds a part of a picture that was covered later, such as a bar over a face: one rectangle
 * of a single grey level. Pixels there are not compared. The grey level must be rare in both pictures.
 * Otherwise two charts would count as equal when one has a line where the other shows the white page.
 */
#include "vector/copy_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FLAT_RANGE 6.0f /* largest range of grey levels among a flat pixel and its neighbours */
/* largest difference of grey levels among flat pixels of one colour, because of JPEG's artefacts */
#define LEVEL_RANGE 3
#define MOST_COMMON 0.15 /* largest share of flat pixels with that level */
#define LEAST_PATCH 0.01 /* of the area */
#define MOST_PATCH 0.09
#define PATCH_FILLED 0.8    /* smallest share of the rectangle that the patch fills */
#define PATCH_DIFFERS 0.4   /* least share of it that differs from the other picture, */
#define PIXEL_DIFFERS 16.0f /* in grey levels */
enum { AROUND = 2 /* pixels that the reduction mixes with what is beside it */ };

/* Computes the lowest and the highest value of each pixel and its neighbours, along a line of n pixels. */
static void spread_line(const float *low, const float *high, float *lower, float *higher, int n)
{
    for (int i = 0; i < n; i++) {
        const int before = i ? i - 1 : i, after = i + 1 < n ? i + 1 : i;
        float l = low[i] < low[before] ? low[i] : low[before],
              h = high[i] > high[before] ? high[i] : high[before];
        lower[i] = low[after] < l ? low[after] : l;
        higher[i] = high[after] > h ? high[after] : h;
    }
}

void copy_find_flat(struct copy_view *v)
{
    const struct layer *l = &v->layers[0];
    float low[COPY_SIDE], high[COPY_SIDE], lower[COPY_SIDE], higher[COPY_SIDE];
    memset(v->flat_counts, 0, sizeof v->flat_counts);
    for (int y = 0; y < l->height; y++) {
        const float *row = l->value + y * l->width, *up = y ? row - l->width : row,
                    *down = y + 1 < l->height ? row + l->width : row;
        for (int x = 0; x < l->width; x++) {
            float a = row[x] < up[x] ? row[x] : up[x], b = row[x] > up[x] ? row[x] : up[x];
            low[x] = down[x] < a ? down[x] : a;
            high[x] = down[x] > b ? down[x] : b;
        }
        spread_line(low, high, lower, higher, l->width);
        for (int x = 0; x < l->width; x++) {
            bool flat = higher[x] - lower[x] <= FLAT_RANGE;
            v->flat_pixels[y * l->width + x] = flat;
            v->flat_counts[(int)row[x]] += flat;
        }
    }
}

static bool is_common(const struct copy_view *v, int level)
{
    int sum = 0;
    for (int k = level - LEVEL_RANGE; k <= level + LEVEL_RANGE; k++)
        sum += k >= 0 && k < 256 ? v->flat_counts[k] : 0;
    return sum > MOST_COMMON * v->layers[0].width * v->layers[0].height;
}

/* Collects the connected pixels around `from` that are marked in `wanted` into `at`, and unmarks them.
 * Returns their number. */
static int flood(bool *wanted, int width, int height, int from, uint16_t *at)
{
    int n = 1;
    wanted[from] = false;
    at[0] = (uint16_t)from;
    for (int i = 0; i < n; i++) {
        int x = at[i] % width, y = at[i] / width;
        const int beside[4] = {x > 0 ? at[i] - 1 : -1, x + 1 < width ? at[i] + 1 : -1,
                               y > 0 ? at[i] - width : -1, y + 1 < height ? at[i] + width : -1};
        for (int k = 0; k < 4; k++)
            if (beside[k] >= 0 && wanted[beside[k]]) {
                wanted[beside[k]] = false;
                at[n++] = (uint16_t)beside[k];
            }
    }
    return n;
}

struct box {
    int left, top, right, bottom, n; /* n pixels of it are flat */
};

/* Whether n connected flat pixels of v, in a picture of this width, are a patch that covers the contents
 * of `under`. */
static bool is_patch(struct box *b, const float *v, const float *under, int width, int area,
                     const uint16_t *at, int n)
{
    float low = 255, high = 0;
    int differ = 0;
    *b = (struct box){COPY_SIDE, COPY_SIDE, 0, 0, n};
    for (int k = 0; k < n; k++) {
        int x = at[k] % width, y = at[k] / width;
        float p = v[at[k]];
        b->left = x < b->left ? x : b->left;
        b->right = x > b->right ? x : b->right;
        b->top = y < b->top ? y : b->top;
        b->bottom = y > b->bottom ? y : b->bottom;
        low = p < low ? p : low;
        high = p > high ? p : high;
        differ += fabsf(p - under[at[k]]) > PIXEL_DIFFERS;
    }
    double around = (double)(b->right - b->left + 1) * (b->bottom - b->top + 1);
    return high - low <= 2 * FLAT_RANGE && n >= PATCH_FILLED * around && around >= LEAST_PATCH * area &&
           around <= MOST_PATCH * area && differ >= PATCH_DIFFERS * n;
}

void copy_find_hidden(bool *hidden, const struct copy_view *of, const struct copy_view *other,
                      const float *value, const float *under, bool *flat, int width, int height)
{
    uint16_t at[COPY_SIDE * COPY_SIDE];
    struct box most = {0}, b;
    for (int i = 0; i < width * height; i++) {
        if (!flat[i]) continue;
        int n = flood(flat, width, height, i, at), level = (int)value[i];
        if (n > most.n && !is_common(of, level) && !is_common(other, level) &&
            is_patch(&b, value, under, width, width * height, at, n))
            most = b;
    }
    if (!most.n) return;
    for (int y = most.top > AROUND ? most.top - AROUND : 0; y <= most.bottom + AROUND && y < height; y++)
        for (int x = most.left > AROUND ? most.left - AROUND : 0; x <= most.right + AROUND && x < width; x++)
            hidden[y * width + x] = true;
}
