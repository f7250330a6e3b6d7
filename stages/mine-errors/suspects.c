/*
 * suspects.c: decides which rows a reviewer should see, and in which order. Each method makes a list, worst
 * first:
 *   separation           rows that fall apart from the model's ordinary mistakes: see metric/separation.h
 *   confident-learning   rows that --filter flags, by --rank
 *   disagreement         predicted class is not the given one, by margin
 *   aum                  rows whose margin averaged over the epochs is below 0: the net never came to believe
 *   the label
 *   neighbours           near-duplicates whose group carries several labels: the rarer label in the group
 *   first
 *   reports              rows that users reported with another label
 *   off-topic            rows that resemble no other picture, a list of their own after all others
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/spill.h"
#include "metric/separation.h"
#include "mine_errors.h"

const char *const mine_method_names[MINE_METHODS] = {"separation", "confident-learning", "disagreement",
                                                     "aum",        "neighbours",         "reports",
                                                     "off-topic"};

struct list {
    uint32_t *rows;
    size_t n, next;
};

static int margins_of(const struct label_errors_input *in, double *margin, struct error *err)
{
    return label_errors_score(NULL, in, RANK_NORMALIZED_MARGIN, false, margin, err);
}

static int list_flagged(struct list *l, const struct label_errors_input *in, const struct label_errors *e,
                        enum label_filter filter, const struct mine_options *o, const double *score,
                        uint8_t *flagged, struct error *err)
{
    struct label_filter_options fo = {.frac_noise = 1, .min_examples_per_class = 1};
    return label_errors_filter(e, in, filter, &fo, flagged, err) ||
                   label_errors_rank(in, score, flagged, &l->rows, &l->n, err)
               ? -1
               : 0;
}

/* Lists the rows with a negative area under the margin, the lowest first. */
static int list_aum(struct list *l, const struct label_errors_input *in, const struct mine_inputs *f,
                    uint8_t *flagged, struct error *err)
{
    double *score = spill_alloc(in->n_rows * sizeof *score, err);
    int rc = -1;
    if (!score) return -1;
    for (size_t i = 0; spill_step(i) < in->n_rows; i++) {
        flagged[i] = !isnan(f->aum[i]) && f->aum[i] < 0;
        score[i] = isnan(f->aum[i]) ? INFINITY : f->aum[i];
    }
    rc = label_errors_rank(in, score, flagged, &l->rows, &l->n, err);
    spill_free(score);
    return rc;
}

static int list_separated(struct list *l, const struct label_errors_input *in, const struct mine_inputs *f,
                          uint8_t *flagged, struct error *err)
{
    double *score = spill_alloc(in->n_rows * sizeof *score, err);
    int rc = -1;
    if (score && !label_errors_separate(in, f->aum, score, flagged, err))
        rc = label_errors_rank(in, score, flagged, &l->rows, &l->n, err);
    spill_free(score);
    return rc;
}

struct grouped {
    const char *group;
    uint32_t row;
    int32_t label;
};

static int compare_grouped(const void *x, const void *y)
{
    const struct grouped *a = x, *b = y;
    int c = strcmp(a->group, b->group);
    return c ? c : a->label != b->label ? a->label - b->label : a->row < b->row ? -1 : a->row > b->row;
}

static int list_neighbours(struct list *l, const struct label_errors_input *in, const struct mine_inputs *f,
                           uint8_t *flagged, struct error *err)
{
    struct grouped *g = spill_alloc(in->n_rows * sizeof *g, err);
    double *score = spill_alloc(in->n_rows * sizeof *score, err);
    size_t n = 0;
    int rc = -1;
    if (!g || !score) goto out;
    memset(flagged, 0, in->n_rows);
    for (size_t i = 0; spill_step(i) < in->n_rows; i++)
        if (f->group[i] && f->group[i][0]) g[n++] = (struct grouped){f->group[i], (uint32_t)i, in->given[i]};
    qsort(g, n, sizeof *g, compare_grouped);
    for (size_t start = 0, end; start < n; start = end) {
        for (end = start; end < n && strcmp(g[end].group, g[start].group) == 0; end++)
            ;
        if (g[start].label == g[end - 1].label) continue;
        for (size_t a = start, b; a < end; a = b) {
            for (b = a; b < end && g[b].label == g[a].label; b++)
                ;
            for (size_t i = a; i < b; i++) {
                flagged[g[i].row] = 1;
                /* The score is the share of the group that agrees with the row; the row's own confidence
                 * breaks ties. */
                score[g[i].row] =
                    (double)(b - a) / (double)(end - start) +
                    1e-3 * in->p[g[i].row * (size_t)in->n_classes + (size_t)in->given[g[i].row]];
            }
        }
    }
    rc = label_errors_rank(in, score, flagged, &l->rows, &l->n, err);
out:
    spill_free(g);
    spill_free(score);
    return rc;
}

