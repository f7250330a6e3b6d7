/*
 * audit: reports problems of a set of pictures that a person should see before training on it. Reads: path
 * mode width height and the columns of validate --with stats (and label format frames orientation bytes
 * xxh128 group url); also features of embed and predictions, if options name them. It opens no picture.
 */
#include "audit_stage.h"

static const struct option_row rows[] = {
    OPTION(struct audit_options, STRING, 0, "facts", facts, "FILE",
           "write how well each property of the files predicts the label by itself"),
    OPTION(struct audit_options, STRING, 0, "scores", scores, "FILE",
           "write the seven scores of every picture"),
    OPTION(struct audit_options, STRING, 0, "sheet", sheet, "FILE",
           "write an HTML page that shows the findings and, with --features, a map; its pictures are "
           "blurred"),
    OPTION(struct audit_options, STRING, 0, "features", features, "DIR",
           "features that embed --reduce wrote, to find off-topic pictures and clusters and to draw a map"),
    OPTION(struct audit_options, STRING, 0, "predictions", predictions, "FILE",
           "out-of-fold predictions, to find clusters in which the model is wrong more often than "
           "elsewhere"),
    OPTION(struct audit_options, STRING, 0, "next", next, "FILE",
           "write the pictures without a label in the order in which to label them"),
    OPTION(struct audit_options, STRING, 0, "classified", classified, "FILE",
           "for --next: the output of classify for these pictures; doubtful ones come first once a "
           "cluster has labels"),
    OPTION(struct audit_options, STRING, 0, "map", map, "FILE",
           "write the position, cluster and distance of each picture"),
    COMMON_ROW_OUTPUT(struct audit_options, common),
    OPTION(struct audit_options, STRING, 0, "root", common.root, "DIR",
           "for --sheet: paths in the manifest are relative to this folder"),
    COMMON_ROW_THREADS(struct audit_options, common),
    COMMON_ROW_TALK(struct audit_options, common),

    OPTION_GROUP("Expert"),
    OPTION(struct audit_options, DOUBLE, 0, "least-gain", least_gain, "SHARE",
           "report a property when its accuracy exceeds the share of the largest class by this much",
           RANGE(0, 1)),
    OPTION(struct audit_options, DOUBLE, 0, "class-ratio", class_ratio, "RATIO",
           "report a class when its size differs from the median of the others by this factor",
           RANGE(1, 1e9)),
    OPTION(struct audit_options, INT, 0, "clusters", n_clusters, "N",
           "number of clusters; 0: the square root of half the number of pictures, at most 256",
           RANGE(0, 256)),
    OPTION(struct audit_options, INT, 0, "least-rows", least_rows, "N",
           "report a class with fewer rows than this", RANGE(0, 1000000000)),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "audit",
    .synopsis = "[MANIFEST]",
    .summary = "list dark, blurred and unusual pictures, and properties of files that give the label away",
    .details =
        "Reads the columns of validate --with stats. Writes a row for each finding, sorted by check, the "
        "worst first: check path label score threshold measure. A score lies between 0 and 1; low is "
        "bad.\n\n"
        "Checks of pictures, as CleanVision defines them: dark light blurry low_information odd_size "
        "odd_aspect_ratio grayscale; and soft_edges, a stricter check for blur. Checks of the set: "
        "near_empty_class over_full_class predicts_label. With --features: off_topic, and with "
        "--predictions weak_cluster.",
    .rows = rows,
    .min_operands = 0,
    .max_operands = 1,
};

int main(int argc, char **argv)
{
    struct audit_options opt = AUDIT_DEFAULTS;
    struct stage_counts n = {0};
    struct operands operands;
    struct error err = {0};
    stage_begin("audit");
    int rc = options_parse(&table, &opt, argc, argv, &operands);
    if (rc != OPTIONS_RUN) return rc;
    rc = audit_run(&opt, operands.n ? operands.items[0] : NULL, &n, &err);
    options_release(&table, &opt);
    return stage_end(rc, &err, &n, &opt.common);
}
