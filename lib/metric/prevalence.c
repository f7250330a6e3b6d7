/*
 * prevalence.c: estimates class shares. A resample is a set of weights for the rows, not a copy of them, so
 * the same code handles the data and the resamples. The likelihood of shares q is concave: mean log sum_k q_k
 * p_ik / pi_k. EM approaches its maximum very slowly where a class is rare (20,000 updates). Sequential
 * quadratic programming with q >= 0 takes about ten steps (Kim, Carbonetto, Stephens and Anitescu 2020).
 */
#include "metric/prevalence.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parallel.h"
#include "base/random.h"
#include "metric/nonnegative_fit.h"
#include "metric/recalibration.h"
#include "metric/row_sums.h"
#include "metric/tilted_likelihood.h"

#define EM_UPDATES 1000
#define EM_CHANGE 1e-4
#define EM_LEAST 12 /* updates before the change counts */
#define SMOOTHING 1e-4
#define MOST_PROGRAMS 200
#define SMALLEST_SHARE 1e-12 /* the share of a class for which no row has a score */
#define PRIOR_STREAM 0x7072696F72ull
/* smallest weight of a class from the prior: below this, Newton's method would converge slowly without a
 * benefit */
#define SMALLEST_WEIGHT 1e-3
#define GOLDEN 0x9E3779B97F4A7C15ull /* splitmix64's step: where the generator stands after n numbers */

static int too_many_classes(int n_classes, struct error *err)
{
    return error_set(err, EX_DATAERR, "rates of %d classes cannot be estimated; the limit is %d", n_classes,
                     PREVALENCE_MAX_CLASSES);
}

static double weight_of(const struct scored_rows *rows, size_t i) { return rows->count ? rows->count[i] : 1; }

static double total_of(const struct scored_rows *rows)
{
    double total = 0;
    for (size_t i = 0; i < rows->n_rows; i++)
        total += weight_of(rows, i);
    return total;
}

static int argmax(const double *p, int n_classes)
{
    int best = 0;
    for (int k = 1; k < n_classes; k++)
        if (p[k] > p[best]) best = k;
    return best;
}

static void raw_shares(double *shares, const struct scored_rows *labelled, int n_classes)
{
    double total = total_of(labelled);
    for (int k = 0; k < n_classes; k++)
        shares[k] = 0;
    for (size_t i = 0; i < labelled->n_rows; i++)
        shares[labelled->label[i]] += weight_of(labelled, i);
    for (int k = 0; k < n_classes; k++)
        shares[k] /= total;
}

void prevalence_label_shares(double *shares, const struct scored_rows *labelled, int n_classes)
{
    bool absent = false;
    raw_shares(shares, labelled, n_classes);
    for (int k = 0; k < n_classes; k++)
        absent = absent || shares[k] == 0;
    for (int k = 0; absent && k < n_classes; k++)
        shares[k] = (shares[k] + SMOOTHING) / (1 + SMOOTHING * n_classes);
}

/* Adds a row to the sums: its scores, or 1 for its predicted class. */
static void add_row(double *sum, const double *p, double w, int n_classes, bool hard)
{
    if (hard) {
        sum[argmax(p, n_classes)] += w;
        return;
    }
    for (int k = 0; k < n_classes; k++)
        sum[k] += w * p[k];
}

static void unadjusted(double *out, const struct scored_rows *rows, int n_classes, bool hard)
{
    double sum = 0;
    for (int k = 0; k < n_classes; k++)
        out[k] = 0;
    for (size_t i = 0; i < rows->n_rows; i++)
        add_row(out, rows->p + i * (size_t)n_classes, weight_of(rows, i), n_classes, hard);
    for (int k = 0; k < n_classes; k++)
        sum += out[k];
    for (int k = 0; k < n_classes; k++)
        out[k] /= sum;
}

/* Sets m [j][i] to the mean contribution of the labelled rows of class j to class i. For a class without
 * rows, m [j][j] is 1. */
