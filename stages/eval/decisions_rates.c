/* decisions_rates.c: sets the rates of the classes, as the user gave them or as they are estimated from
 * unlabelled scores. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "eval_decisions.h"
#include "metric/prevalence.h"
#include "metric/rate_draws.h"
#include "metric/score_sample.h"

#define RATE_DRAWS 300 /* resamples of an estimate */
#define RATE_SEED 20260
/* p-value of the test for calibration, below which the report says that the scores are not calibrated */
#define DOUBT 0.01
#define RATE_ROUNDING 1e-9 /* largest difference of the sum of the given rates from 1 */

static int class_of(const struct predictions *p, const char *name)
{
    for (int k = 0; k < p->n_classes; k++)
        if (strcmp(p->classes[k], name) == 0) return k;
    return -1;
}

/* Parses "0.002", "0.2%" or "1/500". */
static int parse_rate(char *text, double *rate, struct error *err)
{
    char *slash = strchr(text, '/'), shown[64];
    size_t n = strlen(text);
    double below = 1;
    text_for_people(shown, sizeof shown, text);
    if (slash)
        *slash++ = 0;
    else if (n && text[n - 1] == '%')
        text[n - 1] = 0, below = 100;
    if (!parse_number(text, rate) || (slash && !parse_number(slash, &below)) || !(below > 0) || *rate < 0 ||
        *rate > below)
        return error_set(err, EX_USAGE, "--prevalence: '%s' is not a rate such as 0.002, 0.2%% or 1/500",
                         shown);
    *rate /= below;
    return 0;
}

/* Parses one CLASS=RATE. rates [K] is NaN for classes that are not named. */
static int take_rate(char *item, double *rates, const struct predictions *p, struct error *err)
{
    char shown[100], known[300], *equals = strrchr(item, '=');
    text_for_people(shown, sizeof shown, item);
    if (!equals)
        return error_set(err, EX_USAGE, "--prevalence takes CLASS=RATE, not '%s': name the class", shown);
    *equals = 0;
    int k = class_of(p, item);
    if (k < 0)
        return error_set(err, EX_USAGE, "--prevalence: there is no class '%s': the predictions have %s",
                         text_for_people(shown, sizeof shown, item),
                         text_names_for_people(known, sizeof known, (const char *const *)p->classes,
                                               (size_t)p->n_classes));
    if (!isnan(rates[k])) return error_set(err, EX_USAGE, "--prevalence names '%s' twice", p->classes[k]);
    return parse_rate(equals + 1, &rates[k], err);
}

static int take_given(struct class_rates *r, const char *text, const struct predictions *p,
                      const size_t *n_rows, struct error *err)
{
    char *copy = mem_strdup(text, err);
    double sum = 0, rows_left = 0;
    int rc = -1, left = 0;
    if (!copy) return -1;
    for (int k = 0; k < p->n_classes; k++)
        r->rate[k] = NAN;
    for (char *item = copy, *next; item; item = next) {
        if ((next = strchr(item, ','))) *next++ = 0;
        if (take_rate(item, r->rate, p, err)) goto out;
    }
    for (int k = 0; k < p->n_classes; k++)
        if (isnan(r->rate[k])) {
            left++;
            rows_left += (double)n_rows[k];
        } else {
            sum += r->rate[k];
        }
    if (sum > 1 + RATE_ROUNDING || (left == 0 && sum < 1 - RATE_ROUNDING)) {
        error_set(
            err, EX_USAGE,
            "--prevalence: the rates sum to %g, not 1: leave out a class, and it gets the remaining rate",
            sum);
        goto out;
    }
    if (left > 0 && rows_left == 0 && sum < 1 - RATE_ROUNDING) {
        error_set(err, EX_USAGE,
                  "--prevalence: the rates sum to %g, and no class that is left out has rows to take the "
                  "rest",
                  sum);
        goto out;
    }
    for (int k = 0; k < p->n_classes; k++)
        if (isnan(r->rate[k]))
            r->rate[k] = rows_left > 0 ? fmax(1 - sum, 0) * (double)n_rows[k] / rows_left : 0;
    rc = 0;
out:
    free(copy);
    return rc;
}

/* Returns an interval of column k of the draws. */
static struct interval interval_of(const double *draws, size_t n, int n_classes, int k, double value,
                                   double *scratch)
{
    struct interval out;
    for (size_t i = 0; i < n; i++)
        scratch[i] = draws[i * (size_t)n_classes + (size_t)k];
    rate_draws_interval(&out.low, &out.high, scratch, n, value);
    return out;
}

