/* engine_pieces.h: looks into an engine's plan, for tests and benchmarks that compare single weights or feed
 * an engine that begins in the middle of a network. */
#ifndef WINNOW_TESTS_ENGINE_PIECES_H
#define WINNOW_TESTS_ENGINE_PIECES_H

#include "tensor/engine_internal.h"

/* Finds the i-th weight in the order of engine_state_get; false after the last. *layer and *weight index
 * net->layers[].weights[]. */
static inline bool engine_state_piece(const struct engine *e, enum engine_state which, int i, int *layer,
                                      int *weight, size_t *offset, size_t *n)
{
    size_t at = 0;
    for (size_t k = 0; k < e->plan.n_params; k++) {
        const struct param *q = &e->plan.params[k];
        if (q->statistic != (which == ENGINE_STATISTICS)) continue;
        if (i-- == 0) {
            *layer = q->layer;
            *weight = q->weight;
            *offset = at;
            *n = q->n_values;
            return true;
        }
        at += q->n_values;
    }
    return false;
}

/* Floats per picture of the i-th input. */
static inline size_t engine_input_size(const struct engine *e, int i)
{
    return shape_row_values(&e->plan.values[e->plan.fed[i]].shape);
}

#endif