static void confusion(double *m, const struct scored_rows *rows, int n_classes, bool hard)
{
    size_t k = (size_t)n_classes;
    double n[PREVALENCE_MAX_CLASSES] = {0};
    memset(m, 0, k * k * sizeof *m);
    for (size_t i = 0; i < rows->n_rows; i++) {
        size_t j = (size_t)rows->label[i];
        double w = weight_of(rows, i);
        if (w == 0) continue;
        n[j] += w;
        add_row(m + j * k, rows->p + i * k, w, n_classes, hard);
    }
    for (size_t j = 0; j < k; j++)
        for (size_t i = 0; i < k; i++)
            m[j * k + i] = n[j] > 0 ? m[j * k + i] / n[j] : (double)(i == j);
}

/* Finds, by least squares, q for which sum_j q_j m_j is nearest to the unadjusted shares. q is on the
 * simplex, or (black box) any weights. */
static int adjust(double *q, const struct scored_rows *labelled, const struct scored_rows *unlabelled,
                  int n_classes, bool hard, bool black_box, struct error *err)
{
    size_t k = (size_t)n_classes;
    double *m = mem_alloc(2 * k * k * sizeof *m, err), *g = m + k * k;
    double u[PREVALENCE_MAX_CLASSES], b[PREVALENCE_MAX_CLASSES], shares[PREVALENCE_MAX_CLASSES], sum = 0;
    int rc = -1;
    if (!m) return -1;
    unadjusted(u, unlabelled, n_classes, hard);
    confusion(m, labelled, n_classes, hard);
    raw_shares(shares, labelled, n_classes);
    for (size_t j = 0; black_box && j < k; j++)
        for (size_t i = 0; i < k; i++)
            m[j * k + i] *= shares[j];
    for (size_t i = 0; i < k; i++) {
        b[i] = 0;
        for (size_t c = 0; c < k; c++)
            b[i] += m[i * k + c] * u[c];
        for (size_t j = 0; j < k; j++) {
            g[i * k + j] = 0;
            for (size_t c = 0; c < k; c++)
                g[i * k + j] += m[i * k + c] * m[j * k + c];
        }
    }
    if (nonnegative_fit(q, g, b, n_classes, !black_box, err)) goto out;
    for (size_t i = 0; i < k; i++)
        sum += q[i] *= black_box ? shares[i] : 1;
    for (size_t i = 0; i < k; i++)
        q[i] /= sum;
    rc = 0;
out:
    free(m);
    return rc;
}

int prevalence_em(double *q, const double *shares, const struct scored_rows *unlabelled, int n_classes,
                  int limit, int *n_updates, struct error *err)
{
    size_t k = (size_t)n_classes;
    double ratio[PREVALENCE_MAX_CLASSES], next[PREVALENCE_MAX_CLASSES], total = total_of(unlabelled);
    int n = 0;
    if (n_classes > PREVALENCE_MAX_CLASSES) return too_many_classes(n_classes, err);
    memcpy(q, shares, k * sizeof *q);
    for (bool stop = false; !stop && n < limit; n++) {
        double change = 0;
        for (size_t j = 0; j < k; j++) {
            ratio[j] = q[j] / shares[j];
            next[j] = 0;
        }
        for (size_t i = 0; i < unlabelled->n_rows; i++) {
            const double *p = unlabelled->p + i * k;
            double w = weight_of(unlabelled, i), a[PREVALENCE_MAX_CLASSES], sum = 0;
            if (w == 0) continue;
            for (size_t j = 0; j < k; j++)
                sum += a[j] = ratio[j] * p[j];
            for (size_t j = 0; j < k; j++)
                next[j] += w * a[j] / sum;
        }
        for (size_t j = 0; j < k; j++) {
            next[j] /= total;
            change += fabs(next[j] - q[j]) / (double)k;
            q[j] = next[j];
        }
        stop = n + 1 >= EM_LEAST && change < EM_CHANGE;
    }
    if (n_updates) *n_updates = n;
    return 0;
}

