/*
 * copy_register.c: registers two small pictures: an exhaustive search over mirroring, scale, rotation and
 * shift at 16 pixels, followed by Gauss-Newton steps from coarse to fine.
 */
#include "vector/copy_internal.h"

#include <math.h>
#include <string.h>

#include "base/simd.h"

#define GREY 3.0 /* colours are not compared if their mean distance from grey is below this */

/* --- prepared pictures --------------------------------------------------------------------------------- */

size_t copy_view_bytes(void) { return sizeof(struct copy_view); }

static const double scales[SCALES] = {0.72, 0.80, 0.89, 1.0, 1.12, 1.25, 1.4};
enum { SCALE_ONE = 3 };
/* radians: 5 degrees; rotations up to 2 degrees are found without */
static const double turns[TURNS] = {-0.085, 0.085};

static void add_gradients(struct layer *l)
{
    for (int y = 0; y < l->height; y++)
        for (int x = 0; x < l->width; x++) {
            int left = x ? x - 1 : x, right = x + 1 < l->width ? x + 1 : x;
            int up = y ? y - 1 : y, down = y + 1 < l->height ? y + 1 : y;
            const float *row = l->value + y * l->width;
            l->texels[y * l->width + x] =
                (struct texel){row[x], (row[right] - row[left]) / (float)(right - left),
                               (l->value[down * l->width + x] - l->value[up * l->width + x]) /
                                   (float)(down - up),
                               0};
        }
}

static void halve(struct layer *out, const struct layer *in)
{
    out->width = (in->width + 1) / 2;
    out->height = (in->height + 1) / 2;
    out->cx = (in->cx + 0.5f) / 2 - 0.5f;
    out->cy = (in->cy + 0.5f) / 2 - 0.5f;
    for (int y = 0; y < out->height; y++)
        for (int x = 0; x < out->width; x++) {
            int x1 = 2 * x + 1 < in->width ? 2 * x + 1 : 2 * x,
                y1 = 2 * y + 1 < in->height ? 2 * y + 1 : 2 * y;
            const float *v = in->value;
            out->value[y * out->width + x] = (v[2 * y * in->width + 2 * x] + v[2 * y * in->width + x1] +
                                              v[y1 * in->width + 2 * x] + v[y1 * in->width + x1]) /
                                             4;
        }
}

/* Makes a coarse picture from the middle layer, scaled by 1 / scale, and mirrored or turned. */
static void make_scaled(struct scaled *s, const struct layer *l, double scale, bool mirror, double turn)
{
    double most = 23;
    s->width = (int)fmin(most, fmax(4, l->width / 2.0 / scale + 0.5));
    s->height = (int)fmin(most, fmax(4, l->height / 2.0 / scale + 0.5));
    float step_x = (float)l->width / (float)s->width, step_y = (float)l->height / (float)s->height;
    float c = (float)cos(turn), n = (float)sin(turn), cx = l->cx, cy = l->cy;
    float middle_x = (float)(l->width - 1) / 2, middle_y = (float)(l->height - 1) / 2;
    for (int y = 0; y < s->height; y++)
        for (int x = 0; x < s->width; x++) {
            float sum = 0;
            for (int i = 0; i < 4; i++) { /* four samples a cell: the layer is twice as fine */
                float u = ((float)x + (i & 1 ? 0.75f : 0.25f)) * step_x - 0.5f - middle_x,
                      v = ((float)y + (i & 2 ? 0.75f : 0.25f)) * step_y - 0.5f - middle_y;
                sum += sample(l->value, l->width, l->height, cx + (mirror ? -1.0f : 1.0f) * (c * u - n * v),
                              cy + n * u + c * v);
            }
            s->value[y * s->width + x] = sum / 4 - 128;
        }
    int stride = s->width + 1;
    memset(s->sum, 0, sizeof s->sum);
    memset(s->squares, 0, sizeof s->squares);
    for (int y = 0; y < s->height; y++) {
        float row = 0, row_squares = 0;
        for (int x = 0; x < s->width; x++) {
            float v = s->value[y * s->width + x];
            row += v;
            row_squares += v * v;
            s->sum[(y + 1) * stride + x + 1] = s->sum[y * stride + x + 1] + row;
            s->squares[(y + 1) * stride + x + 1] = s->squares[y * stride + x + 1] + row_squares;
        }
    }
}

