/* needs: vector base */
/*
 * Near pairs of vectors equal brute force with every kernel, any number of threads and any split in two
 * parts; copies of made pictures are found by their pixels, and other pictures of the same kind are not.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "tap.h"
#include "vector/copy_check.h"
#include "vector/vector_join.h"

enum { N = 700, D = 37 };

static float values[N * D];

/* Clusters, so that there are near pairs of every distance; one vector of nothing, two that are equal. */
static void make_vectors(void)
{
    for (int i = 0; i < N; i++) {
        struct random own = random_start(3, (uint64_t)i, 77), shared = random_start(3, (uint64_t)(i / 5), 78);
        double share = 0.3 + 0.7 * random_unit(&own), sum = 0;
        for (int k = 0; k < D; k++) {
            values[i * D + k] = (float)((1 - share) * random_normal(&own) + share * random_normal(&shared));
            sum += (double)values[i * D + k] * (double)values[i * D + k];
        }
        for (int k = 0; k < D; k++)
            values[i * D + k] = i == 9 ? 0 : (float)((double)values[i * D + k] / sqrt(sum));
    }
    memcpy(values + 20 * D, values + 600 * D, D * sizeof *values);
}

static bool wanted(size_t a, size_t b, size_t n_first, unsigned which)
{
    return which & (b < n_first ? NEAR_FIRST_FIRST : a < n_first ? NEAR_FIRST_REST : NEAR_REST_REST);
}

static bool among_nearest(size_t of, size_t other, const struct vector_join *j)
{
    uint32_t nearer = 0, d = vector_distance(values + of * D, values + other * D, D);
    double cosine = 0, that;
    for (int k = 0; k < D; k++)
        cosine += (double)values[of * D + (size_t)k] * (double)values[other * D + (size_t)k];
    for (size_t i = 0; i < j->n; i++) {
        size_t a = i < of ? i : of, b = i < of ? of : i;
        if (i == of || i == other || !wanted(a, b, j->n_first, j->wanted)) continue;
        that = 0;
        for (int k = 0; k < D; k++)
            that += (double)values[of * D + (size_t)k] * (double)values[i * D + (size_t)k];
        nearer += (float)that > (float)cosine || ((float)that == (float)cosine && i < other);
    }
    return d <= j->max_distance && nearer < j->n_neighbours;
}

static bool equals_brute_force(const struct vector_join *j)
{
    struct near_pairs found = NEAR_PAIRS_EMPTY;
    struct error err = {0};
    size_t at = 0, wrong = 0;
    if (vector_join_run(j, &found, &err)) {
        printf("# %s\n", err.text);
        return false;
    }
    for (size_t a = 0; a < j->n; a++)
        for (size_t b = a + 1; b < j->n; b++) {
            uint32_t d = vector_distance(values + a * D, values + b * D, D);
            bool expect = wanted(a, b, j->n_first, j->wanted) && d <= j->max_distance;
            if (expect && j->n_neighbours) expect = among_nearest(a, b, j) || among_nearest(b, a, j);
            bool here = at < found.n && found.pairs[at].a == a && found.pairs[at].b == b;
            wrong += expect != here || (here && found.pairs[at].distance != d);
            at += here;
        }
    if (wrong || at != found.n) printf("# %zu wrong, %zu of %zu in order\n", wrong, at, found.n);
    bool equal = !wrong && at == found.n;
    near_pairs_release(&found);
    return equal;
}

static void test_join(void)
{
    static const char *const kernels[] = {"plain", "avx2", "avx512"};
    make_vectors();
    for (size_t k = 0; k < 3; k++) {
        if (vector_join_use(kernels[k])) {
            printf("# no %s here\n", kernels[k]);
            continue;
        }
        bool all = true, split = true, nearest = true;
        for (uint32_t distance = 0; distance <= 900; distance += 300) {
            struct vector_join j = {.values = values,
                                    .n = N,
                                    .n_values = D,
                                    .n_first = N,
                                    .wanted = NEAR_ALL,
                                    .max_distance = distance,
                                    .n_threads = 1 + distance / 300};
            all = all && equals_brute_force(&j);
            j.n_first = 133;
            j.wanted = NEAR_FIRST_REST | NEAR_REST_REST;
            split = split && equals_brute_force(&j);
        }
        struct vector_join j = {values, N, D, 133, NEAR_FIRST_REST | NEAR_REST_REST, 900, 3, 3, NULL};
        nearest = equals_brute_force(&j);
        CHECK_SAY(all, "%s: all pairs within a distance", kernels[k]);
        CHECK_SAY(split, "%s: without the pairs of the first part", kernels[k]);
        CHECK_SAY(nearest, "%s: the three nearest of each", kernels[k]);
    }
    vector_join_use(NULL);
    struct near_pairs none = NEAR_PAIRS_EMPTY;
    struct error err = {0};
    struct vector_join j = {values, 1, D, 1, NEAR_ALL, 900, 0, 2, NULL};
    CHECK_SAY(vector_join_run(&j, &none, &err) == 0 && none.n == 0, "one vector has no pair");
}

