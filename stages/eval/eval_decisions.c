/*
 * eval_decisions.c: computes which shares of the uploads are allowed, reviewed and blocked at given rates.
 * For each class these shares are drawn from their posterior under Jeffreys' prior (a Dirichlet distribution
 * with 1/2 added to each count), and the rates from their resamples. An interval therefore includes the
 * uncertainty of both, and "none of 200" does not become "never".
 */
#include "eval_decisions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/spill.h"
#include "base/random.h"
#include "metric/rate_draws.h"
#include "metric/sort.h"

#define DRAWS 2000
#define CURVE_DRAWS 400
#define DECISION_STREAM 0x6465636964ull

const char *const decision_outcome_names[DECISION_OUTCOMES] = {"allow",  "review",      "block",
                                                               "missed", "false_alarm", "wrong_block",
                                                               "cost",   "precision"};

/* Thresholds in steps of 2 %, and in smaller steps near 1, where the thresholds of rare classes usually
 * are. */
const double decision_thresholds[DECISION_THRESHOLDS] = {0.02, 0.04, 0.06,  0.08, 0.1,  0.12, 0.14, 0.16,
                                                         0.18, 0.2,  0.22,  0.24, 0.26, 0.28, 0.3,  0.32,
                                                         0.34, 0.36, 0.38,  0.4,  0.42, 0.44, 0.46, 0.48,
                                                         0.5,  0.52, 0.54,  0.56, 0.58, 0.6,  0.62, 0.64,
                                                         0.66, 0.68, 0.7,   0.72, 0.74, 0.76, 0.78, 0.8,
                                                         0.82, 0.84, 0.86,  0.88, 0.9,  0.92, 0.94, 0.96,
                                                         0.98, 0.99, 0.995, 0.999};

enum { ALLOWED, REVIEWED, BLOCKED, WAYS };

/* Draws from Gamma(shape, 1) by the method of Marsaglia and Tsang (2000). */
static double draw_gamma(struct random *r, double shape)
{
    double boost = 1;
    if (shape < 1) boost = pow(1 - random_unit(r), 1 / shape), shape += 1;
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = random_normal(r), v = 1 + c * x;
        if (v <= 0) continue;
        v = v * v * v;
        if (log(1 - random_unit(r)) < x * x / 2 + d - d * v + d * log(v)) return boost * d * v;
    }
}

/* Computes the shares of all uploads from the shares of each class [K][WAYS], at these rates. */
static void combine(double *out, const double *ways, const double *rate, const uint8_t *positive,
                    int n_classes, const struct decision_costs *costs)
{
    double sum[2][WAYS] = {{0}};
    for (int k = 0; k < n_classes; k++)
        for (int w = 0; w < WAYS; w++)
            sum[positive[k] != 0][w] += rate[k] * ways[k * WAYS + w];
    double flagged = sum[1][REVIEWED] + sum[1][BLOCKED];
    out[OUTCOME_ALLOW] = sum[0][ALLOWED] + sum[1][ALLOWED];
    out[OUTCOME_REVIEW] = sum[0][REVIEWED] + sum[1][REVIEWED];
    out[OUTCOME_BLOCK] = sum[0][BLOCKED] + sum[1][BLOCKED];
    out[OUTCOME_MISSED] = sum[1][ALLOWED];
    out[OUTCOME_FALSE_ALARM] = sum[0][REVIEWED] + sum[0][BLOCKED];
    out[OUTCOME_WRONG_BLOCK] = sum[0][BLOCKED];
    out[OUTCOME_COST] = 0;
    if (costs->given)
        out[OUTCOME_COST] = costs->miss * out[OUTCOME_MISSED] + costs->review * out[OUTCOME_REVIEW];
    if (costs->given && out[OUTCOME_WRONG_BLOCK] > 0)
        out[OUTCOME_COST] += costs->wrong_block * out[OUTCOME_WRONG_BLOCK];
    out[OUTCOME_PRECISION] =
        flagged + out[OUTCOME_FALSE_ALARM] > 0 ? flagged / (flagged + out[OUTCOME_FALSE_ALARM]) : NAN;
}

