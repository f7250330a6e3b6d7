/* copy_check.c: whether two pictures that are laid over each other agree, block by block. */
#include "vector/copy_internal.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 8 };

#define LEAST_AGREEMENT 0.65
/* At the finest level. Sparse pictures of one style, such as charts, agree in frames and labels: with little
 * detail nearly all of it has to agree. */
#define LEAST_FINE 0.75
#define LEAST_FINE_SPARSE 0.95
#define SPARSE_BLOCKS 50
#define DENSE_BLOCKS 120
#define LEAST_COVERAGE 0.45
#define LEAST_BLOCKS 20
#define BLOCK_CORRELATION 0.7
#define FLAT_SPREAD 5.0   /* grey levels: a block without detail */
#define FLAT_APART 24.0   /* grey levels between two blocks without detail that disagree */
#define COLOUR_APART 14.0 /* of 128, between two blocks of other colours, */
#define COLOUR_SHARE 0.25 /* and of the stronger colour: saturation is changed lightly */

struct block {
    double ma, mb, va, vb, product;
};

static struct block compare_block(const float *a, const float *b, int stride, double gain, double offset)
{
    struct block k = {0};
    double n = BLOCK * BLOCK;
    for (int y = 0; y < BLOCK; y++)
        for (int x = 0; x < BLOCK; x++) {
            double p = (double)a[y * stride + x], q = (double)b[y * stride + x] * gain + offset;
            k.ma += p;
            k.mb += q;
            k.va += p * p;
            k.vb += q * q;
            k.product += p * q;
        }
    k.ma /= n;
    k.mb /= n;
    k.va = k.va / n - k.ma * k.ma;
    k.vb = k.vb / n - k.mb * k.mb;
    k.product = k.product / n - k.ma * k.mb;
    return k;
}

/* Whether the colours at a place of a and at its place in b are others. */
static bool other_colour(const struct copy_view *a, const struct copy_view *b, int level, double x, double y,
                         float u, float v)
{
    const struct layer *la = &a->layers[level], *lb = &b->layers[level];
    float ax = ((float)x + 0.5f) * COPY_COLOURS / (float)la->width - 0.5f,
          ay = ((float)y + 0.5f) * COPY_COLOURS / (float)la->height - 0.5f,
          bx = (u + 0.5f) * COPY_COLOURS / (float)lb->width - 0.5f,
          by = (v + 0.5f) * COPY_COLOURS / (float)lb->height - 0.5f;
    double cb = (double)sample(a->cb, COPY_COLOURS, COPY_COLOURS, ax, ay),
           cr = (double)sample(a->cr, COPY_COLOURS, COPY_COLOURS, ax, ay),
           db = (double)sample(b->cb, COPY_COLOURS, COPY_COLOURS, bx, by),
           dr = (double)sample(b->cr, COPY_COLOURS, COPY_COLOURS, bx, by);
    return hypot(cb - db, cr - dr) > COLOUR_APART + COLOUR_SHARE * fmax(hypot(cb, cr), hypot(db, dr));
}

static bool has_detail(const struct layer *l, int x, int y)
{
    double sum = 0, squares = 0, n = BLOCK * BLOCK;
    for (int i = 0; i < BLOCK; i++)
        for (int k = 0; k < BLOCK; k++) {
            double v = (double)l->value[(y + i) * l->width + x + k];
            sum += v;
            squares += v * v;
        }
    return squares / n - sum / n * (sum / n) >= FLAT_SPREAD * FLAT_SPREAD;
}

/* The share of b's blocks with detail whose middle lies in a. */
static double detail_covered(const struct layer *a, const struct layer *b, const double w[6], bool mirrored,
                             int step_px)
{
    double det = w[0] * w[3] - w[1] * w[2];
    int all = 0, covered = 0;
    for (int y = 0; y + BLOCK <= b->height; y += step_px)
        for (int x = 0; x + BLOCK <= b->width; x += step_px) {
            if (!has_detail(b, x, y)) continue;
            double u = x + (BLOCK - 1) / 2.0, v = y + (BLOCK - 1) / 2.0;
            double p = (mirrored ? (double)b->cx - u : u - (double)b->cx) - w[4],
                   q = v - (double)b->cy - w[5];
            double ax = (w[3] * p - w[1] * q) / det + (double)a->cx,
                   ay = (w[0] * q - w[2] * p) / det + (double)a->cy;
            all++;
            covered += ax >= 0 && ay >= 0 && ax <= a->width - 1 && ay <= a->height - 1;
        }
    return all ? (double)covered / all : 0;
}

/* b where a's pixels are, and whether it is there. */
struct laid {
    float value[COPY_SIDE * COPY_SIDE], u[COPY_SIDE * COPY_SIDE], v[COPY_SIDE * COPY_SIDE];
    bool in[COPY_SIDE * COPY_SIDE];
};

