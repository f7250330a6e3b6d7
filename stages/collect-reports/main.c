/* collect-reports: joins the reports of the demo page's users into one table, makes slices for eval from
 * them, and shows which of the mistakes are fixed. */
#include <stdlib.h>
#include <string.h>

#include "collect_reports.h"

static const struct option_row rows[] = {
    OPTION(struct collect_options, STRING, 0, "manifest", manifest, "FILE",
           "look up the pictures in this manifest: by xxh128, or else by the nearest pdq"),
    OPTION(struct collect_options, INT, 0, "distance", distance, "BITS",
           "largest distance at which a pdq matches", RANGE(0, 256)),
    OPTION(struct collect_options, STRING, 0, "predictions", predictions, "FILE",
           "predictions of the present model (id pred): fills pred and fixed"),
    OPTION(struct collect_options, STRING, 0, "slices", slices, "FILE",
           "also write id and slice, for eval --slices"),
    COMMON_ROW_OUTPUT(struct collect_options, common),
    COMMON_ROW_TALK(struct collect_options, common),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "collect-reports",
    .synopsis = "REPORT...",
    .summary = "join reports from users of the demo page into one table",
    .details =
        "Reads the reports that the demo page saves (id pdq model_id pred p_<class>... claimed_label "
        "slice; never a picture). Writes one row for each picture, model and claim: id label_claimed "
        "slices reports model_id pred_reported pred fixed label matched_by distance reported_id pdq. A "
        "file that is not a report is named, counted and left out.\n\n  collect-reports --manifest "
        "all.tsv --predictions eval/predictions.tsv --slices slices.tsv -o reports.tsv reports/*.tsv\n "
        " eval --predictions eval/predictions.tsv --slices slices.tsv --out eval",
    .rows = rows,
    .min_operands = 0,
    .max_operands = -1,
};

static int run(const struct collect_options *o, const struct operands *operands, struct error *err)
{
    struct reports r = REPORTS_EMPTY;
    int rc = -1;
    for (int i = 0; i < operands->n; i++) {
        struct error why = {0};
        char *bytes = NULL;
        size_t n_bytes = 0;
        int got = io_read_text(operands->items[i], REPORT_MAX_BYTES, &bytes, &n_bytes, &why)
                      ? 1
                      : reports_add_memory(&r, bytes, n_bytes, operands->items[i], &why, err);
        free(bytes);
        if (got < 0) goto out;
        /* A mistyped name is the user's mistake and not the sender's. A failing disk or
         * a lack of memory is neither's. */
        if (got > 0 && why.code != EX_DATAERR) {
            *err = why;
            goto out;
        }
        if (got > 0) stage_warn("'%s' is left out: %s", operands->items[i], why.text);
    }
    if ((o->manifest && reports_match(&r, o->manifest, (int)o->distance, err)) ||
        (o->predictions && reports_predict(&r, o->predictions, err)) ||
        (o->slices && reports_write_slices(&r, o->slices, o->manifest != NULL, err)) ||
        reports_write(&r, o->common.output, err))
        goto out;
    size_t n_found = 0, n_fixed = 0, n_known = 0;
    for (size_t i = 0; i < r.n; i++) {
        n_found += r.items[i].match_id[0] != 0;
        n_known += r.items[i].now[0] != 0 && r.items[i].claimed[0] != 0;
        n_fixed += r.items[i].now[0] != 0 && strcmp(r.items[i].now, r.items[i].claimed) == 0;
    }
    stage_note(&o->common,
               "%zu files, %zu left out: %zu reports, %zu found in the manifest, %zu of %zu fixed", r.n_files,
               r.n_bad, r.n, n_found, n_fixed, n_known);
    rc = 0;
out:
    reports_release(&r);
    return rc;
}

int main(int argc, char **argv)
{
    struct collect_options opt = {.common = COMMON_OPTIONS_DEFAULTS, .distance = 31};
    struct operands operands;
    struct error err = {0};
    int rc;
    stage_begin("collect-reports");
    rc = options_parse(&table, &opt, argc, argv, &operands);
    if (rc != OPTIONS_RUN) return rc;
    rc = run(&opt, &operands, &err);
    options_release(&table, &opt);
    return stage_end(rc, &err, NULL, &opt.common);
}
