/*
 * trainer.h: trains a network epoch by epoch, and finds the weights that are best on the validation rows. The
 * caller provides an open training engine, a loader and rows. The head, each fold and fine-tuning are trained
 * by this code; they differ only in the boundary of the engine and in the source of the loader.
 *
 * Same settings, seed, rows, device, number of threads and machine give the same bits, however often the run
 * is stopped and continued. To make this possible, a checkpoint contains the position inside the epoch, the
 * running sums and the state of the engine. The order, the augmentation and the dropout of an epoch depend on
 * (seed, epoch, step) only.
 */
#ifndef WINNOW_MODEL_TRAINER_H
#define WINNOW_MODEL_TRAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"
#include "dist/dist.h"
#include "model/batch_loader.h"
#include "model/lr_schedule.h"
#include "tensor/engine.h"

enum trainer_select { SELECT_ACCURACY, SELECT_BALANCED_ACCURACY, SELECT_LOSS };
const char *trainer_select_name(enum trainer_select s); /* "accuracy", "balanced-accuracy", "loss" */

#define TRAINER_REFRESH_BATCHES 32 /* of training rows, at most, that batch norm statistics are taken from */

struct trainer_settings {
    int epochs;
    uint64_t seed;
    struct schedule schedule;
    enum engine_optimizer optimizer;
    double momentum;
    bool nesterov;
    double label_smoothing;      /* target = (1-s) one-hot + s/classes */
    const double *class_weights; /* [n_classes]; borrowed */
    double clip_norm;            /* 0 = off */
    double ema_decay;            /* 0 = off; else the average is what is validated and kept */
    int patience;                /* epochs without a better validation before it ends; 0 = never */
    enum trainer_select select;
    /* Recompute the statistics of batch norms before each validation, from at most
     * TRAINER_REFRESH_BATCHES batches. */
    bool refresh;
    /* Validate the initial weights as epoch 0; they may be the best. */
    bool keep_base;
    double checkpoint_s; /* seconds between checkpoints, at least; a stop always writes one */
};

struct trainer_metrics {
    double loss, accuracy, balanced_accuracy;
};

struct trainer_epoch { /* one row of log.tsv */
    int epoch;         /* 1..; 0 is the base model */
    uint64_t step;     /* optimiser steps so far */
    double rate;       /* at the epoch's last step */
    /* Means over the epoch's steps, which use dropout and batch statistics. NaN for epoch 0. */
    double train_loss, train_accuracy;
    struct trainer_metrics val;       /* NaN without validation rows */
    bool batch_norm, refreshed, best; /* batch_norm: some are unlocked */
    double images_per_s, waited_share, seconds;
};

struct trainer;
struct trainer_callbacks {
    void *context;
    /* Called once before the first step, after the checkpoint was restored if there is one. log and
     * *event_bytes then have their values at that checkpoint. */
    int (*begin)(void *context, const struct trainer *t, struct error *err);
    void (*step)(void *context, int epoch, uint64_t images_done, uint64_t images_total, double waited_share,
                 double loss, double accuracy);
    /* Called when a rank was lost in the middle of a step, before the last complete step is saved. */
    void (*lost)(void *context, const struct error *err);
    /* Called after each epoch; may be NULL. A value other than 0 ends the run with -1, and must set err. */
    int (*epoch)(void *context, const struct trainer_epoch *e, struct error *err);
};

struct trainer {
    /* given */
    struct engine *engine;
    struct batch_loader *loader; /* loads this rank's part of a batch; the engine is for such a part, too */
    /* NULL: this process alone. All ranks make the same calls; only rank 0 reads and writes checkpoints. */
    struct dist *dist;
    struct dataset *data;
    const uint32_t *train_rows;
    size_t n_train;
    const uint32_t *val_rows;
    size_t n_val; /* n_val 0: the last epoch is kept */
    int batch;    /* of all ranks together */
    struct trainer_settings settings;
    struct trainer_callbacks callbacks;
    /* The plan of this run. A checkpoint is used only if its plan is the same except for the threads
     * (train_plan.h). */
    const char *plan;
    const char *checkpoint_path; /* NULL: no checkpoint is written or read */
    /* The caller's rows of log.tsv and bytes of the event file, which checkpoints contain. */
    struct text *log;
    uint64_t *event_bytes; /*   so that both continue without a gap; may be NULL */
    /* [n_rows of the data set]: the sum over epochs of z_label - the largest
     * other z. NULL when not wanted. */
    double *margins;

    /* results */
    int epochs_done, best_epoch; /* best_epoch 0: the base */
    struct trainer_metrics best;
    struct trainer_metrics base; /* with keep_base: the metrics of epoch 0 */
    bool stopped_early;
    int stop_signal;   /* trainer_run gave 1 */
    int resumed_epoch; /* -1: there was no checkpoint */
    uint64_t resumed_step;
    unsigned resumed_threads; /* the checkpoint's number of threads if it differs, else 0 */

    /* inside */
    struct trainer_state *state;
};

/*
 * Trains to the end, from the checkpoint if there is one. Returns 0 when training is complete; the engine
 * then has the best weights and statistics. Returns 1 after a signal requested a stop and the checkpoint was
 * written. Returns -1 with err set otherwise: EX_USAGE for a checkpoint with another plan, EX_DATAERR for a
 * damaged one. When the loss explodes or is not finite, the message names the step, the rate and the last
 * good checkpoint. All ranks return the same. When a rank is lost (dist_lost()) the others fail with
 * EX_TEMPFAIL, and rank 0 saves the last complete step if it can.
 */
int trainer_run(struct trainer *t, struct error *err);
void trainer_release(struct trainer *t);
/* Whether path is a checkpoint that trainer_run would refuse with this plan, because its options or data
 * differ or it is damaged. */
bool trainer_checkpoint_is_other(const char *path, const char *plan);
/* Returns the plan in a checkpoint, malloc'ed, or NULL when there is no checkpoint or it cannot be read. */
char *trainer_checkpoint_plan(const char *path);

/* Computes the probabilities [n][n_classes] of rows, with the present weights of the engine and without
 * augmentation. Each rank computes a part, and all ranks get the whole. Returns 0, 1 when a signal requested
 * a stop, or -1 with err set. */
int trainer_predict(struct engine *engine, struct batch_loader *loader, struct dist *dist,
                    const uint32_t *rows, size_t n, int n_classes, float *probabilities, struct error *err);
/* Computes the loss (without class weights and label smoothing), the accuracy, and the balanced accuracy,
 * which is the mean recall over the classes that occur. All are NaN without rows. */
int trainer_measure(struct trainer_metrics *out, const float *probabilities, const int *labels,
                    const uint32_t *rows, size_t n, int n_classes, struct error *err);

#endif
