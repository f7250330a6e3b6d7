/* Estimates of class shares against QuaPy's and against the exact optimum (tests/fixtures/prevalence). */
/* needs: base io manifest metric cli */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "manifest/manifest.h"
#include "metric/prevalence.h"
#include "metric/recalibration.h"
#include "metric/sort.h"
#include "tap.h"

#define K 5
static struct error err;

static int load_table(struct manifest_table *t, const char *name)
{
    const char *top = getenv("TOP");
    char path[512];
    snprintf(path, sizeof path, "%s/tests/fixtures/prevalence/%s", top ? top : ".", name);
    return manifest_table_read(t, path, NULL, &err);
}

static const char *cell(const struct manifest_table *t, size_t row, const char *column)
{
    return manifest_cell(t, row, manifest_column(&t->schema, column));
}

static double number(const char *text)
{
    double value = NAN;
    parse_number(text, &value);
    return value;
}

struct loaded {
    double *p;
    int32_t *label;
    size_t n;
};

static struct loaded load_scores(const char *name)
{
    struct manifest_table t = {0};
    struct loaded s = {0};
    char path[256];
    snprintf(path, sizeof path, "scores/%s.tsv", name);
    if (load_table(&t, path)) return s;
    s.n = t.n_rows;
    s.p = malloc(s.n * K * sizeof *s.p);
    s.label = malloc(s.n * sizeof *s.label);
    for (size_t i = 0; i < s.n; i++) {
        s.label[i] = (int32_t)number(cell(&t, i, "true"));
        for (int k = 0; k < K; k++)
            s.p[i * K + (size_t)k] = number(cell(&t, i, (const char[]){'p', (char)('0' + k), 0}));
    }
    manifest_table_release(&t);
    return s;
}

static struct manifest_table cases, expected, exact, resampled;

/* Cell `value` of the row with these keys; class -1: none. */
static double wanted(const struct manifest_table *t, const char *name, const char *method, const char *key,
                     int class)
{
    char text[16] = "";
    if (class >= 0) snprintf(text, sizeof text, "%d", class);
    for (size_t i = 0; i < t->n_rows; i++)
        if (!strcmp(cell(t, i, "case"), name) && !strcmp(cell(t, i, "method"), method) &&
            !strcmp(cell(t, i, "key"), key) && !strcmp(cell(t, i, "class"), text))
            return number(cell(t, i, "value"));
    return NAN;
}

static void check_shares(const struct manifest_table *t, const char *name, const char *method,
                         const double *q, double tolerance)
{
    for (int k = 0; k < K; k++) {
        char what[160];
        snprintf(what, sizeof what, "%s: %s of class %d", name, method, k);
        CHECK_CLOSE(q[k], wanted(t, name, method, "share", k), tolerance, 0, what);
    }
}

static void check_estimates(const char *name, const struct scored_rows *v, const struct scored_rows *u)
{
    static const struct {
        enum prevalence_method method;
        const char *name;
        double tolerance;
    } methods[] = {{PREVALENCE_COUNT, "CC", 1e-12},
                   {PREVALENCE_MEAN, "PCC", 1e-12},
                   {PREVALENCE_ACC, "ACC", 1e-9},
                   {PREVALENCE_PACC, "PACC", 1e-9},
                   {PREVALENCE_BBSE_HARD, "BBSEhard", 1e-9},
                   {PREVALENCE_BBSE_SOFT, "BBSEsoft", 1e-9},
                   {PREVALENCE_EM, "EMQ", 1e-12},
                   {PREVALENCE_LIKELIHOOD, "EMQ converged", 1e-9},
                   /* the library leaves gradients of 9e-5 in its recalibration, and stops EM early */
                   {PREVALENCE_RECALIBRATED, "EMQ_BCTS", 0.02}};
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        double q[K];
        int n_updates = 0;
        bool optimum = i >= 2 && i < 6;
        CHECK(!prevalence_estimate(q, methods[i].method, v, u, K, &n_updates, &err));
        if (methods[i].method == PREVALENCE_LIKELIHOOD && !strcmp(name, "tiny-without-1")) {
            /* The library adds its tolerance to the shares: 1e-15 where it runs on to convergence. */
            double shares[K], sum = 0;
            prevalence_label_shares(shares, v, K);
            for (int k = 0; k < K; k++)
                sum += shares[k] = k == 1 ? 1e-15 : shares[k] * (1 + K * 1e-4) - 1e-4 + 1e-15;
            for (int k = 0; k < K; k++)
                shares[k] /= sum;
            CHECK(!prevalence_likelihood(q, shares, u, NULL, K, &err));
        }
        check_shares(optimum ? &exact : &expected, name, methods[i].name, q, methods[i].tolerance);
        if (methods[i].method == PREVALENCE_EM)
            CHECK(n_updates == (int)wanted(&expected, name, "EMQ", "updates", -1));
    }
}

