/*
 * mine-errors: finds labels that are probably wrong. Reads predictions (id, label, p_<class>...); for
 * training data they must come from models that did not see the row. Writes the suspects, the worst first,
 * and a page to review them on.
 */
#include <stdlib.h>
#include <string.h>

#include "mine_errors.h"
#include "review_page.h"

static const struct option_row rows[] = {
    OPTION_GROUP("Input"),
    OPTION(struct mine_options, STRING, 0, "predictions", predictions, "FILE",
           "predictions: id label p_<class>... (or given as operand; '-' is standard input)"),
    OPTION(struct mine_options, STRING, 0, "manifest", manifest, "FILE",
           "take path, group and split from this manifest, by xxh128, if the predictions lack them"),
    OPTION(struct mine_options, STRING, 0, "margins", margins, "FILE", "margins.tsv of train: id aum"),
    OPTION(struct mine_options, STRING, 0, "reports", reports, "FILE",
           "reports from users (see collect-reports): id label_claimed; doubted labels become suspects"),

    OPTION(struct mine_options, STRING, 0, "features", features, "DIR",
           "features that embed --reduce wrote, to group similar suspects and to list pictures that "
           "resemble no other"),

    OPTION(struct mine_options, STRINGS, 0, "conflicts", conflicts, "FILE",
           "--rejects of a dedup: the same picture under several labels is decided on the review page, too"),

    OPTION_GROUP("Selection"),
    OPTION(struct mine_options, CHOICE, 0, "filter", filter, "RULE",
           "rule by which confident learning selects rows", CHOICES(LABEL_FILTER_NAMES)),
    OPTION(struct mine_options, CHOICE, 0, "rank", rank, "SCORE",
           "score by which they are sorted, the worst first", CHOICES(LABEL_RANK_NAMES)),
    OPTION(struct mine_options, INT, 0, "budget", budget, "N",
           "number of suspects, taken from each method in turn; 0: all that --filter selects", RANGE(0, 4e9)),
    OPTION(struct mine_options, STRING, 0, "methods", methods, "LIST",
           "comma-separated: separation, confident-learning, disagreement, aum, neighbours, reports, "
           "off-topic (default: confident-learning; with --budget every method whose input is given)"),

    OPTION_GROUP("Output"),
    COMMON_ROW_OUTPUT(struct mine_options, common),
    OPTION(struct mine_options, STRING, 0, "summary", summary, "FILE",
           "write key and value: issues, health, suspects of each method"),
    OPTION(struct mine_options, STRING, 0, "review", review, "FILE",
           "write a page for deciding about the suspects in a browser, without a server"),
    OPTION(struct mine_options, STRING, 0, "truth", truth, "FILE",
           "measure the suspects against these known label errors: id label_true (kind)"),
    OPTION(struct mine_options, STRING, 0, "truth-report", truth_report, "FILE",
           "write that measurement to this file (default: stdout when -o names a file, else stderr)"),
    COMMON_ROW_ROOT(struct mine_options, common),
    COMMON_ROW_THREADS(struct mine_options, common),
    COMMON_ROW_TALK(struct mine_options, common),

    OPTION_GROUP("Expert"),
    OPTION(struct mine_options, DOUBLE, 0, "alike", alike, "COSINE",
           "smallest cosine between a suspect and the central picture of its group", RANGE(0.05, 1)),
    OPTION(struct mine_options, INT, 0, "group-size", group_size, "N",
           "largest number of suspects in a group; 1: no groups", RANGE(1, 60)),
    OPTION(struct mine_options, FLAG, 0, "adjust", adjust, NULL,
           "subtract the threshold of each class from its probabilities before scoring"),
    OPTION(struct mine_options, STRING, 0, "matrices", matrices, "FILE",
           "write counts, joint, noise matrices and thresholds: matrix row col value"),
    OPTION(struct mine_options, STRING, 0, "pairs", pairs, "FILE",
           "write label, pred, count and share for each pair of label and predicted class, the most "
           "frequent first"),
    OPTION(struct mine_options, STRING, 0, "title", title, "TEXT", "heading of the review page"),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "mine-errors",
    .synopsis = "[PREDICTIONS]",
    .summary = "rank likely label errors, and write a page to review them on",
    .details =
        "Reads id (or xxh128), label, p_<class>... and copies all columns; adds suggested, score, "
        "method, rank, and aum, alike, distance and note where known. The most suspicious row comes "
        "first. Predictions of training rows must be out-of-fold ones (train --folds). Rows of the test "
        "split are marked in note and never left out; correct them with care.\n\n"
        "  mine-errors --predictions runs/1/oof.tsv --budget 5400 --review review.html --manifest "
        "all.tsv -o suspects.tsv",
    .rows = rows,
    .max_operands = 1,
};