static int shares_at(struct decision_shares *out, const struct view_result *v, const struct predictions *p,
                     const struct class_rates *rates, struct decision_rule rule,
                     const struct decision_costs *costs, size_t n_draws, struct error *err)
{
    size_t k = (size_t)p->n_classes;
    double *counts = mem_zalloc(k * WAYS, sizeof *counts, err),
           *ways = mem_zalloc(k * WAYS, sizeof *ways, err),
           *drawn = mem_alloc(n_draws * DECISION_OUTCOMES * sizeof *drawn, err),
           *column = mem_alloc(n_draws * sizeof *column, err);
    int rc = -1;
    if (!counts || !ways || !drawn || !column) goto out;
    for (size_t i = 0; spill_step(i) < p->n_rows; i++)
        counts[(size_t)p->label[i] * WAYS + (v->score[i] >= rule.block    ? BLOCKED
                                             : v->score[i] >= rule.review ? REVIEWED
                                                                          : ALLOWED)]++;
    for (size_t j = 0; j < k; j++) {
        double n = counts[j * WAYS] + counts[j * WAYS + 1] + counts[j * WAYS + 2];
        for (int w = 0; w < WAYS; w++)
            ways[j * WAYS + (size_t)w] = n > 0 ? counts[j * WAYS + (size_t)w] / n : 0;
    }
    combine(out->value, ways, rates->rate, v->view->positive, p->n_classes, costs);
    uint64_t key = random_key(v->view->name, strlen(v->view->name));
    for (size_t d = 0; d < n_draws; d++) {
        struct random r = random_start(d, key, DECISION_STREAM);
        for (size_t j = 0; j < k; j++) {
            double sum = 0;
            for (int w = 0; w < WAYS; w++) {
                bool never = w == BLOCKED && !isfinite(rule.block);
                sum += ways[j * WAYS + (size_t)w] =
                    never ? 0 : draw_gamma(&r, counts[j * WAYS + (size_t)w] + 0.5);
            }
            for (int w = 0; w < WAYS; w++)
                ways[j * WAYS + (size_t)w] /= sum;
        }
        combine(drawn + d * DECISION_OUTCOMES, ways,
                rates->draws ? rates->draws + d % rates->n_draws * k : rates->rate, v->view->positive,
                p->n_classes, costs);
    }
    for (int o = 0; o < DECISION_OUTCOMES; o++) {
        for (size_t d = 0; d < n_draws; d++)
            column[d] = drawn[d * DECISION_OUTCOMES + (size_t)o];
        qsort(column, n_draws, sizeof *column, sort_compare_doubles);
        out->interval[o] = (struct interval){fmin(out->value[o], sort_quantile(column, n_draws, 0.025)),
                                             fmax(out->value[o], sort_quantile(column, n_draws, 0.975))};
    }
    rc = 0;
out:
    free(counts);
    free(ways);
    free(drawn);
    free(column);
    return rc;
}

/* Computes the rate of all classes of the view together. */
static int view_rate(struct view_decisions *v, const struct class_rates *r, struct error *err)
{
    double *sums = mem_zalloc(r->n_draws + 1, sizeof *sums, err);
    if (!sums) return -1;
    for (int k = 0; k < r->n_classes; k++)
        if (v->view->view->positive[k]) {
            v->rate += r->rate[k];
            for (size_t d = 0; d < r->n_draws; d++)
                sums[d] += r->draws[d * (size_t)r->n_classes + (size_t)k];
        }
    v->rate_interval = (struct interval){NAN, NAN};
    if (r->n_draws)
        rate_draws_interval(&v->rate_interval.low, &v->rate_interval.high, sums, r->n_draws, v->rate);
    free(sums);
    return 0;
}

static double *val_scores(uint8_t **positive, const struct view *view, const struct predictions *p,
                          struct error *err)
{
    double *score = mem_alloc((p->n_rows + 1) * sizeof *score, err);
    *positive = mem_alloc(p->n_rows + 1, err);
    if (!score || !*positive) {
        free(score);
        return NULL;
    }
    for (size_t i = 0; spill_step(i) < p->n_rows; i++) {
        score[i] = view_score(view, p, i);
        (*positive)[i] = view->positive[p->label[i]];
    }
    return score;
}