/* The data for the likelihood. total: the weight of all rows, including the added ones. */
struct likelihood {
    struct packed_rows rows;
    const double *shares, *added;
    double total, *scratch, *uu;
    int n_classes;
};

/*
 * Returns -mean log sum_k q_k p_ik / pi_k + sum q, with its slope [K] and curvature [K][K]. At its minimum
 * the shares sum to 1 without a constraint.
 */
static double likelihood_at(double *slope, double *curvature, const struct likelihood *l, const double *q)
{
    size_t k = (size_t)l->n_classes;
    double ratio[PREVALENCE_MAX_CLASSES] = {0}, sum[PREVALENCE_MAX_CLASSES], value;
    for (size_t j = 0; j < k; j++)
        ratio[j] = q[j] / l->shares[j];
    value = -row_sums_mixture(sum, l->uu, ratio, &l->rows, l->scratch);
    for (size_t j = 0; j < k; j++) {
        double of_added = l->added && l->added[j] > 0 ? l->added[j] : 0;
        if (of_added > 0) value -= of_added * log(q[j]);
        slope[j] = 1 - (sum[j] / l->shares[j] + (of_added > 0 ? of_added / q[j] : 0)) / l->total;
        for (size_t c = 0; c <= j; c++) {
            double x = l->uu[j * k + c] / (l->shares[j] * l->shares[c]);
            if (c == j && of_added > 0) x += of_added / (q[j] * q[j]);
            curvature[c * k + j] = curvature[j * k + c] = x / l->total;
        }
    }
    value /= l->total;
    for (size_t j = 0; j < k; j++)
        value += q[j];
    return value;
}

/* A few updates of EM bring Newton's method near the maximum, where every row has a density. */
static void likelihood_begin(double *q, const struct likelihood *l, double total)
{
    double ratio[PREVALENCE_MAX_CLASSES] = {0}, sum[PREVALENCE_MAX_CLASSES];
    memcpy(q, l->shares, (size_t)l->n_classes * sizeof *q);
    for (int update = 0; update < 5; update++) {
        for (int j = 0; j < l->n_classes; j++)
            ratio[j] = q[j] / l->shares[j];
        row_sums_mixture(sum, NULL, ratio, &l->rows, l->scratch);
        for (int j = 0; j < l->n_classes; j++)
            q[j] = ratio[j] * sum[j] / total;
    }
}

static int likelihood_maximise(double *q, const struct likelihood *l, double *work, struct error *err)
{
    size_t k = (size_t)l->n_classes;
    double *curvature = work, slope[PREVALENCE_MAX_CLASSES], b[PREVALENCE_MAX_CLASSES],
           to[PREVALENCE_MAX_CLASSES];
    double now = likelihood_at(slope, curvature, l, q);
    for (int round = 0; round < MOST_PROGRAMS; round++) {
        double largest = 0, descent = 0, length = 1, trace = 0;
        for (size_t j = 0; j < k; j++)
            trace += curvature[j * k + j];
        for (size_t j = 0; j < k; j++)
            curvature[j * k + j] += 1e-13 * trace; /* classes that no row tells apart */
        for (size_t j = 0; j < k; j++) {
            b[j] = -slope[j];
            for (size_t c = 0; c < k; c++)
                b[j] += curvature[j * k + c] * q[c];
        }
        if (nonnegative_fit(to, curvature, b, l->n_classes, false, err)) return -1;
        for (size_t j = 0; j < k; j++) {
            /* If log q is part of the likelihood, q must stay above 0: a step divides it by at most ten. */
            to[j] = (l->added && l->added[j] > 0 ? fmax(to[j], q[j] / 10) : to[j]) - q[j];
            largest = fmax(largest, fabs(to[j]));
            descent += slope[j] * to[j];
        }
        for (int halving = 0; halving < 60; halving++, length /= 2) {
            double next[PREVALENCE_MAX_CLASSES], then = now;
            for (size_t j = 0; j < k; j++)
                next[j] = fmax(q[j] + length * to[j], 0);
            if (largest >= 1e-12) then = likelihood_at(slope, curvature, l, next);
            if (largest < 1e-6 || then <= now + 1e-4 * length * descent) {
                memcpy(q, next, k * sizeof *q);
                now = then;
                break;
            }
        }
        if (largest < 1e-12) break;
    }
    return 0;
}

