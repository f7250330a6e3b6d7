/*
 * nonnegative_fit.c: the support is the set of unknowns that may be above 0. Unknowns enter it one by one,
 * that with the steepest gradient first. They leave it when the unconstrained solution on the support would
 * make them negative. Each step lowers the objective, so no support occurs twice.
 */
#include "metric/nonnegative_fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

bool linear_solve(double *a, double *x, int n)
{
    double largest = 0;
    for (int i = 0; i < n * n; i++)
        largest = fmax(largest, fabs(a[i]));
    for (int c = 0; c < n; c++) {
        int pivot = c;
        for (int i = c + 1; i < n; i++)
            if (fabs(a[i * n + c]) > fabs(a[pivot * n + c])) pivot = i;
        if (!(fabs(a[pivot * n + c]) > 1e-14 * largest)) return false;
        if (pivot != c) {
            for (int j = 0; j < n; j++) {
                double t = a[c * n + j];
                a[c * n + j] = a[pivot * n + j];
                a[pivot * n + j] = t;
            }
            double t = x[c];
            x[c] = x[pivot];
            x[pivot] = t;
        }
        for (int i = c + 1; i < n; i++) {
            double f = a[i * n + c] / a[c * n + c];
            for (int j = c; j < n; j++)
                a[i * n + j] -= f * a[c * n + j];
            x[i] -= f * x[c];
        }
    }
    for (int c = n - 1; c >= 0; c--) {
        for (int j = c + 1; j < n; j++)
            x[c] -= a[c * n + j] * x[j];
        x[c] /= a[c * n + c];
    }
    return true;
}

struct program {
    const double *g, *b;
    double *x, *s, *a; /* s: the solution on the support; a: scratch, (n + 1)^2 */
    int *support, n, n_support;
    bool *out; /* whether the unknown may not enter the support again */
    bool sums_to_one;
};

/* Sets s to the solution on the support alone. Returns false when it is not unique. */
static bool solve_support(struct program *p)
{
    int m = p->n_support, size = m + p->sums_to_one;
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < m; j++)
            p->a[i * size + j] = p->g[p->support[i] * p->n + p->support[j]];
        if (p->sums_to_one) p->a[i * size + m] = p->a[m * size + i] = 1;
        p->s[i] = p->b[p->support[i]];
    }
    if (p->sums_to_one) {
        p->a[m * size + m] = 0;
        p->s[m] = 1;
    }
    return linear_solve(p->a, p->s, size);
}

/* Moves x to the best point of the support. Unknowns that reach 0 on the way leave the support. */
static void settle(struct program *p)
{
    while (p->n_support > 0) {
        double step = 1;
        int m = p->n_support, at = -1;
        if (!solve_support(p)) { /* the new unknown depends linearly on the others */
            p->out[p->support[m - 1]] = true;
            p->x[p->support[--p->n_support]] = 0;
            if (p->sums_to_one && p->n_support == 1) p->x[p->support[0]] = 1;
            continue;
        }
        for (int i = 0; i < m; i++) {
            double x = p->x[p->support[i]];
            if (p->s[i] <= 0 && x / (x - p->s[i]) <= step) {
                step = x > 0 ? x / (x - p->s[i]) : 0;
                at = i;
            }
        }
        for (int i = 0; i < m; i++)
            p->x[p->support[i]] += step * (p->s[i] - p->x[p->support[i]]);
        if (at < 0) return;
        p->x[p->support[at]] = 0;
        memmove(p->support + at, p->support + at + 1, (size_t)(m - at - 1) * sizeof *p->support);
        p->n_support--;
    }
}

static double gradient(const struct program *p, int i)
{
    double sum = -p->b[i];
    for (int j = 0; j < p->n; j++)
        sum += p->g[i * p->n + j] * p->x[j];
    return sum;
}

static bool supported(const struct program *p, int i)
{
    for (int j = 0; j < p->n_support; j++)
        if (p->support[j] == i) return true;
    return false;
}

int nonnegative_fit(double *x, const double *g, const double *b, int n, bool sums_to_one, struct error *err)
{
    size_t k = (size_t)n;
    struct program p = {.g = g, .b = b, .x = x, .n = n, .sums_to_one = sums_to_one};
    double scale = 0;
    int rc = -1;
    p.a = mem_alloc((k + 1) * (k + 1) * sizeof *p.a, err);
    p.s = mem_alloc((k + 1) * sizeof *p.s, err);
    p.support = mem_alloc(k * sizeof *p.support, err);
    p.out = mem_zalloc(k, sizeof *p.out, err);
    if (!p.a || !p.s || !p.support || !p.out) goto out;
    for (int i = 0; i < n; i++) {
        x[i] = 0;
        scale = fmax(scale, fmax(fabs(b[i]), g[i * n + i]));
    }
    if (sums_to_one) { /* begin at the best corner */
        int best = 0;
        for (int i = 1; i < n; i++)
            if (g[i * n + i] / 2 - b[i] < g[best * n + best] / 2 - b[best]) best = i;
        x[best] = 1;
        p.support[p.n_support++] = best;
    }
    for (int round = 0; round < 10 * n + 10; round++) {
        int steepest = -1;
        /* On the support the gradient is the multiplier of the sum. Its mean is taken, to reduce rounding. */
        double level = 0, low = -1e-13 * scale;
        for (int i = 0; sums_to_one && i < p.n_support; i++)
            level += gradient(&p, p.support[i]) / p.n_support;
        for (int i = 0; i < n; i++)
            if (!supported(&p, i) && !p.out[i] && gradient(&p, i) - level < low) {
                low = gradient(&p, i) - level;
                steepest = i;
            }
        if (steepest < 0) break;
        p.support[p.n_support++] = steepest;
        settle(&p);
    }
    rc = 0;
out:
    free(p.a);
    free(p.s);
    free(p.support);
    free(p.out);
    return rc;
}
