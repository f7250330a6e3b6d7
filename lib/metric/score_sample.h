/*
 * score_sample.h: the scores of any number of unlabelled pictures in bounded memory: a uniform sample of the
 * rows and the means of all of them. Ten million rows cost what SCORE_SAMPLE_ROWS do.
 */
#ifndef WINNOW_METRIC_SCORE_SAMPLE_H
#define WINNOW_METRIC_SCORE_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Enough that the labelled rows limit what can be said about a rate; 2 MB for five classes. */
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
 * From a TSV with p_<class> for each of the K classes, as classify prints it; nothing else is looked at.
 * EX_DATAERR: a class's column is missing, or there is one of an unknown class (scores of another model), a
 * value is not a probability, a row does not sum to 1 within sum_tolerance, there are no rows.
 */
int score_sample_read(struct score_sample *out, const char *path, char *const *classes, int n_classes,
                      double sum_tolerance, struct error *err);
/* The classes that a file of scores has columns for, owned by the caller. EX_DATAERR: fewer than two. */
int score_sample_classes(const char *path, char ***classes, int *n_classes, struct error *err);
void score_sample_release(struct score_sample *s);

#endif
