/*
 * rate_draws.c: combines two estimates. The first trusts the scores: it is the most precise when they are
 * calibrated, and biased when they are not. The second recalibrates the scores first. If a test chose one of
 * them, the intervals would be wrong in both cases. Instead the difference d between the two has a prior
 * (Zellner and Siow 1980), a normal distribution around 0 with an unknown variance. It shrinks d towards 0
 * when the labelled rows agree with the scores, and has no effect when they contradict them. The combined
 * estimate is the trusting one plus (1 - s) d, with s = t / (1 + t), where t is drawn from its posterior
 * given the contradiction C: chi-squared of K + 1 degrees over (K + C + C^2 / 4K). Without the square, badly
 * calibrated scores would still influence the result because d is large. tests/bench/prevalence.sh measures
 * the coverage.
 */
#include "metric/rate_draws.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/random.h"
#include "metric/recalibration.h"
#include "metric/sort.h"

#define TRUST_STREAM 0x7472757374ull

/* Returns P(chi-squared of n degrees of freedom > x), by the recurrence of the incomplete gamma function. */
static double chi_squared_above(double x, int n)
{
    double a = n % 2 ? 0.5 : 1, half = x / 2;
    double sum = n % 2 ? erfc(sqrt(half)) : exp(-half);
    for (; a < n / 2.0; a++)
        sum += exp(a * log(half) - half - lgamma(a + 1));
    return fmin(sum, 1);
}

int rate_draws_calibration(double *statistic, double *p, const struct scored_rows *labelled, int n_classes,
                           struct error *err)
{
    struct recalibration none = RECALIBRATION_NONE, fit = RECALIBRATION_NONE;
    double *z;
    int rc = -1;
    if (n_classes > PREVALENCE_MAX_CLASSES)
        return error_set(err, EX_DATAERR, "rates of %d classes cannot be estimated; the limit is %d",
                         n_classes, PREVALENCE_MAX_CLASSES);
    if (!(z = mem_alloc(labelled->n_rows * (size_t)n_classes * sizeof *z, err))) return -1;
    recalibration_logits(z, labelled->p, labelled->n_rows, n_classes);
    if (!recalibration_fit(&fit, z, labelled->label, NULL, labelled->n_rows, n_classes, err)) {
        double gain = recalibration_loss(&none, z, labelled->label, NULL, labelled->n_rows, n_classes) -
                      recalibration_loss(&fit, z, labelled->label, NULL, labelled->n_rows, n_classes);
        double x = 2 * (double)labelled->n_rows * fmax(gain, 0);
        *statistic = x;
        *p = x > 0 ? chi_squared_above(x, n_classes) : 1;
        rc = 0;
    }
    free(z);
    return rc;
}

/* q = trusting + (1 - s) d + the variance that shrinking removes, projected to the simplex. */
static void mix(double *q, const double *trusting, const double *tilted, double s, const double *noise,
                int n_classes)
{
    double sum = 0;
    for (int k = 0; k < n_classes; k++)
        sum += q[k] = fmax(trusting[k] + (1 - s) * (tilted[k] - trusting[k]) + (noise ? noise[k] : 0), 0);
    for (int k = 0; k < n_classes; k++)
        q[k] /= sum;
}

int rate_draws_make(double *q, double *draws, size_t n_draws, double *calibration_p,
                    const struct scored_rows *labelled, const struct scored_rows *unlabelled, int n_classes,
                    uint64_t seed, unsigned threads, struct error *err)
{
    size_t k = (size_t)n_classes;
    double trusting[PREVALENCE_MAX_CLASSES], tilted[PREVALENCE_MAX_CLASSES], contradiction, *a, *b = NULL;
    int rc = -1;
    if (rate_draws_calibration(&contradiction, calibration_p, labelled, n_classes, err)) return -1;
    if (!(a = mem_alloc((n_draws + 1) * k * sizeof *a, err)) ||
        !(b = mem_alloc((n_draws + 1) * k * sizeof *b, err)) ||
        prevalence_estimate(trusting, PREVALENCE_TRUSTED, labelled, unlabelled, n_classes, NULL, err) ||
        prevalence_estimate(tilted, PREVALENCE_TILTED, labelled, unlabelled, n_classes, NULL, err) ||
        /* the same resamples for both, so that only the methods differ */
        prevalence_bootstrap(a, n_draws, PREVALENCE_TRUSTED, labelled, unlabelled, n_classes, true, seed,
                             threads, err) ||
        prevalence_bootstrap(b, n_draws, PREVALENCE_TILTED, labelled, unlabelled, n_classes, true, seed,
                             threads, err))
        goto out;
    double scale = n_classes + contradiction + contradiction * contradiction / (4.0 * n_classes);
    double t = (n_classes + 1) / scale;
    mix(q, trusting, tilted, t / (1 + t), NULL, n_classes);
    for (size_t i = 0; i < n_draws; i++) {
        struct random r = random_start(seed, i, TRUST_STREAM);
        const double *other = a + (i + 1) % n_draws * k, *other_b = b + (i + 1) % n_draws * k;
        double noise[PREVALENCE_MAX_CLASSES], square = 0, s;
        for (int j = 0; j <= n_classes; j++) {
            double z = random_normal(&r);
            square += z * z;
        }
        t = square / scale;
        s = t / (1 + t);
        /* Shrinking removes a part of the posterior's variance. The error of another resample is added in its
         * place. */
        for (size_t j = 0; j < k; j++)
            noise[j] = sqrt(s * (1 - s)) * ((other_b[j] - other[j]) - (tilted[j] - trusting[j]));
        mix(draws + i * k, a + i * k, b + i * k, s, noise, n_classes);
    }
    rc = 0;
out:
    free(a);
    free(b);
    return rc;
}

/* Returns the value below which the next draw is with probability q. The usual quantile at (n - 1) q would be
 * too far inside. */
static double outer_quantile(const double *sorted, size_t n, double q)
{
    double at = fmin(fmax((double)(n + 1) * q - 1, 0), (double)(n - 1));
    size_t i = (size_t)at;
    return i + 1 < n ? sorted[i] + (sorted[i + 1] - sorted[i]) * (at - (double)i) : sorted[i];
}

void rate_draws_interval(double *low, double *high, double *values, size_t n, double estimate)
{
    qsort(values, n, sizeof *values, sort_compare_doubles);
    *low = fmin(estimate, outer_quantile(values, n, 0.025));
    *high = fmax(estimate, outer_quantile(values, n, 0.975));
}
