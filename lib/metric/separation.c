/* separation.c: see separation.h. */
#include "metric/separation.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "io/spill.h"
#include "metric/sort.h"

/* Sorts n > 0 values and divides them into two clusters. Returns the cut with the largest variance between
 * the clusters. */
static double two_clusters(double *values, size_t n)
{
    double total = 0, below = 0, best = -1, cut = values[0];
    qsort(values, n, sizeof *values, sort_compare_doubles);
    for (size_t i = 0; i < n; i++)
        total += values[i];
    for (size_t i = 1; i < n; i++) {
        below += values[i - 1];
        double low = below / (double)i, high = (total - below) / (double)(n - i),
               between = (double)i * (double)(n - i) * (low - high) * (low - high);
        if (between > best) {
            best = between;
            cut = (values[i - 1] + values[i]) / 2;
        }
    }
    return cut;
}

struct spread {
    double n, sum, squares;
};

/* Computes the log-odds of the given label against the likeliest other class, and the difference of their
 * probabilities. */
static void contrast(const struct label_errors_input *in, size_t row, double *log_odds, double *difference)
{
    const double *p = in->p + row * (size_t)in->n_classes;
    double own = p[in->given[row]];
    double other = 0;
    for (int32_t k = 0; k < in->n_classes; k++)
        if (k != in->given[row]) other = fmax(other, p[k]);
    *log_odds = log(fmax(own, 1e-9)) - log(fmax(other, 1e-9));
    *difference = own - other;
}

int label_errors_separate(const struct label_errors_input *in, const double *aum, double *score,
                          uint8_t *flagged, struct error *err)
{
    double *values = spill_alloc(in->n_rows * sizeof *values, err), x[3];
    struct spread spread[3] = {{0}};
    size_t n = 0;
    if (!values) return -1;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; spill_step(i) < in->n_rows; i++) {
            double sum = 0, known = 0;
            contrast(in, i, &x[0], &x[1]);
            x[2] = aum ? aum[i] : NAN;
            score[i] = 0;
            flagged[i] = 0;
            for (int s = 0; s < 3 && x[1] < 0; s++) {
                struct spread *p = &spread[s];
                if (isnan(x[s])) continue;
                if (pass == 0) {
                    p->n++;
                    p->sum += x[s];
                    p->squares += x[s] * x[s];
                    continue;
                }
                double mean = p->sum / p->n, variance = p->squares / p->n - mean * mean;
                /* otherwise all values are equal, and the statistic distinguishes no rows */
                if (variance > 1e-12 * mean * mean) {
                    sum += (x[s] - mean) / sqrt(variance);
                    known++;
                }
            }
            if (known > 0) {
                score[i] = values[n++] = sum / known;
                flagged[i] = 1;
            }
        }
    double cut = n ? two_clusters(values, n) : 0;
    for (size_t i = 0; spill_step(i) < in->n_rows; i++)
        flagged[i] = flagged[i] && score[i] < cut;
    spill_free(values);
    return 0;
}
