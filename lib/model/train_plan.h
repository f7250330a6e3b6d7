/*
 * train_plan.h: a run's plan, the text that says what its result depends on: one "key\tvalue" line each. A
 * checkpoint carries the plan it was made with, a finished run keeps its own, ranks compare theirs.
 */
#ifndef WINNOW_MODEL_TRAIN_PLAN_H
#define WINNOW_MODEL_TRAIN_PLAN_H

#include <stdbool.h>
#include <stddef.h>

/* The value of the first line with this key: n bytes in place, without the line end; NULL: no such line. */
const char *train_plan_value(const char *plan, const char *key, size_t *n);

/*
 * The same work: equal but for the number of threads. What a machine has must not decide what a run is: a
 * requeued job goes on with the processors it gets, and training's last bits may differ from then on.
 */
bool train_plan_same(const char *was, const char *now);

/*
 * The first difference by a printf form of three strings, key, old value, new value: "%s was '%s' and is now
 * '%s'". A key that one of them lacks is "not given" there. Cut to out_bytes.
 */
void train_plan_difference(const char *was, const char *now, const char *form, char *out, size_t out_bytes);

#endif
