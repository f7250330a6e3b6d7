/*
 * tilted_likelihood.c: pooled, the row x comes from the labelled rows of class k with probability
 * N_k e_k(x) / D(x), and from the n unlabelled ones with n m(x) / D(x), where e_k = exp(a z_k + b_k),
 * m = sum_k q_k e_k and D = sum_k (N_k + n q_k) e_k. The maximum of that conditional likelihood is that of
 * the empirical likelihood. It is found by Newton's method. Where the curvature is indefinite, as it can be
 * for a mixture, the expected information replaces it. A quadratic program in each step keeps the shares on
 * the simplex.
 */
#include "metric/tilted_likelihood.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metric/nonnegative_fit.h"
#include "metric/row_sums.h"

#define MOST_STEPS 60
#define PENALTY 1e-6 /* as in recalibration.c: for each labelled row, on the distance to no change */
/* if log q is part of the likelihood, a share of 0 would stay 0, so the search begins above it */
#define SMALLEST_Q 1e-7
#define STEP_OF_Q 1e-8 /* the search ends when a step is smaller than this */
#define STEP_OF_TILT 1e-5

struct pool {
    struct packed_rows labelled, unlabelled; /* logits */
    const double *added;
    int n_classes;
    double n[PREVALENCE_MAX_CLASSES], n_labelled, n_unlabelled; /* weights, of each class and together */
    double own_z; /* the sum of the labelled rows' logits of their own class */
    double *numbers, *scratch;
    struct moments of_m, of_d[2]; /* in numbers; of_d of each side */
};

/* Unknowns: sharpness, K biases, K shares. */
struct point {
    double a, b[PREVALENCE_MAX_CLASSES], q[PREVALENCE_MAX_CLASSES];
};

static size_t moments_numbers(int n_classes) { return (4 + (size_t)n_classes) * (size_t)n_classes; }

static void moments_place(struct moments *m, double *at, int n_classes)
{
    size_t k = (size_t)n_classes;
    *m = (struct moments){at, at + k, at + 2 * k, at + 4 * k, at + 3 * k, 0};
}

/* Adds sign * sum w g g', where g = (s, r_k u_k, scale u_k): the derivatives of log sum_k r_k u_k by
 * sharpness, biases and shares; to the lower half of information [2K + 1][2K + 1]. */
static void add_products(double *information, const struct moments *m, const double *r, double scale,
                         double sign, int k)
{
    int size = 2 * k + 1;
    information[0] += sign * m->ss;
    for (int i = 0; i < k; i++) {
        double *of_bias = information + (1 + i) * size, *of_share = of_bias + k * size;
        of_bias[0] += sign * r[i] * m->su[i];
        of_share[0] += sign * scale * m->su[i];
        for (int j = 0; j < k; j++) {
            double uu = sign * m->uu[i >= j ? i * k + j : j * k + i];
            if (j <= i) of_bias[1 + j] += r[i] * r[j] * uu;
            if (j <= i) of_share[1 + k + j] += scale * scale * uu;
            of_share[1 + j] += scale * r[j] * uu;
        }
    }
}

/* Adds sign * the gradient for the same g. */
static void add_slope(double *gradient, const struct moments *m, const double *r, double scale, double sign,
                      int k)
{
    for (int j = 0; j < k; j++) {
        gradient[0] += sign * r[j] * m->uz[j];
        gradient[1 + j] += sign * r[j] * m->u[j];
        gradient[1 + k + j] += sign * scale * m->u[j];
    }
}

/* Adds sign * the second derivatives that come from those of log e: r by biases and sharpness, scale where
 * shares and the tilt meet. */
static void add_curvature(double *information, const struct moments *m, const double *r, double scale,
                          double sign, int k)
{
    int size = 2 * k + 1;
    for (int j = 0; j < k; j++) {
        double *of_bias = information + (1 + j) * size, *of_share = of_bias + k * size;
        information[0] += sign * r[j] * m->uzz[j];
        of_bias[0] += sign * r[j] * m->uz[j];
        of_bias[1 + j] += sign * r[j] * m->u[j];
        of_share[0] += sign * scale * m->uz[j];
        of_share[1 + j] += sign * scale * m->u[j];
    }
}

