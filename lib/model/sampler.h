/*
 * sampler.h: in which order an epoch sees its rows, and which fold a row is in. Functions of seed and content
 * only: the same on any machine, for any number of threads, and after a resume at any step.
 */
#ifndef WINNOW_MODEL_SAMPLER_H
#define WINNOW_MODEL_SAMPLER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/*
 * order [n] becomes a permutation of 0..n-1 for this epoch: Fisher-Yates from (seed, epoch). Every row comes
 * once an epoch; the last batch of an epoch is the short one.
 */
void sampler_order(uint32_t *order, size_t n, uint64_t seed, uint64_t epoch);

struct fold_row {
    /* rows of one group never part: near-duplicate group, else the picture (a made one: what it was made
     * from) */
    const char *group;
    int label;
};

/*
 * fold [n] becomes 0..n_folds-1. Rows with the same group share a fold, so near copies and made variants of a
 * picture never sit on both sides; classes are spread as evenly as groups allow: groups are taken largest
 * first (ties by a hash of seed and name, so not by row order) and each goes where its classes are scarcest.
 * EX_DATAERR when there are fewer groups than folds, -1 also when memory is short.
 */
int sampler_folds(int *fold, const struct fold_row *rows, size_t n, int n_classes, int n_folds, uint64_t seed,
                  struct error *err);

#endif
