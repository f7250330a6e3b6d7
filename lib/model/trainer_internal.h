/* trainer_internal.h: what trainer.c and trainer_state.c share. */
#ifndef WINNOW_MODEL_TRAINER_INTERNAL_H
#define WINNOW_MODEL_TRAINER_INTERNAL_H

#include "model/trainer.h"

/* What a checkpoint keeps besides the float blocks; plain old data, written as it lies in memory (same
 * machine, same build). */
struct trainer_position {
    uint64_t version;
    int64_t epoch;                          /* being trained, from 0 */
    uint64_t batch_in_epoch;                /* batches done of it */
    uint64_t step;                          /* optimiser steps done */
    double sum_loss, sum_seen, sum_correct; /* of the epoch so far */
    double rate;
    int64_t best_epoch, epochs_done, stale, has_best, base_done;
    struct trainer_metrics best, base;
    double first_loss; /* of the first step: what "explodes" is measured by */
    uint64_t event_bytes;
};

struct trainer_state {
    struct trainer_position at;
    float *best[ENGINE_STATES]; /* ENGINE_WEIGHTS and ENGINE_STATISTICS of the best epoch */
    /* ranks: moving statistics at the start of a step, to return to when it is interrupted */
    float *statistics_before;
    float *spare[ENGINE_STATES]; /* scratch: the running weights while the average is validated */
    uint32_t *order;             /* [n_train] */
    uint32_t *refresh_order;     /* [n_train] */
    float *targets, *weights;    /* [batch][n_classes], [batch] */
    float *probabilities;        /* [max(batch, n_val)][n_classes] */
    double checkpoint_at;        /* clock of the last one */
};

int trainer_save(struct trainer *t, struct error *err);
/* 1: restored; 0: there is no checkpoint; -1. */
int trainer_restore(struct trainer *t, struct error *err);
/* Copies an engine state block to memory made on first use. */
int trainer_get_state(struct trainer *t, enum engine_state which, float **out, struct error *err);

#endif
