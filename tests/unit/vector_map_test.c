/* needs: vector base */
/* Clusters and the map: made kinds are found again, the grid's forces equal those of all pairs, and neither
 * depends on the number of threads. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "tap.h"
#include "vector/vector_clusters.h"
#include "vector/vector_join.h"
#include "vector/vector_map.h"

enum { N = 4000, D = 24, KINDS = 20 };

static float values[N * D];

static void make_vectors(void)
{
    for (int i = 0; i < N; i++) {
        struct random own = random_start(6, (uint64_t)i, 77),
                      kind = random_start(6, (uint64_t)(i % KINDS), 78);
        double sum = 0;
        for (int k = 0; k < D; k++) {
            values[i * D + k] = (float)(random_normal(&kind) + 0.3 * random_normal(&own));
            sum += (double)values[i * D + k] * (double)values[i * D + k];
        }
        for (int k = 0; k < D; k++)
            values[i * D + k] = (float)((double)values[i * D + k] / sqrt(sum));
    }
}

static void test_clusters(void)
{
    struct vector_clusters a, b;
    struct error err = {0};
    size_t n_pure = 0, n_rows = 0;
    CHECK(vector_cluster_count(1) == 1 && vector_cluster_count(2000) == 32 &&
          vector_cluster_count(50000) == 158 && vector_cluster_count(1000000) == VECTOR_MOST_CLUSTERS);
    CHECK(vector_clusters_make(&a, values, N, D, 2 * KINDS, 1, &err) == 0);
    CHECK(vector_clusters_make(&b, values, N, D, 2 * KINDS, 3, &err) == 0);
    CHECK(a.n == b.n && memcmp(a.of, b.of, N * sizeof *a.of) == 0 &&
          memcmp(a.likeness, b.likeness, N * sizeof *a.likeness) == 0);
    for (size_t c = 0; c < a.n; c++) {
        size_t of_kind[KINDS] = {0}, most = 0, n = 0;
        for (size_t i = 0; i < N; i++)
            if (a.of[i] == c) of_kind[i % KINDS]++, n++;
        for (size_t k = 0; k < KINDS; k++)
            if (of_kind[k] > most) most = of_kind[k];
        n_pure += most;
        n_rows += n;
        CHECK(n == a.n_rows[c] && n > 0 && (c == 0 || n <= a.n_rows[c - 1]));
    }
    CHECK_SAY(n_rows == N && n_pure > N * 98 / 100, "%zu of %d rows are with their own kind", n_pure, N);
    vector_clusters_release(&a);
    vector_clusters_release(&b);
    for (size_t i = 0; i < 9; i++) /* copies: fewer clusters than wanted */
        memcpy(values + i * D, values, D * sizeof *values);
    CHECK(vector_clusters_make(&a, values, 9, D, 5, 1, &err) == 0 && a.n == 1 && a.n_rows[0] == 9);
    vector_clusters_release(&a);
    make_vectors();
}

static void test_repulsion(double wide)
{
    double *y = malloc(2 * N * sizeof *y), *exact = malloc(3 * N * sizeof *exact),
           *grid = malloc(3 * N * sizeof *grid), *again = malloc(3 * N * sizeof *again);
    struct error err = {0};
    struct map_field *field = map_field_open(&err);
    double off = 0, size = 0;
    for (int i = 0; i < N; i++) {
        struct random r = random_start(7, (uint64_t)i, 79);
        for (int c = 0; c < 2; c++)
            y[2 * i + c] = wide * (random_unit(&r) + (i % KINDS) / 5 * 0.3);
    }
    double sum = map_repulsion(NULL, y, N, exact, 2), sum_grid = map_repulsion(field, y, N, grid, 1),
           sum_again = map_repulsion(field, y, N, again, 3);
    for (int i = 0; i < 2 * N; i++) {
        off += (grid[i] - exact[i]) * (grid[i] - exact[i]);
        size += exact[i] * exact[i];
    }
    /* One point a unit of area: forces from all sides cancel, and what is left is small beside the nodes'. */
    CHECK_SAY(sqrt(off / size) < (wide > 10 ? 0.2 : 0.001),
              "forces over %g: %.4f of their size from all pairs", wide, sqrt(off / size));
    CHECK_SAY(fabs(sum_grid / sum - 1) < 0.02, "the sum over %g: %.6g and %.6g", wide, sum_grid, sum);
    CHECK(sum_again == sum_grid && memcmp(grid, again, 2 * N * sizeof *grid) == 0);
    map_field_close(field);
    free(y);
    free(exact);
    free(grid);
    free(again);
}

/* n: below and above the number of points up to which all pairs are compared. */
static void test_map(size_t n)
{
    struct near_pairs near = NEAR_PAIRS_EMPTY;
    double *xy = malloc(2 * n * sizeof *xy), *again = malloc(2 * n * sizeof *again), within = 0, whole = 0;
    struct error err = {0};
    const struct vector_join join = {.values = values,
                                     .n = n,
                                     .n_values = D,
                                     .n_first = n,
                                     .wanted = NEAR_ALL,
                                     .max_distance = VECTOR_MAX_DISTANCE,
                                     .n_neighbours = VECTOR_MAP_NEIGHBOURS,
                                     .n_threads = 2};
    CHECK(vector_join_run(&join, &near, &err) == 0);
    CHECK(vector_map_make(xy, values, n, D, &near, 1, &err) == 0);
    /* The grid's forces are compared above, and its steps take seconds. */
    CHECK(vector_map_make(again, values, n < 1000 ? n : 0, D, &near, 3, &err) == 0);
    CHECK(n > 1000 || memcmp(xy, again, 2 * n * sizeof *xy) == 0);
    double low = 1, high = 0;
    for (size_t i = 0; i < 2 * n; i++) {
        if (xy[i] < low) low = xy[i];
        if (xy[i] > high) high = xy[i];
    }
    CHECK_SAY(low == 0 && high == 1, "from %g to %g", low, high);
    for (size_t i = KINDS; i < n; i++) {
        size_t same = i - KINDS, other = i - 7;
        within += hypot(xy[2 * i] - xy[2 * same], xy[2 * i + 1] - xy[2 * same + 1]);
        whole += hypot(xy[2 * i] - xy[2 * other], xy[2 * i + 1] - xy[2 * other + 1]);
    }
    CHECK_SAY(within < 0.15 * whole, "%zu points: a kind is %.3f as wide as the map", n, within / whole);
    near_pairs_release(&near);
    free(xy);
    free(again);
}

static void test_small(void)
{
    struct near_pairs none = NEAR_PAIRS_EMPTY;
    double xy[4];
    struct error err = {0};
    CHECK(vector_map_make(xy, values, 0, D, &none, 1, &err) == 0);
    CHECK(vector_map_make(xy, values, 1, D, &none, 1, &err) == 0 && xy[0] == 0.5 && xy[1] == 0.5);
    CHECK(vector_map_make(xy, values, 2, D, &none, 1, &err) == 0 && isfinite(xy[0] + xy[1] + xy[2] + xy[3]));
}

int main(void)
{
    make_vectors();
    test_clusters();
    test_repulsion(2);
    test_repulsion(60);
    test_map(800);
    test_map(3200);
    test_small();
    return tap_done();
}
