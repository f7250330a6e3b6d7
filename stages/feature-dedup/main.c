/*
 * feature-dedup: removes copies that hashes miss from a manifest. It finds them by the vectors of embed, and
 * verifies them on pixels. Reads: path xxh128 (label bytes width height group if present). Adds: group.
 */
#include "feature_dedup.h"

static const struct option_row rows[] = {
    OPTION(struct feature_options, STRINGS, 0, "features", features, "DIR",
           "folder that embed --reduce wrote for these pictures; may be repeated, with folders of the same "
           "reduction"),
    OPTION(struct feature_options, INT, 0, "distance", dedup.distance, "N",
           "two pictures are duplicates when their vectors are at most this far apart, in thousandths of 1 "
           "- cosine, and their pixels agree",
           RANGE(0, VECTOR_MAX_DISTANCE)),
    OPTION(struct feature_options, INT, 0, "group-distance", dedup.group_distance, "N",
           "two pictures share a group when a chain of steps of at most this, in which pixels agree, "
           "connects them",
           RANGE(0, VECTOR_MAX_DISTANCE)),
    DEDUP_ROWS_KEEP(struct feature_options, dedup),
    OPTION(struct feature_options, STRING, 0, "against", dedup.against, "FILE",
           "an older manifest, whose vectors are also in --features: pictures near one of its pictures "
           "are rejected, groups keep its names, and its own rows are never rejected"),
    DEDUP_ROW_MARK(struct feature_options, dedup),
    DEDUP_ROW_SHEET(struct feature_options, dedup),
    OPTION(struct feature_options, STRING, 0, "blocklist", dedup.blocklist, "DIR",
           "folder that embed --fit wrote for forbidden pictures; pictures whose vectors are within "
           "--block-distance are rejected as blocklisted"),
    DEDUP_ROW_DELETE(struct feature_options, dedup),
    DEDUP_ROW_LEAK(struct feature_options, dedup),

    OPTION_GROUP("Common"),
    COMMON_ROW_OUTPUT(struct feature_options, dedup.common),
    COMMON_ROW_REJECTS(struct feature_options, dedup.common),
    COMMON_ROW_ROOT(struct feature_options, dedup.common),
    COMMON_ROW_THREADS(struct feature_options, dedup.common),
    COMMON_ROW_TALK(struct feature_options, dedup.common),

    OPTION_GROUP("How a file becomes pixels: as embed is told"),
    PICTURE_ROWS(struct feature_options, rules),

    OPTION_GROUP("Expert"),
    OPTION(struct feature_options, INT, 0, "neighbours", neighbours, "N",
           "compare each picture with its N nearest only; 0: with all within --distance, which can be "
           "very many",
           RANGE(0, 4096)),
    OPTION(struct feature_options, INT, 0, "block-distance", dedup.block_distance, "N",
           "largest distance at which a picture matches a vector of --blocklist",
           RANGE(0, VECTOR_MAX_DISTANCE)),
    DECODE_ROW_TRUNCATED(struct feature_options),
    DECODE_ROW_SANDBOX(struct feature_options),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "feature-dedup",
    .synopsis = "[MANIFEST]",
    .summary = "remove edited copies, which hashes miss, from a manifest",
    .details =
        "Reads path and xxh128 (and label, bytes, width, height, group if present); adds group. Each "
        "pair of near vectors is verified: the two pictures are aligned by mirroring, scaling, shifting "
        "and a small turn, and compared block by block. Of several copies one row is kept; the others "
        "are rejected as near-duplicate-of (distance and path of the one that is kept). Copies under two "
        "labels are all rejected as label-conflict, for review.\n\n"
        "  embed --base inception_v3 --reduce sqrt,pca:64,whiten:0.5 -o features distinct.tsv\n"
        "  feature-dedup --features features -o single.tsv distinct.tsv",
    .rows = rows,
    .min_operands = 0,
    .max_operands = 1,
};

static int check_options(const struct feature_options *o, struct error *err)
{
    const struct dedup_options *d = &o->dedup;
    const char *alone = d->blocklist ? "--blocklist"
                        : d->against ? "--against"
                        : d->protect ? "--protect"
                        : d->sheet   ? "--sheet"
                        : d->mark    ? "--mark"
                                     : NULL;
    if (!o->features.n) return error_set(err, EX_USAGE, "--features DIR is needed: embed --reduce writes it");
    if (d->check_leak && alone)
        return error_set(err, EX_USAGE, "%s does nothing with --check-leak: leave one out", alone);
    if (d->delete_blocked && (!d->blocklist || !*d->delete_blocked))
        return error_set(err, EX_USAGE,
                         d->blocklist ? "--delete-blocked: an empty name"
                                      : "--delete-blocked needs --blocklist DIR");
    return 0;
}

int main(int argc, char **argv)
{
    struct feature_options opt = FEATURE_DEFAULTS;
    struct feature_dedup s = {.opt = &opt, .d = DEDUP_EMPTY};
    uint64_t n_leaks = 0;
    struct dedup_files f = DEDUP_FILES_EMPTY;
    struct stage_counts n = {0};
    struct operands operands;
    struct error err = {0};
    stage_begin("feature-dedup");
    int rc = options_parse(&table, &opt, argc, argv, &operands);
    if (rc != OPTIONS_RUN) return rc;
    s.d.opt = &opt.dedup;
    s.d.unit = "thousandths";
    rc = -1;
    const char *const adds[] = {"group", opt.dedup.mark ? "keeper" : NULL, "keeper_distance", "near_reason",
                                NULL};
    const char *const reads[] = {"path", "xxh128", opt.dedup.check_leak ? "split" : NULL, NULL};
    if (check_options(&opt, &err) || feature_read_sets(&s, &err) ||
        dedup_files_read(&f, &opt.dedup, operands.n ? operands.items[0] : NULL, reads, &err))
        goto out;
    if (opt.dedup.check_leak) {
        if (feature_run_check_leak(&s, &f.in, &n_leaks, &err) == 0) rc = n_leaks ? EX_VERDICT_NO : 0;
        goto out;
    }
    if (dedup_files_write(&f, &s.d, adds, &err) || feature_run(&s, &f, &n, &err) ||
        manifest_commit(&f.out, &f.rejects, 0, &opt.dedup.common, &err) ||
        (opt.dedup.delete_blocked && dedup_remove_blocked(&s.d, &f.in, &err)))
        goto out;
    rc = s.d.n_left ? EX_VERDICT_NO : 0;
out:
    progress_end(&s.d.progress);
    dedup_files_release(&f);
    feature_release(&s);
    options_release(&table, &opt);
    return stage_end(rc, &err, opt.dedup.check_leak ? NULL : &n, &opt.dedup.common);
}
