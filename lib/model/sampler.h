/*
 * sampler.h: computes the order of the rows in an epoch, and the fold of each row. Both depend on seed and
 * content only: they are the same on any machine, for any number of threads, and after a resume at any step.
 */
#ifndef WINNOW_MODEL_SAMPLER_H
#define WINNOW_MODEL_SAMPLER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Sets order [n] to a permutation of 0..n-1, by Fisher-Yates with numbers from (seed, epoch). Every row
 * occurs once in an epoch. If a batch of the epoch is short, it is the last. */
void sampler_order(uint32_t *order, size_t n, uint64_t seed, uint64_t epoch);

struct fold_row {
    /* Rows of one group stay together: the near-duplicate group, or else the picture (of a variant, the
     * picture from which it was made). */
    const char *group;
    int label;
};

/*
 * Sets fold [n] to numbers from 0 to n_folds-1. Rows with the same group share a fold, so a model never
 * learns from a near copy or a variant of a picture that it is tested on. Classes are spread as evenly as the
 * groups allow: the groups are assigned from the largest to the smallest, each to the fold in which its
 * classes are scarcest. A hash of seed and name breaks ties, not the order of rows. Returns 0, or -1 with err
 * set: EX_DATAERR when there are fewer groups than folds, EX_OSERR without memory.
 */
int sampler_folds(int *fold, const struct fold_row *rows, size_t n, int n_classes, int n_folds, uint64_t seed,
                  struct error *err);

#endif
