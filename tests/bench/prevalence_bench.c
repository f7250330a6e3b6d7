/*
 * Simulations behind docs/measured.md's figures about prevalence: how often 95 % intervals of a rate hold it
 * and how wide they are, and how often a guaranteed miss rate is exceeded and what it costs in review. The
 * two distributions of scores are those under which QuaPy and MAPIE were measured: two classes.
 *   prevalence_bench intervals REPETITIONS RESAMPLES THREADS [FIRST [CLASSIFIER]]    from set FIRST on
 *   prevalence_bench thresholds REPETITIONS
 */
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parallel.h"
#include "base/random.h"
#include "metric/rate_draws.h"
#include "metric/risk_control.h"
#include "metric/sort.h"

#define LABELLED 1000
#define SHARE 0.3 /* of positives among the labelled rows */

enum classifier { CALIBRATED, OVERCONFIDENT, SLIGHTLY_OFF, CLASSIFIERS };
static const char *const classifiers[] = {"calibrated", "overconfident", "slightly off"};

static void draw(double *p, int32_t *label, size_t n, double prevalence, enum classifier c, struct random *r)
{
    for (size_t i = 0; i < n; i++) {
        label[i] = random_unit(r) < prevalence;
        double logit = 2.5 * (1.25 * (2 * label[i] - 1) + random_normal(r)) + log(SHARE / (1 - SHARE));
        if (c == SLIGHTLY_OFF) logit = 1.12 * logit + 0.1;
        if (c == OVERCONFIDENT) logit = 2 * logit + 0.5;
        p[2 * i + 1] = 1 / (1 + exp(-logit));
        p[2 * i] = 1 / (1 + exp(logit));
    }
}

struct cell {
    enum classifier classifier;
    size_t n_unlabelled, n_resamples;
    double prevalence;
    int n_repetitions, first;
    struct repetition {
        double estimate, low, high;
    } * found;
    atomic_int next;
    atomic_bool failed;
};

static void repeat(void *context, unsigned worker)
{
    struct cell *c = context;
    struct error err = {0};
    double *v = malloc(2 * LABELLED * sizeof *v), *u = malloc(2 * c->n_unlabelled * sizeof *u),
           *draws = malloc(2 * c->n_resamples * sizeof *draws), *one = malloc(c->n_resamples * sizeof *one);
    int32_t *label = malloc(LABELLED * sizeof *label), *truth = malloc(c->n_unlabelled * sizeof *truth);
    int i;
    (void)worker;
    while ((i = atomic_fetch_add(&c->next, 1)) < c->n_repetitions) {
        struct repetition *f = &c->found[i];
        struct random r = random_start(c->classifier, c->n_unlabelled + (uint64_t)(1e6 * c->prevalence),
                                       (uint64_t)(c->first + i));
        double point[2], p;
        draw(v, label, LABELLED, SHARE, c->classifier, &r);
        draw(u, truth, c->n_unlabelled, c->prevalence, c->classifier, &r);
        struct scored_rows labelled = {v, label, NULL, LABELLED},
                           unlabelled = {u, NULL, NULL, c->n_unlabelled};
        if (rate_draws_make(point, draws, c->n_resamples, &p, &labelled, &unlabelled, 2, random_u64(&r), 1,
                            &err)) {
            fprintf(stderr, "%s\n", err.text);
            atomic_store(&c->failed, true);
            break;
        }
        for (size_t d = 0; d < c->n_resamples; d++)
            one[d] = draws[2 * d + 1];
        f->estimate = point[1];
        rate_draws_interval(&f->low, &f->high, one, c->n_resamples, point[1]);
    }
    free(v), free(u), free(draws), free(one), free(label), free(truth);
}

