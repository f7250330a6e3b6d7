/*
 * resize.c: separable resampling of 8-bit samples. Each output column and row has a list of inputs with
 * weights (its taps). The rows are resampled first, then the columns, with rounding to 8 bits in between, as
 * in Pillow, so that results agree with Pillow's to one level. The weights are 16-bit integers whose sum is
 * exactly a power of two, and sums have 32 bits. Plain C, SSE and AVX2 therefore compute the same bits.
 * RESIZE_TFJS is different: interpolation between four points with aligned corners, as TensorFlow.js'
 * resizeBilinear.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "image/codec.h"
#include "image/resize_kernels.h"

/* --- filters --- */

static double triangle(double x)
{
    x = fabs(x);
    return x < 1 ? 1 - x : 0;
}

static double sinc(double x) { return x == 0 ? 1 : sin(M_PI * x) / (M_PI * x); }

static double lanczos3(double x) { return fabs(x) < 3 ? sinc(x) * sinc(x / 3) : 0; }

/* Keys' cubic with a = -1/2, as in Pillow. OpenCV and PyTorch's tensor functions use -3/4. */
static double cubic(double x)
{
    x = fabs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

static double filter_support(enum resize_method method)
{
    return method == RESIZE_LANCZOS ? 3 : method == RESIZE_BICUBIC ? 2 : 1;
}

static double filter_weight(enum resize_method method, double x)
{
    return method == RESIZE_LANCZOS ? lanczos3(x) : method == RESIZE_BICUBIC ? cubic(x) : triangle(x);
}

/* Computes the weights of inputs first..first+n-1 for output i, not normalised. Returns n. scale = input /
 * output. */
static int filter_taps(enum resize_method method, int i, int n_in, double scale, int *first, double *weights)
{
    int n = 0;
    if (method == RESIZE_AREA) { /* the share of each input that the output's footprint covers */
        double from = i * scale, to = (i + 1) * scale;
        int last = (int)ceil(to - 1e-9);
        *first = (int)floor(from + 1e-9);
        last = last > n_in ? n_in : last;
        for (int j = *first; j < last; j++)
            weights[n++] = fmin(to, j + 1) - fmax(from, j);
        return n;
    }
    double widen = scale > 1 ? scale : 1; /* antialias: the filter grows with the reduction */
    double support = filter_support(method) * widen, centre = (i + 0.5) * scale;
    int from = (int)floor(centre - support + 0.5), to = (int)floor(centre + support + 0.5);
    from = from < 0 ? 0 : from;
    to = to > n_in ? n_in : to;
    *first = from;
    for (int j = from; j < to; j++) {
        weights[n++] = filter_weight(method, (j + 0.5 - centre) / widen);
    }
    return n;
}

static void taps_release(struct taps *t)
{
    free(t->first);
    free(t->weights);
    *t = (struct taps){0};
}

static int taps_make(struct taps *t, enum resize_method method, int n_in, int n_out, struct error *err)
{
    double scale = (double)n_in / n_out, *w = NULL, largest = 0;
    size_t n_most = (size_t)ceil(2 * 3 * (scale > 1 ? scale : 1)) + 3, stride = (n_most + 7) & ~(size_t)7,
           n_weights;
    *t = (struct taps){.stride = (int)stride};
    if (!size_mul((size_t)n_out, stride, &n_weights))
        return error_set(err, EX_OSERR, "resizing %d to %d", n_in, n_out);
    w = mem_zalloc(n_weights, sizeof *w, err);
    if (!w || !(t->first = mem_zalloc((size_t)n_out, sizeof *t->first, err)) ||
        !(t->weights = mem_zalloc(n_weights, sizeof *t->weights, err))) {
        free(w);
        taps_release(t);
        return -1;
    }
    for (int i = 0; i < n_out; i++) {
        double *row = w + (size_t)i * stride, sum = 0;
        int n = filter_taps(method, i, n_in, scale, &t->first[i], row);
        for (int k = 0; k < n; k++)
            sum += row[k];
        for (int k = 0; k < n; k++) {
            row[k] /= sum;
            largest = fmax(largest, fabs(row[k]));
        }
        t->n = n > t->n ? n : t->n;
    }
    /* Use as many fraction bits as possible while the largest weight fits into 16 bits and the sums into
     * 32. */
    for (t->bits = 12; t->bits < 20 && largest * (double)(1 << (t->bits + 1)) < 32700; t->bits++)
        ;
    for (int i = 0; i < n_out; i++) {
        const double *row = w + (size_t)i * stride;
        int16_t *q = t->weights + (size_t)i * stride;
        double whole = 0;
        /* The running sum is rounded, not each weight, so that the weights sum to exactly one and flat
         * areas stay flat. */
        for (int k = 0, given = 0; k < t->n; k++) {
            whole += row[k] * (1 << t->bits);
            q[k] = (int16_t)(lrint(whole) - given);
            given += q[k];
        }
        /* Every output has t->n taps. A window that would exceed the end is shifted left, and its weights
         * are shifted right. */
        int over = t->first[i] + t->n - n_in;
        if (over > 0 && t->first[i] > 0) {
            int move = over < t->first[i] ? over : t->first[i];
            memmove(q + move, q, (size_t)(t->n - move) * sizeof *q);
            memset(q, 0, (size_t)move * sizeof *q);
            t->first[i] -= move;
        }
    }
    free(w);
    return 0;
}

/* --- TensorFlow.js' method --- */

struct column {
    uint32_t left, right;
    double fraction;
}; /* offsets of the two samples in a row */

/* out(y, x) is taken at input (y * (h-1)/(H-1), x * (w-1)/(W-1)). The browser keeps the result as a float;
 * here it is rounded to the nearest level. */
static int resize_tfjs(struct image *out, const struct image *in, struct error *err)
{
    int c = in->channels;
    size_t stride = (size_t)in->width * (size_t)c;
    double rows =
        out->height > 1 ? (double)(in->height - 1) / (out->height - 1) : (double)in->height / out->height;
    double columns =
        out->width > 1 ? (double)(in->width - 1) / (out->width - 1) : (double)in->width / out->width;
    struct column *at = mem_alloc((size_t)out->width * sizeof *at, err);
    uint8_t *to = out->pixels;
    if (!at) return -1;
    for (int x = 0; x < out->width; x++) {
        double sx = columns * x;
        int x0 = (int)sx, x1 = (int)ceil(sx);
        x1 = x1 > in->width - 1 ? in->width - 1 : x1;
        at[x] = (struct column){(uint32_t)(x0 * c), (uint32_t)(x1 * c), sx - x0};
    }
    for (int y = 0; y < out->height; y++) {
        double sy = rows * y;
        int y0 = (int)sy, y1 = (int)ceil(sy);
        y1 = y1 > in->height - 1 ? in->height - 1 : y1;
        double fy = sy - y0;
        const uint8_t *top = in->pixels + (size_t)y0 * stride, *bottom = in->pixels + (size_t)y1 * stride;
        for (int x = 0; x < out->width; x++) {
            const uint8_t *a = top + at[x].left, *b = top + at[x].right, *d = bottom + at[x].left,
                          *e = bottom + at[x].right;
            double fx = at[x].fraction;
            for (int k = 0; k < c; k++) {
                double t = a[k] + (b[k] - a[k]) * fx, u = d[k] + (e[k] - d[k]) * fx;
                *to++ = (uint8_t)(t + (u - t) * fy + 0.5);
            }
        }
    }
    free(at);
    return 0;
}

/* --- the two passes --- */

int image_shrink_hint(enum resize_method method, int side_px) { return method == RESIZE_TFJS ? 0 : side_px; }

int image_resize(struct image *out, const struct image *in, int width, int height, enum resize_method method,
                 struct error *err)
{
    struct taps columns = {0}, rows = {0};
    struct image narrow = IMAGE_EMPTY;
    const struct image *from = in;
    int rc = -1;
    if (width == in->width && height == in->height) return image_copy(out, in, err);
    if (image_reserve(out, width, height, in->channels, err)) return -1;
    if (method == RESIZE_TFJS) return resize_tfjs(out, in, err);
    if (width != in->width) {
        struct image *to = height == in->height ? out : &narrow;
        if (taps_make(&columns, method, in->width, width, err) ||
            image_reserve(to, width, in->height, in->channels, err))
            goto done;
        resize_rows(to, in, &columns);
        from = to;
    }
    if (height != in->height) {
        if (taps_make(&rows, method, in->height, height, err)) goto done;
        resize_columns(out, from, &rows);
    }
    rc = 0;
done:
    taps_release(&columns);
    taps_release(&rows);
    image_release(&narrow);
    return rc;
}

int image_square(struct image *out, const struct image *m, int side_px, enum resize_method method,
                 struct error *err)
{
    return image_resize(out, m, side_px, side_px, method, err) || image_to_rgb(out, err) ? -1 : 0;
}

/* The start of the central crop, with torchvision's rounding of a half to the even number. */
static int middle(int size, int side)
{
    int over = size - side, half = over / 2;
    return over % 2 && half % 2 ? half + 1 : half;
}

int image_framed(struct image *out, const struct image *m, int side_px, const struct resize_rule *rule,
                 struct error *err)
{
    struct image whole = {0};
    int shorter = m->width < m->height ? m->width : m->height, rc = -1;
    if (!rule->first_px) return image_square(out, m, side_px, rule->method, err);
    int width = rule->keep_shape ? (int)((int64_t)m->width * rule->first_px / shorter) : rule->first_px;
    int height = rule->keep_shape ? (int)((int64_t)m->height * rule->first_px / shorter) : rule->first_px;
    if (width < side_px || height < side_px)
        return error_set(err, EX_USAGE, "a square of %d cannot be cut from %d x %d pixels", side_px, width,
                         height);
    if (image_resize(&whole, m, width, height, rule->method, err) || image_to_rgb(&whole, err) ||
        image_reserve(out, side_px, side_px, 3, err))
        goto done;
    int x = middle(width, side_px), y = middle(height, side_px);
    for (int row = 0; row < side_px; row++)
        memcpy(out->pixels + (size_t)row * (size_t)side_px * 3,
               whole.pixels + ((size_t)(y + row) * (size_t)width + (size_t)x) * 3, (size_t)side_px * 3);
    rc = 0;
done:
    image_release(&whole);
    return rc;
}
