/*
 * Simulations behind docs/measured.md's figures about prevalence: how often 95 % intervals of a rate hold it
 * and how wide they are, and how often a guaranteed miss rate is exceeded and what it costs in review. The
 * two distributions of scores are those under which QuaPy and MAPIE were measured: two classes.
 *   prevalence_bench intervals REPETITIONS RESAMPLES THREADS
 *   prevalence_bench thresholds REPETITIONS
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "metric/prevalence.h"
#include "metric/risk_control.h"
#include "metric/sort.h"

#define LABELLED 1000
#define SHARE 0.3 /* of positives among the labelled rows */

static void draw(double *p, int32_t *label, size_t n, double prevalence, bool overconfident, struct random *r)
{
    for (size_t i = 0; i < n; i++) {
        label[i] = random_unit(r) < prevalence;
        double logit = 2.5 * (1.25 * (2 * label[i] - 1) + random_normal(r)) + log(SHARE / (1 - SHARE));
        if (overconfident) logit = 2 * logit + 0.5;
        p[2 * i + 1] = 1 / (1 + exp(-logit));
        p[2 * i] = 1 / (1 + exp(logit));
    }
}

static int intervals(int repetitions, size_t resamples, unsigned threads)
{
    static const double prevalences[] = {0.001, 0.01, 0.05, 0.2, 0.5};
    static const size_t sizes[] = {1000, 3000, 10000};
    struct error err = {0};
    double *v = malloc(2 * LABELLED * sizeof *v), *u = malloc(2 * 10000 * sizeof *u),
           *draws = malloc(2 * resamples * sizeof *draws), *one = malloc(resamples * sizeof *one);
    int32_t *label = malloc(LABELLED * sizeof *label), *truth = malloc(10000 * sizeof *truth);
    printf("classifier\tunlabelled\tprevalence\tmethod\tholds\tmean_width\tbias\n");
    for (int over = 0; over < 2; over++)
        for (int s = 0; s < 3; s++)
            for (int q = 0; q < 5; q++)
                for (int pacc = 0; pacc < 2; pacc++) {
                    int holds = 0;
                    double width = 0, bias = 0;
                    for (int repetition = 0; repetition < repetitions; repetition++) {
                        struct random r =
                            random_start(1, (uint64_t)(over * 15 + s * 5 + q), (uint64_t)repetition);
                        draw(v, label, LABELLED, SHARE, over, &r);
                        draw(u, truth, sizes[s], prevalences[q], over, &r);
                        struct scored_rows labelled = {v, label, NULL, LABELLED},
                                           unlabelled = {u, NULL, NULL, sizes[s]};
                        double point[2], agrees;
                        enum prevalence_method method = PREVALENCE_PACC;
                        if (!pacc && prevalence_calibration_p(&agrees, &labelled, 2, &err)) return 1;
                        if (!pacc)
                            method =
                                agrees < PREVALENCE_DOUBT ? PREVALENCE_RECALIBRATED : PREVALENCE_LIKELIHOOD;
                        if (prevalence_estimate(point, method, &labelled, &unlabelled, 2, NULL, &err) ||
                            prevalence_bootstrap(draws, resamples, method, &labelled, &unlabelled, 2, true,
                                                 random_u64(&r), threads, &err)) {
                            fprintf(stderr, "%s\n", err.text);
                            return 1;
                        }
                        for (size_t i = 0; i < resamples; i++)
                            one[i] = draws[2 * i + 1];
                        qsort(one, resamples, sizeof *one, sort_compare_doubles);
                        double low = sort_quantile(one, resamples, 0.025),
                               high = sort_quantile(one, resamples, 0.975);
                        holds += low <= prevalences[q] && prevalences[q] <= high;
                        width += high - low;
                        bias += point[1] - prevalences[q];
                    }
                    printf("%s\t%zu\t%g\t%s\t%.3f\t%.5f\t%.5f\n", over ? "overconfident" : "calibrated",
                           sizes[s], prevalences[q], pacc ? "PACC" : "likelihood",
                           (double)holds / repetitions, width / repetitions, bias / repetitions);
                    fflush(stdout);
                }
    free(v), free(u), free(draws), free(one), free(label), free(truth);
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
    printf("positives\ttarget\tfound\ttoo_high\tmean_true_miss\tmean_load_at_5_percent\n");
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
            printf("%zu\t%g\t%d\t%.4f\t%.5f\t%.4f\n", sizes[s], targets[t], found, (double)bad / repetitions,
                   miss / repetitions, load / repetitions);
        }
    free(score), free(positive);
    return 0;
}

int main(int argc, char **argv)
{
    int repetitions = argc > 2 ? atoi(argv[2]) : 0;
    if (argc == 5 && strcmp(argv[1], "intervals") == 0 && repetitions > 0)
        return intervals(repetitions, (size_t)atoi(argv[3]), (unsigned)atoi(argv[4]));
    if (argc == 3 && strcmp(argv[1], "thresholds") == 0 && repetitions > 0) return thresholds(repetitions);
    fprintf(stderr, "usage: prevalence_bench intervals REPETITIONS RESAMPLES THREADS\n"
                    "       prevalence_bench thresholds REPETITIONS\n");
    return 64;
}
