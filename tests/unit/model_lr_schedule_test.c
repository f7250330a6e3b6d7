/* needs: model */
/* Learning-rate schedules, epoch order, folds. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/sampler.h"
#include "model/lr_schedule.h"
#include "tap.h"

static void test_rates(void)
{
    static const struct {
        const char *spec;
        double warmup, epoch, want;
    } cases[] = {
        {"constant", 0, 0, 0.1},
        {"constant", 0, 99, 0.1},
        {"exp:0.5", 0, 0, 0.1},
        {"exp:0.5", 0, 1, 0.05},
        {"exp:0.5", 0, 2.5, 0.1 * 0.17677669529663687},
        {"exp:0.94:2", 0, 2, 0.094},
        {"step:0.1:30,50", 0, 29.9, 0.1},
        {"step:0.1:30,50", 0, 30, 0.01},
        {"step:0.1:30,50", 0, 55, 0.001},
        {"cosine", 0, 0, 0.1},
        {"cosine", 0, 50, 0.05},
        {"cosine", 0, 100, 0},
        {"cosine:0.1", 0, 100, 0.01},
        {"cosine", 20, 60, 0.05},
        {"cosine", 20, 10, 0.05},
        {"constant", 4, 2, 0.05},
        {"constant", 4, 0, 0.001},
        {"constant", 4, 4, 0.1},
        {"article", 0, 0, 3.2e-6},
        {"article", 0, 5.9, 3.2e-6},
        {"article", 0, 6, 0.01},
        {"article", 0, 12, 0.002},
        {"article", 0, 20, 4e-4},
        {"article", 0, 59, 8e-5},
        {"article", 0, 60, 1.6e-5},
        {"article", 0, 94, 3.2e-6},
        {"article", 0, 95, 9e-7},
        {"piecewise:0.5", 0, 7, 0.5},
        {"piecewise:0.5@2,0.25", 0, 2, 0.25},
    };
    struct error err = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct schedule s;
        bool parsed = schedule_parse(&s, cases[i].spec, 0.1, 100, cases[i].warmup, &err) == 0;
        double got = parsed ? schedule_rate(&s, cases[i].epoch) : NAN;
        CHECK_SAY(parsed && fabs(got - cases[i].want) <= 1e-15 + 1e-12 * cases[i].want,
                  "%s, warm-up %g, at %g: %g", cases[i].spec, cases[i].warmup, cases[i].epoch, got);
    }
    static const char *const bad[] = {"",
                                      "exp",
                                      "exp:",
                                      "exp:2",
                                      "exp:0.5:0",
                                      "step:0.1",
                                      "step:0.1:",
                                      "step:0.1:5,3",
                                      "cosine:2",
                                      "linear",
                                      "piecewise:",
                                      "piecewise:1@2",
                                      "piecewise:1@3,2@2,1",
                                      "piecewise:1,2",
                                      "constant:1",
                                      "article:1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct schedule s;
        err = (struct error){0};
        CHECK_SAY(schedule_parse(&s, bad[i], 0.1, 10, 0, &err) == -1 && err.text[0], "'%s' is refused: %s",
                  bad[i], err.text);
    }
}

static void test_order(void)
{
    enum { N = 1000 };
    static uint32_t a[N], b[N], c[N];
    bool seen[N] = {false}, all = true;
    sampler_order(a, N, 7, 3);
    sampler_order(b, N, 7, 3);
    sampler_order(c, N, 7, 4);
    CHECK_SAY(!memcmp(a, b, sizeof a), "the same seed and epoch give the same order");
    CHECK_SAY(memcmp(a, c, sizeof a), "another epoch gives another order");
    sampler_order(c, N, 8, 3);
    CHECK_SAY(memcmp(a, c, sizeof a), "another seed gives another order");
    for (int i = 0; i < N; i++)
        seen[a[i]] = true;
    for (int i = 0; i < N; i++)
        all = all && seen[i];
    CHECK_SAY(all, "every row comes once");
}

/* 600 rows, 4 classes of very different size, groups of 1 to 5 rows, one group of two classes. */
static void test_folds(void)
{
    enum { N = 600, K = 5, C = 4 };
    static struct fold_row rows[N], shuffled[N];
    static char names[N][16];
    static int fold[N], fold2[N], back[N];
    struct error err = {0};
    int group = 0, in_class[C] = {0}, in_fold[K][C] = {{0}}, sizes[K] = {0};
    for (int i = 0; i < N; group++)
        for (int k = 0; k < 1 + group % 5 && i < N; k++, i++) {
            snprintf(names[i], sizeof names[i], "g%d", group);
            rows[i] = (struct fold_row){.group = names[i],
                                        .label = i < 400   ? 0
                                                 : i < 520 ? 1
                                                 : i < 575 ? 2
                                                           : 3};
        }
    CHECK(sampler_folds(fold, rows, N, C, K, 1, &err) == 0);
    bool apart = false;
    for (int i = 1; i < N; i++)
        apart = apart || (!strcmp(rows[i].group, rows[i - 1].group) && fold[i] != fold[i - 1]);
    CHECK_SAY(!apart, "no group is in two folds");
    for (int i = 0; i < N; i++) {
        in_class[rows[i].label]++;
        in_fold[fold[i]][rows[i].label]++;
        sizes[fold[i]]++;
    }
    for (int f = 0; f < K; f++) {
        for (int c = 0; c < C; c++)
            CHECK_SAY(abs(in_fold[f][c] - in_class[c] / K) <= 3, "fold %d has %d of class %d's %d", f,
                      in_fold[f][c], c, in_class[c]);
        CHECK_SAY(abs(sizes[f] - N / K) <= 6, "fold %d has %d rows", f, sizes[f]);
    }
    for (int i = 0; i < N; i++) { /* 7 and 600 share no factor */
        back[i] = i * 7 % N;
        shuffled[i] = rows[back[i]];
    }
    CHECK(sampler_folds(fold2, shuffled, N, C, K, 1, &err) == 0);
    bool same = true;
    for (int i = 0; i < N; i++)
        same = same && fold2[i] == fold[back[i]];
    CHECK_SAY(same, "the order of rows does not matter");
    CHECK(sampler_folds(fold2, rows, 10, C, K, 1, &err) == -1 &&
          strstr(err.text, "5 folds need at least 5 groups"));
}

int main(void)
{
    test_rates();
    test_order();
    test_folds();
    return tap_done();
}