/* EM after recalibration with the library's own temperature and bias, and our fit against its. */
static void check_recalibration(const char *name, const struct scored_rows *v, const struct scored_rows *u)
{
    static const char *const methods[] = {"EMQ_BCTS", "EMQ ts"};
    double *z = malloc(u->n_rows * K * sizeof *z);
    struct scored_rows after = *u;
    after.p = z;
    for (int m = 0; m < 2; m++) {
        struct recalibration r = {1 / wanted(&expected, name, methods[m], "temperature", -1), {0}};
        double shares[K], q[K];
        for (int k = 0; k < K; k++) {
            r.bias[k] = wanted(&expected, name, methods[m], "bias", k);
            shares[k] = wanted(&expected, name, methods[m], "train share", k);
        }
        if (shares[1] == 0) prevalence_label_shares(shares, v, K);
        recalibration_logits(z, u->p, u->n_rows, K);
        recalibration_apply(&r, z, z, u->n_rows, K);
        CHECK(!prevalence_em(q, shares, &after, K, 1000, NULL, &err));
        check_shares(&expected, name, methods[m], q, 1e-9);
    }
    free(z);
    double *labelled = malloc(v->n_rows * K * sizeof *labelled);
    struct recalibration fit = RECALIBRATION_NONE;
    recalibration_logits(labelled, v->p, v->n_rows, K);
    CHECK(!recalibration_fit(&fit, labelled, v->label, NULL, v->n_rows, K, &err));
    if (strcmp(name, "tiny-without-1") != 0) /* no finite optimum: a class has no row */
        CHECK_CLOSE(1 / fit.sharpness, wanted(&expected, name, "EMQ_BCTS", "temperature", -1), 0, 0.02,
                    "temperature");
    free(labelled);
}

static void check_bootstrap(const char *name, const struct scored_rows *v, const struct scored_rows *u)
{
    static const struct {
        enum prevalence_method method;
        const char *name;
        double tolerance;
    } methods[] = {{PREVALENCE_EM, "EMQ", 1e-9}, {PREVALENCE_PACC, "PACC", 1e-3}};
    enum { N = 200 };
    double *draws = malloc(2 * N * K * sizeof *draws), sorted[N];
    for (int m = 0; m < 2; m++)
        for (int both = 0; both < 2; both++) {
            CHECK(!prevalence_bootstrap(draws, N, methods[m].method, v, u, K, both, 12345, 2, &err));
            CHECK(!prevalence_bootstrap(draws + N * K, N, methods[m].method, v, u, K, both, 12345, 1, &err));
            CHECK(!memcmp(draws, draws + N * K, N * K * sizeof *draws)); /* for any number of threads */
            for (size_t i = 0; i < resampled.n_rows; i++) {
                if (strcmp(cell(&resampled, i, "case"), name) != 0 ||
                    strcmp(cell(&resampled, i, "method"), methods[m].name) != 0 ||
                    strcmp(cell(&resampled, i, "resampled"), both ? "both" : "rows") != 0)
                    continue;
                int k = (int)number(cell(&resampled, i, "class"));
                for (int b = 0; b < N; b++)
                    sorted[b] = draws[b * K + k];
                qsort(sorted, N, sizeof *sorted, sort_compare_doubles);
                CHECK_CLOSE(sort_quantile(sorted, N, 0.025), number(cell(&resampled, i, "low")),
                            methods[m].tolerance, 0, "low");
                CHECK_CLOSE(sort_quantile(sorted, N, 0.975), number(cell(&resampled, i, "high")),
                            methods[m].tolerance, 0, "high");
            }
        }
    free(draws);
}

/* Where EM would creep for thousands of updates: the derivative there is 0, or below 0 at the border. */
static void check_border(void)
{
    double p[400], shares[2] = {0.5, 0.5}, q[2];
    struct scored_rows rows = {.p = p, .n_rows = 200};
    for (int i = 0; i < 200; i++) {
        p[2 * i] = 0.9;
        p[2 * i + 1] = 0.1;
    }
    CHECK(!prevalence_likelihood(q, shares, &rows, NULL, 2, &err));
    CHECK(q[0] == 1 && q[1] == 0);
    p[1] = 0.99, p[0] = 0.01; /* one positive: q such that 199 (0.2 - 1) / ... + its gain is 0 */
    CHECK(!prevalence_likelihood(q, shares, &rows, NULL, 2, &err));
    double slope =
        199 * (0.2 - 1.8) / (q[1] * 0.2 + q[0] * 1.8) + (1.98 - 0.02) / (q[1] * 1.98 + q[0] * 0.02);
    CHECK(q[1] == 0 ? slope <= 0 : fabs(slope) < 1e-6);
    CHECK(prevalence_em(q, shares, &rows, PREVALENCE_MAX_CLASSES + 1, 1, NULL, &err) == -1);
}

int main(void)
{
    if (load_table(&cases, "cases.tsv") || load_table(&expected, "expected.tsv") ||
        load_table(&exact, "exact.tsv") || load_table(&resampled, "bootstrap.tsv")) {
        CHECK_SAY(false, "%s", err.text);
        return tap_done();
    }
    for (size_t i = 0; i < cases.n_rows; i++) {
        const char *name = cell(&cases, i, "case");
        struct loaded v = load_scores(cell(&cases, i, "validation")),
                      u = load_scores(cell(&cases, i, "unlabelled"));
        struct scored_rows labelled = {v.p, v.label, NULL, v.n}, unlabelled = {u.p, u.label, NULL, u.n};
        CHECK_SAY(v.n && u.n, "%s is read", name);
        if (v.n && u.n) {
            check_estimates(name, &labelled, &unlabelled);
            check_recalibration(name, &labelled, &unlabelled);
            check_bootstrap(name, &labelled, &unlabelled);
        }
        free(v.p), free(v.label), free(u.p), free(u.label);
    }
    check_border();
    manifest_table_release(&cases);
    manifest_table_release(&expected);
    manifest_table_release(&exact);
    manifest_table_release(&resampled);
    return tap_done();
}
