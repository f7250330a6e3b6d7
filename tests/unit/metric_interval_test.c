/* Intervals and tests against values from scipy and from the papers. */
/* needs: base io manifest metric cli */
#include <math.h>
#include <string.h>

#include "metric/classification.h"
#include "metric/interval.h"
#include "metric/sort.h"
#include "tap.h"

static struct error err;

static void check_mcnemar(void)
{
    /* scipy.stats.binomtest(a, a + b).pvalue */
    static const struct {
        uint64_t a, b;
        double p;
    } cases[] = {{1, 9, 0.021484375},
                 {10, 25, 0.016673847800120715},
                 {0, 5, 0.0625},
                 {120, 160, 0.01960672729028143},
                 {3000, 3200, 0.011488253770871587},
                 {0, 0, 1},
                 {7, 7, 1},
                 {0, 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        /* lgamma of thousands costs digits */
        CHECK_CLOSE(mcnemar_exact_p(cases[i].a, cases[i].b), cases[i].p, 0, 1e-9, "mcnemar");
        CHECK(mcnemar_exact_p(cases[i].a, cases[i].b) == mcnemar_exact_p(cases[i].b, cases[i].a));
    }
    CHECK_CLOSE(mcnemar_exact_p(1, 9), 0.021484375, 1e-12, 0, "mcnemar 1:9"); /* 22/1024 exactly */
    CHECK(mcnemar_exact_p(0, 5000) >= 0 && mcnemar_exact_p(0, 5000) < 1e-300);
}

static void check_wilson(void)
{
    struct interval w = interval_wilson(0, 10, INTERVAL_Z95);
    CHECK(w.low == 0);
    CHECK_CLOSE(w.high, 0.27753279986288914, 1e-12, 0, "wilson 0 of 10");
    w = interval_wilson(10, 10, INTERVAL_Z95);
    CHECK(w.high == 1);
    w = interval_wilson(0, 0, INTERVAL_Z95);
    CHECK(w.low == 0 && w.high == 1);
    /* Newcombe's own example (1998, table II): 56/70 against 48/80, score method: 0.0524 to 0.3339. */
    w = interval_newcombe(56, 70, 48, 80, INTERVAL_Z95);
    CHECK_CLOSE(w.low, 0.0524, 5e-5, 0, "newcombe low");
    CHECK_CLOSE(w.high, 0.3339, 5e-5, 0, "newcombe high");
    w = interval_newcombe(1, 2, 0, 0, INTERVAL_Z95);
    CHECK(isnan(w.low) && isnan(w.high));
    /* The p-value is the level at which the interval touches 0. */
    double p = interval_newcombe_p(56, 70, 48, 80), low = 0, high = 10;
    CHECK(p > 0.001 && p < 0.05);
    for (int i = 0; i < 60; i++) {
        double z = (low + high) / 2;
        if (interval_newcombe(56, 70, 48, 80, z).low > 0)
            low = z;
        else
            high = z;
    }
    CHECK_CLOSE(p, erfc(low / sqrt(2)), 1e-9, 0, "p and interval agree");
    CHECK(interval_newcombe_p(5, 10, 50, 100) == 1);
}

static void check_paired(void)
{
    /* Newcombe 1998 (paired), table III: 43, 7... the case e=36 f=12 g=2 h=0: 0.0569 to 0.3404 with method
     * 10. */
    struct interval w = interval_paired(36, 12, 2, 0, INTERVAL_Z95);
    CHECK_CLOSE(w.low, 0.0569, 2e-4, 0, "paired low");
    CHECK_CLOSE(w.high, 0.3404, 2e-4, 0, "paired high");
    w = interval_paired(0, 0, 0, 0, INTERVAL_Z95);
    CHECK(isnan(w.low));
    w = interval_paired(50, 0, 0, 50, INTERVAL_Z95);
    CHECK(w.low <= 0 && w.high >= 0 && w.low > -0.1 && w.high < 0.1);
}

static void check_holm(void)
{
    double p[] = {0.01, NAN, 0.04, 0.03, 0.005};
    CHECK(!holm_adjust(p, 5, &err));
    CHECK_CLOSE(p[0], 0.03, 1e-15, 0, "holm 0.01 * 3");
    CHECK_CLOSE(p[4], 0.02, 1e-15, 0, "holm 0.005 * 4");
    CHECK_CLOSE(p[3], 0.06, 1e-15, 0, "holm 0.03 * 2");
    CHECK_CLOSE(p[2], 0.06, 1e-15, 0, "holm keeps the order");
    CHECK(isnan(p[1]));
    double one[] = {0.9, 0.8};
    CHECK(!holm_adjust(one, 2, &err) && one[0] == 1 && one[1] == 1);
}

static void check_bootstrap(void)
{
    uint8_t correct[1000];
    struct bootstrap_result a, b;
    for (int i = 0; i < 1000; i++)
        correct[i] = i % 4 != 0;
    CHECK(!bootstrap_share(correct, 1000, 2000, 12345, 1, &a, &err) &&
          !bootstrap_share(correct, 1000, 2000, 12345, 3, &b, &err));
    CHECK(a.low == b.low && a.high == b.high && a.first == b.first);
    struct interval w = interval_wilson(750, 1000, INTERVAL_Z95);
    CHECK(fabs(a.low - w.low) < 0.01 && fabs(a.high - w.high) < 0.01);
    memset(correct, 1, sizeof correct);
    CHECK(!bootstrap_share(correct, 1000, 100, 1, 1, &a, &err) && a.low == 1 && a.high == 1);
}

static void check_sort(void)
{
    double values[] = {0.5, -1, 0.5, 3e300, -0.0, 0.0, -1, 1e-300};
    uint32_t order[8];
    static const uint32_t up[] = {1, 6, 4, 5, 7, 0, 2, 3}, down[] = {3, 0, 2, 7, 4, 5, 1, 6};
    CHECK(!sort_rows_ascending(values, 8, order, &err) && memcmp(order, up, sizeof up) == 0);
    CHECK(!sort_rows_descending(values, 8, order, &err) && memcmp(order, down, sizeof down) == 0);
}

static void check_temperature(void)
{
    /* One logit of 1 for the right class, wrong once in five: the best T
     * makes the softmax 0.8: 1/T = ln 4. */
    double z[] = {1, 0, 1, 0, 1, 0, 1, 0, 1, 0};
    int32_t label[] = {0, 0, 0, 0, 1};
    struct temperature_fit fit;
    CHECK(!temperature_fit(&fit, z, NULL, label, 5, 2, 2, &err) && !fit.at_edge);
    CHECK_CLOSE(fit.temperature, 1 / log(4), 1e-10, 0, "temperature");
    label[4] = 0;
    CHECK(!temperature_fit(&fit, z, NULL, label, 5, 2, 2, &err) && fit.at_edge);
    double p[10];
    temperature_apply(z, NULL, 0.5, 5, 2, p);
    CHECK_CLOSE(p[0], 1 / (1 + exp(-2)), 1e-15, 0, "softmax(z/T)");
}

int main(void)
{
    check_mcnemar();
    check_wilson();
    check_paired();
    check_holm();
    check_bootstrap();
    check_sort();
    check_temperature();
    return tap_done();
}
