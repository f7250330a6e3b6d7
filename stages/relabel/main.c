/* relabel: applies the decisions of reviewers to a manifest, by content hash. Reads xxh128 (or id) and
 * label; writes label, adds label_given. No file is deleted: dropped rows go to --rejects. */
#include "relabel.h"

#include <string.h>

static const struct option_row rows[] = {
    OPTION(struct relabel_options, STRINGS, 0, "decisions", decisions, "FILE",
           "decisions to apply: id decision label reviewer date, as review pages export them (repeatable)"),
    OPTION(struct relabel_options, FLAG, 0, "new-classes", new_classes, NULL,
           "allow labels that the manifest does not have yet"),
    OPTION(struct relabel_options, FLAG, 0, "require-agreement", require_agreement, NULL,
           "do not change pictures on which reviewers disagree"),
    OPTION(struct relabel_options, STRING, 0, "stats", stats, "FILE",
           "write key and value: how many decisions of each kind were applied, and the agreement of the "
           "reviewers (kappa)"),
    OPTION(struct relabel_options, STRING, 0, "conflicts", conflicts, "FILE",
           "write the decisions on which reviewers disagree"),
    COMMON_ROW_OUTPUT(struct relabel_options, common),
    COMMON_ROW_REJECTS(struct relabel_options, common),
    COMMON_ROW_TALK(struct relabel_options, common),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "relabel",
    .synopsis = "[MANIFEST]",
    .summary = "apply reviewers' decisions to a manifest",
    .details = "Reads xxh128 (or id) and label; writes label and adds label_given, the label before the "
               "first change. A decision is keep, relabel, drop or unsure. The last decision on a picture "
               "counts; pictures on which reviewers disagree are reported. keep with a label sets that "
               "label, which undoes an earlier relabel. Applying the same decisions again changes "
               "nothing.\n\n  relabel --decisions decisions.tsv --rejects dropped.tsv -o next.tsv all.tsv",
    .rows = rows,
    .max_operands = 1,
};

static int run(const struct relabel_options *o, const char *input, struct stage_counts *counts,
               struct error *err)
{
    static const char *const reads[] = {"label", NULL}, *const adds[] = {"label", "label_given", NULL};
    struct manifest_table t = MANIFEST_TABLE_EMPTY;
    struct manifest_writer out = MANIFEST_WRITER_EMPTY, rejects = MANIFEST_WRITER_EMPTY;
    struct decisions d = DECISIONS_EMPTY;
    struct relabel_counts n = {0};
    int rc = -1;
    if (o->decisions.n == 0) return error_set(err, EX_USAGE, "--decisions FILE is needed");
    for (size_t i = 0; i < o->decisions.n; i++)
        if (decisions_read(&d, o->decisions.items[i], err)) goto out;
    decisions_sort(&d);
    if (manifest_table_read(&t, input, reads, err)) goto out;
    if (manifest_column(&t.schema, "xxh128") < 0 && manifest_column(&t.schema, "id") < 0) {
        error_set(err, EX_DATAERR,
                  "'%s' has no column 'xxh128' (nor 'id'): decisions are tied to the content hash", t.name);
        goto out;
    }
    if (manifest_writer_open(&out, o->common.output, &t.schema, adds, err) ||
        manifest_rejects_open(&rejects, o->common.rejects, &t.schema, err) ||
        relabel_run(&t, &d, o, &out, &rejects, &n, err) ||
        (o->conflicts && relabel_write_conflicts(o->conflicts, &d, err)) ||
        (o->stats && relabel_write_stats(o->stats, &n, &d, err)) ||
        manifest_commit(&out, &rejects, 0, &o->common, err))
        goto out;
    *counts = (struct stage_counts){t.n_rows, out.n_rows, rejects.n_rows};
    if (n.n_conflicts)
        stage_warn("reviewers disagree on %llu picture%s; %s (--conflicts FILE lists them)",
                   (unsigned long long)n.n_conflicts, n.n_conflicts == 1 ? "" : "s",
                   o->require_agreement ? "left unchanged" : "the last decision counts");
    if (d.n && n.n_here == 0 && t.n_rows)
        stage_warn("none of the decisions is about a picture of the manifest: are they about other data, or "
                   "their ids written differently?");
    stage_note(&o->common,
               "%llu relabelled, %llu restored, %llu dropped, %llu confirmed, %llu unsure, %llu decided but "
               "not in the manifest",
               (unsigned long long)n.n_relabelled, (unsigned long long)n.n_restored,
               (unsigned long long)n.n_dropped, (unsigned long long)n.n_kept + n.n_already,
               (unsigned long long)n.n_unsure, (unsigned long long)n.n_elsewhere);
    rc = 0;
out:
    manifest_writer_discard(&out);
    manifest_writer_discard(&rejects);
    manifest_table_release(&t);
    decisions_release(&d);
    return rc;
}

int main(int argc, char **argv)
{
    struct relabel_options opt = {.common = COMMON_OPTIONS_DEFAULTS};
    struct operands operands;
    struct stage_counts n = {0};
    struct error err = {0};
    int rc;
    stage_begin("relabel");
    rc = options_parse(&table, &opt, argc, argv, &operands);
    if (rc != OPTIONS_RUN) return rc;
    rc = run(&opt, operands.n ? operands.items[0] : NULL, &n, &err);
    options_release(&table, &opt);
    return stage_end(rc, &err, &n, &opt.common);
}
