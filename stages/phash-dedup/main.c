/*
 * phash-dedup: removes near duplicates from a manifest and groups similar pictures. Reads: path (label bytes
 * xxh128 width height pdq pdq_quality pdq_family group if present). Adds: bytes xxh128 pdq pdq_quality
 * pdq_family group.
 */
#include "phash_dedup.h"

static const struct option_row rows[] = {
    OPTION(struct phash_options, FLAG, 0, "hash-only", hash_only, NULL,
           "only add pdq, pdq_quality and pdq_family; keep every row whose picture can be read"),
    DECODE_ROW_TRUNCATED(struct phash_options),
    OPTION(struct phash_options, INT, 0, "distance", dedup.distance, "BITS",
           "two pictures are near duplicates when their hashes differ in at most this many of 256 bits",
           RANGE(0, NEAR_MAX_DISTANCE)),
    OPTION(struct phash_options, INT, 0, "group-distance", dedup.group_distance, "BITS",
           "two pictures share a group when a chain of steps of at most this many bits connects them; no "
           "picture is rejected because of its group",
           RANGE(0, NEAR_MAX_DISTANCE)),
    OPTION(struct phash_options, FLAG, 0, "dihedral", dihedral, NULL,
           "also find pictures that were mirrored or turned by right angles"),
    DEDUP_ROWS_KEEP(struct phash_options, dedup),
    OPTION(struct phash_options, STRING, 0, "against", dedup.against, "FILE",
           "an older manifest with pdq: pictures near one of its pictures are rejected, groups keep its "
           "names, and its own rows are never rejected"),
    DEDUP_ROW_MARK(struct phash_options, dedup),
    OPTION(struct phash_options, STRING, 0, "index", index, "FILE",
           "remember the hashes in this file, by xxh128; a picture that is in it is not decoded again"),
    OPTION(struct phash_options, STRING, 0, "near-pairs", near_pairs, "FILE",
           "remember the near pairs in this file; only new pictures are compared, with the same result"),
    DEDUP_ROW_SHEET(struct phash_options, dedup),
    OPTION(struct phash_options, STRING, 0, "blocklist", dedup.blocklist, "FILE",
           "PDQ, XXH3-128, MD5, SHA-1 or SHA-256 hashes of forbidden pictures; they are rejected as "
           "blocklisted"),
    DEDUP_ROW_DELETE(struct phash_options, dedup),
    DEDUP_ROW_LEAK(struct phash_options, dedup),

    OPTION_GROUP("Common"),
    COMMON_ROW_OUTPUT(struct phash_options, dedup.common),
    COMMON_ROW_REJECTS(struct phash_options, dedup.common),
    COMMON_ROW_ROOT(struct phash_options, dedup.common),
    COMMON_ROW_THREADS(struct phash_options, dedup.common),
    COMMON_ROW_TALK(struct phash_options, dedup.common),

    OPTION_GROUP("How a file becomes pixels: as pack is told"),
    PICTURE_ROWS(struct phash_options, rules),

    OPTION_GROUP("Expert"),
    OPTION(struct phash_options, CHOICE, 0, "pdq", family, "FAMILY",
           "full: hash the picture at its own size; nn512: reduce it to at most 512x512 first, by "
           "nearest neighbour, as the published C++ tool; fast: like full, but decode a JPEG at a "
           "reduced size, which changes some bits",
           CHOICES("full|nn512|fast")),
    OPTION(struct phash_options, FLAG, 0, "exact-groups", exact_groups, NULL,
           "find every pair within --group-distance, not only nearly every one; the comparison takes 8 "
           "times as long at 47, and 41 times at 63"),
    OPTION(struct phash_options, INT, 0, "min-quality", min_quality, "N",
           "do not compare pictures whose pdq_quality (0 to 100) is below this: with little detail the "
           "bits are noise",
           RANGE(0, 100)),
    OPTION(struct phash_options, INT, 0, "block-distance", dedup.block_distance, "BITS",
           "largest distance at which a picture matches a PDQ hash of the list", RANGE(0, NEAR_MAX_DISTANCE)),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "phash-dedup",
    .synopsis = "[MANIFEST]",
    .summary = "remove near duplicates from a manifest, and group similar pictures",
    .details =
        "Reads path (and label, bytes, xxh128, width, height, pdq, pdq_quality, pdq_family, group if "
        "present); adds bytes, xxh128, pdq, pdq_quality, pdq_family and group. Rows that have a pdq of "
        "the same family are not decoded. Of several near duplicates one row is kept; the others are "
        "rejected as near-duplicate-of (distance and path of the one that is kept). Near duplicates "
        "under two labels are all rejected as label-conflict, for review.",
    .rows = rows,
    .min_operands = 0,
    .max_operands = 1,
};

