/* train.h: declarations that the files of the train stage share: the options, and the state of a run. */
#ifndef WINNOW_STAGE_TRAIN_H
#define WINNOW_STAGE_TRAIN_H

#include "base/text.h"
#include "cli/options.h"
#include "cli/stage.h"
#include "dist/dist.h"
#include "io/file_lock.h"
#include "io/io.h"
#include "model/activation_cache.h"
#include "model/batch_loader.h"
#include "model/dataset.h"
#include "model/event_file.h"
#include "model/frozen_features.h"
#include "model/train_plan.h"
#include "model/trainer.h"
#include "net/net.h"

enum train_phase { PHASE_HEAD, PHASE_FINE_TUNE };
enum boundary_cache { BOUNDARY_NONE, BOUNDARY_F16, BOUNDARY_F32 };
enum refresh_mode { REFRESH_AUTO, REFRESH_ON, REFRESH_OFF };
enum fold_rows { FOLD_TRAIN_ROWS, FOLD_ALL_ROWS };
enum on_change { CHANGE_REFUSE, CHANGE_RESTART };

struct train_options {
    const char *shards, *base, *out, *cache, *export_features, *features_only, *input, *feature_layer;
    int fold_rows; /* enum fold_rows */
    int phase, optimizer, precision, select, boundary, refresh, on_change, distributed;
    int64_t epochs, folds, fold_passes, patience, loader_threads;
    double rate, warmup, momentum, smoothing, clip_norm, ema, head_l2, checkpoint_s, rank_timeout_s;
    const char *batch, *schedule, *device, *devices, *plan_for, *augment, *class_weights, *unlock_from;
    uint64_t memory_limit;
    bool nesterov, list_devices, describe_device, freeze_bn, sync_bn;
    struct common_options common;
};
#define TRAIN_DEFAULTS                                                                                       \
    ((struct train_options){.epochs = -1,                                                                    \
                            .fold_passes = 1,                                                                \
                            .batch = "32",                                                                   \
                            .rate = -1,                                                                      \
                            .momentum = 0.9,                                                                 \
                            .device = "auto",                                                                \
                            .augment = "none",                                                               \
                            .class_weights = "none",                                                         \
                            .head_l2 = -1,                                                                   \
                            .patience = -1,                                                                  \
                            .loader_threads = 2,                                                             \
                            .checkpoint_s = 30,                                                              \
                            .rank_timeout_s = 600,                                                           \
                            .unlock_from = "auto",                                                           \
                            .select = SELECT_ACCURACY,                                                       \
                            .common = COMMON_OPTIONS_DEFAULTS})

/* Sets the options that the user did not give to the defaults of the phase. Fails with EX_USAGE when options
 * contradict each other. */
int train_options_complete(struct train_options *o, struct error *err);

/* The state of one run, from its lock to its end. */
struct train_run {
    const struct train_options *options;
    /* NULL: a single process. Only rank 0 has the lock and writes files. All ranks compute and decide the
     * same. */
    struct dist *dist;
    struct text path_lock, path_done, path_checkpoint, path_log, path_events, path_model, path_oof,
        path_margins, path_cache;
    struct file_lock lock;
    struct dataset data;
    struct net net; /* the network to train, with its new head or its unlocked layers */
    char base_hash[33];
    struct augment_spec augment;
    double *class_weights;
    unsigned threads;
    const char *device;               /* what "auto" became */
    enum backend_precision precision; /* the same */
    int batch;                        /* of all ranks together */
    /* --features-only: which part of the pictures; n_parts 0: all pictures */
    int part, n_parts;
    struct text part_folder; /* the folder of the part's caches; empty: the folder of --cache */
    struct text plan;        /* "key\tvalue" lines: all that a result depends on */
    struct text log;         /* rows of log.tsv */
    struct text note;        /* the text that -v prints about the phase */
    uint64_t event_bytes;
    struct event_file events;
    struct progress progress;
    uint64_t images_before; /* progress: number of pictures before this process began */
    bool progress_begun;
    bool said_host; /* that the gradients of ranks with GPUs go through the host */
    double *margins;
    float *oof; /* [n_rows][n_classes], and fold of each row, with --folds */
    int *folds;
    /* The rows that the folds divide, ascending: those of the training split, or with --fold-rows all those
     * of every split. */
    uint32_t *fold_rows;
    size_t n_fold_rows;
    int stop_signal;
};
#define TRAIN_RUN_EMPTY ((struct train_run){.lock = FILE_LOCK_EMPTY, .events = EVENT_FILE_EMPTY})

