/*
 * separation.h: telling wrong labels from the model's ordinary mistakes without a threshold. For a few
 * percent of wrong labels: surer than confident learning, at the price of missing more where a third is wrong
 * (docs/notes/eval.md).
 */
#ifndef WINNOW_METRIC_SEPARATION_H
#define WINNOW_METRIC_SEPARATION_H

#include "metric/label_errors.h"

/*
 * Among the rows that are predicted as another class there are two kinds: hard images, whose label is right
 * and just not reached, and wrong labels, which the model contradicts with all its weight and which training
 * never came to believe. Up to three statistics (log-odds, margin, area under the margin over the epochs
 * where known) are brought to one scale, in deviations from their mean over these rows, and averaged; the
 * average is cut in two where it separates best (Otsu 1979). One cut of the average, not an average of three
 * cuts: each alone falls where its own tail is. in: p and given are used. aum [n_rows]: NaN where unknown;
 * may be NULL. score [n_rows]: the lower the worse, 0 where the row agrees with its label or nothing tells it
 * from the others. flagged [n_rows]: 0 or 1. -1 when memory is short.
 */
int label_errors_separate(const struct label_errors_input *in, const double *aum, double *score,
                          uint8_t *flagged, struct error *err);

#endif