void copy_view_make(struct copy_view *v, const struct copy_thumb *t)
{
    v->flat = !t->width || !copy_thumb_sound(t);
    if (v->flat) return;
    double colours = 0;
    for (int i = 0; i < COPY_COLOURS * COPY_COLOURS; i++) {
        v->cb[i] = (float)t->cb[i] - 128;
        v->cr[i] = (float)t->cr[i] - 128;
        colours += hypot((double)v->cb[i], (double)v->cr[i]);
    }
    v->grey = colours < GREY * COPY_COLOURS * COPY_COLOURS;
    v->fine = false;
    struct layer *l = &v->layers[0];
    l->width = t->width;
    l->height = t->height;
    l->cx = (float)(l->width - 1) / 2;
    l->cy = (float)(l->height - 1) / 2;
    for (int i = 0; i < l->width * l->height; i++)
        l->value[i] = t->luma[i];
    for (int k = 1; k < LEVELS; k++)
        halve(&v->layers[k], &v->layers[k - 1]);
    for (int k = 1; k < COARSE; k++)
        add_gradients(&v->layers[k]);
    copy_find_detail(v);
    for (int s = 0; s < SCALES; s++) {
        make_scaled(&v->scaled[s], &v->layers[2], scales[s], false, 0);
        make_scaled(&v->mirrored[s], &v->layers[2], scales[s], true, 0);
    }
    for (int k = 0; k < TURNS; k++)
        make_scaled(&v->turned[k], &v->layers[2], 1, false, turns[k]);
}

/* --- where it lies: mirror, scale and place ------------------------------------------------------------- */

#define LEAST_COARSE 0.4     /* a position with a lower correlation is not refined */
#define COARSE_COVERAGE 0.45 /* of the larger picture */

static inline float rectangle(const float *sums, int stride, int x0, int y0, int x1, int y1)
{
    return sums[y1 * stride + x1] - sums[y0 * stride + x1] - sums[y1 * stride + x0] + sums[y0 * stride + x0];
}

/* Returns the correlation of the overlap when the corner of b is at (dx, dy) of a. */
static inline __attribute__((always_inline)) double correlate(const struct scaled *a, const struct scaled *b,
                                                              int dx, int dy)
{
    int x0 = dx > 0 ? dx : 0, y0 = dy > 0 ? dy : 0;
    int x1 = dx + b->width < a->width ? dx + b->width : a->width,
        y1 = dy + b->height < a->height ? dy + b->height : a->height;
    float lanes[8] = {0};
    for (int y = y0; y < y1; y++) {
        const float *p = a->value + y * a->width + x0, *q = b->value + (y - dy) * b->width + x0 - dx;
        int x = 0, n = x1 - x0;
        for (; x + 8 <= n; x += 8)
            for (int k = 0; k < 8; k++)
                lanes[k] += p[x + k] * q[x + k];
        for (; x < n; x++)
            lanes[0] += p[x] * q[x];
    }
    float product =
        ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
    double n = (double)(x1 - x0) * (y1 - y0);
    double sa = (double)rectangle(a->sum, a->width + 1, x0, y0, x1, y1),
           sb = (double)rectangle(b->sum, b->width + 1, x0 - dx, y0 - dy, x1 - dx, y1 - dy);
    double va = (double)rectangle(a->squares, a->width + 1, x0, y0, x1, y1) - sa * sa / n,
           vb = (double)rectangle(b->squares, b->width + 1, x0 - dx, y0 - dy, x1 - dx, y1 - dy) - sb * sb / n;
    if (va < n || vb < n) return 0; /* the spread is at most one grey level */
    return ((double)product - sa * sb / n) / sqrt(va * vb);
}

static bool are_near(const struct place *a, const struct place *b)
{
    int x = a->dx - b->dx, y = a->dy - b->dy, s = a->scale - b->scale;
    return a->mirrored == b->mirrored && a->turn == b->turn && s * s <= 1 && x * x <= 4 && y * y <= 4;
}

/* Keeps the best positions that are not neighbours of a better one. */
static void keep_place(struct place *kept, struct place p)
{
    int at = 0, end;
    while (at < KEPT && kept[at].score >= p.score)
        if (are_near(&kept[at++], &p)) return;
    if (at == KEPT) return;
    /* p replaces a worse neighbour, or the last one */
    for (end = at; end < KEPT - 1 && !(kept[end].score > 0 && are_near(&kept[end], &p)); end++)
        ;
    memmove(kept + at + 1, kept + at, (size_t)(end - at) * sizeof *kept);
    kept[at] = p;
}

