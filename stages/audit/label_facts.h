/*
 * label_facts.h: how well one trivial fact of a picture, such as its format or the size of its file, predicts
 * the label. The rule is the simplest one: for each value of the fact, the class that is most frequent there.
 * It is learnt on four fifths of the rows and asked about the other fifth, five times. Where it is far more
 * often right than the largest class would be, a network can learn the fact instead of what the picture
 * shows.
 */
#ifndef WINNOW_AUDIT_LABEL_FACTS_H
#define WINNOW_AUDIT_LABEL_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define FACT_FOLDS 5

/* The rows that have a label. Classes are numbered in the order of their names, which breaks ties. */
struct fact_rows {
    size_t n;
    const uint32_t *label; /* [n], below n_labels */
    const uint8_t *fold;   /* [n], below FACT_FOLDS; copies of a picture have the same */
    uint32_t n_labels;
};

struct fact_found {
    uint64_t n_rows, n_right; /* rows, and those where the rule was right about a row it had not seen */
    uint64_t n_largest;       /* rows of the largest class: how often a guess is right */
    uint32_t n_values;        /* that occur */
    double low, high;         /* 95 % interval of n_right / n_rows (Wilson) */
    bool clear;               /* surely above the largest class's share, by the least gain or more */
    /* The value and the class that occur together most often beyond what chance explains. */
    uint32_t value, label;
    uint64_t n_both, n_value, n_label;
};

/*
 * value [n]: of each row, below n_values. text [n_values] breaks ties between values, or NULL: their number
 * does. The result does not depend on the order of the rows. 0, or -1 when there is no memory.
 */
int fact_measure(struct fact_found *out, const struct fact_rows *rows, const uint32_t *value,
                 uint32_t n_values, const char *const *text, double least_gain, struct error *err);

/*
 * Replaces numbers [n] by bins of about equally many rows, equal numbers in the same bin, which they have to
 * themselves when they fill it: bin [n], and
 * first and last [FACT_MOST_BINS], the smallest and the largest number in each. Returns the number of bins,
 * or 0 without memory. n > 0, and no NaN.
 */
#define FACT_MOST_BINS 65
uint32_t fact_bins(uint32_t *bin, double *first, double *last, const double *numbers, size_t n,
                   struct error *err);

/* The fold of the pictures with this key, which is a group, a content hash or a path. */
uint8_t fact_fold(const char *key);

#endif
