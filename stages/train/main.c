/* train: trains a classifier on a shard set. Reads a shard set and a base model. Writes RUN/model,
 * RUN/log.tsv, TensorBoard events, and with --folds out-of-fold probabilities and margins. */
#include <stdio.h>
#include <string.h>

#include "io/signals.h"
#include "model/base_net.h"
#include "tensor/backend.h"
#include "tensor/cuda_libraries.h"
#include "train.h"

static const struct option_row rows[] = {
    OPTION_GROUP("What to train"),
    OPTION(struct train_options, STRING, 0, "shards", shards, "DIR", "packed training set that pack wrote"),
    OPTION(struct train_options, STRING, 0, "base", base, "MODEL",
           "model to start from: a TensorFlow.js layers model folder, .keras, .h5 or .onnx, or the name "
           "of a folder in models/base (efficientnet_lite1); for fine-tune: a model that phase head "
           "wrote for the same classes"),
    OPTION(struct train_options, STRING, 0, "input", input, "SPEC",
           "how pictures are scaled for a base whose file does not say it; see classify --input; pack "
           "does what resize and crop say"),
    OPTION(struct train_options, CHOICE, 0, "phase", phase, "PHASE",
           "head: train a new head on the frozen base, from cached features; fine-tune: also train the "
           "layers from --unlock-from on",
           CHOICES("head|fine-tune")),
    OPTION(struct train_options, STRING, 0, "out", out, "RUN",
           "folder of this run: model/, log.tsv, events, checkpoint"),
    OPTION(struct train_options, CHOICE, 0, "on-change", on_change, "RULE",
           "what to do when RUN was made with other options or data: refuse, or restart from the "
           "beginning",
           CHOICES("refuse|restart")),
    OPTION(struct train_options, STRING, 0, "cache", cache, "DIR",
           "folder for the outputs of frozen layers (default: RUN/cache)"),
    OPTION(struct train_options, STRING, 0, "unlock-from", unlock_from, "LAYER",
           "fine-tune, and head with --boundary-cache: train this layer and all after it in the model "
           "file; or a block (block5a), or a share of the convolutions (0.3: the last 30%, from the "
           "start of a block); auto: conv2d_56, or the last third"),
    OPTION(struct train_options, STRING, 0, "feature-layer", feature_layer, "LAYER",
           "head: attach the head after this layer, or after the last layer of a block (layer3, "
           "block5a), instead of after the last feature map"),
    OPTION(struct train_options, INT, 0, "folds", folds, "K",
           "head: also write out-of-fold probabilities of every training picture (oof.tsv) by K-fold "
           "cross-validation",
           RANGE(0, 100)),
    OPTION(struct train_options, CHOICE, 0, "fold-rows", fold_rows, "ROWS",
           "pictures that the folds divide: train, or all (validation and test, too), so that "
           "mine-errors can check every label in the same way. The model that is kept learns from the "
           "training split only",
           CHOICES("train|all")),
    OPTION(struct train_options, INT, 0, "fold-passes", fold_passes, "N",
           "how many times to repeat the cross-validation; from the second pass on, learn only from "
           "pictures whose label the previous pass predicted, so that similar wrong labels do not "
           "confirm each other. oof.tsv is from the last pass, margins.tsv from the first",
           RANGE(1, 5)),
    OPTION(struct train_options, STRING, 0, "features-only", features_only, "PART",
           "head: only compute features, for the tasks of a job array. I/N: compute one of N parts, in "
           "CACHE/part-I-of-N; join/N: join all parts in CACHE. Needs --cache; --out is not needed"),
    OPTION(struct train_options, STRING, 0, "export-features", export_features, "DIR",
           "head: write features.npy and rows.tsv to this folder, for other tools"),

    OPTION_GROUP("How to train"),
    OPTION(struct train_options, INT, 0, "epochs", epochs, "N", "epochs; -1: 60 for head, 4 for fine-tune",
           RANGE(-1, 100000)),
    OPTION(struct train_options, STRING, 0, "batch", batch, "N",
           "pictures in a step; auto: the largest power of two that fits into the memory of the device"),
    OPTION(struct train_options, DOUBLE, 0, "lr", rate, "X",
           "learning rate; -1: 0.01 for head, 0.002 for fine-tune (Adam: a tenth)", RANGE(-1, 1000)),
    OPTION(struct train_options, STRING, 0, "schedule", schedule, "S",
           "constant, exp:FACTOR[:EPOCHS], step:FACTOR:E1,E2, cosine[:FLOOR], piecewise:R1@E1,...,R, article "
           "(default: cosine for head, exp:0.5 for fine-tune)"),
    OPTION(struct train_options, DOUBLE, 0, "warmup", warmup, "EPOCHS",
           "increase the rate to its value during the first epochs, as many as this", RANGE(0, 1000)),
    OPTION(struct train_options, CHOICE, 0, "optimizer", optimizer, "NAME", "sgd or adam",
           CHOICES("sgd|adam")),
    OPTION(struct train_options, STRING, 0, "class-weights", class_weights, "W",
           "none, balanced, or one number for each class, separated by commas"),
    OPTION(struct train_options, DOUBLE, 0, "head-l2", head_l2, "X",
           "L2 penalty of the head's first dense layer; -1: that of the model (0.0005)", RANGE(-1, 100)),
    OPTION(struct train_options, FLAG, 0, "freeze-bn", freeze_bn, NULL,
           "fine-tune: train only kernels; batch norms keep the statistics, scales and shifts of the "
           "base; often better with a few thousand pictures"),
    OPTION(struct train_options, CHOICE, 0, "refresh-bn", refresh, "WHEN",
           "replace the moving averages of batch norms by statistics of training pictures, before each "
           "validation and in the kept model; auto: when an epoch has fewer than 500 steps",
           CHOICES("auto|on|off")),
    OPTION(struct train_options, CHOICE, 0, "select", select, "METRIC",
           "validation result by which the best model is chosen", CHOICES("accuracy|balanced-accuracy|loss")),
    OPTION(struct train_options, INT, 0, "patience", patience, "N",
           "stop after N epochs without a better validation result; 0: never; -1: 20 for head, 5 for "
           "fine-tune",
           RANGE(-1, 100000)),
    OPTION(struct train_options, STRING, 0, "augment", augment, "SPEC",
           "fine-tune: change each picture at random in each epoch: none, article, or a list as for "
           "augment --spec"),
    OPTION(struct train_options, CHOICE, 0, "boundary-cache", boundary, "TYPE",
           "fine-tune: compute the outputs of the frozen layers once and keep them on disk (1 MiB for "
           "each picture as f32, half as f16); not with --augment. head: compute them together with the "
           "features",
           CHOICES("none|f16|f32")),
    COMMON_ROW_SEED(struct train_options, common),

    OPTION_GROUP("Where it runs"),
    OPTION(struct train_options, STRING, 0, "device", device, "D", "auto, cpu, cuda or ref"),
    OPTION(struct train_options, FLAG, 0, "list-devices", list_devices, NULL,
           "list the devices that can be used, and say why others cannot"),
    OPTION(struct train_options, STRING, 0, "plan-for", plan_for, "CARD",
           "do not train: print how much memory and time training would take on this GPU, which need not "
           "be present: t4, a100, rtx3090, rtx4090, h100, h200, ..., or a file that --describe-device "
           "wrote"),
    OPTION(struct train_options, FLAG, 0, "describe-device", describe_device, NULL,
           "print the properties of the GPU, for --plan-for"),
    OPTION(struct train_options, STRING, 0, "devices", devices, "LIST",
           "cuda: share each batch among these GPUs, as in 0,1"),
    OPTION(struct train_options, CHOICE, 0, "precision", precision, "P",
           "precision of multiplications; auto: tf32 on a GPU, fp32 elsewhere", CHOICES(BASE_NET_PRECISIONS)),
    OPTION(struct train_options, INT, 'j', "threads", common.threads, "N",
           "threads of the CPU device; 0: all processors", RANGE(0, 1024)),

    OPTION_GROUP("Several processes"),
    OPTION(struct train_options, CHOICE, 0, "distributed", distributed, "HOW",
           "share each batch among the ranks that mpirun started; auto: if it started several; none: "
           "never",
           CHOICES("auto|none|mpi")),
    OPTION(struct train_options, FLAG, 0, "sync-bn", sync_bn, NULL,
           "several ranks or GPUs: unlocked batch norms use the statistics of the whole batch, not of "
           "each part"),
    OPTION(struct train_options, DOUBLE, 0, "rank-timeout", rank_timeout_s, "SECONDS",
           "a rank that sends nothing for longer than this counts as lost", RANGE(1, 1e6)),
    COMMON_ROW_TALK(struct train_options, common),

    OPTION_GROUP("Expert"),
    OPTION(struct train_options, DOUBLE, 0, "momentum", momentum, "M", "momentum of SGD", RANGE(0, 0.9999)),
    OPTION(struct train_options, FLAG, 0, "nesterov", nesterov, NULL, "Nesterov's form of momentum"),
    OPTION(struct train_options, DOUBLE, 0, "label-smoothing", smoothing, "S",
           "spread this share of each target over all classes", RANGE(0, 0.999)),
    OPTION(struct train_options, DOUBLE, 0, "clip-norm", clip_norm, "X",
           "scale the gradient of all weights down when its norm is larger than this; 0: no limit",
           RANGE(0, 1e9)),
    OPTION(struct train_options, DOUBLE, 0, "ema", ema, "DECAY",
           "measure and keep an exponential moving average of the weights; 0: off", RANGE(0, 0.999999)),
    OPTION(struct train_options, INT, 0, "loader-threads", loader_threads, "N",
           "threads that prepare batches while the device computes", RANGE(0, 256)),
    OPTION(struct train_options, BYTES, 0, "memory-limit", memory_limit, "BYTES",
           "refuse to start when the run needs more memory than this; 0: the memory of the machine"),
    OPTION(struct train_options, DOUBLE, 0, "checkpoint-seconds", checkpoint_s, "N",
           "shortest time between two checkpoints", RANGE(0, 1e9)),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "train",
    .synopsis = "--shards DIR --base MODEL --out RUN",
    .summary = "train a classifier on a packed set of pictures",
    .details =
        "RUN/model is the best model by validation, RUN/log.tsv has a row for each epoch, "
        "RUN/events.out.tfevents.winnow is for TensorBoard. A run that was stopped, even by kill -9, "
        "continues from its checkpoint when the same command is given again, and its result has the same "
        "bytes. A complete run is not changed. On INT or TERM the program writes a checkpoint and "
        "exits.\n\n"
        "  train --shards set --base models/base/inception_v3 --phase head --folds 5 --out runs/head\n"
        "  train --shards set --base runs/head/model --phase fine-tune --boundary-cache f16 --out runs/fine\n"
        "  mpirun -np 4 -map-by slot:PE=8 train --shards set --base runs/head/model --phase fine-tune "
        "--batch 64 --out runs/fine",
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
    size_t n;
    const struct cuda_library *l = backend_cuda_libraries(&n);
    for (size_t i = 0; i < n; i++)
        printf("%s\t%s\t%s%s%s\n", l[i].name, *l[i].path ? "yes" : "no", l[i].version,
               *l[i].version ? " " : "", *l[i].path ? l[i].path : "not found");
    return fflush(stdout) ? EX_IOERR : 0;
}

static int complete_options(struct train_run *run, void *options, struct error *err)
{
    (void)run;
    return train_options_complete(options, err);
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
    run.options = &opt;
    if (opt.plan_for || opt.describe_device) {
        rc = opt.plan_for ? train_plan_for(&run, &err) : train_describe_device(&run, &err);
        train_run_release(&run);
        options_release(&table, &opt);
        return stage_end(rc, &err, NULL, &opt.common);
    }
    signals_long_stage();
    rc = train_join(&run, &opt, &err);
    if (!rc) rc = train_on(&run, ON_ALL, complete_options, &opt, &err);
    if (!rc) rc = train_run(&run, &err);
    rc = train_leave(&run, rc, rc > 0 ? run.stop_signal : 0, &err);
    options_release(&table, &opt);
    return rc;
}
