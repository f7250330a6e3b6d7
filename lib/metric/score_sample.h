/* score_sample.h: keeps scores of unlabelled pictures in bounded memory, however many there are: a uniform
 * sample of the rows, and the means over all rows. Ten million rows take the memory of SCORE_SAMPLE_ROWS
 * rows. */
#ifndef WINNOW_METRIC_SCORE_SAMPLE_H
#define WINNOW_METRIC_SCORE_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* With this many rows, only the number of labelled rows limits how exact a rate can be. They take 2 MB for
 * five classes. */
#define SCORE_SAMPLE_ROWS 50000

struct score_sample {
    int n_classes;
    uint64_t n_rows;       /* in the file */
    size_t n_kept;         /* at most SCORE_SAMPLE_ROWS */
    double *p;             /* [n_kept][K] */
    double *mean;          /* [K], of all rows */
    double *variance;      /* [K], of all rows */
    uint64_t *n_predicted; /* [K]: rows in which this class has the largest score */
};
#define SCORE_SAMPLE_EMPTY ((struct score_sample){0})

/*
 * Reads a TSV with p_<class> for each of the K classes, as classify prints it, and ignores other columns.
 * EX_DATAERR: the column of a class is missing, there is one of an unknown class (the scores are those of
 * another model), a value is not a probability, a row does not sum to 1 within 0.01, or there are
 * no rows.
 */
int score_sample_read(struct score_sample *out, const char *path, char *const *classes, int n_classes,
                      struct error *err);
/* Sets *classes to the classes for which a file of scores has columns; the caller frees them. Returns 0, or
 * -1 with err set (EX_DATAERR) when there are fewer than two. */
int score_sample_classes(const char *path, char ***classes, int *n_classes, struct error *err);
void score_sample_release(struct score_sample *s);

#endif
