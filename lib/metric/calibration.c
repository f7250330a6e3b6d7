/* calibration.c: measures whether a confidence of 0.9 is right nine times out of ten, and fits
 * the temperature that makes it so. */
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/parallel.h"
#include "io/spill.h"
#include "metric/classification.h"
#include "metric/sort.h"

#define LOWEST_TEMPERATURE 0.05
#define HIGHEST_TEMPERATURE 20.0
#define LOWEST_PROBABILITY 1e-15

void calibration_confidence(const double *p, const int32_t *label, const int32_t *pred, size_t n_rows,
                            int n_classes, double *confidence, uint8_t *right)
{
    for (size_t i = 0; spill_step(i) < n_rows; i++) {
        confidence[i] = p[i * (size_t)n_classes + (size_t)pred[i]];
        right[i] = pred[i] == label[i];
    }
}

static void add(struct calibration_bin *b, double confidence, uint8_t right)
{
    b->n++;
    b->n_right += right;
    b->confidence_sum += confidence;
}

void calibration_equal_width(const double *confidence, const uint8_t *right, size_t n_rows, int n_bins,
                             struct calibration_bin *bins)
{
    for (int b = 0; b < n_bins; b++)
        bins[b] = (struct calibration_bin){0};
    for (size_t i = 0; spill_step(i) < n_rows; i++) {
        int b = (int)ceil(confidence[i] * n_bins) - 1;
        add(&bins[b < 0 ? 0 : b >= n_bins ? n_bins - 1 : b], confidence[i], right[i]);
    }
}

/* For any confidences: sorts the rows. */
static int equal_mass_by_rows(const double *confidence, const uint8_t *right, size_t n_rows, int n_bins,
                              struct calibration_bin *bins, struct error *err)
{
    uint32_t *order = mem_alloc((n_rows ? n_rows : 1) * sizeof *order, err);
    if (!order || sort_rows_ascending(confidence, n_rows, order, err)) {
        free(order);
        return -1;
    }
    for (int b = 0; b < n_bins; b++) {
        bins[b] = (struct calibration_bin){0};
        for (size_t i = n_rows * (size_t)b / (size_t)n_bins; i < n_rows * ((size_t)b + 1) / (size_t)n_bins;
             i++)
            add(&bins[b], confidence[order[i]], right[order[i]]);
    }
    free(order);
    return 0;
}

/*
 * Counts the correct rows before position `end` of the stable order. At the end of a run of equal
 * confidences, the sorted keys give the count. Inside a run, rows keep their order in the file and must be
 * searched.
 */
static uint64_t right_before(const uint64_t *keys, size_t end, uint64_t right_until, const double *confidence,
                             const uint8_t *right, size_t n_rows)
{
    if (end == 0 || end == n_rows || keys[end - 1] >> 1 != keys[end] >> 1) return right_until;
    double value = sort_key_score(keys[end]);
    size_t left = 0;
    for (size_t i = end; i-- > 0 && keys[i] >> 1 == keys[end] >> 1; left++)
        right_until -= keys[i] & 1;
    for (size_t i = 0; left > 0; i++)
        if (confidence[i] == value) {
            right_until += right[i] != 0;
            left--;
        }
    return right_until;
}

int calibration_equal_mass(const double *confidence, const uint8_t *right, size_t n_rows, int n_bins,
                           struct calibration_bin *bins, struct error *err)
{
    uint64_t *keys = spill_alloc((n_rows + 1) * sizeof *keys, err), until = 0, before = 0;
    bool fit = true;
    size_t at = 0;
    int rc = -1;
    if (!keys) return -1;
    for (size_t i = 0; fit && spill_step(i) < n_rows; i++)
        fit = sort_score_key(&keys[i], confidence[i], right[i] != 0);
    if (fit && sort_keys_ascending(keys, n_rows, err)) goto out;
    for (int b = 0; fit && b < n_bins; b++) {
        size_t end = n_rows * ((size_t)b + 1) / (size_t)n_bins;
        bins[b] = (struct calibration_bin){.n = end - at};
        for (; at < end; at++) {
            bins[b].confidence_sum += sort_key_score(keys[at]);
            until += keys[at] & 1;
        }
        uint64_t here = right_before(keys, end, until, confidence, right, n_rows);
        bins[b].n_right = here - before;
        before = here;
    }
    rc = fit ? 0 : equal_mass_by_rows(confidence, right, n_rows, n_bins, bins, err);
out:
    spill_free(keys);
    return rc;
}

static double gap(const struct calibration_bin *b)
{
    return b->n ? fabs((double)b->n_right / (double)b->n - b->confidence_sum / (double)b->n) : 0;
}

double calibration_ece(const struct calibration_bin *bins, int n_bins)
{
    double sum = 0, n = 0;
    for (int b = 0; b < n_bins; b++) {
        sum += gap(&bins[b]) * (double)bins[b].n;
        n += (double)bins[b].n;
    }
    return n > 0 ? sum / n : NAN;
}

double calibration_mce(const struct calibration_bin *bins, int n_bins)
{
    double worst = 0;
    for (int b = 0; b < n_bins; b++)
        worst = fmax(worst, gap(&bins[b]));
    return worst;
}