/*
 * The likelihood of all rows, its gradient [2K + 1] and information [2K + 1][2K + 1], lower half: the
 * expected one, or less the curvature.
 */
static double add_rows(double *gradient, double *information, struct pool *pool, const struct point *at,
                       bool expected)
{
    int k = pool->n_classes;
    double r[PREVALENCE_MAX_CLASSES], n_unlabelled = pool->n_unlabelled;
    struct tilted_sums t = {at->a, at->b, at->q, pool->n, r, n_unlabelled, true, expected};
    double likelihood = at->a * pool->own_z;
    for (int j = 0; j < k; j++) {
        r[j] = pool->n[j] + n_unlabelled * at->q[j];
        likelihood += pool->n[j] * at->b[j];
        gradient[1 + j] += pool->n[j];
    }
    gradient[0] += pool->own_z;
    likelihood += row_sums_tilted(&pool->of_m, &pool->of_d[0], &t, &pool->labelled, pool->scratch);
    if (expected) add_products(information, &pool->of_m, at->q, 1, 1, k);
    t.labelled = false;
    likelihood += row_sums_tilted(&pool->of_m, &pool->of_d[1], &t, &pool->unlabelled, pool->scratch);
    add_products(information, &pool->of_m, at->q, 1, 1, k);
    add_slope(gradient, &pool->of_m, at->q, 1, 1, k);
    if (!expected) add_curvature(information, &pool->of_m, at->q, 1, -1, k);
    for (int side = 0; side < 2; side++) {
        const struct moments *d = &pool->of_d[side];
        add_products(information, d, r, n_unlabelled, -1, k);
        add_slope(gradient, d, r, n_unlabelled, -1, k);
        add_curvature(information, d, expected ? pool->n : r, expected ? 0 : n_unlabelled, 1, k);
    }
    return likelihood;
}

/* The likelihood, its gradient and information; the penalty and the added weights are in all three. */
static double evaluate(double *gradient, double *information, struct pool *pool, const struct point *at,
                       bool expected)
{
    int k = pool->n_classes, size = 2 * k + 1;
    double penalty = PENALTY * pool->n_labelled;
    memset(gradient, 0, (size_t)size * sizeof *gradient);
    memset(information, 0, (size_t)size * (size_t)size * sizeof *information);
    double sum = add_rows(gradient, information, pool, at, expected);
    sum -= penalty / 2 * (at->a - 1) * (at->a - 1);
    gradient[0] -= penalty * (at->a - 1);
    information[0] += penalty;
    for (int j = 0; j < k; j++) {
        double bias = at->b[j] + log(pool->n[j] / pool->n_labelled);
        double added = pool->added ? pool->added[j] : 0;
        int i = 1 + k + j;
        sum -= penalty / 2 * bias * bias;
        gradient[1 + j] -= penalty * bias;
        information[(1 + j) * size + 1 + j] += penalty;
        if (added == 0) continue;
        sum += added * log(at->q[j]);
        gradient[i] += added / at->q[j];
        information[i * size + i] += added / (at->q[j] * at->q[j]);
    }
    for (int i = 0; i < size; i++)
        for (int j = 0; j < i; j++)
            information[j * size + i] = information[i * size + j];
    return sum;
}

/* Whether the matrix is positive definite, so that its Cholesky factor exists. work: size^2 numbers. */
static bool definite(const double *information, double *work, int size)
{
    for (int i = 0; i < size; i++)
        for (int j = 0; j <= i; j++) {
            double x = information[i * size + j];
            for (int t = 0; t < j; t++)
                x -= work[i * size + t] * work[j * size + t];
            if (i == j && !(x > 1e-12 * information[i * size + i])) return false;
            work[i * size + j] = i == j ? sqrt(x) : x / work[j * size + j];
        }
    return true;
}

