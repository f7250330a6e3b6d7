/* sampler.c: computes the order of an epoch, and stratified, grouped folds; see sampler.h. */
#include "model/sampler.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"

/* Streams separate the uses of one seed. The initialisation of the head and augmentation use other
 * streams. */
#define STREAM_ORDER 0x6f72646572ull /* "order" */
#define STREAM_FOLD 0x666f6c64ull    /* "fold" */

void sampler_order(uint32_t *order, size_t n, uint64_t seed, uint64_t epoch)
{
    for (size_t i = 0; i < n; i++)
        order[i] = (uint32_t)i;
    struct random r = random_start(seed, epoch, STREAM_ORDER);
    random_shuffle_u32(&r, order, n);
}

struct group_rows {
    const char *name;
    uint64_t tie;
    size_t first, n; /* in the array of row numbers sorted by group */
};

static int by_group(const void *a, const void *b, void *context)
{
    const struct fold_row *rows = context;
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    int order = strcmp(rows[x].group, rows[y].group);
    return order ? order : (x > y) - (x < y);
}

static int largest_first(const void *a, const void *b)
{
    const struct group_rows *x = a, *y = b;
    if (x->n != y->n) return x->n < y->n ? 1 : -1;
    if (x->tie != y->tie) return x->tie < y->tie ? -1 : 1;
    return strcmp(x->name, y->name);
}

/*
 * Returns the cost of adding a group to a fold: a sum over the classes of the group of how much of the class
 * the fold has, weighted by the group's rows and by 1/class size. Rare classes therefore count as much as
 * common ones. When costs are equal, the caller uses the smaller fold.
 */
static double fold_cost(const double *held, const double *class_rows, const double *group_classes,
                        int n_classes)
{
    double cost = 0;
    for (int c = 0; c < n_classes; c++)
        if (group_classes[c] > 0) cost += group_classes[c] * held[c] / class_rows[c];
    return cost;
}

int sampler_folds(int *fold, const struct fold_row *rows, size_t n, int n_classes, int n_folds, uint64_t seed,
                  struct error *err)
{
    int rc = -1;
    size_t n_groups = 0;
    size_t *sorted = mem_zalloc(n ? n : 1, sizeof *sorted, err);
    struct group_rows *groups = mem_zalloc(n ? n : 1, sizeof *groups, err);
    double *held = mem_zalloc((size_t)n_folds * (size_t)n_classes, sizeof *held, err);
    double *class_rows = mem_zalloc((size_t)n_classes, sizeof *class_rows, err);
    double *group_classes = mem_zalloc((size_t)n_classes, sizeof *group_classes, err);
    double *fold_rows = mem_zalloc((size_t)n_folds, sizeof *fold_rows, err);
    if (!sorted || !groups || !held || !class_rows || !group_classes || !fold_rows) goto out;

    for (size_t i = 0; i < n; i++) {
        sorted[i] = i;
        class_rows[rows[i].label]++;
    }
    qsort_r(sorted, n, sizeof *sorted, by_group, (void *)(uintptr_t)rows);
    for (size_t i = 0; i < n; i++) {
        const char *name = rows[sorted[i]].group;
        if (!n_groups || strcmp(groups[n_groups - 1].name, name)) {
            struct random r = random_start(seed, random_key(name, strlen(name)), STREAM_FOLD);
            groups[n_groups++] = (struct group_rows){.name = name, .tie = random_u64(&r), .first = i};
        }
        groups[n_groups - 1].n++;
    }
    if (n_groups < (size_t)n_folds) {
        error_set(err, EX_DATAERR, "%d folds need at least %d groups of training pictures, there are %zu",
                  n_folds, n_folds, n_groups);
        goto out;
    }
    qsort(groups, n_groups, sizeof *groups, largest_first);

    for (size_t g = 0; g < n_groups; g++) {
        memset(group_classes, 0, (size_t)n_classes * sizeof *group_classes);
        for (size_t i = 0; i < groups[g].n; i++)
            group_classes[rows[sorted[groups[g].first + i]].label]++;
        int best = 0;
        double best_cost = 0;
        for (int f = 0; f < n_folds; f++) {
            double cost =
                fold_cost(held + (size_t)f * (size_t)n_classes, class_rows, group_classes, n_classes);
            if (f == 0 || cost < best_cost || (cost == best_cost && fold_rows[f] < fold_rows[best])) {
                best = f;
                best_cost = cost;
            }
        }
        for (int c = 0; c < n_classes; c++)
            held[(size_t)best * (size_t)n_classes + (size_t)c] += group_classes[c];
        fold_rows[best] += (double)groups[g].n;
        for (size_t i = 0; i < groups[g].n; i++)
            fold[sorted[groups[g].first + i]] = best;
    }
    rc = 0;
out:
    free(sorted);
    free(groups);
    free(held);
    free(class_rows);
    free(group_classes);
    free(fold_rows);
    return rc;
}
