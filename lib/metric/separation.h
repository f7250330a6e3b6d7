/*
 * separation.h: distinguishes wrong labels from the ordinary mistakes of a model, without a threshold to
 * choose. It suits sets in which a few percent of the labels are wrong. There its suspects are right more
 * often than those of confident learning; where a third is wrong it misses more (docs/notes/eval.md).
 */
#ifndef WINNOW_METRIC_SEPARATION_H
#define WINNOW_METRIC_SEPARATION_H

#include "metric/label_errors.h"

/*
 * The rows that are predicted as another class are of two kinds. In a difficult picture the label is right
 * and the model did not find it. In a wrong label the model contradicts the label strongly, and training
 * never accepted it. Up to three statistics (log-odds, margin, and the area under the margin where it is
 * known) are standardised over these rows and averaged. Otsu's method (1979) cuts the average in two where
 * it separates best. The average is cut, and not each statistic, since each alone would be cut in its own
 * tail.
 *
 * in: p and given are used. aum [n_rows]: NaN where unknown; may be NULL. score [n_rows]: the lower, the
 * worse; 0 where the row agrees with its label, or where nothing distinguishes it from the others. flagged
 * [n_rows]: 0 or 1. Returns -1 when there is no memory.
 */
int label_errors_separate(const struct label_errors_input *in, const double *aum, double *score,
                          uint8_t *flagged, struct error *err);

#endif