static int estimate(struct class_rates *r, const struct eval_options *o, const struct predictions *labelled,
                    struct error *err)
{
    size_t k = (size_t)r->n_classes;
    struct score_sample sample = SCORE_SAMPLE_EMPTY;
    struct scored_rows known = {labelled->p, labelled->label, NULL, labelled->n_rows}, unknown;
    unsigned threads = stage_threads(&o->common);
    double agrees, *draws = NULL, *scratch = NULL;
    int rc = -1;
    for (int j = 0; j < r->n_classes; j++) {
        bool there = false;
        for (size_t i = 0; i < labelled->n_rows && !there; i++)
            there = labelled->label[i] == j;
        if (!there)
            return error_set(err, EX_DATAERR,
                             "'%s' has no row of class '%s', so the rate of that class cannot be estimated: "
                             "label some pictures of the class, or give its rate by --prevalence",
                             labelled->name, labelled->classes[j]);
    }
    if (score_sample_read(&sample, o->prevalence_from, labelled->classes, r->n_classes, err)) return -1;
    unknown = (struct scored_rows){sample.p, NULL, NULL, sample.n_kept};
    r->n_unlabelled = sample.n_rows;
    r->n_labelled = labelled->n_rows;
    r->path = o->prevalence_from;
    if (!(draws = mem_alloc(RATE_DRAWS * k * sizeof *draws, err)) ||
        !(scratch = mem_alloc(RATE_DRAWS * sizeof *scratch, err)) ||
        !(r->draws = mem_alloc(RATE_DRAWS * k * sizeof *r->draws, err)) ||
        !(r->black_box = mem_alloc(k * sizeof *r->black_box, err)) ||
        !(r->black_box_interval = mem_alloc(k * sizeof *r->black_box_interval, err)) ||
        rate_draws_make(r->rate, r->draws, RATE_DRAWS, &agrees, &known, &unknown, r->n_classes, RATE_SEED,
                        threads, err) ||
        prevalence_estimate(r->black_box, PREVALENCE_BBSE_SOFT, &known, &unknown, r->n_classes, NULL, err) ||
        prevalence_bootstrap(draws, RATE_DRAWS, PREVALENCE_BBSE_SOFT, &known, &unknown, r->n_classes, true,
                             RATE_SEED, threads, err))
        goto out;
    r->n_draws = RATE_DRAWS;
    r->recalibrated = agrees < DOUBT;
    for (int j = 0; j < r->n_classes; j++) {
        r->interval[j] = interval_of(r->draws, RATE_DRAWS, r->n_classes, j, r->rate[j], scratch);
        r->black_box_interval[j] = interval_of(draws, RATE_DRAWS, r->n_classes, j, r->black_box[j], scratch);
    }
    rc = 0;
out:
    score_sample_release(&sample);
    free(draws);
    free(scratch);
    return rc;
}

int class_rates_make(struct class_rates *out, const struct eval_options *o, const struct predictions *p,
                     const struct predictions *labelled, struct error *err)
{
    size_t k = (size_t)p->n_classes, *n_rows = mem_zalloc(k, sizeof *n_rows, err);
    int rc = -1;
    *out = (struct class_rates){.n_classes = p->n_classes};
    if (!n_rows || !(out->rate = mem_zalloc(k, sizeof *out->rate, err)) ||
        !(out->interval = mem_zalloc(k, sizeof *out->interval, err)))
        goto out;
    for (size_t i = 0; i < p->n_rows; i++)
        n_rows[p->label[i]]++;
    if (o->prevalence_from ? estimate(out, o, labelled, err) : take_given(out, o->prevalence, p, n_rows, err))
        goto out;
    for (size_t j = 0; j < k; j++) {
        if (!out->draws) out->interval[j] = (struct interval){NAN, NAN};
        if (out->rate[j] > 0 && n_rows[j] == 0) {
            error_set(err, EX_DATAERR,
                      "'%s' has no row of class '%s': its outcome cannot be estimated; label some pictures "
                      "of it, or give it the rate 0",
                      p->name, p->classes[j]);
            goto out;
        }
    }
    rc = 0;
out:
    free(n_rows);
    if (rc) class_rates_release(out);
    return rc;
}

void class_rates_release(struct class_rates *r)
{
    free(r->rate);
    free(r->draws);
    free(r->interval);
    free(r->black_box);
    free(r->black_box_interval);
    *r = CLASS_RATES_EMPTY;
}
