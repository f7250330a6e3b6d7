/*
 * manifest: splits manifests into parts, merges and concatenates them, for job arrays; writes them as JSON.
 */
#include <string.h>

#include "parts.h"

static const struct option_row rows[] = {
    OPTION(struct parts_options, INT, 'n', "parts", parts, "N", "split: the number of parts",
           RANGE(1, MAX_PARTS)),
    OPTION(struct parts_options, STRING, 0, "by", by, "COLUMN",
           "split: keep rows with the same value in this column together; host: the host in url; row: "
           "distribute rows in turn; auto: the first of xxh128, path and url that exists"),
    COMMON_ROW_OUTPUT(struct parts_options, common),
    COMMON_ROW_TALK(struct parts_options, common),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "manifest",
    .synopsis = "split MANIFEST PREFIX | merge PART... | cat MANIFEST... | to-jsonl MANIFEST",
    .summary = "split a manifest into parts, merge their results, concatenate manifests, write JSON",
    .details = "split writes PREFIX000.tsv, PREFIX001.tsv, ... with a column part_row, which every program "
               "copies. merge joins the outputs (or the rejects) of the parts in that order and removes the "
               "column. The result is what one run over the whole manifest would have written.\n\n"
               "  manifest split --parts 8 --by host urls.tsv work/in-\n"
               "  fetch ... work/in-003.tsv -o work/out-003.tsv --rejects work/rej-003.tsv       (eight of "
               "these, anywhere)\n"
               "  manifest merge work/out-*.tsv -o fetched.tsv\n\n"
               "cat writes the rows of several manifests one after another; columns that a manifest "
               "lacks are empty. to-jsonl writes a JSON object for each row; every value is a string, or "
               "null if it is empty.",
    .rows = rows,
    .min_operands = 2,
    .max_operands = -1,
};

int main(int argc, char **argv)
{
    struct parts_options opt = PARTS_DEFAULTS;
    struct operands operands;
    struct stage_counts n = {0};
    struct error err = {0};
    stage_begin("manifest");
    int rc = options_parse(&table, &opt, argc, argv, &operands);
    if (rc != OPTIONS_RUN) return rc;
    const char *verb = operands.items[0];
    if (!strcmp(verb, "split") && operands.n == 3)
        rc = parts_split(&opt, operands.items[1], operands.items[2], &n, &err);
    else if (!strcmp(verb, "merge"))
        rc = parts_merge(&opt, operands.items + 1, operands.n - 1, &n, &err);
    else if (!strcmp(verb, "cat"))
        rc = parts_concatenate(&opt, operands.items + 1, operands.n - 1, &n, &err);
    else if (!strcmp(verb, "to-jsonl") && operands.n == 2)
        rc = parts_to_jsonl(&opt, operands.items[1], &n, &err);
    else
        rc = error_set(&err, EX_USAGE,
                       !strcmp(verb, "split")      ? "%s needs MANIFEST and PREFIX"
                       : !strcmp(verb, "to-jsonl") ? "%s takes one MANIFEST"
                                                   : "'%s' is not split, merge, cat or to-jsonl",
                       verb);
    return stage_end(rc, &err, &n, &opt.common);
}
