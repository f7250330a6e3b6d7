/*
 * train_plan.h: the plan of a run: text with lines "key\tvalue" of everything that the result depends on. A
 * checkpoint contains the plan with which it was made, a finished run keeps its own, and ranks compare
 * theirs.
 */
#ifndef WINNOW_MODEL_TRAIN_PLAN_H
#define WINNOW_MODEL_TRAIN_PLAN_H

#include <stdbool.h>
#include <stddef.h>

/* The value of the first line with this key: n bytes inside the plan, without
 * the line end. NULL: no such line. */
const char *train_plan_value(const char *plan, const char *key, size_t *n);

/*
 * Whether both plans describe the same run. The number of threads is not compared, because what a machine
 * has must not decide what a run is: a job that is queued again continues with the processors it gets, and
 * the last bits of the result may differ from then on.
 */
bool train_plan_same(const char *was, const char *now);

/* Writes the first difference by a printf format for three strings, key, old value and new value: "%s was
 * '%s' and is now '%s'". A missing key is "not given". Cut to out_bytes. */
void train_plan_difference(const char *was, const char *now, const char *form, char *out, size_t out_bytes);

#endif