/* run.c: runs the training. Returns 0 when it is complete (also when there was nothing to do), 1 when a
 * signal requested a stop and the state is saved, or -1 with err set. */
int train_run(struct train_run *run, struct error *err);
void train_run_release(struct train_run *run);

/* ranks.c: several processes, started by mpirun. */
/* whether this process is rank 0 or the only one, which writes and prints */
bool train_is_first(const struct train_run *run);
/*
 * Runs one step on the ranks that `who` names; the others do nothing. All ranks wait for it and return the
 * same: 0, or 1 when any step returned 1, or -1 with the message of the first step that failed. Collective.
 * The functions of ranks.c are the only ones that make the ranks agree.
 */
typedef int train_step(struct train_run *run, void *context, struct error *err);
enum train_who { ON_ALL, ON_FIRST, ON_OTHERS };
int train_on(struct train_run *run, enum train_who who, train_step *step, void *context, struct error *err);
/* Opens an engine over the run's net and a loader for its batches, on all ranks or on none. Collective. */
int train_open_engine(struct train_run *run, const struct engine_options *options,
                      const struct batch_source *source, unsigned n_threads, unsigned ahead,
                      struct engine **engine, struct batch_loader **loader, struct error *err);
/* Joins the ranks. From then on only rank 0 prints. */
int train_join(struct train_run *run, struct train_options *o, struct error *err);
/* Checks that the batch can be divided by the number of ranks, and that all ranks have the same plan.
 * Otherwise all ranks return -1 with err set, and the message names the difference. */
int train_check_ranks(struct train_run *run, struct error *err);
/* *differ becomes whether batch norms learn from one rank's part of the batch, so that the result depends on
 * the number of ranks. */
int train_statistics_differ(const struct train_run *run, bool *differ, struct error *err);
int train_device_index(const struct train_run *run); /* which GPU */
/* Sets run->stop_signal to a signal that any rank received. Returns 1, or -1 with err set. Collective. */
int train_common_signal(struct train_run *run, struct error *err);
/* Reports the result (rc of train_run), and leaves the ranks. Returns the exit code. */
int train_leave(struct train_run *run, int rc, int stop_signal, const struct error *err);

/* phase_head.c, phase_fine_tune.c: train run->net, and leave the best weights in it. The net must be open and
 * suit the data. */
int phase_head_prepare(struct train_run *run, struct error *err);
int phase_head(struct train_run *run, struct trainer *t, struct error *err);
/*
 * The caches that one pass through the base fills: that of the pooled features, and with --boundary-cache
 * that of the activations from which fine-tuning will start. The latter saves fine-tuning a separate pass,
 * which takes two thirds of the time of this one. phase_head_targets opens the caches, and phase_head_fill
 * computes the missing entries (it returns 1 when a signal stopped it).
 */
struct head_targets {
    struct frozen_boundary boundary[FROZEN_MAX_TARGETS];
    struct activation_cache *cache[FROZEN_MAX_TARGETS];
    int n;
};
int phase_head_targets(struct train_run *run, struct head_targets *t, struct error *err);
void phase_head_targets_close(struct head_targets *t);
int phase_head_fill(struct train_run *run, const struct head_targets *t, struct error *err);
/* Carries out --export-features for a run that is complete. */
int phase_head_export(struct train_run *run, struct error *err);
/* The engine of the head over cached features, and its loader. Opening it is collective. */
struct head_engine {
    struct engine *engine;
    struct batch_loader *loader;
};
int head_engine_open(struct head_engine *h, struct train_run *run, const struct frozen_boundary *f,
                     const struct activation_cache *cache, struct error *err);
void head_engine_close(struct head_engine *h);
int phase_fine_tune_prepare(struct train_run *run, struct error *err);
int phase_fine_tune(struct train_run *run, struct trainer *t, struct error *err);

