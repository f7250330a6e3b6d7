/* trainer_internal.h: declarations that trainer.c, trainer_state.c and trainer_ranks.c share. */
#ifndef WINNOW_MODEL_TRAINER_INTERNAL_H
#define WINNOW_MODEL_TRAINER_INTERNAL_H

#include "model/trainer.h"

/* The numbers of a checkpoint besides its blocks of floats. The struct is written as it is in memory, and
 * read by the same build on the same kind of machine. */
struct trainer_position {
    uint64_t version;
    int64_t epoch;                          /* being trained, from 0 */
    uint64_t batch_in_epoch;                /* batches done of it */
    uint64_t step;                          /* optimiser steps done */
    double sum_loss, sum_seen, sum_correct; /* of the epoch so far */
    double rate;
    int64_t best_epoch, epochs_done, stale, has_best, base_done;
    struct trainer_metrics best, base;
    /* loss of the first step, with which later losses are compared to detect an explosion */
    double first_loss;
    uint64_t event_bytes;
};

struct trainer_state {
    struct trainer_position at;
    float *best[ENGINE_STATES]; /* ENGINE_WEIGHTS and ENGINE_STATISTICS of the best epoch */
    /* With ranks: the moving statistics at the start of a step, to return to
     * them when the step is interrupted. */
    float *statistics_before;
    float *spare[ENGINE_STATES]; /* scratch: the running weights while the average is validated */
    uint32_t *order;             /* [n_train] */
    uint32_t *refresh_order;     /* [n_train] */
    float *targets, *weights;    /* [batch][n_classes], [batch] */
    float *probabilities;        /* [max(batch, n_val)][n_classes] */
    double checkpoint_at;        /* clock of the last one */
};

int trainer_save(struct trainer *t, struct error *err);
/* Restores the run from its checkpoint. Returns 1, 0 when there is no checkpoint, or -1 with err set. */
int trainer_restore(struct trainer *t, struct error *err);
/* Copies a block of the engine's state to memory, which is allocated on first use. */
int trainer_get_state(struct trainer *t, enum engine_state which, float **out, struct error *err);

/* --- trainer_ranks.c: work between ranks; in a single process these functions succeed and do nothing --- */

/* Sets *signal to a signal that any rank received, or 0. It is the same on all ranks. */
int trainer_asked_to_stop(struct dist *dist, int *signal, struct error *err);
/* Call it on every rank after a failure that every rank has seen. Returns -1 on all ranks; only rank 0
 * reports the failure. */
int trainer_all_failed(struct trainer *t, struct error *err);
/* Compares the weights of the ranks after every epoch. Without this, ranks whose weights differ would each
 * train another network, unnoticed. */
int trainer_compare_ranks(struct trainer *t, struct error *err);
/* Sets state->probabilities for all n_whole rows of the last step. */
int trainer_gather_probabilities(struct trainer *t, int n_whole, struct error *err);
/* Always returns -1. When a lost rank interrupted the step, the weights are still those of the step
 * before, and its statistics were kept. Both are saved. */
int trainer_save_after_loss(struct trainer *t, bool step_is_whole, struct error *err);

#endif