static inline __attribute__((always_inline)) void find_in(const struct scaled *a, const struct scaled *b,
                                                          struct place p, struct place *kept)
{
    double larger = fmax((double)a->width * a->height, (double)b->width * b->height);
    for (p.dy = -b->height / 2; p.dy < a->height - b->height / 2; p.dy++)
        for (p.dx = -b->width / 2; p.dx < a->width - b->width / 2; p.dx++) {
            int x0 = p.dx > 0 ? p.dx : 0, y0 = p.dy > 0 ? p.dy : 0;
            int x1 = p.dx + b->width < a->width ? p.dx + b->width : a->width,
                y1 = p.dy + b->height < a->height ? p.dy + b->height : a->height;
            if (x1 <= x0 || y1 <= y0) continue;
            double covered = (double)(x1 - x0) * (y1 - y0) / larger;
            if (covered < COARSE_COVERAGE) continue;
            p.score = correlate(a, b, p.dx, p.dy) * (0.85 + 0.15 * covered);
            if (p.score > LEAST_COARSE && p.score > kept[KEPT - 1].score) keep_place(kept, p);
        }
}

static inline __attribute__((always_inline)) void find_body(const struct copy_view *a,
                                                            const struct copy_view *b, struct place *kept)
{
    for (int s = 0; s < SCALES; s++) {
        find_in(&a->scaled[SCALE_ONE], &b->scaled[s], (struct place){.scale = s}, kept);
        find_in(&a->scaled[SCALE_ONE], &b->mirrored[s], (struct place){.scale = s, .mirrored = true}, kept);
        /* turned copies are rarely also mirrored or scaled much */
        for (int t = 0; t < TURNS && s >= SCALE_ONE - 1 && s <= SCALE_ONE + 1; t++)
            find_in(&a->turned[t], &b->scaled[s], (struct place){.scale = s, .turn = t + 1}, kept);
    }
}

static void find_plain(const struct copy_view *a, const struct copy_view *b, struct place *kept)
{
    find_body(a, b, kept);
}
#if defined(__x86_64__)
__attribute__((target("avx2"))) static void find_avx2(const struct copy_view *a, const struct copy_view *b,
                                                      struct place *kept)
{
    find_body(a, b, kept);
}
#else
#define find_avx2 find_plain
#endif

void copy_find_places(const struct copy_view *a, const struct copy_view *b, struct place kept[KEPT])
{
    memset(kept, 0, KEPT * sizeof *kept);
    (simd_level() >= SIMD_AVX2 ? find_avx2 : find_plain)(a, b, kept);
}

/* --- the warp ------------------------------------------------------------------------------------------- */

#define MOST_TURN 0.2   /* radians: 11 degrees */
#define MOST_SCALE 1.75 /* either way */
/* one axis relative to the other: different curves of one kind resemble stretched copies */
#define MOST_STRETCH 1.05

/* Solves the symmetric system a x = b in place (Cholesky); false when it is singular. */
enum { PARAMETERS = 4 };
static bool solve(double a[PARAMETERS][PARAMETERS], double b[PARAMETERS])
{
    for (int i = 0; i < PARAMETERS; i++)
        for (int j = 0; j <= i; j++) {
            double sum = a[i][j];
            for (int k = 0; k < j; k++)
                sum -= a[i][k] * a[j][k];
            if (i == j) {
                if (!(sum > 1e-12)) return false;
                a[i][i] = sqrt(sum);
            } else {
                a[i][j] = sum / a[j][j];
            }
        }
    for (int i = 0; i < PARAMETERS; i++) {
        for (int k = 0; k < i; k++)
            b[i] -= a[i][k] * b[k];
        b[i] /= a[i][i];
    }
    for (int i = PARAMETERS - 1; i >= 0; i--) {
        for (int k = i + 1; k < PARAMETERS; k++)
            b[i] -= a[k][i] * b[k];
        b[i] /= a[i][i];
    }
    return true;
}

/* The texel of l at (x, y), which lies within half a pixel of it. */
typedef float four __attribute__((vector_size(16)));
static inline __attribute__((always_inline)) four texel_at(const struct layer *l, float x, float y)
{
    float right = (float)(l->width - 1), low = (float)(l->height - 1);
    x = x < 0 ? 0 : x > right ? right : x;
    y = y < 0 ? 0 : y > low ? low : y;
    int x0 = (int)x, y0 = (int)y, dx = x0 + 1 < l->width, dy = y0 + 1 < l->height ? l->width : 0;
    float fx = x - (float)x0, fy = y - (float)y0;
    four p, q, r, s;
    const struct texel *at = &l->texels[y0 * l->width + x0];
    memcpy(&p, at, sizeof p);
    memcpy(&q, at + dx, sizeof q);
    memcpy(&r, at + dy, sizeof r);
    memcpy(&s, at + dy + dx, sizeof s);
    return (1 - fx) * (1 - fy) * p + fx * (1 - fy) * q + (1 - fx) * fy * r + fx * fy * s;
}