/* Chooses the thresholds of a view from the validation rows, and measures them on the test rows. */
static int choose_rule(struct view_decisions *v, const struct predictions *test,
                       const struct predictions *val, const struct eval_options *o, struct error *err)
{
    const struct view_result *r = v->view;
    struct decision_guarantee *m = &v->miss, *b = &v->block;
    uint8_t *positive = NULL, *negative = NULL;
    double *score = val_scores(&positive, r->view, val, err), *mirrored = NULL;
    int rc = -1;
    m->asked = true;
    b->asked = o->max_wrong_block != NULL;
    if (!score || guarantee_parse(&m->wanted, o->max_miss, "--max-miss", err) ||
        risk_control_threshold(&m->chosen, m->wanted, score, positive, val->groups, val->n_rows, err))
        goto out;
    v->rule.review = m->chosen.found ? m->chosen.threshold : 0;
    if (b->asked &&
        (guarantee_parse(&b->wanted, o->max_wrong_block, "--max-wrong-block", err) ||
         risk_control_block(&b->chosen, b->wanted, score, positive, val->groups, val->n_rows, err)))
        goto out;
    if (b->asked && b->chosen.found) v->rule.block = fmax(b->chosen.threshold, v->rule.review);
    if (risk_control_count(&m->test_missed, &m->test_n, v->rule.review, r->score, r->positive, test->groups,
                           test->n_rows, err))
        goto out;
    m->test_bound = binomial_upper_bound(m->test_missed, m->test_n, m->wanted.confidence);
    if (b->asked) { /* mirrored: a negative is blocked where its score is not below the threshold */
        if (!(mirrored = mem_alloc((test->n_rows + 1) * sizeof *mirrored, err)) ||
            !(negative = mem_alloc(test->n_rows + 1, err)))
            goto out;
        for (size_t i = 0; spill_step(i) < test->n_rows; i++) {
            mirrored[i] = -r->score[i];
            negative[i] = !r->positive[i];
        }
        if (risk_control_count(&b->test_missed, &b->test_n, nextafter(-v->rule.block, INFINITY), mirrored,
                               negative, test->groups, test->n_rows, err))
            goto out;
        b->test_bound = binomial_upper_bound(b->test_missed, b->test_n, b->wanted.confidence);
    }
    rc = 0;
out:
    free(score);
    free(positive);
    free(mirrored);
    free(negative);
    return rc;
}

/* Prints one line for each guarantee that has too few rows, with the number of pictures that it needs. */
static void warn_refused(struct decisions *d)
{
    for (size_t i = 0; i < d->n_views; i++) {
        const struct decision_guarantee *both[] = {&d->views[i].miss, &d->views[i].block};
        for (int side = 0; side < 2; side++) {
            const struct decision_guarantee *g = both[side];
            if (!g->asked || g->chosen.found) continue;
            d->n_refused++;
            stage_warn("view '%s': at most %g %% %s with %g %% confidence cannot be guaranteed with %llu "
                       "%s%s in the validation split: %llu are needed, with none of them %s",
                       d->views[i].view->view->name, 100 * g->wanted.target,
                       side ? "blocked wrongly" : "missed", 100 * g->wanted.confidence,
                       (unsigned long long)g->chosen.n_positive, d->grouped ? "groups of " : "",
                       side ? "negatives" : "positives", (unsigned long long)g->chosen.n_needed,
                       side ? "blocked" : "missed");
        }
    }
}

int decisions_make(struct decisions *out, const struct evaluation *e, const struct predictions *labelled,
                   const struct eval_options *o, struct error *err)
{
    *out = DECISIONS_EMPTY;
    out->has_rates = o->prevalence || o->prevalence_from;
    out->grouped = labelled->groups != NULL;
    if (o->cost && decision_costs_parse(&out->costs, o->cost, err)) return -1;
    if (decisions_read_stored(out, o, err)) goto fail;
    if (!out->has_rates && !o->max_miss) return 0;
    if (e->n_views == 0)
        return error_set(err, EX_USAGE,
                         "rates and guarantees need a view: name the classes that count by --view NAME=A+B");
    if ((out->has_rates && class_rates_make(&out->rates, o, e->p, labelled, err)) ||
        !(out->views = mem_zalloc(e->n_views, sizeof *out->views, err)))
        goto fail;
    for (; out->n_views < e->n_views; out->n_views++) {
        struct view_decisions *v = &out->views[out->n_views];
        v->view = &e->views[out->n_views];
        v->rule = (struct decision_rule){o->threshold, INFINITY};
        if (o->max_miss && choose_rule(v, e->p, labelled, o, err)) goto fail;
        if (out->costs.given &&
            decision_costs_choose(&v->rule, &out->costs, v->view->view, labelled, &out->rates, err))
            goto fail;
        if (!out->has_rates) continue;
        if (!(v->curve = mem_zalloc(DECISION_THRESHOLDS, sizeof *v->curve, err)) ||
            view_rate(v, &out->rates, err) ||
            shares_at(&v->at_rule, v->view, e->p, &out->rates, v->rule, &out->costs, DRAWS, err))
            goto fail;
        for (int i = 0; i < DECISION_THRESHOLDS; i++)
            if (shares_at(&v->curve[i], v->view, e->p, &out->rates,
                          (struct decision_rule){decision_thresholds[i], INFINITY}, &out->costs, CURVE_DRAWS,
                          err))
                goto fail;
    }
    warn_refused(out);
    return 0;
fail:
    if (out->views && out->n_views < e->n_views) free(out->views[out->n_views].curve);
    decisions_release(out);
    return -1;
}

void decisions_release(struct decisions *d)
{
    for (size_t i = 0; i < d->n_views; i++)
        free(d->views[i].curve);
    free(d->views);
    class_rates_release(&d->rates);
    net_decisions_release(&d->stored);
    *d = DECISIONS_EMPTY;
}
