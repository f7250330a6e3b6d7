/*
 * train: fit a classifier to a shard set. Reads a shard set and a base model; writes RUN/model, RUN/log.tsv,
 * TensorBoard events, and, with --folds, out-of-fold probabilities and margins.
 */
#include <stdio.h>
#include <string.h>

#include "tensor/backend.h"
#include "train.h"

#define F(field) offsetof(struct train_options, field)

static const struct option_row rows[] = {
    {OPTION_HEADING, 0, NULL, 0, NULL, "What to train", 0, 0, NULL},
    {OPTION_STRING, 0, "shards", F(shards), "DIR", "the packed training set, as `pack` writes it", 0, 0,
     NULL},
    {OPTION_STRING, 0, "base", F(base), "MODEL",
     "TFJS layers model folder or Keras .h5; for fine-tune: a model that phase head wrote for the same "
     "classes",
     0, 0, NULL},
    {OPTION_CHOICE, 0, "phase", F(phase), "PHASE",
     "head: a new head on the frozen base, from cached features; fine-tune: the layers from --unlock-from on",
     0, 0, "head|fine-tune"},
    {OPTION_STRING, 0, "out", F(out), "RUN", "folder of this run: model/, log.tsv, events, checkpoint", 0, 0,
     NULL},
    {OPTION_CHOICE, 0, "on-change", F(on_change), "RULE",
     "when RUN was made with other options or data: refuse, or restart it from the beginning", 0, 0,
     "refuse|restart"},
    {OPTION_STRING, 0, "cache", F(cache), "DIR",
     "where activations of frozen layers are kept (default: RUN/cache)", 0, 0, NULL},
    {OPTION_STRING, 0, "unlock-from", F(unlock_from), "LAYER",
     "fine-tune, --boundary-cache: this layer and all behind it in the model file learn; auto: conv2d_56, or "
     "two thirds into the convolutions",
     0, 0, NULL},
    {OPTION_INT, 0, "folds", F(folds), "K",
     "head: also write out-of-fold probabilities of every training picture (oof.tsv) by K-fold "
     "cross-validation",
     0, 100, NULL},
    {OPTION_CHOICE, 0, "fold-rows", F(fold_rows), "ROWS",
     "whose: train, or all: validation and test pictures, too, so that mine-errors sees every label judged "
     "the same way. The models of "
     "the folds then learn from the other folds of all splits and are thrown away; the model kept learns "
     "from the training split alone",
     0, 0, "train|all"},
    {OPTION_INT, 0, "fold-passes", F(fold_passes), "N",
     "cross-validate so many times, from the second on learning only from pictures whose label the pass "
     "before predicted: wrong labels "
     "that resemble each other no longer vouch for each other. oof.tsv is the last pass's, margins.tsv the "
     "first's",
     1, 5, NULL},
    {OPTION_STRING, 0, "features-only", F(features_only), "PART",
     "head: I/N: put the features of one of N parts of the pictures into CACHE/part-I-of-N and end; join/N: "
     "take all parts into CACHE "
     "and end. For the tasks of a job array; needs --cache, not --out",
     0, 0, NULL},
    {OPTION_STRING, 0, "export-features", F(export_features), "DIR",
     "head: write features.npy and rows.tsv there, for other tools", 0, 0, NULL},

    {OPTION_HEADING, 0, NULL, 0, NULL, "How to train", 0, 0, NULL},
    {OPTION_INT, 0, "epochs", F(epochs), "N", "epochs; -1: 60 for head, 4 for fine-tune", -1, 100000, NULL},
    {OPTION_STRING, 0, "batch", F(batch), "N",
     "pictures a step; auto: the largest that fits into the device's memory", 0, 0, NULL},
    {OPTION_DOUBLE, 0, "lr", F(rate), "X",
     "learning rate; -1: 0.01 for head, 0.002 for fine-tune (Adam: a tenth)", -1, 1000, NULL},
    {OPTION_STRING, 0, "schedule", F(schedule), "S",
     "constant, exp:FACTOR[:EPOCHS], step:FACTOR:E1,E2, cosine[:FLOOR], piecewise:R1@E1,...,R, article "
     "(default: cosine for head, exp:0.5 for fine-tune)",
     0, 0, NULL},
    {OPTION_DOUBLE, 0, "warmup", F(warmup), "EPOCHS", "the rate climbs over so many epochs first", 0, 1000,
     NULL},
    {OPTION_CHOICE, 0, "optimizer", F(optimizer), "NAME", "sgd or adam", 0, 0, "sgd|adam"},
    {OPTION_DOUBLE, 0, "momentum", F(momentum), "M", "of SGD", 0, 0.9999, NULL},
    {OPTION_FLAG, 0, "nesterov", F(nesterov), NULL, "Nesterov's form of momentum", 0, 0, NULL},
    {OPTION_DOUBLE, 0, "label-smoothing", F(smoothing), "S", "share of each target spread over all classes",
     0, 0.999, NULL},
    {OPTION_STRING, 0, "class-weights", F(class_weights), "W",
     "none, balanced, or one number a class with commas between", 0, 0, NULL},
    {OPTION_DOUBLE, 0, "clip-norm", F(clip_norm), "X",
     "longest gradient, over all weights together; 0: no limit", 0, 1e9, NULL},
    {OPTION_DOUBLE, 0, "ema", F(ema), "DECAY",
     "validate and keep an exponential moving average of the weights; 0: off", 0, 0.999999, NULL},
    {OPTION_DOUBLE, 0, "head-l2", F(head_l2), "X",
     "L2 penalty of the head's first dense layer; -1: as the model has it (0.0005)", -1, 100, NULL},
    {OPTION_FLAG, 0, "freeze-bn", F(freeze_bn), NULL,
     "fine-tune: batch norms keep the base's statistics, scales and shifts, and only kernels learn; often "
     "better on a few thousand pictures",
     0, 0, NULL},
    {OPTION_CHOICE, 0, "refresh-bn", F(refresh), "WHEN",
     "take batch norm statistics anew from training pictures before each validation and in the model kept; "
     "auto: when an "
     "epoch has under 500 steps, since momentum 0.99 would leave them behind",
     0, 0, "auto|on|off"},
    {OPTION_INT, 0, "refresh-batches", F(refresh_batches), "N", "from so many batches, at most", 1, 1000000,
     NULL},
    {OPTION_CHOICE, 0, "select", F(select), "METRIC", "what makes a validation result the best", 0, 0,
     "accuracy|balanced-accuracy|loss"},
    {OPTION_INT, 0, "patience", F(patience), "N",
     "end after N epochs without a better validation; 0: never; -1: 20 for head, 5 for fine-tune", -1, 100000,
     NULL},
    {OPTION_STRING, 0, "augment", F(augment), "SPEC",
     "fine-tune: draw each picture anew each epoch: none, article, or a list as `augment` takes it", 0, 0,
     NULL},
    {OPTION_CHOICE, 0, "boundary-cache", F(boundary), "TYPE",
     "fine-tune: compute the frozen part once and keep its outputs on disk (1 MiB a picture as f32, half as "
     "f16); not with "
     "--augment. head: keep them on the way, for the fine-tuning that follows",
     0, 0, "none|f16|f32"},
    COMMON_ROW_SEED(struct train_options, common),

    {OPTION_HEADING, 0, NULL, 0, NULL, "Where it runs", 0, 0, NULL},
    {OPTION_STRING, 0, "device", F(device), "D", "auto, cpu, cuda or ref", 0, 0, NULL},
    {OPTION_FLAG, 0, "list-devices", F(list_devices), NULL,
     "say which devices can be used, and why others cannot", 0, 0, NULL},
    {OPTION_STRING, 0, "devices", F(devices), "LIST", "cuda: share each batch among these GPUs, as in 0,1", 0,
     0, NULL},
    {OPTION_CHOICE, 0, "precision", F(precision), "P",
     "of multiplications; auto: tf32 on a GPU, fp32 elsewhere", 0, 0, "auto|fp32|tf32|bf16"},
    {OPTION_INT, 'j', "threads", F(common.threads), "N", "threads of the CPU device; 0: all processors", 0,
     1024, NULL},
    {OPTION_INT, 0, "loader-threads", F(loader_threads), "N",
     "threads that make batches ahead when pictures are fed", 0, 256, NULL},
    {OPTION_BYTES, 0, "memory-limit", F(memory_limit), "BYTES",
     "refuse a plan that needs more; 0: what the machine has", 0, 0, NULL},
    {OPTION_DOUBLE, 0, "checkpoint-seconds", F(checkpoint_s), "N", "time between checkpoints, at least", 0,
     1e9, NULL},

    {OPTION_HEADING, 0, NULL, 0, NULL, "Several processes", 0, 0, NULL},
    {OPTION_CHOICE, 0, "distributed", F(distributed), "HOW",
     "share each batch among the ranks that mpirun started; auto: when it did; none: this process alone", 0,
     0, "auto|none|mpi"},
    {OPTION_FLAG, 0, "sync-bn", F(sync_bn), NULL,
     "ranks: batch norms that learn use the statistics of the whole batch, not of each rank's part", 0, 0,
     NULL},
    {OPTION_DOUBLE, 0, "rank-timeout", F(rank_timeout_s), "SECONDS",
     "ranks: how long the others may be silent before they count as lost", 1, 1e6, NULL},
    COMMON_ROW_TALK(struct train_options, common),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "train",
    .synopsis = "--shards DIR --base MODEL --out RUN",
    .summary = "fit a classifier to a packed set of pictures",
    .details =
        "RUN/model is the best model by validation, RUN/log.tsv has a row an epoch, "
        "RUN/events.out.tfevents.winnow is for "
        "TensorBoard. A run that was stopped, also by kill -9, goes on from its checkpoint when the same "
        "command is given "
        "again and ends with the same bytes; a run that is complete is left as it is. INT and TERM write a "
        "checkpoint first.\n\n"
        "  train --shards set --base models/base/inception_v3 --phase head --folds 5 --out runs/head\n"
        "  train --shards set --base runs/head/model --phase fine-tune --boundary-cache f16 --out runs/fine\n"
        "  mpirun -np 4 -map-by slot:PE=8 train --shards set --base runs/head/model --phase fine-tune "
        "--batch 64 --out runs/fine\n",
    .rows = rows,
    .min_operands = 0,
    .max_operands = 0,
};