void copy_warp_into(struct warped *o, const struct layer *a, const struct layer *b, const double warp[6],
                    bool mirrored, int row_step)
{
    float w[6], sign = mirrored ? -1.0f : 1.0f, u, v;
    for (int i = 0; i < 6; i++)
        w[i] = (float)warp[i];
    int n = 0;
    for (int i = 0; i < a->height; i += row_step) {
        int k = 0, end = a->width;
        float y = (float)i - a->cy;
        /* the part of a line that is inside a rectangle is one piece */
        while (k < end && !place_in(b, w, mirrored, (float)k - a->cx, y, &u, &v))
            k++;
        while (end > k && !place_in(b, w, mirrored, (float)(end - 1) - a->cx, y, &u, &v))
            end--;
        for (; k < end; k++, n++) {
            float x = (float)k - a->cx;
            place_in(b, w, mirrored, x, y, &u, &v);
            four t = texel_at(b, u, v);
            o->a[n] = a->value[i * a->width + k];
            o->b[n] = t[0];
            o->gx[n] = t[1] * sign;
            o->gy[n] = t[2];
            o->x[n] = x;
            o->y[n] = y;
        }
    }
    o->n = n;
}

void copy_mean_and_spread(const float *v, int n, double *mean, double *spread)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < n; i++) {
        sum += (double)v[i];
        squares += (double)v[i] * (double)v[i];
    }
    *mean = sum / n;
    *spread = sqrt(fmax(squares / n - *mean * *mean, 0)) + 1;
}

/* Sums over all pixels, eight at a time: the lower half of h, g, and the product of the two pictures. */
enum { SUMS = PARAMETERS * (PARAMETERS + 1) / 2 + PARAMETERS + 1 };
static inline __attribute__((always_inline)) void sum_body(const struct warped *o, float ma, float sa,
                                                           float mb, float sb, double sums[SUMS])
{
    float lanes[SUMS][LANES] = {{0}};
    for (int i = 0; i < o->n; i += LANES) {
        float j[PARAMETERS][LANES], r[LANES], weight[LANES], product[LANES];
        for (int k = 0; k < LANES; k++) {
            float p = (o->a[i + k] - ma) / sa, q = (o->b[i + k] - mb) / sb;
            r[k] = p - q;
            weight[k] = i + k < o->n ? 1 / (1 + 4 * r[k] * r[k]) : 0;
            product[k] = i + k < o->n ? p * q : 0;
            float gx = o->gx[i + k] / sb, gy = o->gy[i + k] / sb;
            j[0][k] = gx * o->x[i + k] + gy * o->y[i + k];
            j[1][k] = gy * o->x[i + k] - gx * o->y[i + k];
            j[2][k] = gx;
            j[3][k] = gy;
        }
        int at = 0;
        for (int p = 0; p < PARAMETERS; p++) {
            float wj[LANES];
            for (int k = 0; k < LANES; k++)
                wj[k] = weight[k] * j[p][k];
            for (int q = 0; q <= p; q++, at++)
                for (int k = 0; k < LANES; k++)
                    lanes[at][k] += wj[k] * j[q][k];
            for (int k = 0; k < LANES; k++)
                lanes[SUMS - 1 - PARAMETERS + p][k] += wj[k] * r[k];
        }
        for (int k = 0; k < LANES; k++)
            lanes[SUMS - 1][k] += product[k];
    }
    for (int s = 0; s < SUMS; s++) {
        sums[s] = 0;
        for (int k = 0; k < LANES; k++)
            sums[s] += (double)lanes[s][k];
    }
}

typedef void sum_function(const struct warped *o, float ma, float sa, float mb, float sb, double sums[SUMS]);
static void sum_plain(const struct warped *o, float ma, float sa, float mb, float sb, double sums[SUMS])
{
    sum_body(o, ma, sa, mb, sb, sums);
}
#if defined(__x86_64__)
__attribute__((target("avx2"))) static void sum_avx2(const struct warped *o, float ma, float sa, float mb,
                                                     float sb, double sums[SUMS])
{
    sum_body(o, ma, sa, mb, sb, sums);
}
#else
#define sum_avx2 sum_plain
#endif

/* One Gauss-Newton step over scale, rotation and shift that minimises the difference of the two pictures
 * up to brightness and contrast. Large differences have smaller weights. *moved: the movement at the edge
 * of the picture, in pixels. */
