/* train: fits a classifier to a shard set. Reads a shard set and a base model. Writes RUN/model,
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
    OPTION(struct train_options, STRING, 0, "shards", shards, "DIR",
           "the packed training set, as `pack` writes it"),
    OPTION(struct train_options, STRING, 0, "base", base, "MODEL",
           "TFJS layers model folder, .keras, .h5 or .onnx, or the name of a folder in models/base "
           "(efficientnet_lite1); for fine-tune: a model that phase head wrote for the same classes"),
    OPTION(struct train_options, STRING, 0, "input", input, "SPEC",
           "how pictures are fed to a base that does not say it, as classify's --input; resize and crop are "
           "pack's"),
    OPTION(struct train_options, CHOICE, 0, "phase", phase, "PHASE",
           "head: a new head on the frozen base, from cached features; fine-tune: the layers from "
           "--unlock-from on",
           CHOICES("head|fine-tune")),
    OPTION(struct train_options, STRING, 0, "out", out, "RUN",
           "folder of this run: model/, log.tsv, events, checkpoint"),
    OPTION(struct train_options, CHOICE, 0, "on-change", on_change, "RULE",
           "when RUN was made with other options or data: refuse, or restart it from the beginning",
           CHOICES("refuse|restart")),
    OPTION(struct train_options, STRING, 0, "cache", cache, "DIR",
           "where activations of frozen layers are kept (default: RUN/cache)"),
    OPTION(struct train_options, STRING, 0, "unlock-from", unlock_from, "LAYER",
           "fine-tune, --boundary-cache: this layer and all after it in the model file learn; also a block "
           "(block5a) or a share of the convolutions (0.3: the last 30%, from a block's start); auto: "
           "conv2d_56, or the last third"),
    OPTION(struct train_options, STRING, 0, "feature-layer", feature_layer, "LAYER",
           "head: put the head on the average of this layer's output, or of a block's last layer (layer3, "
           "block5a), instead of on the last feature map"),
    OPTION(struct train_options, INT, 0, "folds", folds, "K",
           "head: also write out-of-fold probabilities of every training picture (oof.tsv) by K-fold "
           "cross-validation",
           RANGE(0, 100)),
    OPTION(struct train_options, CHOICE, 0, "fold-rows", fold_rows, "ROWS",
           "of which pictures: train, or all (validation and test, too), so that mine-errors sees every "
           "label judged the same way. The models of the folds then learn from the other folds of all splits "
           "and are thrown away; the model kept learns from the training split alone",
           CHOICES("train|all")),
    OPTION(struct train_options, INT, 0, "fold-passes", fold_passes, "N",
           "number of cross-validations; from the second on, learn only from pictures whose label the pass "
           "before predicted, so that wrong labels that resemble each other do not confirm each other. "
           "oof.tsv is the last pass's, margins.tsv the first's",
           RANGE(1, 5)),
    OPTION(struct train_options, STRING, 0, "features-only", features_only, "PART",
           "head: I/N: put the features of one of N parts of the pictures into CACHE/part-I-of-N and end; "
           "join/N: take all parts into CACHE and end. For the tasks of a job array; needs --cache, not "
           "--out"),
    OPTION(struct train_options, STRING, 0, "export-features", export_features, "DIR",
           "head: write features.npy and rows.tsv there, for other tools"),

    OPTION_GROUP("How to train"),
    OPTION(struct train_options, INT, 0, "epochs", epochs, "N", "epochs; -1: 60 for head, 4 for fine-tune",
           RANGE(-1, 100000)),
    OPTION(struct train_options, STRING, 0, "batch", batch, "N",
           "pictures a step; auto: the largest that fits into the device's memory"),
    OPTION(struct train_options, DOUBLE, 0, "lr", rate, "X",
           "learning rate; -1: 0.01 for head, 0.002 for fine-tune (Adam: a tenth)", RANGE(-1, 1000)),
    OPTION(struct train_options, STRING, 0, "schedule", schedule, "S",
           "constant, exp:FACTOR[:EPOCHS], step:FACTOR:E1,E2, cosine[:FLOOR], piecewise:R1@E1,...,R, article "
           "(default: cosine for head, exp:0.5 for fine-tune)"),
    OPTION(struct train_options, DOUBLE, 0, "warmup", warmup, "EPOCHS",
           "the rate first rises over so many epochs", RANGE(0, 1000)),
    OPTION(struct train_options, CHOICE, 0, "optimizer", optimizer, "NAME", "sgd or adam",
           CHOICES("sgd|adam")),
    OPTION(struct train_options, STRING, 0, "class-weights", class_weights, "W",
           "none, balanced, or one number a class with commas between"),
    OPTION(struct train_options, DOUBLE, 0, "head-l2", head_l2, "X",
           "L2 penalty of the head's first dense layer; -1: as the model has it (0.0005)", RANGE(-1, 100)),
    OPTION(struct train_options, FLAG, 0, "freeze-bn", freeze_bn, NULL,
           "fine-tune: batch norms keep the base's statistics, scales and shifts, and only kernels learn; "
           "often better on a few thousand pictures"),
    OPTION(struct train_options, CHOICE, 0, "refresh-bn", refresh, "WHEN",
           "recompute batch norm statistics from training pictures before each validation and in the model "
           "kept; auto: when an epoch has under 500 steps, since with momentum 0.99 they would lag behind",
           CHOICES("auto|on|off")),
    OPTION(struct train_options, CHOICE, 0, "select", select, "METRIC",
           "what makes a validation result the best", CHOICES("accuracy|balanced-accuracy|loss")),
    OPTION(struct train_options, INT, 0, "patience", patience, "N",
           "end after N epochs without a better validation; 0: never; -1: 20 for head, 5 for fine-tune",
           RANGE(-1, 100000)),
    OPTION(struct train_options, STRING, 0, "augment", augment, "SPEC",
           "fine-tune: augment each picture again in each epoch: none, article, or a list as `augment` takes "
           "it"),
    OPTION(struct train_options, CHOICE, 0, "boundary-cache", boundary, "TYPE",
           "fine-tune: compute the frozen part once and keep its outputs on disk (1 MiB a picture as f32, "
           "half as f16); not with --augment. head: keep them at the same time, for the fine-tuning that "
           "follows",
           CHOICES("none|f16|f32")),
    COMMON_ROW_SEED(struct train_options, common),

    OPTION_GROUP("Where it runs"),
    OPTION(struct train_options, STRING, 0, "device", device, "D", "auto, cpu, cuda or ref"),
    OPTION(struct train_options, FLAG, 0, "list-devices", list_devices, NULL,
           "say which devices can be used, and why others cannot"),
    OPTION(struct train_options, STRING, 0, "plan-for", plan_for, "CARD",
           "do not train: print what that would take on a GPU that is not here, as cuDNN plans it: t4, a100, "
           "rtx3090, rtx4090, h100, h200, ..., or a file that --describe-device wrote. Takes --phase, "
           "--batch, "
           "--precision and the like; --base and --shards may be missing"),
    OPTION(struct train_options, FLAG, 0, "describe-device", describe_device, NULL,
           "print the GPU's properties as --plan-for takes them"),
    OPTION(struct train_options, STRING, 0, "devices", devices, "LIST",
           "cuda: share each batch among these GPUs, as in 0,1"),
    OPTION(struct train_options, CHOICE, 0, "precision", precision, "P",
           "of multiplications; auto: tf32 on a GPU, fp32 elsewhere", CHOICES(BASE_NET_PRECISIONS)),
    OPTION(struct train_options, INT, 'j', "threads", common.threads, "N",
           "threads of the CPU device; 0: all processors", RANGE(0, 1024)),

    OPTION_GROUP("Several processes"),
    OPTION(struct train_options, CHOICE, 0, "distributed", distributed, "HOW",
           "share each batch among the ranks that mpirun started; auto: when it did; none: this process "
           "alone",
           CHOICES("auto|none|mpi")),
    OPTION(struct train_options, FLAG, 0, "sync-bn", sync_bn, NULL,
           "ranks: batch norms that learn use the statistics of the whole batch, not of each rank's part"),
    OPTION(struct train_options, DOUBLE, 0, "rank-timeout", rank_timeout_s, "SECONDS",
           "ranks: how long a rank may be silent before it counts as lost", RANGE(1, 1e6)),
    COMMON_ROW_TALK(struct train_options, common),

    OPTION_GROUP("Expert"),
    OPTION(struct train_options, DOUBLE, 0, "momentum", momentum, "M", "of SGD", RANGE(0, 0.9999)),
    OPTION(struct train_options, FLAG, 0, "nesterov", nesterov, NULL, "Nesterov's form of momentum"),
    OPTION(struct train_options, DOUBLE, 0, "label-smoothing", smoothing, "S",
           "share of each target spread over all classes", RANGE(0, 0.999)),
    OPTION(struct train_options, DOUBLE, 0, "clip-norm", clip_norm, "X",
           "longest gradient, over all weights together; 0: no limit", RANGE(0, 1e9)),
    OPTION(struct train_options, DOUBLE, 0, "ema", ema, "DECAY",
           "validate and keep an exponential moving average of the weights; 0: off", RANGE(0, 0.999999)),
    OPTION(struct train_options, INT, 0, "loader-threads", loader_threads, "N",
           "threads that make batches ahead when pictures are fed", RANGE(0, 256)),
    OPTION(struct train_options, BYTES, 0, "memory-limit", memory_limit, "BYTES",
           "refuse a plan that needs more; 0: what the machine has"),
    OPTION(struct train_options, DOUBLE, 0, "checkpoint-seconds", checkpoint_s, "N",
           "time between checkpoints, at least", RANGE(0, 1e9)),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "train",
    .synopsis = "--shards DIR --base MODEL --out RUN",
    .summary = "fit a classifier to a packed set of pictures",
    .details =
        "RUN/model is the best model by validation, RUN/log.tsv has a row for each epoch, "
        "RUN/events.out.tfevents.winnow is for TensorBoard. A run that was stopped, even by kill -9, resumes "
        "from its checkpoint when the same command is given again, and ends with the same bytes; a complete "
        "run stays as it is. INT and TERM write a checkpoint first.\n\n"
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