/* Computes a row of logits, minus its maximum. */
static void logits_of(const double *z, const double *p, size_t row, size_t k, double *out)
{
    double top = -INFINITY;
    for (size_t j = 0; j < k; j++) {
        out[j] = z ? z[row * k + j] : log(fmax(p[row * k + j], LOWEST_PROBABILITY));
        top = fmax(top, out[j]);
    }
    for (size_t j = 0; j < k; j++)
        out[j] -= top;
}

#define NLL_ROWS ((size_t)2048) /* whose terms are computed together */
#define NLL_BLOCKS 64           /* at most so many of them before their sums */

/* The terms of one row in the negative log-likelihood and its derivatives. */
struct nll_term {
    double loss, slope, curvature;
};

struct nll {
    const double *z; /* rows minus their maximum */
    const int32_t *label;
    size_t n, k, begin; /* begin: the first row of these blocks */
    double b;
    struct nll_term *terms; /* [NLL_BLOCKS * NLL_ROWS] */
    unsigned threads;
    atomic_size_t next;
};

static void compute_terms(void *context, unsigned worker)
{
    struct nll *l = context;
    size_t k = l->k, block;
    (void)worker;
    while ((block = atomic_fetch_add(&l->next, 1)) < NLL_BLOCKS && l->begin + block * NLL_ROWS < l->n)
        for (size_t j = 0, i; j < NLL_ROWS && (i = l->begin + block * NLL_ROWS + j) < l->n; j++) {
            const double *row = l->z + i * k;
            double sum = 0, first = 0, second = 0;
            for (size_t c = 0; c < k; c++) {
                double e = exp(row[c] * l->b);
                sum += e;
                first += e * row[c];
                second += e * row[c] * row[c];
            }
            first /= sum;
            /* cppcheck-suppress invalidFunctionArg ; k >= 2: the sum is not 0 */
            l->terms[block * NLL_ROWS + j] =
                (struct nll_term){log(sum) - l->b * row[l->label[i]], first - row[l->label[i]],
                                  second / sum - first * first};
        }
}

/* The negative log-likelihood at inverse temperature b, and its first two derivatives in b. All threads
 * compute terms, which are summed in the order of the rows. */
static double nll_at(struct nll *l, double b, double *slope, double *curvature)
{
    double total = 0, d1 = 0, d2 = 0;
    l->b = b;
    for (l->begin = 0; l->begin < l->n; l->begin += NLL_BLOCKS * NLL_ROWS) {
        size_t n = l->n - l->begin < NLL_BLOCKS * NLL_ROWS ? l->n - l->begin : NLL_BLOCKS * NLL_ROWS;
        spill_breathe();
        atomic_store(&l->next, 0);
        parallel_run(n > 4 * NLL_ROWS ? l->threads : 1, compute_terms, l);
        for (size_t i = 0; i < n; i++) {
            total += l->terms[i].loss;
            d1 += l->terms[i].slope;
            d2 += l->terms[i].curvature;
        }
    }
    *slope = d1 / (double)l->n;
    *curvature = d2 / (double)l->n;
    return total / (double)l->n;
}

int temperature_fit(struct temperature_fit *out, const double *z, const double *p, const int32_t *label,
                    size_t n_rows, int n_classes, unsigned threads, struct error *err)
{
    size_t k = (size_t)n_classes;
    double low = 1 / HIGHEST_TEMPERATURE, high = 1 / LOWEST_TEMPERATURE, b = 1, slope, curvature;
    double *shifted = spill_alloc(n_rows * k * sizeof *shifted, err);
    struct nll l = {.z = shifted, .label = label, .n = n_rows, .k = k, .threads = threads};
    if (!shifted || !(l.terms = mem_alloc(NLL_BLOCKS * NLL_ROWS * sizeof *l.terms, err))) {
        spill_free(shifted);
        return -1;
    }
    for (size_t i = 0; spill_step(i) < n_rows; i++)
        logits_of(z, p, i, k, shifted + i * k);
    *out = (struct temperature_fit){0};
    out->nll_before = nll_at(&l, 1, &slope, &curvature);
    for (int step = 0; step < 200 && high - low > 1e-13 * b; step++) {
        double next;
        if (slope > 0)
            high = b;
        else
            low = b;
        next = curvature > 0 ? b - slope / curvature : -1;
        if (!(next > low && next < high)) next = (low + high) / 2;
        bool settled = fabs(next - b) <= 1e-13 * b;
        b = next;
        out->nll_after = nll_at(&l, b, &slope, &curvature);
        if (settled) break;
    }
    out->temperature = 1 / b;
    out->at_edge =
        out->temperature > HIGHEST_TEMPERATURE * 0.999999 || out->temperature < LOWEST_TEMPERATURE * 1.000001;
    spill_free(shifted);
    free(l.terms);
    return 0;
}

void temperature_apply(const double *z, const double *p, double temperature, size_t n_rows, int n_classes,
                       double *out)
{
    size_t k = (size_t)n_classes;
    for (size_t i = 0; spill_step(i) < n_rows; i++) {
        double *row = out + i * k, sum = 0;
        logits_of(z, p, i, k, row);
        for (size_t j = 0; j < k; j++)
            sum += row[j] = exp(row[j] / temperature);
        for (size_t j = 0; j < k; j++)
            row[j] /= sum;
    }
}
