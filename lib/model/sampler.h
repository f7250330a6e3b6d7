/*
 * sampler.h: the order in which an epoch uses its rows, and the fold of each row. Both depend on seed and
 * content only: they are the same on any machine, for any number of threads, and after a resume at any step.
 */
#ifndef WINNOW_MODEL_SAMPLER_H
#define WINNOW_MODEL_SAMPLER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* order [n] becomes a permutation of 0..n-1 for this epoch: Fisher-Yates, from (seed, epoch). Every row
 * occurs once in an epoch. The last batch of an epoch is the short one. */
void sampler_order(uint32_t *order, size_t n, uint64_t seed, uint64_t epoch);

struct fold_row {
    /* Rows of one group stay together: the near-duplicate group, or else the picture (of a variant, the
     * picture from which it was made). */
    const char *group;
    int label;
};

/*
 * fold [n] becomes 0..n_folds-1. Rows with the same group share a fold, so that near copies and variants of
 * a picture are never on both sides. Classes are spread as evenly as groups allow: the largest groups are
 * placed first (ties by a hash of seed and name, and not by the order of rows), each where its classes are
 * scarcest. EX_DATAERR when there are fewer groups than folds, EX_OSERR without memory.
 */
int sampler_folds(int *fold, const struct fold_row *rows, size_t n, int n_classes, int n_folds, uint64_t seed,
                  struct error *err);

#endif