/* Returns the methods to use: those of --methods. Without that option it is confident learning, or with a
 * budget all methods whose input exists. --reports adds the method of that name, and --features off-topic. */
static int chosen_methods(const struct mine_options *o, const struct mine_inputs *f,
                          bool chosen[MINE_METHODS], struct error *err)
{
    bool there[MINE_METHODS] =
        {true, true, true, f->aum != NULL, f->has_group, f->reported != NULL, f->distance != NULL};
    static const char *const needs[MINE_METHODS] =
        {"",
         "",
         "",
         "--margins",
         "a column 'group' (phash-dedup writes it; see --manifest)",
         "--reports",
         "--features"};
    memset(chosen, 0, MINE_METHODS * sizeof *chosen);
    chosen[MINE_REPORTS] = f->reported != NULL;
    chosen[MINE_OFF_TOPIC] = f->distance != NULL;
    if (!o->methods) {
        chosen[MINE_CONFIDENT_LEARNING] = true;
        for (int m = 0; o->budget > 0 && m < MINE_METHODS; m++)
            chosen[m] = there[m];
        return 0;
    }
    for (const char *s = o->methods; *s;) {
        size_t n = strcspn(s, ",");
        int found = -1;
        for (int m = 0; m < MINE_METHODS; m++)
            if (strlen(mine_method_names[m]) == n && strncmp(mine_method_names[m], s, n) == 0) found = m;
        if (found < 0) return error_set(err, EX_USAGE, "--methods: unknown method '%.*s'", (int)n, s);
        if (!there[found])
            return error_set(err, EX_USAGE, "--methods: '%s' needs %s", mine_method_names[found],
                             needs[found]);
        chosen[found] = true;
        s += n + (s[n] == ',');
    }
    return 0;
}

/* Lists pictures that are off topic, the largest distance first. */
static int list_off_topic(struct list *l, const struct label_errors_input *in, const struct mine_inputs *f,
                          uint8_t *flagged, struct error *err)
{
    double *score = spill_alloc(in->n_rows * sizeof *score, err);
    int rc = -1;
    if (score && !likeness_off_topic(f, in->n_rows, flagged, err)) {
        for (size_t i = 0; spill_step(i) < in->n_rows; i++)
            score[i] = isnan(f->distance[i]) ? INFINITY : -f->distance[i];
        rc = label_errors_rank(in, score, flagged, &l->rows, &l->n, err);
    }
    spill_free(score);
    return rc;
}

static int32_t suggestion(const struct label_errors_input *in, size_t row)
{
    const double *p = in->p + row * (size_t)in->n_classes;
    int32_t best = -1;
    for (int32_t k = 0; k < in->n_classes; k++)
        if (k != in->given[row] && (best < 0 || p[k] > p[best])) best = k;
    return best;
}

static int compare_by_row(const void *x, const void *y, void *items)
{
    const struct suspect *s = items;
    uint32_t a = s[*(const uint32_t *)x].row, b = s[*(const uint32_t *)y].row;
    return (a > b) - (a < b);
}

/* Sets suggestion and score of each suspect, in the order of the rows, because the columns may be in files
 * (io/spill.h). */
static int complete(struct suspects *s, const struct label_errors_input *in, struct error *err)
{
    uint32_t *order = mem_alloc((s->n ? s->n : 1) * sizeof *order, err);
    if (!order) return -1;
    for (size_t i = 0; i < s->n; i++)
        order[i] = (uint32_t)i;
    qsort_r(order, s->n, sizeof *order, compare_by_row, s->items);
    for (size_t i = 0; i < s->n; i++) {
        struct suspect *x = &s->items[order[i]];
        if (i % 1024 == 0) spill_breathe();
        x->suggested = suggestion(in, x->row);
        x->score = s->score[x->row];
    }
    free(order);
    return 0;
}

