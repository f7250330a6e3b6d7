/*
 * export: converts a trained model for other programs: TensorFlow.js, ONNX, Keras, Transformers.js, or a demo
 * page.
 */
#include <stdio.h>

#include "export.h"

static const struct option_row rows[] = {
    OPTION(struct export_options, STRING, 'm', "model", model, "DIR",
           "model folder, its model.json, a .keras, a Keras .h5 or an .onnx"),
    OPTION(struct export_options, CHOICE, 0, "to", to, "FORMAT", "what to write",
           CHOICES("tfjs|onnx|keras|demo|transformers")),
    OPTION(struct export_options, STRING, 'o', "output", common.output, "OUT",
           "folder to write; for onnx and keras it may be a file that ends in .onnx, .h5 or .keras, and the "
           "card is written beside it"),

    OPTION_GROUP("The model"),
    OPTION(struct export_options, STRING, 0, "classes", scoring.classes, "A,B,...",
           "names of the classes, for a model that does not name them"),
    OPTION(struct export_options, STRING, 0, "input", scoring.input, "SPEC",
           "how pictures are scaled and resized for a model whose file does not say it: unit (0 to 1), "
           "bytes (0 to 255), tf (-1 to 1), torch, caffe; or "
           "side=N,resize=N|NxN,crop=N,order=rgb|bgr,range=1|255,mean=A:B:C,std=A:B:C"),
    OPTION(struct export_options, CHOICE, 0, "quantize", quantize, "TYPE",
           "tfjs and demo: store kernels smaller; one-dimensional tensors (batch norm, biases) stay float32; "
           "auto: none for tfjs, uint16 for demo",
           CHOICES("auto|none|float16|uint16|uint8")),
    OPTION(struct export_options, CHOICE, 0, "precision", precision, "P",
           "tfjs and onnx: int8 writes a quantised model, which is several times as fast; scales are chosen "
           "on training pictures of --shards, and the loss of accuracy is measured on --split",
           CHOICES("fp32|int8")),
    OPTION(struct export_options, INT, 0, "calibration", calibration, "N",
           "for --precision int8: number of training pictures from which scales are chosen", RANGE(1, 1e6)),
    OPTION(struct export_options, FLAG, 0, "fold-temperature", fold_temperature, NULL,
           "divide the last layer by the temperature, so that programs that do not apply it show calibrated "
           "probabilities"),

    OPTION_GROUP("What the card and the page say"),
    OPTION(struct export_options, STRING, 0, "metrics", metrics, "FILE", "metrics.tsv of eval"),
    OPTION(struct export_options, STRING, 0, "slices", slices, "FILE",
           "slices.tsv of eval; the card lists the flagged slices as weak spots"),
    OPTION(struct export_options, STRING, 0, "sources", sources, "FILE",
           "table of report-sources, to say where the pictures come from"),
    OPTION(struct export_options, STRING, 0, "croissant", croissant, "FILE",
           "description of the data set by report-sources; the card names it with its SHA-256"),
    OPTION(struct export_options, STRING, 0, "title", title, "TEXT", "the model's name for people"),
    OPTION(struct export_options, STRING, 0, "date", date, "YYYY-MM-DD",
           "the model's date instead of its file's"),

    OPTION_GROUP("Accuracy before and after"),
    OPTION(struct export_options, STRING, 0, "shards", shards, "DIR",
           "print the accuracy on this shard set, before and after, to standard output"),
    OPTION(struct export_options, CHOICE, 0, "split", split, "NAME", "split of the shard set to measure on",
           CHOICES("train|val|test")),
    OPTION(struct export_options, STRING, 0, "device", device, "NAME", "auto, cpu, ref or cuda"),
    OPTION(struct export_options, INT, 0, "batch", batch, "N", "pictures in one forward pass",
           RANGE(1, 4096)),
    COMMON_ROW_THREADS(struct export_options, common),

    OPTION_GROUP("Common"),
    COMMON_ROW_TALK(struct export_options, common),

    OPTION_GROUP("Expert"),
    OPTION(struct export_options, CHOICE, 0, "layout", layout, "ORDER",
           "onnx: order of the axes of the input", CHOICES("auto|nhwc|nchw")),
    OPTION(struct export_options, FLAG, 0, "weights-only", weights_only, NULL,
           "keras: write only the weights of the base, as keras-applications publishes them"),
    OPTION(struct export_options, STRING, 0, "web", web, "DIR",
           "demo: files of the page, instead of the installed ones"),
    OPTION(struct export_options, STRING, 0, "npm", npm, "DIR",
           "demo: node_modules with @tensorflow/tfjs and its wasm backend"),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "export",
    .synopsis = "",
    .summary = "convert a model for TensorFlow.js, ONNX, Keras, Transformers.js, or a browser page",
    .details = "Writes OUT whole or not at all, with a MODEL_CARD.md that is filled from the metadata of the "
               "model and from --metrics. With --shards it prints the accuracy on the test pictures before "
               "and after.\n\n"
               "  export --model M --to tfjs --quantize uint8 --shards shards -o web/model\n"
               "  export --model M --precision int8 --shards shards -o model-int8\n"
               "  export --model M --to onnx -o model.onnx\n"
               "  export --model M --to transformers -o models/mine\n"
               "  export --model M --to demo --metrics metrics.tsv -o site",
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