static int list_devices(void)
{
    static const char *const names[] = {"cuda", "cpu", "ref"};
    for (int i = 0; i < 3; i++) {
        struct backend_options options = {.deterministic = true};
        const struct backend_table *backend;
        struct backend *b = NULL;
        struct error err = {0};
        if (backend_open(names[i], &options, &backend, &b, &err)) {
            printf("%s\tno\t%s\n", names[i], err.text);
            continue;
        }
        printf("%s\tyes\t%s\n", names[i], backend->describe(b));
        backend->close(b);
    }
    return fflush(stdout) ? EX_IOERR : 0;
}

int main(int argc, char **argv)
{
    struct train_options opt = TRAIN_DEFAULTS;
    struct train_run run = TRAIN_RUN_EMPTY;
    struct operands operands;
    struct error err = {0};
    stage_begin("train");
    int rc = options_parse(&table, &opt, argc, argv, &operands);
    if (rc != OPTIONS_RUN) return rc;
    if (opt.list_devices) return list_devices();
    signals_long_stage();
    run.options = &opt;
    rc = train_join(&run, &opt, &err);
    if (!rc)
        rc =
            dist_agree(run.dist, train_options_complete(&opt, &err), &err) || (rc = train_run(&run, &err)) < 0
                ? -1
                : rc;
    rc = train_leave(&run, rc, rc > 0 ? run.stop_signal : 0, &err);
    options_release(&table, &opt);
    return rc;
}