/*
 * Finds the step. The tilt is eliminated, a quadratic program on the simplex gives the shares, and the tilt
 * is computed from them. work: (2K + 1)^2 numbers. Returns 0, 1 when there is no step, or -1 with err set.
 */
static int find_step(struct point *to, const struct point *at, const double *gradient,
                     const double *information, const struct pool *pool, double *work, struct error *err)
{
    int k = pool->n_classes, size = 2 * k + 1, tilt = k + 1;
    double *a = work, *solved = a + tilt * tilt, *g = solved + tilt * (k + 1);
    double b[PREVALENCE_MAX_CLASSES], trace = 0;
    /* Columns of A^-1 [gradient of the tilt, information of tilt and shares]. */
    for (int column = 0; column <= k; column++) {
        double *x = solved + column * tilt;
        for (int i = 0; i < tilt; i++) {
            memcpy(a + i * tilt, information + i * size, (size_t)tilt * sizeof *a);
            x[i] = column < k ? information[i * size + tilt + column] : gradient[i];
        }
        if (!linear_solve(a, x, tilt)) return 1;
    }
    for (int i = 0; i < k; i++) {
        const double *line = information + (tilt + i) * size;
        b[i] = gradient[tilt + i];
        for (int j = 0; j < k; j++)
            g[i * k + j] = line[tilt + j];
        for (int t = 0; t < tilt; t++) {
            b[i] -= line[t] * solved[k * tilt + t];
            for (int j = 0; j < k; j++)
                g[i * k + j] -= line[t] * solved[j * tilt + t];
        }
        trace += g[i * k + i];
    }
    for (int i = 0; i < k; i++) {
        for (int j = 0; j < i; j++)
            g[i * k + j] = g[j * k + i] = (g[i * k + j] + g[j * k + i]) / 2;
        g[i * k + i] += 1e-13 * trace; /* classes that no row tells apart */
    }
    for (int i = 0; i < k; i++)
        for (int j = 0; j < k; j++)
            b[i] += g[i * k + j] * at->q[j];
    if (nonnegative_fit(to->q, g, b, k, true, err)) return -1;
    /* if log q is part of the likelihood, q stays above 0, and a step divides it by at most ten */
    for (int i = 0; i < k; i++)
        if (pool->added && pool->added[i] > 0) to->q[i] = fmax(to->q[i], at->q[i] / 10);
    for (int t = 0; t < tilt; t++) {
        double step = solved[k * tilt + t];
        for (int j = 0; j < k; j++)
            step -= solved[j * tilt + t] * (to->q[j] - at->q[j]);
        if (t == 0)
            to->a = at->a + step;
        else
            to->b[t - 1] = at->b[t - 1] + step;
    }
    return 0;
}

/* Makes a part of the step, with shares that sum to 1. Returns the largest change of the whole step,
 * relative to the limits for ending. */
static double go(struct point *out, const struct point *from, const struct point *to, double length, int k)
{
    double largest = fabs(to->a - from->a) / STEP_OF_TILT, sum = 0;
    out->a = from->a + length * (to->a - from->a);
    for (int j = 0; j < k; j++) {
        out->b[j] = from->b[j] + length * (to->b[j] - from->b[j]);
        out->q[j] = from->q[j] + length * (to->q[j] - from->q[j]);
        largest = fmax(largest, fabs(to->b[j] - from->b[j]) / STEP_OF_TILT);
        largest = fmax(largest, fabs(to->q[j] - from->q[j]) / STEP_OF_Q);
        sum += out->q[j];
    }
    for (int j = 0; j < k; j++)
        out->q[j] /= sum;
    return largest;
}

