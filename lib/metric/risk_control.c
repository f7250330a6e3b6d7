/*
 * risk_control.c: computes thresholds with guarantees. The bound grows with the number of misses, and this
 * number with the threshold. So the sequence of tests ends at a number of misses that depends only on n, the
 * target and the confidence.
 */
#include "metric/risk_control.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "metric/sort.h"

/* Returns the logarithm of a binomial probability. It is computed in long double, because lgamma of numbers
 * in the thousands loses four digits. */
static long double log_term(uint64_t k, uint64_t n, double p)
{
    return lgammal((long double)n + 1) - lgammal((long double)k + 1) - lgammal((long double)(n - k) + 1) +
           (long double)k * logl(p) + (long double)(n - k) * log1pl(-(long double)p);
}

double binomial_at_most(uint64_t k, uint64_t n, double p)
{
    long double sum = 0, term;
    if (k >= n || p <= 0) return 1;
    if (p >= 1) return 0;
    if ((double)k <= (double)n * p) { /* the terms fall from k down */
        term = expl(log_term(k, n, p));
        for (uint64_t i = k;; i--) {
            sum += term;
            if (i == 0 || term < sum * 1e-22L) return (double)fminl(sum, 1);
            term *= (long double)i / (long double)(n - i + 1) * (1 - (long double)p) / p;
        }
    }
    term = expl(log_term(k + 1, n, p)); /* the other tail, which falls from k + 1 up */
    for (uint64_t i = k + 1;; i++) {
        sum += term;
        if (i == n || term < sum * 1e-22L) return (double)fmaxl(1 - sum, 0);
        term *= (long double)(n - i) / (long double)(i + 1) * p / (1 - (long double)p);
    }
}

double binomial_upper_bound(uint64_t k, uint64_t n, double confidence)
{
    double low = 0, high = 1;
    if (k >= n) return 1;
    for (;;) {
        double middle = low + (high - low) / 2;
        if (middle <= low || middle >= high) return middle;
        if (binomial_at_most(k, n, middle) > 1 - confidence)
            low = middle;
        else
            high = middle;
    }
}

uint64_t binomial_least(double target, double confidence)
{
    uint64_t n = (uint64_t)ceil(log1p(-confidence) / log1p(-target));
    while (n > 1 && binomial_at_most(0, n - 1, target) <= 1 - confidence)
        n--;
    while (binomial_at_most(0, n, target) > 1 - confidence)
        n++;
    return n;
}

int64_t binomial_allowed(uint64_t n, double target, double confidence)
{
    uint64_t low = 0, high = n; /* P(X <= k) grows with k: k = low passes, k = high fails */
    if (n == 0 || binomial_at_most(0, n, target) > 1 - confidence) return -1;
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        if (binomial_at_most(middle, n, target) <= 1 - confidence)
            low = middle;
        else
            high = middle;
    }
    return (int64_t)low;
}

struct positive {
    double score;
    uint32_t group;
};

static int compare_positives(const void *x, const void *y)
{
    const struct positive *a = x, *b = y;
    if (a->group != b->group) return a->group < b->group ? -1 : 1;
    return (a->score > b->score) - (a->score < b->score);
}

/* Returns the lowest score of the positives in each group, *n scores in ascending order, which the caller
 * frees. Returns NULL when there is no memory. */
static double *lowest_scores(size_t *n, const double *score, const uint8_t *positive, const uint32_t *group,
                             size_t n_rows, struct error *err)
{
    struct positive *members = mem_alloc((n_rows + 1) * sizeof *members, err);
    double *lowest = mem_alloc((n_rows + 1) * sizeof *lowest, err);
    size_t n_members = 0;
    *n = 0;
    if (members && lowest) {
        for (size_t i = 0; i < n_rows; i++)
            if (positive[i]) members[n_members++] = (struct positive){score[i], group ? group[i] : 0};
        if (group) qsort(members, n_members, sizeof *members, compare_positives);
        for (size_t i = 0; i < n_members; i++)
            if (!group || i == 0 || members[i].group != members[i - 1].group)
                lowest[(*n)++] = members[i].score;
        qsort(lowest, *n, sizeof *lowest, sort_compare_doubles);
    } else {
        free(lowest);
        lowest = NULL;
    }
    free(members);
    return lowest;
}

