/*
 * tilted_likelihood.c: pooled, the row x comes from the labelled rows of class k with probability
 * N_k e_k(x) / D(x), and from the n unlabelled ones with n m(x) / D(x), where e_k = exp(a z_k + b_k),
 * m = sum_k q_k e_k and D = sum_k (N_k + n q_k) e_k. The maximum of that conditional likelihood is the one of
 * the empirical likelihood. Newton's method, with the expected information in place of the curvature where
 * that is indefinite, as a mixture's can be; the shares stay on the simplex by a quadratic program for each
 * step.
 */
#include "metric/tilted_likelihood.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metric/nonnegative_fit.h"

#define MOST_STEPS 60
#define PENALTY 1e-6    /* as in recalibration.c: for each labelled row, on the distance to no change */
#define SMALLEST_Q 1e-7 /* a share of 0 stays 0 where log q counts: begin above it */
#define STEP_OF_Q 1e-8  /* steps below these are the end */
#define STEP_OF_TILT 1e-5

struct pool {
    const struct scored_rows *labelled, *unlabelled;
    const double *labelled_z, *unlabelled_z, *added;
    int n_classes;
    double n[PREVALENCE_MAX_CLASSES], n_labelled, n_unlabelled; /* weights, of each class and together */
};

/* Unknowns: sharpness, K biases, K shares. */
struct point {
    double a, b[PREVALENCE_MAX_CLASSES], q[PREVALENCE_MAX_CLASSES];
};

/*
 * Adds one row: to the likelihood, to gradient [2K + 1] and information [2K + 1][2K + 1], lower half: the
 * expected one, or less the curvature.
 */
static double add_row(double *restrict gradient, double *restrict information, const struct pool *pool,
                      const struct point *at, bool expected, const double *restrict z, double w, int label)
{
    int k = pool->n_classes, size = 2 * k + 1;
    double e[PREVALENCE_MAX_CLASSES], p[PREVALENCE_MAX_CLASSES];
    /* of log m and of log D: derivatives by sharpness, biases and shares */
    double c[2 * PREVALENCE_MAX_CLASSES + 1], d[2 * PREVALENCE_MAX_CLASSES + 1];
    double top = -INFINITY, m = 0, sum = 0;
    e[0] = 0;
    for (int j = 0; j < k; j++) {
        e[j] = at->a * z[j] + at->b[j];
        top = e[j] > top ? e[j] : top;
    }
    double own = label >= 0 ? e[label] - top : 0;
    for (int j = 0; j < k; j++) {
        e[j] = exp(e[j] - top);
        m += at->q[j] * e[j];
        sum += pool->n[j] * e[j];
    }
    sum += pool->n_unlabelled * m;
    double of_sum = 1 / sum, of_m = m > 0 ? 1 / m : 0, p_unlabelled = pool->n_unlabelled * m * of_sum;
    c[0] = d[0] = 0;
    for (int j = 0; j < k; j++) {
        p[j] = pool->n[j] * e[j] * of_sum;
        c[1 + j] = at->q[j] * e[j] * of_m;
        c[1 + k + j] = e[j] * of_m;
        c[0] += c[1 + j] * z[j];
        d[1 + j] = p[j] + p_unlabelled * c[1 + j];
        d[1 + k + j] = pool->n_unlabelled * e[j] * of_sum;
        d[0] += d[1 + j] * z[j];
    }
    for (int j = 0; j < k; j++) {
        double x = expected ? p[j] : d[1 + j], y = expected ? 0 : d[1 + k + j];
        double *line = information + (1 + k + j) * size;
        if (!expected && label < 0) x -= c[1 + j], y -= c[1 + k + j];
        information[0] += w * x * z[j] * z[j];
        information[(1 + j) * size] += w * x * z[j];
        information[(1 + j) * size + 1 + j] += w * x;
        line[0] += w * y * z[j];
        line[1 + j] += w * y;
    }
    double own_product = expected ? p_unlabelled : label < 0 ? 1 : 0;
    for (int i = 0; i < size; i++) {
        double x = w * own_product * c[i], y = w * d[i], *line = information + i * size;
        for (int j = 0; j <= i; j++)
            line[j] += x * c[j] - y * d[j];
        gradient[i] -= y;
    }
    if (label < 0) {
        for (int i = 0; i < size; i++)
            gradient[i] += w * c[i];
        return w * log(m / sum);
    }
    gradient[0] += w * z[label];
    gradient[1 + label] += w;
    return w * (own - log(sum));
}

