/*
 * trainer.h: the epoch loop. Takes an open training engine, a loader and rows; gives the best weights by
 * validation. Used for the head, for each fold and for fine-tuning: what differs is only the engine's
 * boundary and the loader's source.
 *
 * Same settings, seed, rows, device, thread count and machine give the same bits, also through any number of
 * stops: a checkpoint holds the position inside the epoch, the running sums and all engine state, and what an
 * epoch's order, augmentation and dropout are is a function of (seed, epoch, step).
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
    /* recompute batch norm statistics before each validation, from at most TRAINER_REFRESH_BATCHES */
    bool refresh;
    /* the untrained start is validated as epoch 0 and may turn out the best */
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
    /* means over the epoch, with dropout and batch statistics; NaN for epoch 0 */
    double train_loss, train_accuracy;
    struct trainer_metrics val;       /* NaN without validation rows */
    bool batch_norm, refreshed, best; /* batch_norm: some are unlocked */
    double images_per_s, waited_share, seconds;
};

struct trainer;
struct trainer_callbacks {
    void *context;
    /* Once, after a checkpoint was restored or found missing and before the first step: log and *event_bytes
     * are as they were then. */
    int (*begin)(void *context, const struct trainer *t, struct error *err);
    void (*step)(void *context, int epoch, uint64_t images_done, uint64_t images_total, double waited_share,
                 double loss, double accuracy);
    /* A rank was lost in the middle of a step: called before the last whole step is saved. */
    void (*lost)(void *context, const struct error *err);
    /* After each epoch; may be NULL. Non-zero ends the run with -1 (err set by the callee). */
    int (*epoch)(void *context, const struct trainer_epoch *e, struct error *err);
};

struct trainer {
    /* given */
    struct engine *engine;
    struct batch_loader *loader; /* of this rank's part of a batch, as the engine is */
    /* NULL: alone. All ranks make the same calls; only rank 0 reads and writes checkpoints */
    struct dist *dist;
    struct dataset *data;
    const uint32_t *train_rows;
    size_t n_train;
    const uint32_t *val_rows;
    size_t n_val; /* n_val 0: the last epoch is kept */
    int batch;    /* of all ranks together */
    struct trainer_settings settings;
    struct trainer_callbacks callbacks;
    /* what a checkpoint must have been made with, but for its threads (train_plan.h) */
    const char *plan;
    const char *checkpoint_path; /* NULL: none is written or read */
    /* the caller's rows of log.tsv and bytes of the event file, kept in checkpoints */
    struct text *log;
    uint64_t *event_bytes; /*   so that both continue without a gap; may be NULL */
    /* [n_rows of the data set] sum over epochs of z_label - max other z; NULL = not wanted */
    double *margins;

    /* results */
    int epochs_done, best_epoch; /* best_epoch 0: the base */
    struct trainer_metrics best;
    struct trainer_metrics base; /* keep_base: what epoch 0 gave */
    bool stopped_early;
    int stop_signal;   /* trainer_run gave 1 */
    int resumed_epoch; /* -1: there was no checkpoint */
    uint64_t resumed_step;
    unsigned resumed_threads; /* the checkpoint's number of threads if it differs, else 0 */

    /* inside */
    struct trainer_state *state;
};

/*
 * Runs to the end, from the checkpoint if there is one.
 * 0: done, the engine holds the best weights and statistics.
 * 1: a signal asked to stop, and the checkpoint is written.
 * -1: err. A loss that is not finite or explodes names step, rate and the last good checkpoint; a checkpoint
 * of another plan is EX_USAGE, a damaged one EX_DATAERR. All ranks return the same. When one is lost
 * (dist_lost()) the others return EX_TEMPFAIL, and rank 0 saves the last whole step if it can.
 */
int trainer_run(struct trainer *t, struct error *err);
void trainer_release(struct trainer *t);
/* A checkpoint is there that trainer_run would refuse with this plan: of
 * other options or data, or damaged. */
bool trainer_checkpoint_is_other(const char *path, const char *plan);
/* The plan that a checkpoint was made with, malloc'ed; NULL: there is none, or it cannot be read. */
char *trainer_checkpoint_plan(const char *path);

/* Probabilities [n][n_classes] of rows with the engine's weights as they are, no augmentation; each rank
 * computes a part, all get all. 1 when a signal came. */
int trainer_predict(struct engine *engine, struct batch_loader *loader, struct dist *dist,
                    const uint32_t *rows, size_t n, int n_classes, float *probabilities, struct error *err);
/* Loss (unweighted, unsmoothed), accuracy and balanced accuracy (mean recall over classes that occur); NaN of
 * no rows. */
int trainer_measure(struct trainer_metrics *out, const float *probabilities, const int *labels,
                    const uint32_t *rows, size_t n, int n_classes, struct error *err);

#endif
