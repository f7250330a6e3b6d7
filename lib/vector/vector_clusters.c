/*
 * vector_clusters.c: chooses the initial centres by k-means++, and runs Lloyd's algorithm with the cosine.
 * The time is proportional to rows x clusters x values x steps: 16,384 rows, 91 clusters, 64 values and 25
 * steps take 2.4e9 multiplications.
 */
#include "vector/vector_clusters.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parallel.h"
#include "base/random.h"
#include "vector/vector_reduce.h"

#define CLUSTER_STREAM 0x636c757374657273ull
#define MOST_STEPS 25
#define PIECE 256 /* rows that a thread takes at a time */
#define LANES 8

size_t vector_cluster_count(size_t n)
{
    double k = floor(sqrt((double)n / 2) + 0.5);
    return k < 1 ? 1 : k > VECTOR_MOST_CLUSTERS ? VECTOR_MOST_CLUSTERS : (size_t)k;
}

/* The lanes are added in a fixed order, so that the sum does not depend on the vectors of the processor. */
static inline float product(const float *a, const float *b, size_t n)
{
    float lane[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            lane[k] += a[i + k] * b[i + k];
    for (; i < n; i++)
        lane[i % LANES] += a[i] * b[i];
    for (size_t k = 0; k < LANES; k++)
        sum += lane[k];
    return sum;
}

struct assigning {
    const float *values, *middles;
    size_t n, n_values, k;
    uint32_t *of;
    float *likeness;
    atomic_size_t next, n_changed;
};

static void assign_work(void *context, unsigned worker)
{
    struct assigning *a = context;
    size_t n_changed = 0;
    (void)worker;
    for (size_t from; (from = atomic_fetch_add(&a->next, PIECE)) < a->n;)
        for (size_t i = from; i < a->n && i < from + PIECE; i++) {
            uint32_t best = 0;
            float most = -2;
            for (size_t c = 0; c < a->k; c++) {
                float s = product(a->values + i * a->n_values, a->middles + c * a->n_values, a->n_values);
                if (s > most) {
                    most = s;
                    best = (uint32_t)c;
                }
            }
            n_changed += a->of[i] != best;
            a->of[i] = best;
            a->likeness[i] = most;
        }
    atomic_fetch_add(&a->n_changed, n_changed);
}

/* Assigns each row to its nearest centre. Returns how many rows changed their cluster. */
static size_t assign(struct assigning *a, size_t n, unsigned n_threads)
{
    a->n = n;
    atomic_store(&a->next, 0);
    atomic_store(&a->n_changed, 0);
    parallel_run(n_threads, assign_work, a);
    return atomic_load(&a->n_changed);
}

/* k-means++: a row is drawn with a probability proportional to its distance from the nearest centre so
 * far. Returns the number of centres, which is smaller than k when rows are equal. */
static size_t first_middles(float *middles, const float *values, size_t n, size_t n_values, size_t wanted,
                            double *far)
{
    struct random r = random_start(0, n, CLUSTER_STREAM);
    size_t at = random_below(&r, (uint32_t)n), k = 0;
    for (size_t i = 0; i < n; i++)
        far[i] = 2;
    for (;;) {
        double sum = 0;
        memcpy(middles + k * n_values, values + at * n_values, n_values * sizeof *middles);
        for (size_t i = 0; i < n; i++) {
            double d = 1 - (double)product(values + i * n_values, values + at * n_values, n_values);
            if (d < far[i]) far[i] = d > 1e-6 ? d : 0;
            sum += far[i];
        }
        if (++k == wanted || sum <= 0) return k;
        double left = random_unit(&r) * sum;
        size_t last = 0;
        for (at = 0; at < n; at++) {
            if (far[at] <= 0) continue;
            last = at;
            if ((left -= far[at]) < 0) break;
        }
        if (at == n) at = last;
    }
}

/* Moves each centre to the normalised mean of its rows; a cluster without rows keeps its centre. */
static void move_middles(const struct assigning *a, float *middles, double *sums)
{
    memset(sums, 0, a->k * a->n_values * sizeof *sums);
    for (size_t i = 0; i < a->n; i++)
        for (size_t v = 0; v < a->n_values; v++)
            sums[a->of[i] * a->n_values + v] += (double)a->values[i * a->n_values + v];
    for (size_t c = 0; c < a->k; c++) {
        double length = 0;
        for (size_t v = 0; v < a->n_values; v++)
            length += sums[c * a->n_values + v] * sums[c * a->n_values + v];
        for (size_t v = 0; length > 0 && v < a->n_values; v++)
            middles[c * a->n_values + v] = (float)(sums[c * a->n_values + v] / sqrt(length));
    }
}

struct sized {
    uint32_t n_rows, first, cluster;
};

static int largest_first(const void *x, const void *y)
{
    const struct sized *a = x, *b = y;
    if (a->n_rows != b->n_rows) return a->n_rows > b->n_rows ? -1 : 1;
    return (a->first > b->first) - (a->first < b->first);
}

/* Renumbers the clusters by size, the largest first, and drops empty ones. */
static int number_by_size(struct vector_clusters *c, size_t n_rows, size_t k, struct error *err)
{
    struct sized *sized = mem_zalloc(k, sizeof *sized, err);
    uint32_t *number = mem_zalloc(k, sizeof *number, err);
    int rc = sized && number && (c->n_rows = mem_zalloc(k, sizeof *c->n_rows, err)) ? 0 : -1;
    for (size_t i = 0; rc == 0 && i < k; i++)
        sized[i] = (struct sized){.first = UINT32_MAX, .cluster = (uint32_t)i};
    for (size_t i = 0; rc == 0 && i < n_rows; i++) {
        struct sized *s = &sized[c->of[i]];
        if (s->n_rows++ == 0) s->first = (uint32_t)i;
    }
    if (rc == 0) qsort(sized, k, sizeof *sized, largest_first);
    for (size_t i = 0; rc == 0 && i < k && sized[i].n_rows; i++) {
        number[sized[i].cluster] = (uint32_t)i;
        c->n_rows[i] = sized[i].n_rows;
        c->n = i + 1;
    }
    for (size_t i = 0; rc == 0 && i < n_rows; i++)
        c->of[i] = number[c->of[i]];
    free(sized);
    free(number);
    return rc;
}

int vector_clusters_make(struct vector_clusters *c, const float *values, size_t n, size_t n_values,
                         size_t wanted, unsigned n_threads, struct error *err)
{
    size_t n_fit = n < VECTOR_FIT_ROWS ? n : VECTOR_FIT_ROWS;
    if (wanted > n_fit) wanted = n_fit;
    float *middles = mem_zalloc(wanted * n_values + 1, sizeof *middles, err);
    double *sums = mem_zalloc(wanted * n_values + 1, sizeof *sums, err),
           *far = mem_alloc(n_fit * sizeof *far, err);
    int rc = -1;
    *c = VECTOR_CLUSTERS_EMPTY;
    if (!middles || !sums || !far || !(c->of = mem_zalloc(n, sizeof *c->of, err)) ||
        !(c->likeness = mem_zalloc(n, sizeof *c->likeness, err)))
        goto out;
    struct assigning a = {.values = values,
                          .middles = middles,
                          .n_values = n_values,
                          .of = c->of,
                          .likeness = c->likeness,
                          .k = first_middles(middles, values, n_fit, n_values, wanted, far)};
    for (int step = 0; step < MOST_STEPS; step++) {
        if (!assign(&a, n_fit, n_threads) && step > 0) break;
        move_middles(&a, middles, sums);
    }
    assign(&a, n, n_threads);
    rc = number_by_size(c, n, a.k, err);
out:
    free(middles);
    free(sums);
    free(far);
    if (rc) vector_clusters_release(c);
    return rc;
}

void vector_clusters_release(struct vector_clusters *c)
{
    free(c->of);
    free(c->likeness);
    free(c->n_rows);
    *c = VECTOR_CLUSTERS_EMPTY;
}
