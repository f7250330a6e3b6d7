/*
 * jackknife.c: computes intervals for summaries of a confusion matrix: F1 over classes, balanced accuracy,
 * kappa, Matthews correlation. The delete-one jackknife (Efron and Stein 1981) computes the statistic without
 * each row in turn. All rows in one cell of the matrix have the same effect. Without one of them, only one
 * row sum and one column sum change. So n rows need only one step for each cell.
 */
#include <math.h>

#include "metric/classification.h"

enum { MACRO_F1, WEIGHTED_F1, BALANCED_ACCURACY, KAPPA, MCC, N_STATISTICS };

/* The sums from which the statistics are computed. */
struct sums {
    double n, right;
    double cross; /* sum over classes of true rows times predicted rows */
    double true_squares, predicted_squares;
    double f1, true_f1; /* sum over classes of F1, and of true rows times F1 */
    double recall, n_present;
};

static double f1_of(double right, double n_true, double n_predicted)
{
    return right > 0 ? 2 * right / (n_true + n_predicted) : 0;
}

static void add_class(struct sums *s, double right, double n_true, double n_predicted, double sign)
{
    s->right += sign * right;
    s->cross += sign * n_true * n_predicted;
    s->true_squares += sign * n_true * n_true;
    s->predicted_squares += sign * n_predicted * n_predicted;
    s->f1 += sign * f1_of(right, n_true, n_predicted);
    s->true_f1 += sign * n_true * f1_of(right, n_true, n_predicted);
    s->recall += n_true > 0 ? sign * right / n_true : 0;
    s->n_present += n_true > 0 ? sign : 0;
}

/* Changes the sums for a class with one row fewer. This row had the class as its label, as its prediction, or
 * as both. */
static void change_class(struct sums *s, const struct class_scores *c, double right, double n_true,
                         double n_predicted)
{
    add_class(s, (double)c->n_right, (double)c->n_true, (double)c->n_predicted, -1);
    add_class(s, (double)c->n_right - right, (double)c->n_true - n_true, (double)c->n_predicted - n_predicted,
              1);
}

static void statistics(const struct sums *s, int n_classes, double out[N_STATISTICS])
{
    double expected = s->cross / s->n, nn = s->n * s->n;
    double spread = (nn - s->predicted_squares) * (nn - s->true_squares);
    out[MACRO_F1] = s->f1 / n_classes;
    out[WEIGHTED_F1] = s->true_f1 / s->n;
    out[BALANCED_ACCURACY] = s->recall / s->n_present;
    out[KAPPA] = (s->right - expected) / (s->n - expected);
    out[MCC] = (s->right * s->n - s->cross) / sqrt(spread);
}

void classification_intervals(struct classification *c, double z)
{
    struct interval *const out[N_STATISTICS] = {&c->macro_f1, &c->weighted_f1, &c->balanced,
                                                &c->kappa_interval, &c->mcc_interval};
    const double value[N_STATISTICS] = {c->macro.f1, c->weighted.f1, c->balanced_accuracy, c->kappa, c->mcc};
    double sum[N_STATISTICS] = {0}, squares[N_STATISTICS] = {0}, n = (double)c->n_rows;
    struct sums all = {.n = n};
    int k = c->n_classes;
    for (int i = 0; i < k; i++)
        add_class(&all, (double)c->classes[i].n_right, (double)c->classes[i].n_true,
                  (double)c->classes[i].n_predicted, 1);
    for (int i = 0; i < k; i++)
        for (int j = 0; j < k; j++) {
            double rows = (double)c->confusion[(size_t)i * (size_t)k + (size_t)j], without[N_STATISTICS];
            struct sums s = all;
            if (rows == 0) continue;
            s.n--;
            if (i == j)
                change_class(&s, &c->classes[i], 1, 1, 1);
            else {
                change_class(&s, &c->classes[i], 0, 1, 0);
                change_class(&s, &c->classes[j], 0, 0, 1);
            }
            statistics(&s, k, without);
            for (int t = 0; t < N_STATISTICS; t++) {
                double d = without[t] - value[t]; /* the difference is small, so its square loses no digits */
                sum[t] += rows * d;
                squares[t] += rows * d * d;
            }
        }
    for (int t = 0; t < N_STATISTICS; t++) {
        double variance = (n - 1) / n * (squares[t] - sum[t] * sum[t] / n);
        /* NaN when a statistic has no value without some row. */
        double half = z * sqrt(fmax(variance, 0));
        double lowest = t == KAPPA || t == MCC ? -1 : 0;
        *out[t] = variance > 0 ? (struct interval){fmax(value[t] - half, lowest), fmin(value[t] + half, 1)}
                               : (struct interval){NAN, NAN};
    }
}