static int run(const struct mine_options *o, struct manifest_source *source, struct error *err)
{
    struct predictions p = PREDICTIONS_EMPTY;
    struct label_errors e = LABEL_ERRORS_EMPTY;
    struct mine_inputs facts = MINE_INPUTS_EMPTY;
    struct suspects s = SUSPECTS_EMPTY;
    struct likeness likeness = LIKENESS_EMPTY;
    struct label_conflicts conflicts = LABEL_CONFLICTS_EMPTY;
    struct label_errors_input in = {0};
    int rc = -1;
    const struct predictions_options po = {.no_find = !o->manifest && !o->margins && !o->reports &&
                                                      !o->features && !o->truth};
    if (predictions_read(&p, source, &po, err)) goto out;
    in = (struct label_errors_input){p.n_rows, p.n_classes, p.p, p.label, p.keys};
    if (label_errors_estimate(&e, &in, err) || mine_inputs_read(&facts, o, &p, source, err) ||
        (o->features && likeness_read(&likeness, o, &p, &facts, err)) ||
        mine_suspects(&s, o, &p, &in, &e, &facts, err) ||
        mine_inputs_read_shown(&facts, o, &p, source, &s, err) ||
        (o->features && likeness_group(&likeness, o, &p, &s, err)) ||
        (o->review && label_conflicts_read(&conflicts, o, &p, err)))
        goto out;
    if ((o->matrices && mine_write_matrices(o->matrices, &p, &e, err)) ||
        (o->summary && mine_write_summary(o->summary, o, &p, &e, &s, err)) ||
        (o->pairs && mine_write_pairs(o->pairs, &p, err)) ||
        (o->review && review_write(o, &p, &facts, &s, &conflicts, source, err)) ||
        mine_write_suspects(o, &p, &facts, &s, source, err))
        goto out;
    if (o->truth && mine_score_truth(o, &p, &s, &in, err)) goto out;
    stage_note(&o->common,
               "%zu rows, %d classes: %zu label issues estimated, health %.4f; %zu suspects written",
               p.n_rows, p.n_classes, e.n_issues, e.health, s.n);
    if (o->features)
        stage_note(&o->common, "%zu suspects in %zu groups of alike ones; %zu pictures are off topic",
                   s.n_grouped, s.n_groups, s.n - s.n_label);
    if (conflicts.n) stage_note(&o->common, "%zu pictures of --conflicts have several labels", conflicts.n);
    rc = 0;
out:
    suspects_release(&s);
    label_conflicts_release(&conflicts);
    likeness_release(&likeness);
    mine_inputs_release(&facts);
    label_errors_release(&e);
    predictions_release(&p);
    return rc;
}

int main(int argc, char **argv)
{
    struct mine_options opt = {.common = COMMON_OPTIONS_DEFAULTS,
                               .alike = 0.3,
                               .group_size = 24,
                               .title = "Label review"};
    struct operands operands;
    struct manifest_source source = MANIFEST_SOURCE_EMPTY;
    struct error err = {0};
    int rc;
    stage_begin("mine-errors");
    rc = options_parse(&table, &opt, argc, argv, &operands);
    if (rc != OPTIONS_RUN) return rc;
    rc = -1;
    if (operands.n > 0 && opt.predictions)
        error_set(&err, EX_USAGE, "predictions are given twice: by --predictions and as an operand");
    else if (!manifest_source_open(&source, operands.n > 0 ? operands.items[0] : opt.predictions, &err))
        rc = run(&opt, &source, &err);
    manifest_source_close(&source);
    options_release(&table, &opt);
    return stage_end(rc, &err, NULL, &opt.common);
}