/* Refuses options that would have no effect, above all a block list that would not be read. */
static int check_options(const struct phash_options *o, struct error *err)
{
    const char *mode = o->hash_only ? "--hash-only" : o->dedup.check_leak ? "--check-leak" : NULL;
    const char *alone = o->dedup.blocklist         ? "--blocklist"
                        : o->dedup.against         ? "--against"
                        : o->dedup.protect         ? "--protect"
                        : o->dedup.sheet           ? "--sheet"
                        : o->dedup.mark            ? "--mark"
                        : o->near_pairs            ? "--near-pairs"
                        : o->hash_only && o->index ? "--index"
                                                   : NULL;
    const char *empty = o->index && !*o->index                                 ? "--index"
                        : o->dedup.delete_blocked && !*o->dedup.delete_blocked ? "--delete-blocked"
                        : o->near_pairs && !*o->near_pairs                     ? "--near-pairs"
                                                                               : NULL;
    if (empty) return error_set(err, EX_USAGE, "%s: an empty name", empty);
    if (o->hash_only && o->dedup.check_leak)
        return error_set(err, EX_USAGE, "--hash-only and --check-leak are two different runs");
    if (o->near_pairs && (o->dedup.against || o->dihedral))
        return error_set(err, EX_USAGE, "--near-pairs does nothing with %s: leave one out",
                         o->dedup.against ? "--against" : "--dihedral");
    if (o->index && (o->rules.frame || o->rules.color || o->rules.background ||
                     (o->rules.orientation && !picture_rules_unturned(&o->rules))))
        return error_set(
            err, EX_USAGE,
            "--index keeps hashes of first frames on white, turned as browsers do or not at all: "
            "leave out --frame, --color, --background and --orientation pillow, or --index");
    if (mode && alone) return error_set(err, EX_USAGE, "%s does nothing with %s: leave one out", alone, mode);
    if (o->dedup.delete_blocked && !o->dedup.blocklist)
        return error_set(err, EX_USAGE, "--delete-blocked needs --blocklist FILE");
    return 0;
}

static void forget(void *context, const struct xxh128 *id)
{
    pdq_index_forget(&((struct phash_dedup *)context)->index, id);
}

int main(int argc, char **argv)
{
    struct phash_options opt = PHASH_DEFAULTS;
    struct phash_dedup s = {.opt = &opt, .d = DEDUP_EMPTY, .index_lock = FILE_LOCK_EMPTY};
    uint64_t n_leaks = 0;
    struct dedup_files f = DEDUP_FILES_EMPTY;
    struct stage_counts n = {0};
    struct operands operands;
    struct error err = {0};
    s.d.opt = &opt.dedup;
    s.d.unit = "bits";
    s.d.forget = forget;
    s.d.forget_context = &s;
    stage_begin("phash-dedup");
    int rc = options_parse(&table, &opt, argc, argv, &operands);
    if (rc != OPTIONS_RUN) return rc;
    rc = -1;
    const char *const hash_adds[] = {"pdq", "pdq_quality", "pdq_family", NULL};
    const char *const adds[] = {"bytes",
                                "xxh128",
                                "pdq",
                                "pdq_quality",
                                "pdq_family",
                                "group",
                                opt.dedup.mark ? "keeper" : NULL,
                                "keeper_distance",
                                "near_reason",
                                NULL};
    const char *const reads[] = {"path", opt.dedup.check_leak ? "split" : NULL, NULL};
    if (check_options(&opt, &err) ||
        dedup_files_read(&f, &opt.dedup, operands.n ? operands.items[0] : NULL, reads, &err))
        goto out;
    if (opt.dedup.check_leak) {
        if (phash_run_check_leak(&s, &f.in, &n_leaks, &err) == 0) rc = n_leaks ? EX_VERDICT_NO : 0;
        goto out;
    }
    if (dedup_files_write(&f, &s.d, opt.hash_only ? hash_adds : adds, &err) ||
        (opt.hash_only ? phash_hash_only : phash_run)(&s, &f, &n, &err) ||
        manifest_commit(&f.out, &f.rejects, 0, &opt.dedup.common, &err))
        goto out;
    if (opt.dedup.delete_blocked) {
        if (dedup_remove_blocked(&s.d, &f.in, &err) ||
            (opt.index && pdq_index_save(&s.index, opt.index, &err)))
            goto out;
        if (s.d.n_removed)
            stage_warn("%llu listed pictures removed; `winnow purge --store %s RUN` removes what was made "
                       "from them",
                       (unsigned long long)s.d.n_removed, opt.dedup.delete_blocked);
    }
    rc = s.d.n_left ? EX_VERDICT_NO : 0;
out:
    progress_end(&s.d.progress);
    dedup_files_release(&f);
    phash_release(&s);
    options_release(&table, &opt);
    return stage_end(rc, &err, opt.dedup.check_leak ? NULL : &n, &opt.dedup.common);
}
