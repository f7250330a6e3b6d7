/* The likelihood of shares and recalibration together, and the draws that eval shows. */
/* needs: base io manifest metric cli */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "metric/rate_draws.h"
#include "metric/tilted_likelihood.h"
#include "tap.h"

enum { K = 3, N = 600, M = 3000, DRAWS = 40 };
static struct error err;
static double p[2][(N + M) * K]; /* as they are, and too sure */
static int32_t label[N + M];

/* Normal scores around the corners of a triangle; too_sure: the same rows, logits doubled and shifted. */
static void make_rows(const double *rare)
{
    static const double even[K] = {0.5, 0.3, 0.2}, bias[K] = {0, 0.7, -0.4};
    struct random r = random_start(5, 6, 7);
    for (int i = 0; i < N + M; i++) {
        const double *shares = i < N ? even : rare;
        double u = random_unit(&r), sum[2] = {0, 0};
        label[i] = u < shares[0] ? 0 : u < shares[0] + shares[1] ? 1 : 2;
        for (int k = 0; k < K; k++) {
            double z = 2 * ((label[i] == k) * 2 + random_normal(&r)) + log(even[k]);
            sum[0] += p[0][i * K + k] = exp(z);
            sum[1] += p[1][i * K + k] = exp(2 * z + bias[k]);
        }
        for (int k = 0; k < K; k++)
            for (int side = 0; side < 2; side++)
                p[side][i * K + k] /= sum[side];
    }
}

/*
 * At the maximum of the empirical likelihood the densities of all classes sum to 1 over the pooled rows, and
 * the unlabelled rows' posteriors have the shares as their mean.
 */
static void check_maximum(const struct scored_rows *l, const struct scored_rows *u, const double *lz,
                          const double *uz)
{
    struct tilt t = {{1, {0}}, {0.2, 0.3, 0.5}};
    double mass[K] = {0}, mean[K] = {0}, n[K] = {0};
    CHECK(!tilted_likelihood(&t, l, lz, u, uz, NULL, K, &err));
    for (int i = 0; i < N; i++)
        n[l->label[i]]++;
    for (int i = 0; i < N + M; i++) {
        const double *z = i < N ? lz + i * K : uz + (i - N) * K;
        double e[K], m = 0, d = 0;
        for (int k = 0; k < K; k++) {
            e[k] = exp(t.r.sharpness * z[k] + t.r.bias[k] - log(n[k] / N));
            m += t.shares[k] * e[k];
            d += (n[k] + M * t.shares[k]) * e[k];
        }
        for (int k = 0; k < K; k++) {
            mass[k] += e[k] / d;
            if (i >= N) mean[k] += t.shares[k] * e[k] / m / M;
        }
    }
    for (int k = 0; k < K; k++) {
        CHECK_CLOSE(mass[k], 1, 1e-4, 0, "a density sums to 1"); /* the penalty moves it by millionths */
        CHECK_CLOSE(mean[k], t.shares[k], 1e-4, 0, "a share is its rows' posterior");
    }
}

int main(void)
{
    static const double rare[K] = {0.9, 0.098, 0.002};
    static double lz[2][N * K], uz[2][M * K], draws[2][DRAWS * K];
    double q[2][K], tilted[2][K], trusting[K], values[DRAWS], statistic, agrees[2], low, high;
    struct scored_rows l[2], u[2];
    make_rows(rare);
    for (int side = 0; side < 2; side++) {
        l[side] = (struct scored_rows){p[side], label, NULL, N};
        u[side] = (struct scored_rows){p[side] + N * K, NULL, NULL, M};
        recalibration_logits(lz[side], l[side].p, N, K);
        recalibration_logits(uz[side], u[side].p, M, K);
        check_maximum(&l[side], &u[side], lz[side], uz[side]);
        CHECK(!prevalence_estimate(tilted[side], PREVALENCE_TILTED, &l[side], &u[side], K, NULL, &err));
    }
    for (int k = 0; k < K; k++) /* recalibration takes back what was done to the logits */
        CHECK_CLOSE(tilted[1][k], tilted[0][k], 1e-5, 0, "share from scores that are too sure");

    CHECK(!rate_draws_calibration(&statistic, &agrees[0], &l[0], K, &err) && agrees[0] > 0.01);
    CHECK(!rate_draws_calibration(&statistic, &agrees[1], &l[1], K, &err) && agrees[1] < 1e-6);
    /* Contradicted scores have no say; others pull the estimate to what they claim, by half at most. */
    CHECK(!rate_draws_make(q[1], draws[0], DRAWS, &agrees[1], &l[1], &u[1], K, 3, 1, &err));
    CHECK_CLOSE(q[1][1], tilted[1][1], 2e-3, 0, "without the scores' say");
    CHECK(!rate_draws_make(q[0], draws[0], DRAWS, &agrees[0], &l[0], &u[0], K, 3, 1, &err));
    CHECK(!rate_draws_make(q[0], draws[1], DRAWS, &agrees[0], &l[0], &u[0], K, 3, 2, &err));
    CHECK(!memcmp(draws[0], draws[1], sizeof draws[0])); /* for any number of threads */
    CHECK(!prevalence_estimate(trusting, PREVALENCE_TRUSTED, &l[0], &u[0], K, NULL, &err));
    double way = (tilted[0][1] - q[0][1]) / (tilted[0][1] - trusting[1]);
    CHECK_SAY(way > 0.2 && way < 0.6, "%g of the way to the trusting estimate", way);
    for (int i = 0; i < DRAWS; i++) {
        double sum = 0;
        bool inside = true;
        for (int k = 0; k < K; k++) {
            sum += draws[0][i * K + k];
            inside = inside && draws[0][i * K + k] >= 0;
        }
        CHECK(inside && fabs(sum - 1) < 1e-12);
    }
    for (int k = 0; k < K; k++) {
        for (int i = 0; i < DRAWS; i++)
            values[i] = draws[0][i * K + k];
        rate_draws_interval(&low, &high, values, DRAWS, q[0][k]);
        CHECK_SAY(low <= rare[k] && rare[k] <= high && high - low < 0.06, "%g in %g to %g", rare[k], low,
                  high);
    }
    /* With 39 draws the 40th is below the least of them with probability 1 / 40. */
    for (int i = 0; i < 39; i++)
        values[i] = 39 - i;
    rate_draws_interval(&low, &high, values, 39, 20);
    CHECK(low == 1 && high == 39);
    rate_draws_interval(&low, &high, values, 39, 40);
    CHECK(low == 1 && high == 40);
    return tap_done();
}
