/*
 * export: a trained model for other programs: TensorFlow.js, ONNX, Keras, or a page for everybody to try it.
 */
#include <stdio.h>

#include "export.h"

static const struct option_row rows[] = {
    {OPTION_STRING, 'm', "model", offsetof(struct export_options, model), "DIR",
     "model folder, its model.json, or a Keras .h5", 0, 0, NULL},
    {OPTION_CHOICE, 0, "to", offsetof(struct export_options, to), "FORMAT", "what to write", 0, 0,
     "tfjs|onnx|keras|demo"},
    {OPTION_STRING, 'o', "output", offsetof(struct export_options, common.output), "OUT",
     "folder to write; for onnx and keras a name that ends in .onnx or .h5 is that file, with the card "
     "beside it",
     0, 0, NULL},
    {OPTION_HEADING, 0, NULL, 0, NULL, "The model", 0, 0, NULL},
    {OPTION_CHOICE, 0, "quantize", offsetof(struct export_options, quantize), "TYPE",
     "tfjs and demo: store kernels smaller; one-dimensional tensors (batch norm, biases) stay float32; auto: "
     "none for "
     "tfjs, uint16 for demo",
     0, 0, "auto|none|float16|uint16|uint8"},
    {OPTION_CHOICE, 0, "layout", offsetof(struct export_options, layout), "ORDER",
     "onnx: the input's order of axes", 0, 0, "nhwc|nchw"},
    {OPTION_FLAG, 0, "weights-only", offsetof(struct export_options, weights_only), NULL,
     "keras: the weights alone, as keras-applications publishes them", 0, 0, NULL},
    {OPTION_FLAG, 0, "fold-temperature", offsetof(struct export_options, fold_temperature), NULL,
     "divide the last layer by the temperature, so that programs which know nothing of it show calibrated "
     "numbers",
     0, 0, NULL},
    {OPTION_HEADING, 0, NULL, 0, NULL, "What the card and the page say", 0, 0, NULL},
    {OPTION_STRING, 0, "metrics", offsetof(struct export_options, metrics), "FILE", "metrics.tsv of eval", 0,
     0, NULL},
    {OPTION_STRING, 0, "slices", offsetof(struct export_options, slices), "FILE",
     "slices.tsv of eval: the slices it flagged are named as weak", 0, 0, NULL},
    {OPTION_STRING, 0, "title", offsetof(struct export_options, title), "TEXT", "the model's name for people",
     0, 0, NULL},
    {OPTION_STRING, 0, "date", offsetof(struct export_options, date), "YYYY-MM-DD",
     "the model's date instead of its file's", 0, 0, NULL},
    {OPTION_HEADING, 0, NULL, 0, NULL, "Accuracy before and after", 0, 0, NULL},
    {OPTION_STRING, 0, "shards", offsetof(struct export_options, shards), "DIR",
     "shard set: print the accuracy before and after on standard output", 0, 0, NULL},
    {OPTION_CHOICE, 0, "split", offsetof(struct export_options, split), "NAME", "part of the shard set", 0, 0,
     "train|val|test"},
    {OPTION_STRING, 0, "device", offsetof(struct export_options, device), "NAME", "auto, cpu, ref or cuda", 0,
     0, NULL},
    {OPTION_INT, 0, "batch", offsetof(struct export_options, batch), "N", "pictures in one forward pass", 1,
     4096, NULL},
    COMMON_ROW_THREADS(struct export_options, common),
    {OPTION_HEADING, 0, NULL, 0, NULL, "Parts of the page", 0, 0, NULL},
    {OPTION_STRING, 0, "web", offsetof(struct export_options, web), "DIR",
     "the page's files instead of the installed ones", 0, 0, NULL},
    {OPTION_STRING, 0, "npm", offsetof(struct export_options, npm), "DIR",
     "node_modules with @tensorflow/tfjs and its wasm backend", 0, 0, NULL},
    COMMON_ROW_TALK(struct export_options, common),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "export",
    .synopsis = "",
    .summary = "convert a model for TensorFlow.js, ONNX, Keras, or a browser page",
    .details = "Writes OUT whole or not at all, with a MODEL_CARD.md filled from the model's own record and "
               "--metrics. "
               "With --shards "
               "it prints the accuracy on the test pictures before and after.\n\n"
               "  export --model M --to tfjs --quantize uint8 --shards shards -o web/model\n"
               "  export --model M --to onnx -o model.onnx\n"
               "  export --model M --to demo --metrics metrics.tsv -o site\n",
    .rows = rows,
    .min_operands = 0,
    .max_operands = 0,
};

int main(int argc, char **argv)
{
    struct export_options opt = EXPORT_DEFAULTS;
    struct export x = {0};
    struct operands operands;
    struct error err = {0};
    stage_begin("export");
    int rc = options_parse(&table, &opt, argc, argv, &operands);
    if (rc != OPTIONS_RUN) return rc;
    rc = export_run(&x, &opt, &err);
    if (!rc && x.accuracy.n_bytes > 0 && (fputs(x.accuracy.data, stdout) < 0 || fflush(stdout)))
        rc = error_errno(&err, EX_IOERR, "cannot write standard output");
    if (!rc) stage_note(&opt.common, "wrote '%s', model %s", opt.common.output, x.id);
    export_release(&x);
    options_release(&table, &opt);
    return stage_end(rc, &err, NULL, &opt.common);
}
