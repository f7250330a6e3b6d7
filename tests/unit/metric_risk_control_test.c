/* Bounds and thresholds against SciPy's (tests/fixtures/prevalence), ties, groups, too few positives. */
/* needs: base io manifest metric cli */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "manifest/manifest.h"
#include "metric/risk_control.h"
#include "tap.h"

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

static void check_bounds(void)
{
    struct manifest_table t = {0};
    CHECK(!load_table(&t, "bounds.tsv") && t.n_rows > 100);
    for (size_t i = 0; i < t.n_rows; i++)
        CHECK_CLOSE(binomial_upper_bound((uint64_t)number(cell(&t, i, "missed")),
                                         (uint64_t)number(cell(&t, i, "n")),
                                         number(cell(&t, i, "confidence"))),
                    number(cell(&t, i, "upper_bound")), 0, 1e-12, "upper bound"); /* SciPy's own digits */
    manifest_table_release(&t);
}

static void check_choices(void)
{
    struct manifest_table t = {0}, rows = {0};
    double *score = NULL;
    uint8_t *positive = NULL;
    const char *loaded = "";
    CHECK(!load_table(&t, "choices.tsv") && t.n_rows == 48);
    for (size_t i = 0; i < t.n_rows; i++) {
        struct guaranteed_threshold got;
        char what[160];
        if (strcmp(loaded, cell(&t, i, "set")) != 0) {
            char path[128];
            loaded = cell(&t, i, "set");
            manifest_table_release(&rows);
            snprintf(path, sizeof path, "thresholds/%s.tsv", loaded);
            CHECK(!load_table(&rows, path));
            score = realloc(score, rows.n_rows * sizeof *score);
            positive = realloc(positive, rows.n_rows);
            for (size_t j = 0; j < rows.n_rows; j++) {
                score[j] = number(cell(&rows, j, "score"));
                positive[j] = *cell(&rows, j, "label") == '1';
            }
        }
        struct guarantee g = {number(cell(&t, i, "target")), number(cell(&t, i, "confidence"))};
        snprintf(what, sizeof what, "%s, %g at %g", loaded, g.target, g.confidence);
        CHECK(!risk_control_threshold(&got, g, score, positive, NULL, rows.n_rows, &err));
        if (!strcmp(cell(&t, i, "threshold"), "none")) {
            CHECK_SAY(!got.found && got.n_needed > got.n_positive, "%s: none", what);
            continue;
        }
        CHECK_SAY(got.found && got.threshold == number(cell(&t, i, "threshold")), "%s: threshold %g", what,
                  got.threshold);
        CHECK_SAY(got.missed == (uint64_t)number(cell(&t, i, "missed")), "%s: missed", what);
        CHECK_CLOSE(got.upper_bound, number(cell(&t, i, "upper_bound")), 0, 1e-12, what);
    }
    free(score);
    free(positive);
    manifest_table_release(&rows);
    manifest_table_release(&t);
}

static void check_rules(void)
{
    CHECK(binomial_least(0.01, 0.95) == 299);
    CHECK(binomial_least(0.02, 0.95) == 149);
    CHECK(binomial_least(0.05, 0.95) == 59);
    CHECK(binomial_allowed(298, 0.01, 0.95) == -1 && binomial_allowed(299, 0.01, 0.95) == 0);
    CHECK(binomial_allowed(0, 0.5, 0.5) == -1);
    CHECK_CLOSE(binomial_at_most(1, 2, 0.5), 0.75, 1e-15, 0, "1 of 2");
    CHECK_CLOSE(binomial_at_most(900, 1000, 0.5), 1, 1e-15, 0, "far above the mean");
    CHECK(binomial_at_most(0, 10, 0) == 1 && binomial_at_most(0, 10, 1) == 0);

    /* 598 positives in 299 groups of two copies: the copies are worth nothing. */
    double score[598];
    uint8_t positive[598];
    uint32_t group[598];
    struct guaranteed_threshold t;
    struct guarantee g = {0.01, 0.95};
    for (uint32_t i = 0; i < 598; i++) {
        positive[i] = 1;
        group[i] = i / 2;
        score[i] = 0.1 + i * 0.001;
    }
    CHECK(!risk_control_threshold(&t, g, score, positive, group, 598, &err));
    CHECK(t.found && t.n_positive == 299 && t.missed == 0 && t.threshold == score[0]);
    CHECK(!risk_control_threshold(&t, g, score, positive, NULL, 598, &err));
    CHECK(t.found && t.n_positive == 598 && t.missed > 0);
    CHECK(!risk_control_threshold(&t, g, score, positive, group, 596, &err));
    CHECK(!t.found && t.n_positive == 298 && t.n_needed == 299);
    /* All of one score: flagged together. */
    for (int i = 0; i < 598; i++)
        score[i] = 0.25;
    CHECK(!risk_control_threshold(&t, g, score, positive, NULL, 598, &err));
    CHECK(t.found && t.threshold == 0.25 && t.missed == 0);
}

int main(void)
{
    check_bounds();
    check_choices();
    check_rules();
    return tap_done();
}
