/*
 * train-test-split: divides rows into training, validation and test, such that near copies stay together and
 * the split does not change when rows are added. Reads: label group (xxh128 or path where a row has no
 * group). Adds: split (fold).
 */
#include "split.h"

static const struct option_row rows[] = {
    OPTION(struct split_options, DOUBLE, 0, "val", val, "SHARE", "share of the pictures for validation",
           RANGE(0, 0.95)),
    OPTION(struct split_options, DOUBLE, 0, "test", test, "SHARE", "share of the pictures for the test",
           RANGE(0, 0.95)),
    OPTION(struct split_options, INT, 0, "folds", folds, "K",
           "also number train and val from 0 to K-1 in a column fold, for predictions out of fold; 0: no "
           "column",
           RANGE(0, 1000)),
    OPTION(struct split_options, FLAG, 0, "exact", exact, NULL,
           "meet the shares per label to half a group, at the price that some old pictures move when the "
           "data grows"),
    OPTION(struct split_options, STRING, 0, "previous", previous, "FILE",
           "an earlier output: what is in it, by group, xxh128 or path, stays where it was"),
    OPTION(struct split_options, STRING, 0, "group-by", group_by, "COLUMN",
           "column whose equal values stay together; a row without a value stands alone"),
    OPTION(struct split_options, FLAG, 0, "check", check, NULL,
           "read a manifest with splits and write the rows of groups that are torn apart; exit 1 when there "
           "are any"),
    COMMON_ROW_SEED(struct split_options, common),
    COMMON_ROW_OUTPUT(struct split_options, common),
    COMMON_ROW_TALK(struct split_options, common),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "train-test-split",
    .synopsis = "[MANIFEST]",
    .summary = "divide pictures into train, val and test; near copies stay together",
    .details = "Reads label and group, adds split (and fold). Where a group goes is a function of the seed "
               "and the group's name, so pictures that are added later never move the old ones; the shares "
               "are then met per label to within the luck of the draw. A label of few groups still gets one "
               "in each part. A group that spans labels stays whole.",
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
        stage_warn("%llu of %llu rows are in groups that lie in more than one split or fold",
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