/* only: one classifier, NULL: all */
static int intervals(int repetitions, size_t resamples, unsigned threads, int first, const char *only)
{
    static const double prevalences[] = {0.001, 0.01, 0.05, 0.2, 0.5};
    static const size_t sizes[] = {1000, 3000, 10000};
    struct cell c = {.n_resamples = resamples, .n_repetitions = repetitions, .first = first};
    c.found = calloc((size_t)repetitions, sizeof *c.found);
    printf("classifier\tunlabelled\tprevalence\tholds\tmean_width\tbias\n");
    for (int i = 0; i < CLASSIFIERS * 3 * 5; i++) {
        int holds = 0;
        double width = 0, bias = 0;
        c.classifier = (enum classifier)(i / 15);
        if (only && strcmp(only, classifiers[c.classifier]) != 0) continue;
        c.n_unlabelled = sizes[i / 5 % 3];
        c.prevalence = prevalences[i % 5];
        atomic_store(&c.next, 0);
        parallel_run(threads, repeat, &c);
        if (atomic_load(&c.failed)) return 1;
        for (int j = 0; j < repetitions; j++) {
            holds += c.found[j].low <= c.prevalence && c.prevalence <= c.found[j].high;
            width += (c.found[j].high - c.found[j].low) / repetitions;
            bias += (c.found[j].estimate - c.prevalence) / repetitions;
        }
        printf("%s\t%zu\t%g\t%.3f\t%.5f\t%.5f\n", classifiers[c.classifier], c.n_unlabelled, c.prevalence,
               (double)holds / repetitions, width, bias);
        fflush(stdout);
    }
    free(c.found);
    return 0;
}

/* Share of the standard normal below x. */
static double normal_below(double x) { return erfc(-x / sqrt(2)) / 2; }

static int thresholds(int repetitions)
{
    static const size_t sizes[] = {100, 300, 1000, 3000};
    static const double targets[] = {0.01, 0.02, 0.05};
    struct error err = {0};
    double *score = malloc(3500 * sizeof *score);
    uint8_t *positive = malloc(3500);
    printf("positives\ttarget\tfound\ttoo_high\texact_chance\tmean_true_miss\tmean_load_at_5_percent\n");
    for (int s = 0; s < 4; s++)
        for (int t = 0; t < 3; t++) {
            int found = 0, bad = 0;
            double miss = 0, load = 0;
            for (int repetition = 0; repetition < repetitions; repetition++) {
                struct random r = random_start(2, sizes[s], (uint64_t)repetition);
                size_t n = sizes[s] + 500;
                for (size_t i = 0; i < n; i++) {
                    positive[i] = i < sizes[s];
                    score[i] = 1 / (1 + exp(-((positive[i] ? 2.5 : -2.5) + 1.5 * random_normal(&r))));
                }
                struct guaranteed_threshold got;
                if (risk_control_threshold(&got, (struct guarantee){targets[t], 0.95}, score, positive, NULL,
                                           n, &err)) {
                    fprintf(stderr, "%s\n", err.text);
                    return 1;
                }
                double z = got.found ? log(got.threshold / (1 - got.threshold)) : -INFINITY;
                double missed = normal_below((z - 2.5) / 1.5);
                found += got.found;
                bad += missed > targets[t];
                miss += missed;
                load += 0.05 * (1 - missed) + 0.95 * normal_below(-(z + 2.5) / 1.5);
            }
            /* Exceeded when at most `allowed` of n positives score below the true quantile of the target. */
            int64_t allowed = binomial_allowed(sizes[s], targets[t], 0.95);
            printf("%zu\t%g\t%d\t%.4f\t%.4f\t%.5f\t%.4f\n", sizes[s], targets[t], found,
                   (double)bad / repetitions,
                   allowed < 0 ? 0 : binomial_at_most((uint64_t)allowed, sizes[s], targets[t]),
                   miss / repetitions, load / repetitions);
        }
    free(score), free(positive);
    return 0;
}

int main(int argc, char **argv)
{
    int repetitions = argc > 2 ? atoi(argv[2]) : 0;
    if (argc >= 5 && argc <= 7 && strcmp(argv[1], "intervals") == 0 && repetitions > 0)
        return intervals(repetitions, (size_t)atoi(argv[3]), (unsigned)atoi(argv[4]),
                         argc > 5 ? atoi(argv[5]) : 0, argc > 6 ? argv[6] : NULL);
    if (argc == 3 && strcmp(argv[1], "thresholds") == 0 && repetitions > 0) return thresholds(repetitions);
    fprintf(stderr, "usage: prevalence_bench intervals REPETITIONS RESAMPLES THREADS [FIRST [CLASSIFIER]]\n"
                    "       prevalence_bench thresholds REPETITIONS\n");
    return 64;
}
