/* needs: vector base */
/* Stars of alike vectors keep their promises for any number of threads; neighbour distances equal brute
 * force. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "tap.h"
#include "vector/vector_groups.h"
#include "vector/vector_join.h"

enum { N = 600, D = 24, KINDS = 40 };

static float values[N * D];

static void unit_length(float *v)
{
    double sum = 0;
    for (int k = 0; k < D; k++)
        sum += (double)v[k] * (double)v[k];
    for (int k = 0; k < D; k++)
        v[k] = (float)((double)v[k] / sqrt(sum));
}

/* KINDS of them, some tight and some loose; the last ten are like nothing, and one is nothing. */
static void make_vectors(void)
{
    for (int i = 0; i < N; i++) {
        struct random own = random_start(5, (uint64_t)i, 77),
                      kind = random_start(5, (uint64_t)(i % KINDS), 78);
        double spread = i >= N - 10 ? 1e6 : 0.05 + 0.02 * (i % KINDS);
        for (int k = 0; k < D; k++)
            values[i * D + k] = (float)(random_normal(&kind) + spread * random_normal(&own));
        unit_length(values + i * D);
    }
    memset(values + 9 * D, 0, D * sizeof *values);
}

static bool has_middle(const uint32_t *group, uint32_t g, uint32_t max_distance)
{
    for (size_t m = 0; m < N; m++) {
        bool all = group[m] == g;
        for (size_t i = 0; all && i < N; i++)
            all =
                group[i] != g || i == m || vector_distance(values + m * D, values + i * D, D) <= max_distance;
        if (all) return true;
    }
    return false;
}

static void test_stars(uint32_t max_distance, uint32_t most)
{
    uint32_t group[N], again[N], n_groups = 0, size[N + 1] = {0};
    struct error err = {0};
    bool in_order = true, sizes = true, middles = true, left = false;
    CHECK(vector_stars(values, N, D, max_distance, most, 1, group, &err) == 0);
    CHECK(vector_stars(values, N, D, max_distance, most, 3, again, &err) == 0 &&
          memcmp(group, again, sizeof group) == 0);
    for (size_t i = 0; i < N; i++) {
        size[group[i]]++;
        in_order = in_order && group[i] <= n_groups + 1;
        if (group[i] > n_groups) n_groups = group[i];
    }
    for (uint32_t g = 1; g <= n_groups; g++) {
        sizes = sizes && size[g] >= 2 && size[g] <= most;
        middles = middles && has_middle(group, g, max_distance);
    }
    /* Two that are alone and within the distance would have become a star. */
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < i; k++)
            left = left || (!group[i] && !group[k] &&
                            vector_distance(values + i * D, values + k * D, D) <= max_distance);
    CHECK_SAY(n_groups > 20 && size[0] < N / 2, "%u groups, %u alone", n_groups, size[0]);
    CHECK(in_order);
    CHECK(sizes);
    CHECK(middles);
    CHECK(!left);
    CHECK(group[9] == 0);
}

static int nearer(const void *x, const void *y)
{
    const uint32_t *a = x, *b = y;
    return (*a > *b) - (*a < *b);
}

static void test_distances(void)
{
    double distance[N], again[N], worst = 0, odd = 2, usual = 0;
    struct error err = {0};
    CHECK(vector_neighbour_distances(values, N, D, 5, 1, distance, &err) == 0);
    CHECK(vector_neighbour_distances(values, N, D, 5, 3, again, &err) == 0 &&
          memcmp(distance, again, sizeof distance) == 0);
    for (size_t i = 0; i < N; i++) {
        uint32_t all[N], n = 0;
        double sum = 0;
        for (size_t k = 0; k < N; k++)
            if (k != i) all[n++] = vector_distance(values + i * D, values + k * D, D);
        qsort(all, n, sizeof *all, nearer);
        for (int k = 0; k < 5; k++)
            sum += all[k] > VECTOR_MAX_DISTANCE ? 1 : all[k] / 1000.0;
        if (fabs(sum / 5 - distance[i]) > worst) worst = fabs(sum / 5 - distance[i]);
        if (i >= N - 10 && distance[i] < odd) odd = distance[i];
        if (i < N - 10 && i != 9 && i % KINDS < KINDS / 2 && distance[i] > usual) usual = distance[i];
    }
    /* Near pairs are found by their exact cosine; its float may round to the next thousandth. */
    CHECK_SAY(worst <= 0.001, "at most %g from brute force", worst);
    CHECK_SAY(odd > usual, "what is like nothing is far: %g, the others at most %g", odd, usual);
    CHECK(distance[9] == 1);
    CHECK(vector_neighbour_distances(values, 1, D, 5, 1, distance, &err) == 0 && distance[0] == 1);
}

int main(void)
{
    make_vectors();
    test_stars(200, 8);
    test_stars(500, 60);
    test_distances();
    return tap_done();
}
