/* classify: writes the probability of each class for pictures, folders, manifests or an inbox. Reads: path
 * (label). Adds: pred p_<class>. */
#include "classify.h"

static const struct option_row rows[] = {
    OPTION(struct classify_options, STRING, 'm', "model", model, "DIR",
           "model folder, its model.json, a .keras, a Keras .h5 or an .onnx"),
    OPTION(struct classify_options, STRING, 0, "classes", scoring.classes, "A,B,...",
           "names of the outputs, for a model that names none"),
    OPTION(struct classify_options, STRING, 0, "input", scoring.input, "SPEC",
           "how pictures are fed to a model that does not say it: unit (0 to 1), bytes, tf (-1 to 1), torch, "
           "caffe; or side=N,resize=N|NxN,crop=N,order=rgb|bgr,range=1|255,mean=A:B:C,std=A:B:C"),
    OPTION(struct classify_options, CHOICE, 0, "format", format, "NAME",
           "a manifest, or one JSON object per line", CHOICES("tsv|json")),
    OPTION(struct classify_options, INT, 0, "top", top, "K",
           "also a column 'top' with the K likeliest classes; with --format json only these; 0: all",
           RANGE(0, 1000)),
    OPTION(struct classify_options, STRINGS, 't', "threshold", thresholds, "CLASS[+CLASS...]=P",
           "flag a picture in which these classes add up to P or more: a column 'flagged', and exit 1 when "
           "any picture is flagged or cannot be read (repeatable)"),
    OPTION(struct classify_options, FLAG, 0, "no-decisions", no_decisions, NULL,
           "only score: no column 'decision' where the model carries thresholds, and no exit 1 by them"),
    OPTION(struct classify_options, FLAG, 0, "hash", hash, NULL,
           "also a column 'xxh128' with the content's hash"),

    OPTION_GROUP("Reading"),
    OPTION(struct classify_options, STRING, 0, "resize", resize, "METHOD",
           "bilinear, area, lanczos, bicubic or tfjs instead of what the model was trained with"),
    OPTION(struct classify_options, STRING, 0, "color", color, "WORD",
           "none or srgb instead of what the model records: srgb applies colour profiles, gAMA and cICP"),
    OPTION(struct classify_options, STRING, 0, "background", background, "COLOUR",
           "lay transparent parts on white, black or #RRGGBB instead of on what the model records"),
    OPTION(
        struct classify_options, STRING, 0, "frames", frames, "WHICH",
        "of animations: first, every:N or all; p_<class> is then the most that any of them has, and columns "
        "frames_scored and, with --threshold, frames_over (share of frames) are added"),
    OPTION(struct classify_options, FLAG, 0, "no-orient", no_orient, NULL,
           "do not turn pictures as their EXIF orientation says"),
    OPTION(struct classify_options, FLAG, 0, "no-sandbox", no_sandbox, NULL,
           "decode in this process; only for pictures you trust"),

    OPTION_GROUP("Watching an inbox"),
    OPTION(struct classify_options, STRING, 0, "watch", watch, "DIR",
           "classify what is in DIR and then whatever is moved or written there, until a signal"),
    OPTION(
        struct classify_options, STRING, 0, "hand-off", hand_off, "DIR",
        "with --watch: move each picture to DIR/<class> (DIR/allow, review or block where the model carries "
        "thresholds), DIR/flagged or DIR/unreadable (same file system), its result beside it as NAME.json, "
        "both by rename"),
    OPTION(struct classify_options, FLAG, 0, "once", once, NULL,
           "with --watch: exit when the inbox is empty"),

    OPTION_GROUP("Running"),
    OPTION(struct classify_options, STRING, 0, "device", device, "NAME", "auto, cpu, ref or cuda"),
    OPTION(struct classify_options, CHOICE, 0, "precision", precision, "P",
           "auto: int8 where the model is one (export --precision int8), else fp32",
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
    .summary = "score any pictures with a model",
    .details = "Prints a manifest: path, label if there was one, pred (the likeliest class) and p_<class> "
               "for each class at full float precision, the temperature applied. One manifest passes all its "
               "columns through. Without operands a manifest comes from standard input. A folder stands for "
               "the pictures below it (jpg, jpeg, png, webp, gif), sorted.\n\n"
               "A model that carries thresholds (eval --store-decisions) is obeyed: a column 'decision' says "
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
        error_set(&err, EX_USAGE, "%s goes with --watch", opt.hand_off ? "--hand-off" : "--once");
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