/* folds.c: trains all folds, then writes oof.tsv and margins.tsv. run->net is the untrained head;
 * run->margins is overwritten. Returns 0, 1 when a signal requested a stop (completed folds are kept), or -1
 * with err set. */
int train_folds(struct train_run *run, const struct frozen_boundary *f, const struct activation_cache *cache,
                struct error *err);

/* train_images.c: sets image[row], for each of these rows, to the row of the original picture: that with
 * variant 0, or the lowest variant that exists. image has one element for each row of the data. */
int train_images(const struct train_run *run, const uint32_t *rows, size_t n, uint32_t *image,
                 struct error *err);

/* plan_for.c: --plan-for and --describe-device, on standard output. */
int train_plan_for(struct train_run *run, struct error *err);
int train_describe_device(const struct train_run *run, struct error *err);

/* features_part.c: --features-only. features_part_check fails with EX_USAGE for options that contradict it.
 * features_part_run returns the same values as train_run. */
int features_part_check(const struct train_options *o, struct error *err);
int features_part_run(struct train_run *run, struct error *err);
/* Whether the picture with this key is in the part that this run computes. */
bool features_part_has(const struct train_run *run, const struct activation_key *key);

/* run.c, for the phases */
const char *train_cache_folder(const struct train_run *run);
/* Opens device, data and base. Not collective. */
int train_open_inputs(struct train_run *run, struct error *err);
#define BATCH_MOST 1024 /* larger batches are not faster on any card, and make training worse */
/* The share of the free memory that is used, because libraries allocate memory when they first run. */
#define BATCH_SHARE_USED 0.9
int train_parse_batch(const struct train_options *o, int *batch, struct error *err); /* 0: auto */
/* Sets run->batch from --batch. Fails with EX_USAGE when it is not a valid batch, and with EX_OSERR when not
 * even one picture fits. */
int train_choose_batch(struct train_run *run, struct error *err);
/* Sets run->net from --base. side 0: the size of pictures that the net prefers. */
int train_open_base(struct train_run *run, int side, struct error *err);
struct engine_options train_engine_options(const struct train_run *run);
int train_open_cache(struct train_run *run, const struct frozen_boundary *f, const char *name,
                     enum activation_dtype dtype, struct activation_cache **cache, struct error *err);
/* Computes the rows of all wanted splits into the caches, with a progress line. Returns 0, 1 when a signal
 * stopped it, or -1 with err set. */
int train_fill_caches(struct train_run *run, const struct frozen_target *targets, int n_targets,
                      const char *what, bool with_test, struct error *err);
/* Opens the boundary cache of fine-tuning for a net whose layers are unlocked, prints its cost, and checks
 * that the disk has space for it. */
int train_open_boundary(struct train_run *run, const struct frozen_boundary *f,
                        struct activation_cache **cache, struct error *err);
/* Applies --unlock-from to net, with "auto" resolved. */
int train_unlock(const struct train_run *run, struct net *net, const char **from, struct error *err);
int train_settings(const struct train_run *run, int epochs, bool has_batch_norm, size_t n_train,
                   struct trainer_settings *out, struct error *err);
/* Trains with the log, events, checkpoint and progress of the run. Returns the same values as trainer_run. */
int train_with_log(struct train_run *run, struct trainer *t, struct error *err);

/* outputs.c */
int outputs_log_row(struct train_run *run, const struct trainer_epoch *e, struct error *err);
int outputs_log_write(const struct train_run *run, struct error *err);
int outputs_events(struct train_run *run, const struct trainer_epoch *e, struct error *err);
int outputs_oof(const struct train_run *run, struct error *err);
/* Writes the margins of rows [n]. run->margins has sums, which are divided by the number of epochs. */
int outputs_margins(const struct train_run *run, const uint32_t *rows, size_t n, int epochs,
                    struct error *err);
int outputs_model(struct train_run *run, const struct trainer *t, struct error *err);
int outputs_features(struct train_run *run, const struct frozen_boundary *f,
                     const struct activation_cache *cache, struct error *err);

#endif