static double add_rows(double *gradient, double *information, const struct pool *pool, const struct point *at,
                       bool expected)
{
    const struct scored_rows *sides[] = {pool->labelled, pool->unlabelled};
    const double *z[] = {pool->labelled_z, pool->unlabelled_z};
    size_t k = (size_t)pool->n_classes;
    double likelihood = 0;
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < sides[side]->n_rows; i++) {
            double w = sides[side]->count ? sides[side]->count[i] : 1;
            if (w > 0)
                likelihood += add_row(gradient, information, pool, at, expected, z[side] + i * k, w,
                                      side ? -1 : (int)sides[side]->label[i]);
        }
    return likelihood;
}

/* The likelihood, its gradient and information; the penalty and the added weights are in all three. */
static double evaluate(double *gradient, double *information, const struct pool *pool, const struct point *at,
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

/* Whether every step of positive length counts: Cholesky's factor exists. work: size^2. */
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
 * The step: the tilt is eliminated, the shares come from a quadratic program on the simplex, and the tilt
 * follows. work: (2K + 1)^2 numbers. 1: there is none.
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
    for (int i = 0; i < k; i++) /* where log q counts, q stays above 0 and comes down tenfold at most */
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

/* A part of the way, with shares that sum to 1. Returns the largest change of the whole way, in the units at
 * which to end. */
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

static int maximise(struct point *at, const struct pool *pool, double *work, struct error *err)
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
        if (change < 1) { /* what is left is its square */
            *at = next;
            return 0;
        }
        for (int halving = 0; halving < 30; halving++) {
            then = evaluate(gradient, information, pool, &next, false);
            if (then >= now - 1e-13 * fabs(now)) break;
            go(&next, at, &to, length /= 2, pool->n_classes);
        }
        if (!(then >= now - 1e-13 * fabs(now))) return 0; /* rounding: no better point in this direction */
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
    struct pool pool = {labelled, unlabelled, labelled_z, unlabelled_z, added, n_classes, {0}, 0, 0};
    struct point at = {.a = t->r.sharpness};
    double *work, sum = 0;
    for (size_t i = 0; i < labelled->n_rows; i++)
        pool.n[labelled->label[i]] += labelled->count ? labelled->count[i] : 1;
    for (size_t i = 0; i < unlabelled->n_rows; i++)
        pool.n_unlabelled += unlabelled->count ? unlabelled->count[i] : 1;
    for (size_t j = 0; j < k; j++)
        pool.n_labelled += pool.n[j];
    for (size_t j = 0; j < k; j++) {
        at.b[j] = t->r.bias[j] - log(pool.n[j] / pool.n_labelled);
        /* With the weight that is added: from 0 there is no way up where log q counts. */
        at.q[j] = t->shares[j] + (added ? added[j] / pool.n_unlabelled : 0);
        sum += at.q[j] = fmax(at.q[j], SMALLEST_Q);
    }
    for (size_t j = 0; j < k; j++)
        at.q[j] /= sum;
    if (!(work = mem_alloc((size + 2 * size * size) * sizeof *work, err))) return -1;
    int rc = maximise(&at, &pool, work, err);
    free(work);
    if (rc) return -1;
    t->r.sharpness = at.a;
    for (size_t j = 0; j < k; j++) {
        t->r.bias[j] = at.b[j] + log(pool.n[j] / pool.n_labelled);
        t->shares[j] = at.q[j];
    }
    return 0;
}