int risk_control_threshold(struct guaranteed_threshold *out, struct guarantee g, const double *score,
                           const uint8_t *positive, const uint32_t *group, size_t n_rows, struct error *err)
{
    size_t n;
    double *lowest = lowest_scores(&n, score, positive, group, n_rows, err);
    if (!lowest) return -1;
    int64_t allowed = binomial_allowed(n, g.target, g.confidence);
    *out = (struct guaranteed_threshold){.found = allowed >= 0,
                                         .threshold = -INFINITY,
                                         .n_positive = n,
                                         .n_needed = binomial_least(g.target, g.confidence),
                                         .upper_bound = 1};
    if (out->found) {
        /* One more miss is not allowed: the threshold cannot be above the positive at this rank. */
        double most = lowest[allowed];
        for (size_t i = 0; i < n_rows; i++)
            if (score[i] <= most && score[i] > out->threshold) out->threshold = score[i];
        while (out->missed < n && lowest[out->missed] < out->threshold)
            out->missed++;
        out->upper_bound = binomial_upper_bound(out->missed, n, g.confidence);
    }
    free(lowest);
    return 0;
}

int risk_control_block(struct guaranteed_threshold *out, struct guarantee g, const double *score,
                       const uint8_t *positive, const uint32_t *group, size_t n_rows, struct error *err)
{
    double *mirrored = mem_alloc((n_rows + 1) * sizeof *mirrored, err), above = INFINITY;
    uint8_t *negative = mem_alloc(n_rows + 1, err);
    int rc = -1;
    if (!mirrored || !negative) goto out;
    for (size_t i = 0; i < n_rows; i++) {
        mirrored[i] = -score[i];
        negative[i] = !positive[i];
    }
    if (risk_control_threshold(out, g, mirrored, negative, group, n_rows, err)) goto out;
    /* In the mirrored problem a row at the threshold is not blocked: blocked rows are strictly above it. */
    for (size_t i = 0; i < n_rows; i++)
        if (score[i] > -out->threshold) above = fmin(above, score[i]);
    out->threshold = out->found ? above : INFINITY;
    rc = 0;
out:
    free(mirrored);
    free(negative);
    return rc;
}

int risk_control_count(uint64_t *n_missed, uint64_t *n_positive, double threshold, const double *score,
                       const uint8_t *positive, const uint32_t *group, size_t n_rows, struct error *err)
{
    size_t n;
    double *lowest = lowest_scores(&n, score, positive, group, n_rows, err);
    if (!lowest) return -1;
    *n_positive = n;
    for (*n_missed = 0; *n_missed < n && lowest[*n_missed] < threshold;)
        ++*n_missed;
    free(lowest);
    return 0;
}

/* Parses a share, "1%" or "0.01", in (0, 1). */
static bool parse_share(char *text, double *out)
{
    size_t n = strlen(text);
    bool percent = n > 0 && text[n - 1] == '%';
    if (percent) text[n - 1] = 0;
    if (!parse_number(text, out)) return false;
    if (percent) *out /= 100;
    return *out > 0 && *out < 1;
}

int guarantee_parse(struct guarantee *out, const char *text, const char *what, struct error *err)
{
    char copy[64], shown[64], *at;
    out->confidence = 0.95;
    snprintf(copy, sizeof copy, "%s", text);
    if ((at = strchr(copy, '@'))) *at++ = 0;
    if (strlen(text) >= sizeof copy || !parse_share(copy, &out->target) ||
        (at && !parse_share(at, &out->confidence)))
        return error_set(err, EX_USAGE, "%s: '%s' is not a guarantee such as 1%%@95%%", what,
                         text_for_people(shown, sizeof shown, text));
    return 0;
}