int prevalence_likelihood(double *q, const double *shares, const struct scored_rows *unlabelled,
                          const double *added, int n_classes, struct error *err)
{
    size_t k = (size_t)n_classes;
    double total = total_of(unlabelled), sum = 0, *work = NULL;
    struct likelihood l = {PACKED_ROWS_EMPTY, shares, added, total, NULL, NULL, n_classes};
    int rc = -1;
    if (n_classes > PREVALENCE_MAX_CLASSES) return too_many_classes(n_classes, err);
    if (!(work = mem_alloc((2 * k * k + row_sums_scratch(n_classes)) * sizeof *work, err)) ||
        packed_rows_fill(&l.rows, unlabelled->p, unlabelled->count, unlabelled->n_rows, n_classes, err))
        goto out;
    l.uu = work + k * k;
    l.scratch = work + 2 * k * k;
    likelihood_begin(q, &l, total);
    for (size_t j = 0; added && j < k; j++)
        l.total += added[j];
    if (likelihood_maximise(q, &l, work, err)) goto out;
    for (size_t j = 0; j < k; j++)
        sum += q[j];
    for (size_t j = 0; j < k; j++)
        q[j] /= sum;
    rc = 0;
out:
    packed_rows_release(&l.rows);
    free(work);
    return rc;
}

/* Finds the maximum of the likelihood after recalibration. z: the logits of both sets, [rows][K]. */
static int recalibrated(double *q, const struct scored_rows *labelled, const double *labelled_z,
                        const struct scored_rows *unlabelled, const double *unlabelled_z, const double *added,
                        int n_classes, double *scratch, struct error *err)
{
    struct recalibration r = RECALIBRATION_NONE;
    struct scored_rows rows = *unlabelled;
    double shares[PREVALENCE_MAX_CLASSES];
    /* At the fit the labelled rows' mean of each class equals its share. QuaPy uses the
     * mean, and this code the share. */
    prevalence_label_shares(shares, labelled, n_classes);
    if (recalibration_fit(&r, labelled_z, labelled->label, labelled->count, labelled->n_rows, n_classes, err))
        return -1;
    recalibration_apply(&r, scratch, unlabelled_z, unlabelled->n_rows, n_classes);
    rows.p = scratch;
    return prevalence_likelihood(q, shares, &rows, added, n_classes, err);
}

/* The data that all resamples share. */
struct problem {
    struct scored_rows labelled, unlabelled;
    enum prevalence_method method;
    int n_classes;
    double *labelled_z, *unlabelled_z; /* logits, for those that recalibrate */
    struct tilt tilt;                  /* PREVALENCE_TILTED of the rows themselves, where resamples begin */
};

/* Starts from "recalibrate, then estimate", and moves to the maximum of the joint likelihood. */
static int begin_tilt(struct problem *p, struct error *err)
{
    double *after = mem_alloc(p->unlabelled.n_rows * (size_t)p->n_classes * sizeof *after, err);
    struct scored_rows rows = p->unlabelled;
    double shares[PREVALENCE_MAX_CLASSES];
    int rc = -1;
    if (!after) return -1;
    prevalence_label_shares(shares, &p->labelled, p->n_classes);
    if (recalibration_fit(&p->tilt.r, p->labelled_z, p->labelled.label, p->labelled.count, p->labelled.n_rows,
                          p->n_classes, err))
        goto out;
    recalibration_apply(&p->tilt.r, after, p->unlabelled_z, rows.n_rows, p->n_classes);
    rows.p = after;
    rc = prevalence_likelihood(p->tilt.shares, shares, &rows, NULL, p->n_classes, err) ||
                 tilted_likelihood(&p->tilt, &p->labelled, p->labelled_z, &p->unlabelled, p->unlabelled_z,
                                   NULL, p->n_classes, err)
             ? -1
             : 0;
out:
    free(after);
    return rc;
}

