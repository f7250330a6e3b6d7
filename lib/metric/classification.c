/* classification.c: counts first, then computes every rate from counts, so that each rate has its k and n. */
#include "metric/classification.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/spill.h"

#define LOG_LOSS_CLIP 1e-15

static double ratio(double a, double b) { return b > 0 ? a / b : 0; }

double kappa_of_counts(const uint64_t *counts, int n)
{
    double total = 0, agree = 0, expected = 0;
    for (int i = 0; i < n; i++) {
        double row = 0, column = 0;
        for (int j = 0; j < n; j++) {
            row += (double)counts[i * n + j];
            column += (double)counts[j * n + i];
        }
        total += row;
        agree += (double)counts[i * n + i];
        expected += row * column;
    }
    if (total == 0) return NAN;
    expected /= total;
    return expected == total ? NAN : (agree - expected) / (total - expected);
}

/* Returns the Matthews correlation for several classes (Gorodkin 2004). As in scikit-learn, it is 0 when the
 * labels or the predictions are all one class. */
static double mcc_of_counts(const uint64_t *counts, int n, double total)
{
    double right = 0, cross = 0, true_squares = 0, predicted_squares = 0;
    for (int i = 0; i < n; i++) {
        double row = 0, column = 0;
        for (int j = 0; j < n; j++) {
            row += (double)counts[i * n + j];
            column += (double)counts[j * n + i];
        }
        right += (double)counts[i * n + i];
        cross += row * column;
        true_squares += row * row;
        predicted_squares += column * column;
    }
    double spread = (total * total - predicted_squares) * (total * total - true_squares);
    return spread > 0 ? (right * total - cross) / sqrt(spread) : 0;
}

static void rates(struct classification *c)
{
    int k = c->n_classes, n_present = 0;
    for (int i = 0; i < k; i++) {
        struct class_scores *s = &c->classes[i];
        for (int j = 0; j < k; j++) {
            s->n_true += c->confusion[i * k + j];
            s->n_predicted += c->confusion[j * k + i];
        }
        s->n_right = c->confusion[i * k + i];
        s->precision = ratio((double)s->n_right, (double)s->n_predicted);
        s->recall = ratio((double)s->n_right, (double)s->n_true);
        s->f1 = ratio(2 * s->precision * s->recall, s->precision + s->recall);
        double weight = (double)s->n_true / (double)c->n_rows;
        c->macro.precision += s->precision / k;
        c->macro.recall += s->recall / k;
        c->macro.f1 += s->f1 / k;
        c->weighted.precision += s->precision * weight;
        c->weighted.recall += s->recall * weight;
        c->weighted.f1 += s->f1 * weight;
        if (s->n_true > 0) {
            c->balanced_accuracy += s->recall;
            n_present++;
        }
        c->n_right += s->n_right;
    }
    c->balanced_accuracy /= n_present;
    c->accuracy = (double)c->n_right / (double)c->n_rows;
    c->kappa = kappa_of_counts(c->confusion, k);
    c->mcc = mcc_of_counts(c->confusion, k, (double)c->n_rows);
}

/* Returns the mean +- 1.96 times its standard deviation, and not below 0, because no loss is. squares is the
 * sum of the squares over the rows. */
static struct interval mean_interval(double mean, double squares, size_t n_rows)
{
    double n = (double)n_rows, variance = (squares / n - mean * mean) / (n - 1);
    if (n_rows < 2 || !(variance > 0)) return (struct interval){NAN, NAN};
    double half = INTERVAL_Z95 * sqrt(variance);
    return (struct interval){fmax(mean - half, 0), mean + half};
}

int classification_measure(struct classification *out, const double *p, const int32_t *label,
                           const int32_t *pred, size_t n_rows, int n_classes, struct error *err)
{
    size_t k = (size_t)n_classes;
    double log_loss = 0, brier = 0, loss_squares = 0, brier_squares = 0;
    *out = (struct classification){.n_classes = n_classes, .n_rows = n_rows};
    if (!(out->confusion = mem_zalloc(k * k, sizeof *out->confusion, err)) ||
        !(out->classes = mem_zalloc(k, sizeof *out->classes, err))) {
        classification_release(out);
        return -1;
    }
    for (size_t i = 0; spill_step(i) < n_rows; i++) {
        const double *row = p + i * k;
        double sum = 0, own = row[label[i]], distance = 0;
        size_t above = 0;
        out->confusion[(size_t)label[i] * k + (size_t)pred[i]]++;
        for (size_t j = 0; j < k; j++) {
            double v = fmin(fmax(row[j], LOG_LOSS_CLIP), 1 - LOG_LOSS_CLIP),
                   d = row[j] - (j == (size_t)label[i]);
            sum += v;
            distance += d * d;
            above += row[j] > own || (row[j] == own && j < (size_t)label[i]);
        }
        double loss = -log(fmin(fmax(own, LOG_LOSS_CLIP), 1 - LOG_LOSS_CLIP) / sum);
        log_loss += loss;
        loss_squares += loss * loss;
        brier += distance;
        brier_squares += distance * distance;
        out->n_top2 += above < 2;
    }
    out->log_loss = log_loss / (double)n_rows;
    out->brier = brier / (double)n_rows;
    out->log_loss_interval = mean_interval(out->log_loss, loss_squares, n_rows);
    out->brier_interval = mean_interval(out->brier, brier_squares, n_rows);
    out->top2_accuracy = (double)out->n_top2 / (double)n_rows;
    rates(out);
    classification_intervals(out, INTERVAL_Z95);
    return 0;
}

void classification_release(struct classification *c)
{
    free(c->confusion);
    free(c->classes);
    *c = CLASSIFICATION_EMPTY;
}