/* --- pictures --- */

enum { W = 160, H = 120 };
typedef uint8_t picture[H][W][3];

/* Discs of all sizes and colours on a slope. */
static void paint(picture p, uint64_t which)
{
    struct random r = random_start(8, which, 5);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            for (int c = 0; c < 3; c++)
                p[y][x][c] = (uint8_t)(60 + x / 2 + 30 * c);
    for (int i = 0; i < 120; i++) {
        int cx = (int)random_below(&r, W), cy = (int)random_below(&r, H),
            radius = 3 + (int)random_below(&r, 11);
        uint8_t colour[3];
        for (int c = 0; c < 3; c++)
            colour[c] = (uint8_t)random_below(&r, 256);
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                if ((x - cx) * (x - cx) + (y - cy) * (y - cy) < radius * radius) memcpy(p[y][x], colour, 3);
    }
}

static void dot(picture p, int x, int y)
{
    for (int v = y - 1; v <= y + 1; v++)
        for (int u = x - 1; u <= x + 1; u++)
            if (u >= 0 && v >= 0 && u < W && v < H) memset(p[v][u], 40, 3);
}

/* A curve in a frame with ticks: all of them but the curve is the same. */
static void draw_chart(picture p, uint64_t which)
{
    struct random r = random_start(9, which, 6);
    double height = 20 + 25 * random_unit(&r), waves = 1 + 4 * random_unit(&r), begin = 6 * random_unit(&r);
    memset(p, 255, sizeof(picture));
    for (int x = 16; x < W - 10; x++) {
        dot(p, x, 10);
        dot(p, x, H - 16);
        if (x % 24 < 3) dot(p, x, H - 11);
        dot(p, x, (int)(H / 2 - 3 + height * sin(begin + waves * 6.3 * x / W)));
    }
    for (int y = 10; y < H - 16; y++) {
        dot(p, 16, y);
        dot(p, W - 10, y);
        if (y % 20 < 3) dot(p, 11, y);
    }
}

/* The middle of two pictures side by side on white. */
static void put_together(picture p, uint64_t left, uint64_t right)
{
    static picture one;
    memset(p, 255, sizeof(picture));
    for (int k = 0; k < 2; k++) {
        paint(one, k ? right : left);
        for (int y = 20; y < H - 20; y++)
            memcpy(p[y][k ? W / 2 + 4 : 10], one[y][W / 4], (W / 2 - 14) * 3);
    }
}

/* b(x, y) = a(where the warp says), between its pixels, or black. */
static void warp(picture b, picture a, double scale, double turn, double dx, double dy, bool mirror)
{
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            double u = x - W / 2.0 + 0.5, v = y - H / 2.0 + 0.5, c = cos(turn), s = sin(turn);
            double ax = scale * (c * u - s * v) + dx + W / 2.0 - 0.5,
                   ay = scale * (s * u + c * v) + dy + H / 2.0 - 0.5;
            if (mirror) ax = W - 1 - ax;
            bool in = ax >= -0.5 && ay >= -0.5 && ax < W - 0.5 && ay < H - 0.5;
            ax = fmin(fmax(ax, 0), W - 1);
            ay = fmin(fmax(ay, 0), H - 1);
            int x0 = (int)ax, y0 = (int)ay, x1 = x0 + 1 < W ? x0 + 1 : x0, y1 = y0 + 1 < H ? y0 + 1 : y0;
            double fx = ax - x0, fy = ay - y0;
            for (int k = 0; k < 3; k++) {
                double top = a[y0][x0][k] + fx * (a[y0][x1][k] - a[y0][x0][k]),
                       low = a[y1][x0][k] + fx * (a[y1][x1][k] - a[y1][x0][k]);
                b[y][x][k] = in ? (uint8_t)(top + fy * (low - top) + 0.5) : 0;
            }
        }
}

static struct copy_match compare(picture a, picture b)
{
    struct copy_thumb t;
    struct copy_match m;
    struct copy_view *va = malloc(copy_view_bytes()), *vb = malloc(copy_view_bytes());
    if (!va || !vb) exit(71);
    copy_thumb_make(&t, &a[0][0][0], W, H, 3);
    copy_view_make(va, &t);
    copy_thumb_make(&t, &b[0][0][0], W, H, 3);
    copy_view_make(vb, &t);
    copy_check(va, vb, &m);
    free(va);
    free(vb);
    return m;
}