static int problem_open(struct problem *p, enum prevalence_method method, const struct scored_rows *labelled,
                        const struct scored_rows *unlabelled, int n_classes, struct error *err)
{
    size_t k = (size_t)n_classes;
    *p = (struct problem){*labelled, *unlabelled, method, n_classes, NULL, NULL, {RECALIBRATION_NONE, {0}}};
    if (n_classes > PREVALENCE_MAX_CLASSES) return too_many_classes(n_classes, err);
    if (method != PREVALENCE_RECALIBRATED && method != PREVALENCE_TILTED) return 0;
    if (!(p->labelled_z = mem_alloc(labelled->n_rows * k * sizeof(double), err)) ||
        !(p->unlabelled_z = mem_alloc(unlabelled->n_rows * k * sizeof(double), err)))
        return -1;
    recalibration_logits(p->labelled_z, labelled->p, labelled->n_rows, n_classes);
    recalibration_logits(p->unlabelled_z, unlabelled->p, unlabelled->n_rows, n_classes);
    return method == PREVALENCE_TILTED ? begin_tilt(p, err) : 0;
}

static void problem_close(struct problem *p)
{
    free(p->labelled_z);
    free(p->unlabelled_z);
}

/* Computes the estimate with these weights. scratch [unlabelled rows][K] is used by
 * PREVALENCE_RECALIBRATED. */
static int problem_solve(double *q, const struct problem *p, const uint32_t *labelled_count,
                         const uint32_t *unlabelled_count, const double *added, double *scratch,
                         int *n_updates, struct error *err)
{
    struct scored_rows labelled = p->labelled, unlabelled = p->unlabelled;
    double shares[PREVALENCE_MAX_CLASSES];
    int k = p->n_classes;
    labelled.count = labelled_count;
    unlabelled.count = unlabelled_count;
    switch (p->method) {
    case PREVALENCE_COUNT:
    case PREVALENCE_MEAN: unadjusted(q, &unlabelled, k, p->method == PREVALENCE_COUNT); return 0;
    case PREVALENCE_ACC:
    case PREVALENCE_PACC:
    case PREVALENCE_BBSE_HARD:
    case PREVALENCE_BBSE_SOFT:
        return adjust(q, &labelled, &unlabelled, k,
                      p->method == PREVALENCE_ACC || p->method == PREVALENCE_BBSE_HARD,
                      p->method == PREVALENCE_BBSE_HARD || p->method == PREVALENCE_BBSE_SOFT, err);
    case PREVALENCE_RECALIBRATED:
        return recalibrated(q, &labelled, p->labelled_z, &unlabelled, p->unlabelled_z, added, k, scratch,
                            err);
    case PREVALENCE_TILTED: {
        struct tilt t = p->tilt;
        if (added &&
            tilted_likelihood(&t, &labelled, p->labelled_z, &unlabelled, p->unlabelled_z, added, k, err))
            return -1;
        memcpy(q, t.shares, (size_t)k * sizeof *q);
        return 0;
    }
    case PREVALENCE_TRUSTED:
        unadjusted(shares, &labelled, k, false);
        for (int j = 0; j < k; j++)
            shares[j] = fmax(shares[j], SMALLEST_SHARE);
        return prevalence_likelihood(q, shares, &unlabelled, added, k, err);
    default: break;
    }
    prevalence_label_shares(shares, &labelled, k);
    return p->method == PREVALENCE_EM ? prevalence_em(q, shares, &unlabelled, k, EM_UPDATES, n_updates, err)
                                      : prevalence_likelihood(q, shares, &unlabelled, added, k, err);
}

static double *scratch_for(const struct problem *p, struct error *err)
{
    size_t n = p->method == PREVALENCE_RECALIBRATED ? p->unlabelled.n_rows * (size_t)p->n_classes : 1;
    return mem_alloc(n * sizeof(double), err);
}

