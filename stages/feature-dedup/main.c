/*
 * feature-dedup: takes copies that hashes miss out of a manifest, by the vectors of embed, verified on
 * pixels. Reads: path xxh128 (label bytes width height group if present). Adds: group.
 */
#include "feature_dedup.h"

static const struct option_row rows[] = {
    OPTION(
        struct feature_options, STRINGS, 0, "features", features, "DIR",
        "what embed --reduce wrote for these pictures; may be repeated, with folders of the same reduction"),
    OPTION(
        struct feature_options, INT, 0, "distance", dedup.distance, "N",
        "pictures whose vectors are at most this far apart, in thousandths of 1 - cosine, are duplicates if "
        "their pixels agree",
        RANGE(0, VECTOR_MAX_DISTANCE)),
    OPTION(struct feature_options, INT, 0, "group-distance", dedup.group_distance, "N",
           "pictures connected by steps of at most this, whose pixels agree, share a group, which a split "
           "never tears apart",
           RANGE(0, VECTOR_MAX_DISTANCE)),
    DEDUP_ROWS_KEEP(struct feature_options, dedup),
    OPTION(struct feature_options, STRING, 0, "against", dedup.against, "FILE",
           "an older manifest, whose vectors are in --features, too: pictures near one of its pictures are "
           "rejected, groups keep its names, and none of its own rows is rejected"),
    DEDUP_ROW_MARK(struct feature_options, dedup),
    DEDUP_ROW_SHEET(struct feature_options, dedup),
    OPTION(struct feature_options, STRING, 0, "blocklist", dedup.blocklist, "DIR",
           "what embed --fit wrote for pictures that must not be there; those within --block-distance are "
           "rejected as blocklisted, on their vectors alone"),
    DEDUP_ROW_DELETE(struct feature_options, dedup),
    DEDUP_ROW_LEAK(struct feature_options, dedup),

    OPTION_GROUP("Common"),
    COMMON_ROW_OUTPUT(struct feature_options, dedup.common),
    COMMON_ROW_REJECTS(struct feature_options, dedup.common),
    COMMON_ROW_ROOT(struct feature_options, dedup.common),
    COMMON_ROW_THREADS(struct feature_options, dedup.common),
    COMMON_ROW_TALK(struct feature_options, dedup.common),

    OPTION_GROUP("Expert"),
    OPTION(struct feature_options, INT, 0, "neighbours", neighbours, "N",
           "only look at a pair that is among the N nearest of one of its pictures; 0: at every pair, which "
           "can be very many",
           RANGE(0, 4096)),
    OPTION(struct feature_options, FLAG, 0, "no-verify", no_verify, NULL,
           "believe the vectors and do not look at pixels: only with a small --distance"),
    OPTION(struct feature_options, INT, 0, "block-distance", dedup.block_distance, "N",
           "how near to a listed vector a picture matches it", RANGE(0, VECTOR_MAX_DISTANCE)),
    OPTION(struct feature_options, FLAG, 0, "no-orient", no_orient, NULL,
           "compare pixels as stored, without applying EXIF orientation"),
    OPTION(struct feature_options, FLAG, 0, "allow-truncated", allow_truncated, NULL,
           "compare truncated pictures as far as they can be decoded"),
    OPTION(struct feature_options, FLAG, 0, "no-sandbox", no_sandbox, NULL,
           "decode in this process: only for pictures of your own"),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "feature-dedup",
    .synopsis = "[MANIFEST]",
    .summary = "take copies that hashes miss out of a manifest, by features",
    .details =
        "Reads path and xxh128 (and label, bytes, width, height, group if present); adds group. Pairs whose "
        "vectors are near are looked at: registered by mirror, scale, place and a small turn, and compared "
        "block by block. One row is kept of the pictures that show the same; the others are rejected as "
        "near-duplicate-of (distance and path of the one that is kept). Copies under two labels are all "
        "rejected as label-conflict, for review.\n\n"
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
    struct manifest_source in = MANIFEST_SOURCE_EMPTY, against = MANIFEST_SOURCE_EMPTY;
    struct manifest_reader header = MANIFEST_READER_EMPTY;
    struct manifest_writer out = MANIFEST_WRITER_EMPTY, rejects = MANIFEST_WRITER_EMPTY;
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
    if (check_options(&opt, &err) || feature_read_sets(&s, &err) ||
        (opt.dedup.against && manifest_source_open(&against, opt.dedup.against, &err)) ||
        manifest_source_open(&in, operands.n ? operands.items[0] : NULL, &err) ||
        manifest_source_read(&in, &header,
                             (const char *const[]){"path", "xxh128", opt.dedup.check_leak ? "split" : NULL,
                                                   NULL},
                             &err))
        goto out;
    if (opt.dedup.check_leak) {
        if (feature_run_check_leak(&s, &in, &n_leaks, &err) == 0) rc = n_leaks ? EX_VERDICT_NO : 0;
        goto out;
    }
    if ((opt.dedup.delete_blocked && dedup_removal_open(&s.d, &err)) ||
        manifest_writer_open(&out, opt.dedup.common.output, &header.schema, adds, &err) ||
        manifest_rejects_open(&rejects, opt.dedup.common.rejects, &header.schema, &err) ||
        feature_run(&s, &in, opt.dedup.against ? &against : NULL, &out, &rejects, &n, &err) ||
        manifest_commit(&out, &rejects, 0, &opt.dedup.common, &err) ||
        (opt.dedup.delete_blocked && dedup_remove_blocked(&s.d, &in, &err)))
        goto out;
    rc = s.d.n_left ? EX_VERDICT_NO : 0;
out:
    progress_end(&s.d.progress);
    manifest_writer_discard(&out);
    manifest_writer_discard(&rejects);
    manifest_reader_close(&header);
    manifest_source_close(&in);
    manifest_source_close(&against);
    feature_release(&s);
    options_release(&table, &opt);
    return stage_end(rc, &err, opt.dedup.check_leak ? NULL : &n, &opt.dedup.common);
}
