/*
 * decisions_cost.c: finds the cheapest thresholds. The cost of an upload is the sum of a part that depends
 * on the review threshold only and a part that depends on the block threshold only. One pass over the sorted
 * scores therefore finds the best pair.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "eval_decisions.h"
#include "metric/sort.h"

int decision_costs_parse(struct decision_costs *out, const char *text, struct error *err)
{
    char copy[128], shown[128];
    *out = (struct decision_costs){.given = true, .miss = NAN, .review = NAN, .wrong_block = INFINITY};
    snprintf(copy, sizeof copy, "%s", text);
    bool bad = strlen(text) >= sizeof copy;
    for (char *item = copy, *next; item && !bad; item = next) {
        if ((next = strchr(item, ','))) *next++ = 0;
        char *equals = strchr(item, '=');
        if (equals) *equals++ = 0;
        double *to = strcmp(item, "miss") == 0          ? &out->miss
                     : strcmp(item, "review") == 0      ? &out->review
                     : strcmp(item, "block-wrong") == 0 ? &out->wrong_block
                                                        : NULL;
        bad = !to || !equals || !parse_number(equals, to) || !(*to >= 0) || !(*to <= 1e12);
    }
    if (bad || isnan(out->miss) || isnan(out->review))
        return error_set(err, EX_USAGE, "--cost takes miss=X,review=Y and perhaps block-wrong=Z, not '%s'",
                         text_for_people(shown, sizeof shown, text));
    return 0;
}

/*
 * Rows are weighted so that each class has its rate. Reviewing from score r on costs miss * positives below
 * r, plus review * rows from r on. Blocking from score b on saves review * rows from b on, and costs
 * wrong_block * negatives from b on. Without block-wrong its cost is infinite, and nothing is blocked.
 */
int decision_costs_choose(struct decision_rule *out, const struct decision_costs *costs,
                          const struct view *view, const struct predictions *val,
                          const struct class_rates *rates, struct error *err)
{
    size_t n = val->n_rows, k = (size_t)val->n_classes;
    double *score = mem_alloc(n * sizeof *score, err), *weight = mem_zalloc(k, sizeof *weight, err);
    uint32_t *order = mem_alloc(n * sizeof *order, err);
    int rc = -1;
    if (!score || !weight || !order) goto out;
    for (size_t i = 0; i < n; i++) {
        score[i] = view_score(view, val, i);
        weight[val->label[i]]++;
    }
    for (size_t j = 0; j < k; j++) {
        if (weight[j] == 0 && rates->rate[j] > 0) {
            error_set(err, EX_DATAERR,
                      "'%s' has no row of class '%s': what it costs is not known; label some pictures of it, "
                      "or give it the rate 0",
                      val->name, val->classes[j]);
            goto out;
        }
        weight[j] = weight[j] > 0 ? rates->rate[j] / weight[j] : 0;
    }
    if (sort_rows_descending(score, n, order, err)) goto out;
    /* Begins above the highest score, where no row is reviewed or blocked, and goes down. Rows with equal
     * scores are handled together. */
    double positives = 0, rows = 0, negatives = 0, blocking = 0, block = INFINITY;
    for (size_t j = 0; j < k; j++)
        positives += view->positive[j] ? rates->rate[j] : 0;
    double least = costs->miss * positives;
    *out = (struct decision_rule){INFINITY, INFINITY};
    for (size_t i = 0; i < n; i++) {
        size_t row = order[i];
        double w = weight[val->label[row]];
        rows += w;
        if (view->positive[val->label[row]])
            positives -= w;
        else
            negatives += w;
        if (i + 1 < n && score[order[i + 1]] == score[row]) continue;
        double added =
            isinf(costs->wrong_block) ? INFINITY : costs->wrong_block * negatives - costs->review * rows;
        if (added < blocking) blocking = added, block = score[row];
        double all = costs->miss * positives + costs->review * rows + blocking;
        if (all < least) {
            least = all;
            *out = (struct decision_rule){score[row], block};
        }
    }
    rc = 0;
out:
    free(score);
    free(weight);
    free(order);
    return rc;
}