int prevalence_estimate(double *q, enum prevalence_method method, const struct scored_rows *labelled,
                        const struct scored_rows *unlabelled, int n_classes, int *n_updates,
                        struct error *err)
{
    struct problem p;
    double *scratch = NULL;
    int rc = -1;
    if (!problem_open(&p, method, labelled, unlabelled, n_classes, err) && (scratch = scratch_for(&p, err)))
        rc = problem_solve(q, &p, labelled->count, unlabelled->count, NULL, scratch, n_updates, err);
    free(scratch);
    problem_close(&p);
    return rc;
}

struct bootstrap {
    const struct problem *p;
    double *draws;
    size_t n_draws;
    bool both;
    uint64_t seed;
    atomic_size_t next;
    atomic_bool failed;
    struct error err;
};

static void draw_counts(uint32_t *count, size_t n_rows, struct random *r)
{
    memset(count, 0, n_rows * sizeof *count);
    for (size_t i = 0; i < n_rows; i++)
        count[random_below(r, n_rows)]++;
}

/* Adds one row of each class that a resample lacks, because the density of the class would otherwise be
 * undetermined. */
static void keep_classes(uint32_t *count, const struct scored_rows *rows, int n_classes, size_t start)
{
    bool there[PREVALENCE_MAX_CLASSES] = {false};
    int left = n_classes;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < rows->n_rows && left > 0; i++) {
            size_t row = (start + i) % rows->n_rows;
            int k = rows->label[row];
            if (there[k] || (pass == 0 && count[row] == 0)) continue;
            there[k] = true;
            left--;
            if (count[row] == 0) count[row] = 1;
        }
}

static void draw_resamples(void *context, unsigned worker)
{
    struct bootstrap *b = context;
    const struct problem *p = b->p;
    struct error err = {0};
    double added[PREVALENCE_MAX_CLASSES];
    size_t n = p->labelled.n_rows, m = p->unlabelled.n_rows, each = m + (b->both ? n : 0), i;
    uint32_t *labelled = mem_alloc(n * sizeof *labelled, &err),
             *unlabelled = mem_alloc(m * sizeof *unlabelled, &err);
    double *scratch = scratch_for(p, &err);
    (void)worker;
    bool failed = !labelled || !unlabelled || !scratch;
    while (!failed && (i = atomic_fetch_add(&b->next, 1)) < b->n_draws) {
        struct random r = {b->seed + GOLDEN * (uint64_t)(i * each)};
        if (b->both) draw_counts(labelled, n, &r);
        if (b->both && p->method == PREVALENCE_TILTED) keep_classes(labelled, &p->labelled, p->n_classes, i);
        draw_counts(unlabelled, m, &r);
        r = random_start(b->seed, i, PRIOR_STREAM);
        for (int k = 0; k < p->n_classes; k++) {
            double z = random_normal(&r), w = z * z / 2; /* Gamma(1/2) */
            added[k] = w < SMALLEST_WEIGHT ? 0 : w;
        }
        failed = problem_solve(b->draws + i * (size_t)p->n_classes, p, b->both ? labelled : NULL, unlabelled,
                               added, scratch, NULL, &err) != 0;
    }
    if (failed && !atomic_exchange(&b->failed, true)) b->err = err;
    free(labelled);
    free(unlabelled);
    free(scratch);
}

int prevalence_bootstrap(double *draws, size_t n_draws, enum prevalence_method method,
                         const struct scored_rows *labelled, const struct scored_rows *unlabelled,
                         int n_classes, bool both, uint64_t seed, unsigned threads, struct error *err)
{
    struct problem p;
    struct bootstrap b = {.p = &p, .draws = draws, .n_draws = n_draws, .both = both, .seed = seed};
    int rc = -1;
    if (!problem_open(&p, method, labelled, unlabelled, n_classes, err)) {
        parallel_run(threads < 1 ? 1 : threads, draw_resamples, &b);
        rc = atomic_load(&b.failed) ? -1 : 0;
        if (rc) *err = b.err;
    }
    problem_close(&p);
    return rc;
}
