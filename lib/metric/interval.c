/* interval.c: the intervals and tests of interval.h, which has the definitions. */
#include "metric/interval.h"

#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metric/sort.h"

struct interval interval_wilson(uint64_t k, uint64_t n, double z)
{
    if (n == 0) return (struct interval){0, 1};
    double m = (double)n, p = (double)k / m, zz = z * z;
    double scale = 1 + zz / m;
    double centre = (p + zz / (2 * m)) / scale;
    double half = z * sqrt(p * (1 - p) / m + zz / (4 * m * m)) / scale;
    /* The formula gives 1e-17 where the bound is exactly 0 or 1. */
    return (struct interval){k == 0 ? 0 : centre - half, k == n ? 1 : centre + half};
}

struct interval interval_f1(uint64_t tp, uint64_t fp, uint64_t fn, double z)
{
    struct interval j = interval_wilson(tp, tp + fp + fn, z);
    return (struct interval){2 * j.low / (1 + j.low), 2 * j.high / (1 + j.high)};
}

struct interval interval_newcombe(uint64_t k1, uint64_t n1, uint64_t k2, uint64_t n2, double z)
{
    if (n1 == 0 || n2 == 0) return (struct interval){NAN, NAN};
    double p1 = (double)k1 / (double)n1, p2 = (double)k2 / (double)n2, d = p1 - p2;
    struct interval w1 = interval_wilson(k1, n1, z), w2 = interval_wilson(k2, n2, z);
    return (struct interval){d - hypot(p1 - w1.low, w2.high - p2), d + hypot(w1.high - p1, p2 - w2.low)};
}

double interval_newcombe_p(uint64_t k1, uint64_t n1, uint64_t k2, uint64_t n2)
{
    if (n1 == 0 || n2 == 0 || k1 * (double)n2 == k2 * (double)n1) return 1;
    double low = 0, high = 40; /* 40 deviations: a p-value below the smallest double */
    for (int i = 0; i < 80; i++) {
        double z = (low + high) / 2;
        struct interval w = interval_newcombe(k1, n1, k2, n2, z);
        if (w.low > 0 || w.high < 0)
            low = z;
        else
            high = z;
    }
    return erfc(low / sqrt(2));
}

struct interval interval_paired(uint64_t both, uint64_t only1, uint64_t only2, uint64_t neither, double z)
{
    uint64_t count = both + only1 + only2 + neither;
    if (count == 0) return (struct interval){NAN, NAN};
    double n = (double)count, a = (double)both, b = (double)only1, c = (double)only2, d = (double)neither;
    double p1 = (a + b) / n, p2 = (a + c) / n;
    struct interval w1 = interval_wilson(both + only1, count, z),
                    w2 = interval_wilson(both + only2, count, z);
    double margins = (a + b) * (c + d) * (a + c) * (b + d), cross = a * d - b * c, phi = 0;
    if (cross > 0) cross = fmax(cross - n / 2, 0); /* his continuity correction of phi */
    if (margins > 0) phi = cross / sqrt(margins);
    double dl1 = p1 - w1.low, du2 = w2.high - p2, du1 = w1.high - p1, dl2 = p2 - w2.low;
    double below = dl1 * dl1 - 2 * phi * dl1 * du2 + du2 * du2;
    double above = du1 * du1 - 2 * phi * du1 * dl2 + dl2 * dl2;
    return (struct interval){p1 - p2 - sqrt(fmax(below, 0)), p1 - p2 + sqrt(fmax(above, 0))};
}

double mcnemar_exact_p(uint64_t only1, uint64_t only2)
{
    uint64_t n = only1 + only2, k = only1 < only2 ? only1 : only2;
    double total = 0;
    if (n == 0 || only1 == only2) return 1;
    /* The terms become smaller as i goes down from k. Stop when they no longer change the sum. */
    for (uint64_t i = k + 1; i-- > 0;) {
        double term = exp(lgamma((double)n + 1) - lgamma((double)i + 1) - lgamma((double)(n - i) + 1) -
                          (double)n * M_LN2);
        total += term;
        if (term < total * 1e-17) break;
    }
    return fmin(1, 2 * total);
}

struct ranked_p {
    double p;
    size_t at;
};

static int compare_ranked_p(const void *x, const void *y)
{
    const struct ranked_p *a = x, *b = y;
    return a->p < b->p ? -1 : a->p > b->p ? 1 : a->at < b->at ? -1 : a->at > b->at;
}