/* A picture on a white page, and the page turned: the white border is not uniform any more. */
static void test_turned_pages(void)
{
    enum { PICTURES = 16 };
    static picture a, b, page;
    const double turns[] = {0.035, -0.035, 0.087, -0.087};
    for (size_t k = 0; k < sizeof turns / sizeof *turns; k++) {
        int found = 0, n = 0, joined = 0;
        for (uint64_t i = 0; i < PICTURES; i++) {
            for (uint64_t other = i ? i - 1 : i; other <= i; other++) {
                paint(a, other);
                memset(page, 255, sizeof page);
                for (int y = 22; y < H - 22; y++)
                    memcpy(page[y][50], a[y][50], (W - 100) * sizeof page[0][0]);
                if (other < i) {
                    warp(b, page, 1, turns[k], 0, 0, false);
                    continue;
                }
                if (i) n++, joined += compare(page, b).same;
                warp(b, page, 1, turns[k], 0, 0, false);
                found += compare(page, b).same;
            }
        }
        CHECK_SAY(found >= PICTURES - 1 && joined == 0,
                  "a page turned by %+.3f: %d of %d found, %d of %d others joined", turns[k], found, PICTURES,
                  joined, n);
    }
}

static void test_copies(void)
{
    static const struct {
        const char *what;
        double scale, turn, dx, dy;
        bool mirror;
    } cases[] = {
        {"the same", 1, 0, 0, 0, false},
        {"cropped to 90 %", 0.9, 0, 0, 0, false},
        {"cropped to 80 %", 0.8, 0, 0, 0, false},
        {"cropped on one side", 0.95, 0, 4, 3, false},
        {"turned by 2 degrees", 1, 0.035, 0, 0, false},
        {"turned by 5 degrees", 1, -0.087, 0, 0, false},
        {"mirrored", 1, 0, 0, 0, true},
        {"mirrored and cropped", 0.9, 0, 2, 1, true},
    };
    enum { PICTURES = 16 };
    static picture a, b;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        int found = 0, mirrored = 0;
        for (uint64_t i = 0; i < PICTURES; i++) {
            paint(a, i);
            warp(b, a, cases[k].scale, cases[k].turn, cases[k].dx, cases[k].dy, cases[k].mirror);
            struct copy_match m = compare(a, b);
            found += m.same;
            mirrored += m.mirrored;
        }
        /* They are enlarged, and of 80 % of so small a picture there is hardly enough left. */
        int least = cases[k].scale < 0.85 ? PICTURES / 2 : cases[k].scale < 1 ? PICTURES - 2 : PICTURES - 1;
        CHECK_SAY(found >= least && mirrored == (cases[k].mirror ? PICTURES : 0), "%s: %d of %d found",
                  cases[k].what, found, PICTURES);
    }
    int framed = 0, patched = 0, same = 0, n = 0;
    for (uint64_t i = 0; i < PICTURES; i++) {
        paint(a, i);
        warp(b, a, 1.25, 0, 0, 0, false);
        framed += compare(a, b).same;
        memcpy(b, a, sizeof b);
        for (int y = 48; y < 72; y++)
            memset(b[y][64], 128, 32 * 3);
        patched += compare(a, b).same;
        for (uint64_t k = 0; k < i; k++, n++) {
            paint(b, k);
            same += compare(a, b).same;
        }
    }
    CHECK_SAY(framed >= PICTURES - 1, "with a border of 10 %%: %d of %d found", framed, PICTURES);
    CHECK_SAY(patched >= PICTURES - 3, "with a grey patch of 20 %%: %d of %d found", patched, PICTURES);
    CHECK_SAY(same == 0, "of %d pairs of different pictures of a kind %d are taken for copies", n, same);
    same = n = 0;
    for (uint64_t i = 0; i < PICTURES; i++)
        for (uint64_t k = 0; k < i; k++, n++) {
            draw_chart(a, i);
            draw_chart(b, k);
            same += compare(a, b).same;
        }
    CHECK_SAY(same == 0, "of %d pairs of charts with one frame %d are taken for copies", n, same);
    same = n = 0;
    for (uint64_t i = 0; i + 2 < PICTURES; i++, n++) { /* two figures each, of which they share one */
        put_together(a, i, i + 1);
        put_together(b, i, i + 2);
        same += compare(a, b).same;
        put_together(b, i + 2, i);
        same += compare(a, b).same;
    }
    CHECK_SAY(same == 0, "of %d pairs that share a figure %d are taken for copies", 2 * n, same);
    memset(b, 77, sizeof b);
    CHECK_SAY(!compare(a, b).same && !compare(b, b).same, "a flat picture is no copy of anything");
}

int main(void)
{
    test_join();
    test_copies();
    test_turned_pages();
    return tap_done();
}