/* At a level, from blocks a step apart. w: between the finest layers. */
static struct copy_match judge(const struct copy_view *va, const struct copy_view *vb, bool mirrored,
                               const double fine[6], int level, int step_px, struct warped *o)
{
    const struct layer *a = &va->layers[level], *b = &vb->layers[level];
    double at_level = 1 << level;
    double w[6] = {fine[0], fine[1], fine[2], fine[3], fine[4] / at_level, fine[5] / at_level};
    struct copy_match m = {.mirrored = mirrored};
    struct laid l;
    double ma, sa, mb, sb;
    int detail = 0, agree = 0, all = 0, covered = 0;
    copy_warp_into(o, a, b, w, mirrored);
    if (o->n < 64) return m;
    copy_mean_and_spread(o->a, o->n, &ma, &sa);
    copy_mean_and_spread(o->b, o->n, &mb, &sb);
    double gain = sa / sb, offset = ma - mb * gain;
    float warp[6];
    for (int i = 0; i < 6; i++)
        warp[i] = (float)w[i];
    for (int i = 0, n = 0; i < a->height; i++)
        for (int k = 0; k < a->width; k++) {
            int at = i * a->width + k;
            l.in[at] = place_in(b, warp, mirrored, (float)k - a->cx, (float)i - a->cy, &l.u[at], &l.v[at]);
            l.value[at] = l.in[at] ? o->b[n++] : 0;
        }
    for (int y = 0; y + BLOCK <= a->height; y += step_px)
        for (int x = 0; x + BLOCK <= a->width; x += step_px) {
            int at = y * a->width + x, last = BLOCK - 1, middle = at + (BLOCK / 2) * (a->width + 1);
            bool textured = has_detail(a, x, y);
            all += textured;
            covered += textured && l.in[middle];
            if (!l.in[at] || !l.in[at + last] || !l.in[at + last * a->width] ||
                !l.in[at + last * a->width + last])
                continue;
            struct block k = compare_block(a->value + at, l.value + at, a->width, gain, offset);
            bool recoloured =
                !va->grey && !vb->grey &&
                other_colour(va, vb, level, x + BLOCK / 2, y + BLOCK / 2, l.u[middle], l.v[middle]);
            if (k.va < FLAT_SPREAD * FLAT_SPREAD && k.vb < FLAT_SPREAD * FLAT_SPREAD) {
                detail += recoloured || fabs(k.ma - k.mb) > FLAT_APART;
                continue;
            }
            detail++;
            agree += !recoloured && k.product >= BLOCK_CORRELATION * sqrt(fmax(k.va, 1) * fmax(k.vb, 1));
        }
    m.agreement = detail ? (double)agree / detail : 0;
    m.coverage = fmin(all ? (double)covered / all : 0, detail_covered(a, b, w, mirrored, step_px));
    m.blocks = detail;
    memcpy(m.warp, fine, sizeof m.warp);
    return m;
}

static bool agrees(const struct copy_match *m, double least)
{
    return m->agreement >= least && m->coverage >= LEAST_COVERAGE && m->blocks >= LEAST_BLOCKS;
}

void copy_check(struct copy_view *a, struct copy_view *b, struct copy_match *m)
{
    struct place kept[KEPT];
    struct warped o;
    *m = (struct copy_match){0};
    if (a->flat || b->flat) return;
    copy_find_places(a, b, kept);
    double coarse = kept[0].score;
    for (int i = 0; i < KEPT && kept[i].score > 0 && !m->same; i++) {
        double w[6];
        bool mirrored = kept[i].mirrored;
        copy_warp_of(&kept[i], a, b, w);
        if (!copy_refine(a, b, mirrored, w, COARSE - 1, 1, 8, &o)) continue;
        struct copy_match seen = judge(a, b, mirrored, w, 1, BLOCK / 2, &o);
        if (agrees(&seen, LEAST_AGREEMENT)) {
            copy_make_fine(a);
            copy_make_fine(b);
            if (!copy_refine(a, b, mirrored, w, 0, 0, 6, &o)) continue;
            seen = judge(a, b, mirrored, w, 0, BLOCK, &o);
            double sparse = (double)(DENSE_BLOCKS - seen.blocks) / (DENSE_BLOCKS - SPARSE_BLOCKS);
            seen.same =
                agrees(&seen, LEAST_FINE + (LEAST_FINE_SPARSE - LEAST_FINE) * fmin(fmax(sparse, 0), 1));
        }
        if (seen.same || seen.agreement > m->agreement) *m = seen;
    }
    m->coarse = coarse;
}
