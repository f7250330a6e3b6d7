/*
 * train_plan.h: functions on the plan of a run, a text with one line "key\tvalue" for each setting that the
 * result depends on. A checkpoint contains the plan of its run, a finished run keeps its plan, and ranks
 * compare their plans.
 */
#ifndef WINNOW_MODEL_TRAIN_PLAN_H
#define WINNOW_MODEL_TRAIN_PLAN_H

#include <stdbool.h>
#include <stddef.h>

/* Returns the value of the first line with this key: *n bytes inside the plan, without the line end. Returns
 * NULL when there is no such line. */
const char *train_plan_value(const char *plan, const char *key, size_t *n);

/*
 * Whether both plans describe the same run. The number of threads is not compared, so that a job that is
 * queued again can continue with the processors it gets. The last bits of the result may then differ.
 */
bool train_plan_same(const char *was, const char *now);

/* Writes the first difference by a printf format for three strings, key, old value and new value: "%s was
 * '%s' and is now '%s'". A missing key is "not given". The text is cut to out_bytes. */
void train_plan_difference(const char *was, const char *now, const char *form, char *out, size_t out_bytes);

#endif