static bool improve(struct warped *o, const struct layer *a, double w[6], double *moved)
{
    double ma, sa, mb, sb, sums[SUMS], h[PARAMETERS][PARAMETERS] = {{0}}, g[PARAMETERS];
    int at = 0;
    copy_mean_and_spread(o->a, o->n, &ma, &sa);
    copy_mean_and_spread(o->b, o->n, &mb, &sb);
    memset(o->gx + o->n, 0, LANES * sizeof *o->gx); /* the rest of the last vector */
    memset(o->gy + o->n, 0, LANES * sizeof *o->gy);
    memset(o->a + o->n, 0, LANES * sizeof *o->a);
    memset(o->b + o->n, 0, LANES * sizeof *o->b);
    memset(o->x + o->n, 0, LANES * sizeof *o->x);
    memset(o->y + o->n, 0, LANES * sizeof *o->y);
    sum_function *sum = simd_level() >= SIMD_AVX2 ? sum_avx2 : sum_plain;
    sum(o, (float)ma, (float)sa, (float)mb, (float)sb, sums);
    o->correlation = sums[SUMS - 1] / o->n;
    for (int p = 0; p < PARAMETERS; p++) {
        for (int q = 0; q <= p; q++)
            h[p][q] = sums[at++];
        h[p][p] += h[p][p] * 1e-3 + 1e-6;
        g[p] = sums[SUMS - 1 - PARAMETERS + p];
    }
    if (!solve(h, g)) return false;
    double reach = (a->width > a->height ? a->width : a->height) / 2.0;
    w[0] += g[0];
    w[3] += g[0];
    w[1] -= g[1];
    w[2] += g[1];
    w[4] += g[2];
    w[5] += g[3];
    *moved = 0;
    for (int p = 0; p < PARAMETERS; p++)
        *moved = fmax(*moved, fabs(g[p]) * (p < 2 ? reach : 1));
    return true;
}

static bool plausible(const double w[6])
{
    double scale = hypot(w[0], w[2]);
    return fabs(atan2(w[2], w[0])) <= MOST_TURN && scale * MOST_SCALE >= 1 && scale <= MOST_SCALE;
}

void copy_warp_of(const struct place *p, const struct copy_view *va, const struct copy_view *vb, double w[6])
{
    const struct scaled *a = p->turn ? &va->turned[p->turn - 1] : &va->scaled[SCALE_ONE];
    const struct scaled *b = p->mirrored ? &vb->mirrored[p->scale] : &vb->scaled[p->scale];
    const struct layer *la = &va->layers[0], *lb = &vb->layers[0];
    double sx = (double)lb->width / b->width / ((double)la->width / a->width);
    double sy = (double)lb->height / b->height / ((double)la->height / a->height);
    sx = sy = sqrt(sx * sy);
    double turn = p->turn ? turns[p->turn - 1] : 0, c = cos(turn), n = sin(turn);
    /* the rotated grid at q is a at (c -n, n c) q */
    w[0] = sx * c;
    w[1] = sx * n;
    w[2] = -sy * n;
    w[3] = sy * c;
    /* a's centre is (a->width - 1) / 2 - dx in the grid of b */
    w[4] = ((a->width - 1) / 2.0 - p->dx - (b->width - 1) / 2.0) * lb->width / b->width;
    w[5] = ((a->height - 1) / 2.0 - p->dy - (b->height - 1) / 2.0) * lb->height / b->height;
}

#define SETTLED 0.06 /* pixels */

bool copy_refine(const struct copy_view *a, const struct copy_view *b, bool mirrored, double w[6], int from,
                 int to, int most_steps, double least_correlation, struct warped *o)
{
    for (int level = from; level >= to; level--) {
        double at = 1 << level, moved = 1;
        double v[6] = {w[0], w[1], w[2], w[3], w[4] / at, w[5] / at};
        for (int step = 0; step < most_steps && moved > SETTLED; step++) {
            /* every other row is enough, except in the small layer */
            copy_warp_into(o, &a->layers[level], &b->layers[level], v, mirrored, level < COARSE - 1 ? 2 : 1);
            if (o->n < 64 || !improve(o, &a->layers[level], v, &moved)) return false;
        }
        memcpy(w, v, sizeof v);
        w[4] *= at;
        w[5] *= at;
        if (!plausible(w) || o->correlation < least_correlation) return false;
    }
    return true;
}

void copy_make_fine(struct copy_view *v)
{
    if (!v->fine) {
        add_gradients(&v->layers[0]);
        copy_find_flat(v);
    }
    v->fine = true;
}
