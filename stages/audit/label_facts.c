/* label_facts.c: tests the simplest rule on one fact, on rows that it did not learn from. Rows are processed
 * value by value, so only the classes that occur with a value are counted. The time grows with rows x folds,
 * whatever the number of values and classes. */
#include "label_facts.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "metric/interval.h"
#include "metric/sort.h"

#define FACT_FOLD_STREAM 0x66616374666f6cull
/* About thirteen facts are tested at once; at 95 %, one of five sound sets would get a false warning. */
#define Z_CLEAR 3.2905 /* 99.9 %, two-sided */
/* A rule for a bin with fewer rows would learn noise. */
#define ROWS_A_BIN 50
#define BINS 32
_Static_assert(FACT_MOST_BINS >= 2 * BINS + 1, "each full bin may follow one that is not full, and one ends");

uint8_t fact_fold(const char *key)
{
    struct random r = random_start(0, random_key(key, strlen(key)), FACT_FOLD_STREAM);
    return (uint8_t)random_below(&r, FACT_FOLDS);
}

uint32_t fact_bins(uint32_t *bin, double *first, double *last, const double *numbers, size_t n,
                   struct error *err)
{
    uint32_t *order = mem_alloc(n * sizeof *order, err);
    if (!order || sort_rows_ascending(numbers, n, order, err)) {
        free(order);
        return 0;
    }
    size_t n_wanted = n / ROWS_A_BIN;
    n_wanted = n_wanted < 2 ? 2 : n_wanted > BINS ? BINS : n_wanted;
    size_t full = (n + n_wanted - 1) / n_wanted, in_bin = 0, run;
    uint32_t at = 0;
    for (size_t i = 0; i < n; i += run) {
        double v = numbers[order[i]];
        for (run = 1; i + run < n && numbers[order[i + run]] == v; run++) {
        }
        /* A number that is frequent enough to fill a bin gets a bin of its own, such as a common aspect
         * ratio. */
        if (in_bin > 0 && (in_bin >= full || run >= full)) {
            at++;
            in_bin = 0;
        }
        if (in_bin == 0) first[at] = v;
        last[at] = v;
        in_bin += run;
        for (size_t k = i; k < i + run; k++)
            bin[order[k]] = at;
    }
    free(order);
    return at + 1;
}

/* The counts of one value, class by class. */
struct counts {
    uint64_t *all;  /* [labels] */
    uint64_t *fold; /* [folds][labels] */
    uint32_t *seen; /* classes that occur, n_seen of them */
    uint32_t n_seen;
};

/* The class that the rule predicts for one value in one fold: the most frequent class with this value in
 * the other folds; if there are several, the one that is most frequent in the other folds overall.
 * UINT32_MAX: the value does not occur in the other folds. */
static uint32_t choose(const struct counts *c, const struct counts *whole, uint32_t n_labels, int fold)
{
    uint32_t best = UINT32_MAX;
    uint64_t most = 0, most_whole = 0;
    for (uint32_t i = 0; i < c->n_seen; i++) {
        uint32_t label = c->seen[i];
        size_t at = (size_t)fold * n_labels + label;
        uint64_t k = c->all[label] - c->fold[at], k_whole = whole->all[label] - whole->fold[at];
        if (k == 0 || k < most) continue;
        if (k == most && (k_whole < most_whole || (k_whole == most_whole && label > best))) continue;
        best = label;
        most = k;
        most_whole = k_whole;
    }
    return best;
}

static int counts_init(struct counts *c, uint32_t n_labels, struct error *err)
{
    c->all = mem_zalloc(n_labels, sizeof *c->all, err);
    c->fold = c->all ? mem_zalloc((size_t)FACT_FOLDS * n_labels, sizeof *c->fold, err) : NULL;
    c->seen = c->fold ? mem_zalloc(n_labels, sizeof *c->seen, err) : NULL;
    return c->seen ? 0 : -1;
}

static void counts_release(struct counts *c)
{
    free(c->all);
    free(c->fold);
    free(c->seen);
}