int mine_suspects(struct suspects *out, const struct mine_options *o, const struct predictions *p,
                  const struct label_errors_input *in, const struct label_errors *e,
                  const struct mine_inputs *f, struct error *err)
{
    struct list lists[MINE_METHODS] = {{0}};
    bool chosen[MINE_METHODS];
    uint8_t *flagged = spill_alloc(in->n_rows, err), *methods = spill_zalloc(in->n_rows, 1, err),
            *taken = spill_zalloc(in->n_rows, 1, err);
    double *margin = NULL;
    size_t total = 0;
    int rc = -1;
    *out = SUSPECTS_EMPTY;
    if (!flagged || !methods || !taken || !(out->score = spill_alloc(in->n_rows * sizeof *out->score, err)) ||
        chosen_methods(o, f, chosen, err) ||
        label_errors_score(e, in, (enum label_rank)o->rank, o->adjust, out->score, err))
        goto out;
    if (chosen[MINE_SEPARATION] && list_separated(&lists[MINE_SEPARATION], in, f, flagged, err)) goto out;
    if (chosen[MINE_CONFIDENT_LEARNING] &&
        list_flagged(&lists[MINE_CONFIDENT_LEARNING], in, e, (enum label_filter)o->filter, o, out->score,
                     flagged, err))
        goto out;
    if (chosen[MINE_DISAGREEMENT]) {
        if (!(margin = spill_alloc(in->n_rows * sizeof *margin, err)) || margins_of(in, margin, err) ||
            list_flagged(&lists[MINE_DISAGREEMENT], in, e, FILTER_PREDICTED_NEQ_GIVEN, o, margin, flagged,
                         err))
            goto out;
    }
    if (chosen[MINE_AUM] && list_aum(&lists[MINE_AUM], in, f, flagged, err)) goto out;
    if (chosen[MINE_NEIGHBOURS] && list_neighbours(&lists[MINE_NEIGHBOURS], in, f, flagged, err)) goto out;
    if (chosen[MINE_REPORTS] && label_errors_rank(in, out->score, f->reported, &lists[MINE_REPORTS].rows,
                                                  &lists[MINE_REPORTS].n, err))
        goto out;
    if (chosen[MINE_OFF_TOPIC] && list_off_topic(&lists[MINE_OFF_TOPIC], in, f, flagged, err)) goto out;
    for (int m = 0; m < MINE_METHODS; m++) {
        total += lists[m].n;
        for (size_t i = 0; i < lists[m].n; i++)
            methods[lists[m].rows[i]] |= (uint8_t)(1u << m);
    }
    if (!(out->items = spill_alloc((total ? total : 1) * sizeof *out->items, err))) goto out;
    /* Pictures that are off topic do not count towards the budget. */
    const struct list *apart = &lists[MINE_OFF_TOPIC];
    for (size_t i = 0; i < apart->n; i++)
        taken[apart->rows[i]] = 1;
    /* With a budget the methods take turns; without one, the lists follow each other. */
    size_t limit = o->budget > 0 ? (size_t)o->budget : total;
    for (bool more = true; more && out->n < limit;) {
        more = false;
        for (int m = 0; m < MINE_OFF_TOPIC && out->n < limit; m++) {
            struct list *l = &lists[m];
            do {
                while (l->next < l->n && taken[l->rows[l->next]])
                    l->next++;
                if (l->next == l->n) break;
                uint32_t row = l->rows[l->next++];
                taken[row] = 1;
                out->items[out->n++] = (struct suspect){.row = row, .methods = methods[row]};
                more = true;
            } while (o->budget == 0);
        }
    }
    out->n_label = out->n;
    for (size_t i = 0; i < apart->n; i++)
        out->items[out->n++] = (struct suspect){.row = apart->rows[i], .methods = methods[apart->rows[i]]};
    rc = complete(out, in, err);
out:
    for (int m = 0; m < MINE_METHODS; m++)
        spill_free(lists[m].rows);
    spill_free(flagged);
    spill_free(methods);
    spill_free(taken);
    spill_free(margin);
    if (rc) suspects_release(out);
    return rc;
}

void suspects_release(struct suspects *s)
{
    spill_free(s->items);
    spill_free(s->score);
    *s = SUSPECTS_EMPTY;
}
