/*
 * demo-corpus: turns unpacked Debian packages into the demo's little web: pictures, URL lists, and the truth
 * about what was planted. The demo is harmless stand-in data for a real user's lists; every fault that a real
 * list has is planted from a seed.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/options.h"
#include "cli/stage.h"
#include "corpus.h"

static const struct option_row rows[] = {
    OPTION(struct corpus_options, STRING, 0, "packages", packages, "DIR",
           "unpacked packages, one folder each"),
    OPTION(struct corpus_options, STRING, 0, "sources", sources, "FILE", "TSV with package, glob, label"),
    OPTION(struct corpus_options, STRING, 0, "known", known, "FILE",
           "TSV with source, label_true: label errors that the packages themselves hold, for the truth file"),
    OPTION(struct corpus_options, STRING, 0, "out", out, "DIR", "gets www/, urls/<label>.txt and truth.tsv"),
    OPTION(struct corpus_options, STRING, 0, "base-url", base_url, "URL", "where www/ will be served"),
    OPTION(struct corpus_options, INT, 0, "side", side_px, "PX",
           "every picture is cropped to its middle square and brought to this side", RANGE(32, 2048)),
    OPTION(struct corpus_options, INT, 0, "limit", limit, "N",
           "at most so many pictures a label; 0 means all", RANGE(0, 1000000)),
    OPTION(struct corpus_options, DOUBLE, 0, "wrong-labels", wrong_labels, "SHARE",
           "pictures listed under another label", RANGE(0, 0.5)),
    OPTION(struct corpus_options, DOUBLE, 0, "exact-copies", exact_copies, "SHARE",
           "copies under other names", RANGE(0, 1)),
    OPTION(struct corpus_options, DOUBLE, 0, "near-copies", near_copies, "SHARE",
           "resized, recompressed or slightly cropped copies", RANGE(0, 1)),
    OPTION(struct corpus_options, DOUBLE, 0, "cross-copies", cross_copies, "SHARE",
           "the same picture under two labels", RANGE(0, 1)),
    OPTION(struct corpus_options, DOUBLE, 0, "altered-copies", altered_copies, "SHARE",
           "copies with a caption, a crop of 10 % or 20 %, a border, a turn of 5 degrees, or mirrored",
           RANGE(0, 1)),
    OPTION(struct corpus_options, DOUBLE, 0, "dead-links", dead_links, "SHARE", "URLs that answer 404",
           RANGE(0, 1)),
    OPTION(struct corpus_options, DOUBLE, 0, "broken", broken, "SHARE",
           "truncated pictures, and as many HTML pages named .jpg", RANGE(0, 1)),
    COMMON_ROW_SEED(struct corpus_options, common),
    COMMON_ROW_TALK(struct corpus_options, common),
    OPTION_ROW_END,
};
static const struct option_table table = {
    "demo-corpus",
    "--packages DIR --sources FILE --out DIR",
    "make the demo's pictures, URL lists and truth file from unpacked Debian packages",
    "One codec and one size policy for all classes, so that a network cannot tell them apart by file "
    "format, size or shape.\n"
    "truth.tsv: id (XXH3-128 of the file), label_true, label_given, kind (clean, wrong-label, known-error, "
    "exact-copy, near-copy,\n"
    "cross-copy, altered-copy, dead-link, html, truncated), of (id of the original), transform, url, source.",
    rows,
    0,
    0};

int main(int argc, char **argv)
{
    struct corpus_options opt = CORPUS_DEFAULTS;
    struct operands operands;
    struct error err = {0};
    struct stage_counts n = {0};
    stage_begin("demo-corpus");
    int rc = options_parse(&table, &opt, argc, argv, &operands);
    if (rc != OPTIONS_RUN) return rc;
    if (!opt.packages || !opt.sources || !opt.out)
        rc = error_set(&err, EX_USAGE, "--packages, --sources and --out are needed");
    else
        rc = corpus_make(&opt, &n, &err);
    return stage_end(rc, &err, &n, &opt.common);
}
