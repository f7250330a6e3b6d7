/*
 * label_facts.h: measures how well one property of a picture's file, a "fact" such as its format or size,
 * predicts the label. The prediction is the most frequent class among the rows with the same value. This rule
 * is learnt on four fifths of the rows and tested on the other fifth, five times. If it is correct much more
 * often than the largest class would be, a network can learn the fact instead of the contents of the picture.
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
    uint64_t n_largest;       /* rows of the largest class: how often a constant guess is right */
    uint32_t n_values;        /* that occur */
    double low, high;         /* 95 % interval of n_right / n_rows (Wilson) */
    /* whether n_right / n_rows is significantly above the share of the largest class, and by at least the
     * least gain */
    bool clear;
    /* The value and the class that occur together most often, compared with chance. */
    uint32_t value, label;
    uint64_t n_both, n_value, n_label;
};

/*
 * Measures one fact. value [n] is its value for each row, below n_values. text [n_values] breaks ties between
 * values; with text NULL, their numbers do. The result does not depend on the order of the rows. Returns 0,
 * or -1 when there is no memory.
 */
int fact_measure(struct fact_found *out, const struct fact_rows *rows, const uint32_t *value,
                 uint32_t n_values, const char *const *text, double least_gain, struct error *err);

/*
 * Replaces numbers [n] by bins with about equally many rows. Equal numbers are in the same bin. A number that
 * is frequent enough to fill a bin is the only one in it. Sets bin [n] to the bin of each row, and first and
 * last [FACT_MOST_BINS] to the smallest and the largest number in each bin. Returns the number of bins, or 0
 * without memory. n > 0, and no NaN.
 */
#define FACT_MOST_BINS 65
uint32_t fact_bins(uint32_t *bin, double *first, double *last, const double *numbers, size_t n,
                   struct error *err);

/* Returns the fold of the pictures with this key, which is a group, a content hash or a path. */
uint8_t fact_fold(const char *key);

#endif