static void counts_add(struct counts *c, const struct fact_rows *rows, size_t row)
{
    uint32_t label = rows->label[row];
    if (c->all[label]++ == 0) c->seen[c->n_seen++] = label;
    c->fold[(size_t)rows->fold[row] * rows->n_labels + label]++;
}

static void counts_clear(struct counts *c, uint32_t n_labels)
{
    for (uint32_t i = 0; i < c->n_seen; i++) {
        c->all[c->seen[i]] = 0;
        for (size_t f = 0; f < FACT_FOLDS; f++)
            c->fold[f * n_labels + c->seen[i]] = 0;
    }
    c->n_seen = 0;
}

/* Whether this pair of value and class is more surprising than the best one so far. */
static bool tells_more(int64_t excess, int64_t best, const struct fact_found *out, uint32_t value,
                       uint32_t label, const char *const *text)
{
    if (excess != best) return excess > best;
    if (label != out->label) return label < out->label;
    return text ? strcmp(text[value], text[out->value]) < 0 : value < out->value;
}

int fact_measure(struct fact_found *out, const struct fact_rows *rows, const uint32_t *value,
                 uint32_t n_values, const char *const *text, double least_gain, struct error *err)
{
    struct counts whole = {0}, here = {0};
    size_t *start = mem_zalloc((size_t)n_values + 1, sizeof *start, err);
    uint32_t *order = start ? mem_alloc((rows->n + 1) * sizeof *order, err) : NULL;
    uint32_t majority[FACT_FOLDS];
    int64_t best = INT64_MIN;
    int rc = -1;
    *out = (struct fact_found){.n_rows = rows->n};
    if (!order || counts_init(&whole, rows->n_labels, err) || counts_init(&here, rows->n_labels, err))
        goto out;
    for (size_t i = 0; i < rows->n; i++) {
        start[value[i] + 1]++;
        counts_add(&whole, rows, i);
    }
    for (uint32_t v = 0; v < n_values; v++) {
        out->n_values += start[v + 1] > 0;
        start[v + 1] += start[v];
    }
    for (size_t i = 0; i < rows->n; i++) /* start[v] becomes the end of v */
        order[start[value[i]]++] = (uint32_t)i;
    for (uint32_t i = 0; i < rows->n_labels; i++)
        if (whole.all[i] > out->n_largest) out->n_largest = whole.all[i];
    for (int f = 0; f < FACT_FOLDS; f++)
        majority[f] = choose(&whole, &whole, rows->n_labels, f);
    for (uint32_t v = 0; v < n_values; v++) {
        size_t from = v ? start[v - 1] : 0, n = start[v] - from;
        for (size_t i = 0; i < n; i++)
            counts_add(&here, rows, order[from + i]);
        for (int f = 0; f < FACT_FOLDS; f++) {
            uint32_t chosen = choose(&here, &whole, rows->n_labels, f);
            if (chosen == UINT32_MAX) chosen = majority[f];
            if (chosen != UINT32_MAX) out->n_right += here.fold[(size_t)f * rows->n_labels + chosen];
        }
        for (uint32_t i = 0; i < here.n_seen; i++) {
            uint32_t label = here.seen[i];
            int64_t excess = (int64_t)(here.all[label] * rows->n) - (int64_t)((uint64_t)n * whole.all[label]);
            if (best != INT64_MIN && !tells_more(excess, best, out, v, label, text)) continue;
            best = excess;
            out->value = v;
            out->label = label;
            out->n_both = here.all[label];
            out->n_value = n;
            out->n_label = whole.all[label];
        }
        counts_clear(&here, rows->n_labels);
    }
    struct interval at_95 = interval_wilson(out->n_right, rows->n, INTERVAL_Z95),
                    sure = interval_wilson(out->n_right, rows->n, Z_CLEAR);
    double chance = rows->n ? (double)out->n_largest / (double)rows->n : 1;
    out->low = at_95.low;
    out->high = at_95.high;
    out->clear =
        rows->n && sure.low > chance && (double)out->n_right / (double)rows->n - chance >= least_gain;
    rc = 0;
out:
    counts_release(&whole);
    counts_release(&here);
    free(start);
    free(order);
    return rc;
}
