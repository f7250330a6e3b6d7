/*
 * train-test-split: divides rows into training, validation and test. Near copies stay together, and the split
 * does not change when rows are added. Reads: label group (xxh128 or path for a row without a group). Adds:
 * split (fold).
 */
#include "split.h"

static const struct option_row rows[] = {
    OPTION(struct split_options, DOUBLE, 0, "val", val, "SHARE", "share of the pictures for validation",
           RANGE(0, 0.95)),
    OPTION(struct split_options, DOUBLE, 0, "test", test, "SHARE", "share of the pictures for the test",
           RANGE(0, 0.95)),
    OPTION(struct split_options, INT, 0, "folds", folds, "K",
           "also divide train and val into K folds, in a column fold, for out-of-fold predictions; 0: no "
           "column",
           RANGE(0, 1000)),
    OPTION(struct split_options, FLAG, 0, "exact", exact, NULL,
           "meet the shares of each label to within half a group; some older pictures may then change "
           "their split when pictures are added"),
    OPTION(struct split_options, STRING, 0, "previous", previous, "FILE",
           "an earlier output: pictures in it, by group, xxh128 or path, keep their split"),
    OPTION(struct split_options, STRING, 0, "group-by", group_by, "COLUMN",
           "keep rows with the same value in this column together; a row without a value is a group of "
           "its own"),
    OPTION(struct split_options, FLAG, 0, "check", check, NULL,
           "read a manifest with splits, and write the rows of groups that are in more than one split; "
           "exit 1 when there are any"),
    COMMON_ROW_SEED(struct split_options, common),
    COMMON_ROW_OUTPUT(struct split_options, common),
    COMMON_ROW_TALK(struct split_options, common),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "train-test-split",
    .synopsis = "[MANIFEST]",
    .summary = "divide pictures into train, val and test, keeping near copies together",
    .details =
        "Reads label and group, adds split (and fold). The seed and the name of a group decide its split, "
        "so that pictures that are added later do not change the splits of older ones; the shares are "
        "therefore met only approximately. There are two exceptions: a label with few groups gets one "
        "in each split, and a group with most pictures of its label is used for training. A group with "
        "several labels is not divided.",
    .rows = rows,
    .min_operands = 0,
    .max_operands = 1,
};

int main(int argc, char **argv)
{
    struct split_options opt = SPLIT_DEFAULTS;
    struct manifest_source in = MANIFEST_SOURCE_EMPTY;
    struct manifest_reader header = MANIFEST_READER_EMPTY;
    struct manifest_writer out = MANIFEST_WRITER_EMPTY;
    struct stage_counts n = {0};
    struct operands operands;
    struct error err = {0};
    stage_begin("train-test-split");
    int rc = options_parse(&table, &opt, argc, argv, &operands);
    if (rc != OPTIONS_RUN) return rc;
    rc = -1;
    if (opt.val + opt.test >= 1) {
        error_set(&err, EX_USAGE, "--val %g and --test %g leave nothing to train on", opt.val, opt.test);
        goto out;
    }
    const char *const adds[] = {"split", opt.folds ? "fold" : NULL, NULL};
    if (manifest_source_open(&in, operands.n ? operands.items[0] : NULL, &err) ||
        manifest_source_read(&in, &header, NULL, &err) ||
        manifest_writer_open(&out, opt.common.output, &header.schema, opt.check ? NULL : adds, &err))
        goto out;
    rc = opt.check ? split_check(&opt, &in, &out, &n, &err) : split_run(&opt, &in, &out, &n, &err);
    if (rc >= 0 && manifest_writer_commit(&out, &err)) rc = -1;
    if (rc == 1) {
        stage_warn("%llu of %llu rows are in groups that are in more than one split or fold",
                   (unsigned long long)n.n_rejected, (unsigned long long)n.n_read);
        rc = EX_VERDICT_NO;
    }
out:
    manifest_writer_discard(&out);
    manifest_reader_close(&header);
    manifest_source_close(&in);
    options_release(&table, &opt);
    return stage_end(rc, &err, &n, &opt.common);
}
