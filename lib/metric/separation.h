/*
 * separation.h: distinguishes wrong labels from the ordinary mistakes of a model, without a threshold to
 * choose. It suits sets in which a few percent of the labels are wrong. In these, a larger share of its
 * suspects is really wrong than of those of confident learning. In a set where a third of the labels is
 * wrong, it misses more of them (docs/notes/eval.md).
 */
#ifndef WINNOW_METRIC_SEPARATION_H
#define WINNOW_METRIC_SEPARATION_H

#include "metric/label_errors.h"

/*
 * The rows that are predicted as another class are of two kinds. In a difficult picture the label is right
 * and the model did not find it. In a wrong label the model contradicts the label strongly, and training
 * never accepted it. Up to three statistics (log-odds, margin, and the area under the margin where it is
 * known) are standardised over these rows and averaged. Otsu's method (1979) divides the rows into two groups
 * at the value of the average that separates them best. It is applied to the average and not to each
 * statistic, because the best cut of a single statistic lies in its tail.
 *
 * Of in, p and given are used. aum [n_rows]: NaN where unknown; may be NULL. Sets score [n_rows]: lower for a
 * more suspect label; 0 where the row agrees with its label, or where nothing distinguishes it from the
 * others. Sets flagged [n_rows] to 0 or 1. Returns 0, or -1 with err set when there is no memory.
 */
int label_errors_separate(const struct label_errors_input *in, const double *aum, double *score,
                          uint8_t *flagged, struct error *err);

#endif
