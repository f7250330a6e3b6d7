/* copy_check.c: compares two aligned pictures block by block. */
#include "vector/copy_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* MARGIN: pixels at the edge of a picture that are blurred with its surroundings */
enum { BLOCK = 8, MARGIN = 3 };

/* Thresholds for the quick check at the middle level, in which blocks only have to correlate. */
#define LEAST_AGREEMENT 0.65
#define LEAST_MIDDLE 0.45 /* smallest correlation of a pair that is compared further */
#define LEAST_ALIKE 0.4   /* smallest share of agreeing blocks at 32 pixels, without a warp, of pictures */
#define MOST_APART 3      /* whose sides differ by no more pixels of 128 */
#define LEAST_CORRELATION 0.7
#define LEAST_QUICK_BLOCKS 20
/* Thresholds at the finest level, for the share of agreeing detail, weighted by its strength. In a copy
 * nearly all detail agrees. Sparse pictures of one style, such as charts, agree in frames and labels, so
 * for these all detail must agree. */
#define LEAST_SPARSE 0.97
#define LEAST_DENSE 0.92
#define SPARSE_SHARE 0.45 /* share of compared blocks with detail below which a picture is sparse */
#define DENSE_SHARE 0.65
#define FINE_CORRELATION 0.8
#define LEAST_SPREAD 0.15 /* smallest ratio of the variances of two agreeing blocks */
#define LEAST_COVERAGE 0.45
/* Least share of the detail of one picture that must be inside the other: a crop is completely inside its
 * original. */
#define MOST_COVERED 0.95
/* If two pictures share only a small part, they count as copies only if that part has much detail:
 * collages may share parts without being copies. */
#define SMALL_COVERAGE 0.72
#define SMALL_BLOCKS 72
#define SMALL_AGREEMENT 0.985 /* or if all of it agrees, in both directions */
#define LEAST_BLOCKS 16
#define FLAT_SPREAD 5.0   /* grey levels: a block without detail */
#define FLAT_APART 24.0   /* grey levels between two blocks without detail that disagree */
#define LEVEL_APART 30.0  /* grey levels between two blocks with detail, in addition to half their spread */
#define COLOUR_APART 14.0 /* difference, of 128, between two blocks of different colours, */
/* and as a share of the stronger colour, because copies often have another saturation */
#define COLOUR_SHARE 0.25
#define MOST_HIDDEN 12 /* pixels of a block */

struct block {
    double ma, mb, va, vb, product;
};

