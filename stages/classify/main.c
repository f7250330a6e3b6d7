/* classify: writes the probability of each class for pictures, folders, manifests or an inbox. Reads: path
 * (label). Adds: pred p_<class>. */
#include "classify.h"

static const struct option_row rows[] = {
    OPTION(struct classify_options, STRING, 'm', "model", model, "DIR",
           "model folder, its model.json, a .keras, a Keras .h5 or an .onnx"),
    OPTION(struct classify_options, STRING, 0, "classes", scoring.classes, "A,B,...",
           "names of the classes, for a model that does not name them"),
    OPTION(struct classify_options, STRING, 0, "input", scoring.input, "SPEC",
           "how pictures are scaled and resized for a model whose file does not say it: unit (0 to 1), "
           "bytes (0 to 255), tf (-1 to 1), torch, caffe; or "
           "side=N,resize=N|NxN,crop=N,order=rgb|bgr,range=1|255,mean=A:B:C,std=A:B:C"),
    OPTION(struct classify_options, CHOICE, 0, "format", format, "NAME",
           "a manifest, or one JSON object per line", CHOICES("tsv|json")),
    OPTION(struct classify_options, INT, 0, "top", top, "K",
           "add a column 'top' with the K likeliest classes; with --format json write only these; 0: all",
           RANGE(0, 1000)),
    OPTION(struct classify_options, STRINGS, 't', "threshold", thresholds, "CLASS[+CLASS...]=P",
           "flag a picture when the probabilities of these classes sum to P or more: add a column "
           "'flagged', and exit 1 when any picture is flagged or cannot be read (repeatable)"),
    OPTION(struct classify_options, FLAG, 0, "no-decisions", no_decisions, NULL,
           "ignore the thresholds in the model: no column 'decision', and no exit status 1 because of "
           "them"),
    OPTION(struct classify_options, FLAG, 0, "hash", hash, NULL,
           "add a column 'xxh128' with the hash of the content"),

    OPTION_GROUP("Reading"),
    OPTION(struct classify_options, STRING, 0, "resize", resize, "METHOD",
           "bilinear, area, lanczos, bicubic or tfjs, instead of the method that the model records"),
    OPTION(struct classify_options, STRING, 0, "frames", frames, "WHICH",
           "frames of animations to score: first, every:N or all; p_<class> is then the largest of all "
           "frames, and the columns frames_scored and, with --threshold, frames_over (share of frames) are "
           "added"),
    DECODE_ROW_SANDBOX(struct classify_options),

    OPTION_GROUP("How a file becomes pixels, instead of what the model records"),
    PICTURE_ROWS(struct classify_options, rules),

    OPTION_GROUP("Watching an inbox"),
    OPTION(struct classify_options, STRING, 0, "watch", watch, "DIR",
           "classify the pictures in DIR and then every picture that arrives there, until a signal"),
    OPTION(struct classify_options, STRING, 0, "hand-off", hand_off, "DIR",
           "with --watch: move each picture to DIR/<class> (with thresholds in the model: DIR/allow, "
           "DIR/review or DIR/block), DIR/flagged or DIR/unreadable, and write its result to NAME.json "
           "beside it; DIR is on the same file system"),
    OPTION(struct classify_options, FLAG, 0, "once", once, NULL,
           "with --watch: exit when the inbox is empty"),

    OPTION_GROUP("Running"),
    OPTION(struct classify_options, STRING, 0, "device", device, "NAME", "auto, cpu, ref or cuda"),
    OPTION(struct classify_options, CHOICE, 0, "precision", precision, "P",
           "auto: int8 for an int8 model (see export --precision), and fp32 for any other",
           CHOICES(PREDICTOR_PRECISIONS)),
    OPTION(struct classify_options, INT, 0, "batch", batch, "N", "pictures in one forward pass",
           RANGE(1, 4096)),
    COMMON_ROW_OUTPUT(struct classify_options, common),
    COMMON_ROW_REJECTS(struct classify_options, common),
    COMMON_ROW_ROOT(struct classify_options, common),
    COMMON_ROW_THREADS(struct classify_options, common),
    COMMON_ROW_TALK(struct classify_options, common),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "classify",
    .synopsis = "[PICTURE | FOLDER | MANIFEST.tsv]...",
    .summary = "score pictures with a model",
    .details = "Prints a manifest: path, label if the input has it, pred (the likeliest class) and p_<class> "
               "for each class, after applying the temperature. When the only input is one manifest, all its "
               "columns are copied. Without operands a manifest is read from standard input. A folder means "
               "all pictures below it, sorted by path.\n\n"
               "When the model carries thresholds (eval --store-decisions), a column 'decision' says "
               "allow, review or block, and the exit code is 1 when any picture is not allowed.\n\n"
               "Pictures that cannot be read go to --rejects; without it each is named on stderr and the "
               "exit code is 65.\n\n"
               "  classify --model runs/demo/model photo.jpg\n"
               "  classify --model M --threshold hentai+porn=0.7 --format json inbox/\n"
               "  classify --model M --watch inbox --hand-off sorted -t porn=0.8",
    .rows = rows,
    .min_operands = 0,
    .max_operands = -1,
};

int main(int argc, char **argv)
{
    struct classify_options opt = CLASSIFY_DEFAULTS;
    struct classifier c = {0};
    struct stage_counts n = {0};
    struct operands operands;
    struct error err = {0};
    stage_begin("classify");
    int rc = options_parse(&table, &opt, argc, argv, &operands);
    if (rc != OPTIONS_RUN) return rc;
    rc = -1;
    if (!opt.model)
        error_set(&err, EX_USAGE, "--model is missing (try --help)");
    else if (opt.watch && operands.n > 0)
        error_set(&err, EX_USAGE, "--watch takes no operands, but '%s' was given", operands.items[0]);
    else if (!opt.watch && (opt.hand_off || opt.once))
        error_set(&err, EX_USAGE, "%s can be used only with --watch", opt.hand_off ? "--hand-off" : "--once");
    else if (!classifier_open(&c, &opt, &err))
        rc =
            opt.watch ? classify_watch(&c, &opt, &n, &err) : classify_operands(&c, &opt, &operands, &n, &err);
    if (rc == 0 && opt.thresholds.n > 0)
        stage_note(&opt.common, "%llu flagged", (unsigned long long)c.n_flagged);
    bool decides = opt.thresholds.n > 0 || c.decisions.n_views > 0;
    if (rc == 0 && c.decisions.n_views > 0)
        stage_note(&opt.common, "%llu not allowed", (unsigned long long)c.n_held);
    if (rc == 0 && (c.n_flagged || c.n_held || (decides && c.n_unreadable)))
        rc = EX_VERDICT_NO;
    else if (rc == 0 && c.n_unreadable && !opt.common.rejects && !opt.watch && !opt.common.max_rejects)
        rc = EX_DATAERR;
    classifier_close(&c);
    options_release(&table, &opt);
    return stage_end(rc, &err, &n, &opt.common);
}