int holm_adjust(double *p, size_t n, struct error *err)
{
    struct ranked_p *order = mem_alloc((n ? n : 1) * sizeof *order, err);
    size_t n_valid = 0;
    double highest = 0;
    if (!order) return -1;
    for (size_t i = 0; i < n; i++)
        if (!isnan(p[i])) order[n_valid++] = (struct ranked_p){p[i], i};
    qsort(order, n_valid, sizeof *order, compare_ranked_p);
    for (size_t i = 0; i < n_valid; i++) {
        highest = fmax(highest, fmin(1, order[i].p * (double)(n_valid - i)));
        p[order[i].at] = highest;
    }
    free(order);
    return 0;
}

/* --- bootstrap --- */

#define GOLDEN_GAMMA UINT64_C(0x9e3779b97f4a7c15)

struct bootstrap_work {
    const uint64_t *bits;
    uint64_t n_rows, seed;
    double *shares;
    unsigned first, step, resamples;
};

/* The hits of one resample. n_rows < 2^32, so that (x * n) >> 64 is two 32-bit products: the compiler can
 * vectorise the loop where 64-bit lanes can be multiplied. The result is the same otherwise. */
static inline __attribute__((always_inline)) uint64_t resample(const uint64_t *bits, uint64_t n_rows,
                                                               uint64_t state)
{
    uint64_t hits = 0;
    for (uint64_t i = 1; i <= n_rows; i++) {
        uint64_t x = state + i * GOLDEN_GAMMA;
        x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
        x ^= x >> 31;
        uint64_t row = ((x >> 32) * n_rows + ((x & UINT32_MAX) * n_rows >> 32)) >> 32;
        hits += bits[row >> 6] >> (row & 63) & 1;
    }
    return hits;
}

static uint64_t resample_plain(const uint64_t *bits, uint64_t n_rows, uint64_t state)
{
    return resample(bits, n_rows, state);
}

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
__attribute__((target("avx512f,avx512dq,avx512vl,prefer-vector-width=512"), optimize("O3"))) static uint64_t
resample_wide(const uint64_t *bits, uint64_t n_rows, uint64_t state)
{
    return resample(bits, n_rows, state);
}
static bool have_wide(void)
{
    return __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#else
#define resample_wide resample_plain
static bool have_wide(void) { return false; }
#endif

static void *bootstrap_run(void *argument)
{
    const struct bootstrap_work *w = argument;
    uint64_t (*run)(const uint64_t *, uint64_t, uint64_t) = have_wide() ? resample_wide : resample_plain;
    for (unsigned b = w->first; b < w->resamples; b += w->step)
        w->shares[b] = (double)run(w->bits, w->n_rows, w->seed + (uint64_t)b * w->n_rows * GOLDEN_GAMMA) /
                       (double)w->n_rows;
    return NULL;
}

int bootstrap_share(const uint8_t *correct, size_t n_rows, unsigned resamples, uint64_t seed,
                    unsigned threads, struct bootstrap_result *out, struct error *err)
{
    uint64_t *bits = mem_zalloc(n_rows / 64 + 1, sizeof *bits, err);
    double *shares = mem_alloc(resamples * sizeof *shares, err);
    struct bootstrap_work work[64];
    pthread_t ids[64];
    bool started[64] = {false};
    int rc = -1;
    if (!bits || !shares) goto out;
    for (size_t i = 0; i < n_rows; i++)
        bits[i >> 6] |= (uint64_t)(correct[i] != 0) << (i & 63);
    threads = threads < 1 ? 1 : threads > 64 ? 64 : threads;
    for (unsigned t = 0; t < threads; t++) {
        work[t] = (struct bootstrap_work){bits, n_rows, seed, shares, t, threads, resamples};
        /* When no thread can be started, this one does the work. */
        started[t] = t > 0 && pthread_create(&ids[t], NULL, bootstrap_run, &work[t]) == 0;
    }
    for (unsigned t = 0; t < threads; t++)
        if (!started[t]) bootstrap_run(&work[t]);
    for (unsigned t = 0; t < threads; t++)
        if (started[t]) pthread_join(ids[t], NULL);
    out->first = shares[0];
    qsort(shares, resamples, sizeof *shares, sort_compare_doubles);
    out->low = sort_quantile(shares, resamples, 0.025);
    out->high = sort_quantile(shares, resamples, 0.975);
    rc = 0;
out:
    free(bits);
    free(shares);
    return rc;
}