static struct block compare_block(const float *a, const float *b, int stride)
{
    struct block k = {0};
    double n = BLOCK * BLOCK;
    for (int y = 0; y < BLOCK; y++)
        for (int x = 0; x < BLOCK; x++) {
            double p = (double)a[y * stride + x], q = (double)b[y * stride + x];
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

/* Whether the colours of a at a position and of b at the corresponding position differ. */
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
    float sum = 0, squares = 0, n = BLOCK * BLOCK;
    for (int i = 0; i < BLOCK; i++)
        for (int k = 0; k < BLOCK; k++) {
            float v = l->value[(y + i) * l->width + x + k] - 128;
            sum += v;
            squares += v * v;
        }
    return (double)(squares / n - sum / n * (sum / n)) >= FLAT_SPREAD * FLAT_SPREAD;
}

void copy_find_detail(struct copy_view *v)
{
    const struct layer *l = &v->layers[1];
    v->n_detail = 0;
    for (int y = 0; y + BLOCK <= l->height; y += BLOCK / 2)
        for (int x = 0; x + BLOCK <= l->width; x += BLOCK / 2)
            if (has_detail(l, x, y)) v->detail[v->n_detail++] = (struct spot){(uint8_t)x, (uint8_t)y};
}

/* Returns the share of a's blocks with detail, at the middle level, whose centre is inside b. */
static double covered_by(const struct copy_view *va, const struct copy_view *vb, const double w[6],
                         bool mirrored)
{
    const struct layer *a = &va->layers[1], *b = &vb->layers[1];
    float warp[6], u, v;
    int covered = 0;
    for (int i = 0; i < 6; i++)
        warp[i] = (float)(i < 4 ? w[i] : w[i] / 2);
    for (int i = 0; i < va->n_detail; i++)
        covered += place_in(b, warp, mirrored, (float)va->detail[i].x + (BLOCK - 1) / 2.0f - a->cx,
                            (float)va->detail[i].y + (BLOCK - 1) / 2.0f - a->cy, &u, &v);
    return va->n_detail ? (double)covered / va->n_detail : 0;
}

/* Returns the same for b's blocks inside a. */
static double covers(const struct copy_view *va, const struct copy_view *vb, const double w[6], bool mirrored)
{
    double det = w[0] * w[3] - w[1] * w[2], sign = mirrored ? -1 : 1;
    double xx = w[3] / det, xy = -w[1] / det, yx = -w[2] / det, yy = w[0] / det;
    const double back[6] = {xx * sign, xy, yx * sign, yy, -(xx * w[4] + xy * w[5]), -(yx * w[4] + yy * w[5])};
    return covered_by(vb, va, back, false);
}

/* b resampled at a's pixels, with a's brightness, and which pixels are inside b. */
struct laid {
    float value[COPY_SIDE * COPY_SIDE], u[COPY_SIDE * COPY_SIDE], v[COPY_SIDE * COPY_SIDE];
    bool in[COPY_SIDE * COPY_SIDE];
    bool hidden[COPY_SIDE * COPY_SIDE]; /* in either */
};

/* Resamples b at the pixels of a. w: the warp between these two layers. Returns false when they hardly
 * overlap. */
static bool lay_over(struct laid *l, const struct layer *a, const struct layer *b, const double w[6],
                     bool mirrored, struct warped *o)
{
    double ma, sa, mb, sb;
    float warp[6];
    copy_warp_into(o, a, b, w, mirrored, 1);
    if (o->n < 64) return false;
    copy_mean_and_spread(o->a, o->n, &ma, &sa);
    copy_mean_and_spread(o->b, o->n, &mb, &sb);
    float gain = (float)(sa / sb), offset = (float)(ma - mb * sa / sb);
    for (int i = 0; i < 6; i++)
        warp[i] = (float)w[i];
    for (int i = 0, n = 0; i < a->height; i++)
        for (int k = 0; k < a->width; k++) {
            int at = i * a->width + k;
            l->in[at] = place_in(b, warp, mirrored, (float)k - a->cx, (float)i - a->cy, &l->u[at], &l->v[at]);
            l->value[at] = l->in[at] ? o->b[n++] * gain + offset : 0;
        }
    return true;
}

/* Whether a position in b is at least `margin` from its edge. */
static bool within(const struct layer *b, float u, float v, float margin)
{
    return u >= margin - 0.5f && v >= margin - 0.5f && u <= (float)b->width - 0.5f - margin &&
           v <= (float)b->height - 0.5f - margin;
}

/* Whether a block of a is wholly inside b, and not on its edge. */
static bool block_in(const struct laid *l, const struct layer *b, int at, int width, int margin)
{
    const int corners[4] = {at, at + BLOCK - 1, at + (BLOCK - 1) * width, at + (BLOCK - 1) * (width + 1)};
    for (int i = 0; i < 4; i++)
        if (!l->in[corners[i]] || !within(b, l->u[corners[i]], l->v[corners[i]], (float)margin)) return false;
    return true;
}

static bool is_flat(const struct block *k)
{
    return k->va < FLAT_SPREAD * FLAT_SPREAD && k->vb < FLAT_SPREAD * FLAT_SPREAD;
}

static double correlation(const struct block *k)
{
    return k->product / sqrt(fmax(k->va, 1) * fmax(k->vb, 1));
}

/* Whether a block of a and the same block of b agree, if b is shifted by at most a pixel. */
static bool alike(const struct layer *a, const struct layer *b, const struct laid *l, int x, int y,
                  const struct block *here)
{
    struct block k = *here;
    for (int i = 0; i < 10; i++) { /* first without a shift, then with all nine */
        if (i) {
            int u = x + (i - 1) % 3 - 1, v = y + (i - 1) / 3 - 1;
            if (i == 5 || u < 0 || v < 0 || u + BLOCK > a->width || v + BLOCK > a->height ||
                !block_in(l, b, v * a->width + u, a->width, 0))
                continue;
            k = compare_block(a->value + y * a->width + x, l->value + v * a->width + u, a->width);
        }
        double weak = fmax(fmin(k.va, k.vb), 1), strong = fmax(k.va, k.vb);
        if (weak >= LEAST_SPREAD * strong && fabs(k.ma - k.mb) <= LEVEL_APART + sqrt(strong) / 2 &&
            correlation(&k) >= FINE_CORRELATION)
            return true;
    }
    return false;
}

static int hidden_in(const struct laid *l, int at, int width)
{
    int n = 0;
    for (int i = 0; i < BLOCK; i++)
        for (int k = 0; k < BLOCK; k++)
            n += l->hidden[at + i * width + k];
    return n;
}

static void find_hidden(struct laid *l, const struct copy_view *va, const struct copy_view *vb)
{
    const struct layer *a = &va->layers[0], *b = &vb->layers[0];
    bool in_a[COPY_SIDE * COPY_SIDE], in_b[COPY_SIDE * COPY_SIDE];
    for (int i = 0; i < a->width * a->height; i++) {
        int u = (int)(l->u[i] + 0.5f), v = (int)(l->v[i] + 0.5f);
        u = u < 0 ? 0 : u < b->width ? u : b->width - 1;
        v = v < 0 ? 0 : v < b->height ? v : b->height - 1;
        l->hidden[i] = false;
        in_a[i] = l->in[i] && va->flat_pixels[i];
        in_b[i] = l->in[i] && vb->flat_pixels[v * b->width + u];
    }
    copy_find_hidden(l->hidden, va, vb, a->value, l->value, in_a, a->width, a->height);
    copy_find_hidden(l->hidden, vb, va, l->value, a->value, in_b, a->width, a->height);
}

/* Compares two pictures at one level, using blocks a step apart. w: the warp between the finest layers. */
static struct copy_match judge(const struct copy_view *va, const struct copy_view *vb, bool mirrored,
                               const double fine[6], int level, int step_px, struct warped *o)
{
    const struct layer *a = &va->layers[level], *b = &vb->layers[level];
    double at_level = 1 << level, agreeing = 0, detail = 0;
    double w[6] = {fine[0], fine[1], fine[2], fine[3], fine[4] / at_level, fine[5] / at_level};
    double of_a = covered_by(va, vb, fine, mirrored), of_b = covers(va, vb, fine, mirrored);
    struct copy_match m = {.mirrored = mirrored, .coverage = fmin(of_a, of_b), .covered = fmax(of_a, of_b)};
    struct laid l;
    int margin = MARGIN >> level;
    memcpy(m.warp, fine, sizeof m.warp);
    if (m.coverage < LEAST_COVERAGE || m.covered < MOST_COVERED || !lay_over(&l, a, b, w, mirrored, o))
        return m;
    if (!level) find_hidden(&l, va, vb);
    for (int y = margin; y + BLOCK + margin <= a->height; y += step_px)
        for (int x = margin; x + BLOCK + margin <= a->width; x += step_px) {
            int at = y * a->width + x, middle = at + (BLOCK / 2) * (a->width + 1);
            if (!block_in(&l, b, at, a->width, margin) ||
                (!level && hidden_in(&l, at, a->width) > MOST_HIDDEN))
                continue;
            struct block k = compare_block(a->value + at, l.value + at, a->width);
            bool recoloured =
                !va->grey && !vb->grey &&
                other_colour(va, vb, level, x + BLOCK / 2, y + BLOCK / 2, l.u[middle], l.v[middle]);
            bool flat = is_flat(&k);
            m.compared++;
            if (flat && !recoloured && fabs(k.ma - k.mb) <= FLAT_APART) continue;
            double weight = level ? 1 : flat ? FLAT_APART : sqrt(fmax(k.va, k.vb));
            m.blocks++;
            detail += weight;
            if (!flat && !recoloured &&
                (level ? correlation(&k) >= LEAST_CORRELATION : alike(a, b, &l, x, y, &k)))
                agreeing += weight;
        }
    m.agreement = detail > 0 ? agreeing / detail : 0;
    return m;
}

static bool may_agree(const struct copy_match *m)
{
    return m->agreement >= LEAST_AGREEMENT && m->blocks >= LEAST_QUICK_BLOCKS;
}

static bool agrees(const struct copy_match *m)
{
    double share = (double)m->blocks / (m->compared + 1),
           dense = (share - SPARSE_SHARE) / (DENSE_SHARE - SPARSE_SHARE);
    double least = LEAST_SPARSE + (LEAST_DENSE - LEAST_SPARSE) * fmin(fmax(dense, 0), 1);
    bool small = m->coverage < SMALL_COVERAGE && m->agreement < SMALL_AGREEMENT;
    return m->agreement >= least && m->blocks >= (small ? SMALL_BLOCKS : LEAST_BLOCKS);
}

/* Whether two warps are equal, up to a pixel at the edges. */
static bool are_one(const double a[6], const double b[6])
{
    for (int i = 0; i < 6; i++)
        if (fabs(a[i] - b[i]) > (i < 4 ? 1.0 / COPY_SIDE * 2 : 1)) return false;
    return true;
}

/* The warps that a comparison has tried, and the best result. */
struct search {
    double tried[KEPT + 1][6];
    bool mirrored[KEPT + 1];
    int n_tried;
    struct warped o;
};

/* Refines an initial warp and compares the pictures with it. *m keeps the best result so far. */
static void try_warp(struct copy_view *a, struct copy_view *b, bool mirrored, double w[6],
                     double least_correlation, struct search *s, struct copy_match *m)
{
    if (!copy_refine(a, b, mirrored, w, COARSE - 1, COARSE - 1, 8, least_correlation, &s->o)) return;
    for (int k = 0; k < s->n_tried; k++)
        if (s->mirrored[k] == mirrored && are_one(s->tried[k], w))
            return; /* another initial warp has led to the same result */
    memcpy(s->tried[s->n_tried], w, sizeof s->tried[0]);
    s->mirrored[s->n_tried++] = mirrored;
    if (!copy_refine(a, b, mirrored, w, 1, 1, 8, least_correlation, &s->o)) return;
    struct copy_match seen = judge(a, b, mirrored, w, 1, BLOCK / 2, &s->o);
    if (may_agree(&seen)) {
        copy_make_fine(a);
        copy_make_fine(b);
        if (!copy_refine(a, b, mirrored, w, 0, 0, 6, least_correlation, &s->o)) return;
        seen = judge(a, b, mirrored, w, 0, BLOCK, &s->o);
        seen.same = agrees(&seen);
        seen.fine = true;
    }
    if (seen.same || seen.fine > m->fine || (seen.fine == m->fine && seen.agreement > m->agreement))
        *m = seen;
}

/*
 * Sets w to the warp that lays one whole picture on the other, if their shapes allow it. This is the position
 * of most copies. The search may miss it when something is pasted on a picture with few lines. Returns true
 * when the warp should be tried.
 */
static bool lie_alike(const struct copy_view *a, const struct copy_view *b, double w[6], struct search *s)
{
    const struct layer *la = &a->layers[0], *lb = &b->layers[0];
    if (abs(la->width - lb->width) > MOST_APART || abs(la->height - lb->height) > MOST_APART) return false;
    w[0] = w[3] = sqrt((double)lb->width * lb->height / ((double)la->width * la->height));
    w[1] = w[2] = w[4] = w[5] = 0;
    struct copy_match seen = judge(a, b, false, w, COARSE - 1, BLOCK / 2, &s->o);
    return seen.agreement >= LEAST_ALIKE;
}

static void check(struct copy_view *a, struct copy_view *b, struct copy_match *m)
{
    struct place kept[KEPT];
    struct search s = {.n_tried = 0};
    double w[6];
    *m = (struct copy_match){0};
    if (a->flat || b->flat) return;
    if (lie_alike(a, b, w, &s)) try_warp(a, b, false, w, 0, &s, m);
    if (m->same) return;
    copy_find_places(a, b, kept);
    double coarse = kept[0].score;
    for (int i = 0; i < KEPT && kept[i].score > 0 && !m->same; i++) {
        copy_warp_of(&kept[i], a, b, w);
        try_warp(a, b, kept[i].mirrored, w, LEAST_MIDDLE, &s, m);
    }
    m->coarse = coarse;
}

void copy_check(struct copy_view *a, struct copy_view *b, struct copy_match *m)
{
    struct copy_match back;
    check(a, b, m);
    if (!m->same || m->coverage >= SMALL_COVERAGE) return;
    /* the amount of detail in a small part depends on which picture's blocks are counted */
    check(b, a, &back);
    bool whole = m->agreement >= SMALL_AGREEMENT && back.agreement >= SMALL_AGREEMENT,
         much = m->blocks >= SMALL_BLOCKS && back.blocks >= SMALL_BLOCKS;
    m->same = back.same && (whole || much);
}