static int maximise(struct point *at, struct pool *pool, double *work, struct error *err)
{
    size_t size = 2 * (size_t)pool->n_classes + 1;
    double *gradient = work, *information = gradient + size, *rest = information + size * size;
    double now = evaluate(gradient, information, pool, at, false);
    for (int round = 0; round < MOST_STEPS; round++) {
        struct point to = *at, next = *at;
        double length = 1, change, then = -INFINITY;
        if (!definite(information, rest, (int)size)) evaluate(gradient, information, pool, at, true);
        int rc = find_step(&to, at, gradient, information, pool, rest, err);
        if (rc) return rc < 0 ? -1 : 0;
        change = go(&next, at, &to, length, pool->n_classes);
        if (change < 1) { /* the remaining error is its square */
            *at = next;
            return 0;
        }
        for (int halving = 0; halving < 30; halving++) {
            then = evaluate(gradient, information, pool, &next, false);
            if (then >= now - 1e-13 * fabs(now)) break;
            go(&next, at, &to, length /= 2, pool->n_classes);
        }
        /* only rounding errors remain: there is no better point in this direction */
        if (!(then >= now - 1e-13 * fabs(now))) return 0;
        *at = next;
        now = then;
    }
    return 0;
}

int tilted_likelihood(struct tilt *t, const struct scored_rows *labelled, const double *labelled_z,
                      const struct scored_rows *unlabelled, const double *unlabelled_z, const double *added,
                      int n_classes, struct error *err)
{
    size_t k = (size_t)n_classes, size = 2 * k + 1;
    struct pool pool = {.added = added, .n_classes = n_classes};
    struct point at = {.a = t->r.sharpness};
    double *work = NULL, sum = 0;
    size_t each = moments_numbers(n_classes);
    int rc = -1;
    for (size_t i = 0; i < labelled->n_rows; i++) {
        double w = labelled->count ? labelled->count[i] : 1;
        pool.n[labelled->label[i]] += w;
        pool.own_z += w * labelled_z[i * k + (size_t)labelled->label[i]];
    }
    for (size_t i = 0; i < unlabelled->n_rows; i++)
        pool.n_unlabelled += unlabelled->count ? unlabelled->count[i] : 1;
    for (size_t j = 0; j < k; j++)
        pool.n_labelled += pool.n[j];
    for (size_t j = 0; j < k; j++) {
        at.b[j] = t->r.bias[j] - log(pool.n[j] / pool.n_labelled);
        /* The added weight makes the share positive, because a share of 0 would stay 0. */
        at.q[j] = t->shares[j] + (added ? added[j] / pool.n_unlabelled : 0);
        sum += at.q[j] = fmax(at.q[j], SMALLEST_Q);
    }
    for (size_t j = 0; j < k; j++)
        at.q[j] /= sum;
    if (!(work = mem_alloc((size + 2 * size * size) * sizeof *work, err)) ||
        !(pool.numbers = mem_alloc((3 * each + row_sums_scratch(n_classes)) * sizeof *pool.numbers, err)) ||
        packed_rows_fill(&pool.labelled, labelled_z, labelled->count, labelled->n_rows, n_classes, err) ||
        packed_rows_fill(&pool.unlabelled, unlabelled_z, unlabelled->count, unlabelled->n_rows, n_classes,
                         err))
        goto out;
    pool.scratch = pool.numbers + 3 * each;
    moments_place(&pool.of_m, pool.numbers, n_classes);
    moments_place(&pool.of_d[0], pool.numbers + each, n_classes);
    moments_place(&pool.of_d[1], pool.numbers + 2 * each, n_classes);
    if (maximise(&at, &pool, work, err)) goto out;
    t->r.sharpness = at.a;
    for (size_t j = 0; j < k; j++) {
        t->r.bias[j] = at.b[j] + log(pool.n[j] / pool.n_labelled);
        t->shares[j] = at.q[j];
    }
    rc = 0;
out:
    packed_rows_release(&pool.labelled);
    packed_rows_release(&pool.unlabelled);
    free(pool.numbers);
    free(work);
    return rc;
}
