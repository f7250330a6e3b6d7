/*
 * copy_internal.h: shared by the files of copy_check: prepared pictures, and the warp between two of them.
 * copy_thumb.c makes the small pictures, copy_register.c finds the warp, and copy_check.c compares the
 * aligned pictures.
 */
#ifndef WINNOW_VECTOR_COPY_INTERNAL_H
#define WINNOW_VECTOR_COPY_INTERNAL_H

#include "vector/copy_check.h"

enum { LEVELS = 4, COARSE = 3, SCALES = 7, TURNS = 2, KEPT = 5, LANES = 8 };

struct texel {
    float value, gx, gy, pad;
}; /* one vector of four floats */

struct layer {
    int width, height;
    float cx, cy; /* the picture's middle; it is not the layer's middle when an odd side was halved */
    float value[COPY_SIDE * COPY_SIDE];
    struct texel texels[COPY_SIDE * COPY_SIDE];
};

/* The coarse picture at one scale, with sums over rectangles. */
struct scaled {
    int width, height;
    float value[24 * 24];
    float sum[25 * 25], squares[25 * 25];
};

/* The corner of a block. */
struct spot {
    uint8_t x, y;
};

struct copy_view {
    bool flat, grey;
    bool fine; /* the slopes and the flat pixels of the finest layer are computed; only few pairs need them */
    bool flat_pixels[COPY_SIDE * COPY_SIDE]; /* pixels of the finest layer without any detail */
    int flat_counts[256];                    /* of each grey level */
    float cb[COPY_COLOURS * COPY_COLOURS], cr[COPY_COLOURS * COPY_COLOURS];
    struct spot detail[COPY_SIDE * COPY_SIDE / 64]; /* blocks of the middle layer with detail */
    int n_detail;
    struct layer layers[LEVELS];
    struct scaled scaled[SCALES];
    struct scaled mirrored[SCALES];
    struct scaled turned[TURNS]; /* at scale 1 */
};

struct place {
    double score;
    bool mirrored;
    int turn;          /* rotation of a: 0, or 1 + the index in turns */
    int scale, dx, dy; /* of b's corner in a */
};

/* the pixels of both pictures where they overlap, and the gradient of b there; with padding for a last
 * vector */
struct warped {
    int n;
    float a[COPY_SIDE * COPY_SIDE + LANES], b[COPY_SIDE * COPY_SIDE + LANES],
        gx[COPY_SIDE * COPY_SIDE + LANES], gy[COPY_SIDE * COPY_SIDE + LANES],
        x[COPY_SIDE * COPY_SIDE + LANES], y[COPY_SIDE * COPY_SIDE + LANES];
    double correlation; /* of the two */
};

/* Returns the bilinear sample at (x, y), which is clamped to the picture. */
static inline float sample(const float *v, int width, int height, float x, float y)
{
    x = x < 0 ? 0 : x > (float)(width - 1) ? (float)(width - 1) : x;
    y = y < 0 ? 0 : y > (float)(height - 1) ? (float)(height - 1) : y;
    int x0 = (int)x, y0 = (int)y, x1 = x0 + 1 < width ? x0 + 1 : x0, y1 = y0 + 1 < height ? y0 + 1 : y0;
    float fx = x - (float)x0, fy = y - (float)y0;
    float top = v[y0 * width + x0] + fx * (v[y0 * width + x1] - v[y0 * width + x0]);
    float bottom = v[y1 * width + x0] + fx * (v[y1 * width + x1] - v[y1 * width + x0]);
    return top + fy * (bottom - top);
}

/* Finds the position in b of pixel (x, y) of a, which is relative to a's centre. With `mirrored`, x in b is
 * measured from b's right edge. Returns whether the position is inside b. */
static inline bool place_in(const struct layer *b, const float w[6], bool mirrored, float x, float y,
                            float *u, float *v)
{
    float p = w[0] * x + w[1] * y + w[4], q = w[2] * x + w[3] * y + w[5];
    *u = b->cx + (mirrored ? -p : p);
    *v = b->cy + q;
    return *u >= -0.5f && *v >= -0.5f && *u <= (float)b->width - 0.5f && *v <= (float)b->height - 0.5f;
}

/* Finds the KEPT best positions of b on a, best first. Unused entries have the score 0. */
void copy_find_places(const struct copy_view *a, const struct copy_view *b, struct place kept[KEPT]);
/* Converts a position on the coarse grids to a warp between the finest layers. */
void copy_warp_of(const struct place *p, const struct copy_view *va, const struct copy_view *vb, double w[6]);
/* Refines a warp from level `from` to level `to`, with at most this many steps at each level. Returns false
 * when the pictures do not fit, or correlate less at one of the levels. */
bool copy_refine(const struct copy_view *a, const struct copy_view *b, bool mirrored, double w[6], int from,
                 int to, int most_steps, double least_correlation, struct warped *o);
/* w: between these two layers. One of so many rows. */
void copy_warp_into(struct warped *o, const struct layer *a, const struct layer *b, const double w[6],
                    bool mirrored, int row_step);
void copy_mean_and_spread(const float *v, int n, double *mean, double *spread);
void copy_make_fine(struct copy_view *v); /* once */

void copy_find_detail(struct copy_view *v);
void copy_find_flat(struct copy_view *v);
/*
 * Marks the pixels that are covered in `of`. `of` and `under` are both sampled on a picture of this size.
 * flat: the pixels that are flat in `of`; it is cleared.
 */
void copy_find_hidden(bool *hidden, const struct copy_view *of, const struct copy_view *other,
                      const float *value, const float *under, bool *flat, int width, int height);

#endif
