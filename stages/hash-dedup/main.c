/*
 * hash-dedup: removes exact duplicates from a manifest, and rejects equal files under two labels for review.
 * Reads: path (label, bytes, xxh128 if present). Adds: bytes xxh128.
 */
#include "hash_dedup.h"

static const struct option_row rows[] = {
    OPTION(struct dedup_options, CHOICE, 0, "keep", keep, "RULE",
           "which of several equal files to keep; oldest and newest compare modification times; ties are "
           "decided by path",
           CHOICES(KEEP_RULES)),
    OPTION(struct dedup_options, STRINGS, 0, "prefer", prefer, "PREFIX",
           "keep a file whose path begins with this, whatever --keep says; may be repeated, the "
           "strongest first"),
    OPTION(struct dedup_options, STRINGS, 0, "prefer-label", prefer_label, "LABEL",
           "keep a row with this label, whatever --keep says; may be repeated, the strongest first"),
    OPTION(struct dedup_options, CHOICE, 0, "on-conflict", on_conflict, "RULE",
           "what to do with equal files under different labels: review and drop reject all of them, "
           "keep-first keeps the one that --keep chooses; with review their files are never changed",
           CHOICES(CONFLICT_RULES)),
    OPTION(struct dedup_options, STRING, 0, "against", against, "FILE",
           "an older manifest: copies of its rows are rejected; its own rows never are"),
    OPTION(struct dedup_options, FLAG, 0, "hash-all", hash_all, NULL,
           "read every file and fill xxh128 in every row, not only in those that may have a copy"),
    OPTION(struct dedup_options, FLAG, 0, "verify", verify, NULL,
           "compare each duplicate with the kept file byte by byte, even when no file will be changed"),

    OPTION_GROUP("Changing the files of duplicates (by default none is changed)"),
    OPTION(struct dedup_options, FLAG, 0, "delete", delete, NULL, "delete the duplicates"),
    OPTION(struct dedup_options, STRING, 0, "quarantine", quarantine, "DIR",
           "move the duplicates to this folder, where they keep their relative paths"),
    OPTION(struct dedup_options, FLAG, 0, "hardlink", hardlink, NULL,
           "replace each duplicate by a hard link to the kept file"),
    OPTION(struct dedup_options, FLAG, 0, "reflink", reflink, NULL,
           "let each duplicate share its storage with the kept file (btrfs, XFS)"),
    OPTION(struct dedup_options, FLAG, 0, "dry-run", dry_run, NULL,
           "make all checks and report what would be done, but change no file"),
    OPTION(struct dedup_options, STRING, 0, "log", log, "FILE",
           "write a line for each changed file to this TSV file instead of to stderr"),

    OPTION_GROUP("Common"),
    COMMON_ROW_OUTPUT(struct dedup_options, common),
    COMMON_ROW_REJECTS(struct dedup_options, common),
    COMMON_ROW_ROOT(struct dedup_options, common),
    COMMON_ROW_THREADS(struct dedup_options, common),
    COMMON_ROW_TALK(struct dedup_options, common),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "hash-dedup",
    .synopsis = "[MANIFEST]",
    .summary = "remove exact duplicates from a manifest",
    .details = "Reads path, and label, bytes and xxh128 if present; adds bytes and xxh128. The file of a row "
               "that already has an xxh128 is not read. The other files are compared by size, by last block "
               "and by XXH3-128 of all bytes; xxh128 is filled for those that had to be read to the end. One "
               "of several equal files is kept; the others are rejected as duplicate-of (the path that is "
               "kept), same-file-as (a hard link or a symbolic link), duplicate-row or label-conflict.",
    .rows = rows,
    .min_operands = 0,
    .max_operands = 1,
};

static int check_options(const struct dedup_options *opt, struct error *err)
{
    int actions = opt->delete + opt->hardlink + opt->reflink + (opt->quarantine != NULL);
    /* An empty value usually comes from an unset shell variable. Files would be moved to the root folder. */
    if (opt->quarantine && !*opt->quarantine)
        return error_set(err, EX_USAGE, "--quarantine: an empty folder name");
    if (actions > 1)
        return error_set(err, EX_USAGE,
                         "only one of --delete, --quarantine, --hardlink and --reflink can be done");
    if (actions == 0 && (opt->dry_run || opt->log))
        return error_set(err, EX_USAGE, "%s needs an action: --delete, --quarantine, --hardlink or --reflink",
                         opt->dry_run ? "--dry-run" : "--log");
    return 0;
}

int main(int argc, char **argv)
{
    static const char *const adds[] = {"bytes", "xxh128", NULL};
    struct dedup_options opt = DEDUP_DEFAULTS;
    struct dedup d = {.opt = &opt};
    struct manifest_source in = MANIFEST_SOURCE_EMPTY, against = MANIFEST_SOURCE_EMPTY;
    struct manifest_reader header = MANIFEST_READER_EMPTY;
    struct manifest_writer out = MANIFEST_WRITER_EMPTY, rejects = MANIFEST_WRITER_EMPTY;
    struct stage_counts n = {0};
    struct operands operands;
    struct error err = {0};
    uint64_t n_done = 0, n_failed = 0;
    stage_begin("hash-dedup");
    int rc = options_parse(&table, &opt, argc, argv, &operands);
    if (rc != OPTIONS_RUN) return rc;
    rc = -1;
    if (check_options(&opt, &err) || (opt.against && manifest_source_open(&against, opt.against, &err)) ||
        manifest_source_open(&in, operands.n ? operands.items[0] : NULL, &err) ||
        manifest_source_read(&in, &header, NULL, &err) ||
        manifest_writer_open(&out, opt.common.output, &header.schema, adds, &err) ||
        manifest_rejects_open(&rejects, opt.common.rejects, &header.schema, &err) ||
        dedup_run(&d, &in, opt.against ? &against : NULL, &out, &rejects, &n, &err))
        goto out;
    /* The manifests are written before the files are changed. A run that dies in between leaves too many
     * files, but never a row without its file. */
    if (manifest_commit(&out, &rejects, 0, &opt.common, &err)) goto out;
    if ((opt.delete || opt.hardlink || opt.reflink || opt.quarantine) &&
        dedup_act(&d, &n_done, &n_failed, &err))
        goto out;
    if (n_done || n_failed)
        stage_note(&opt.common, "%llu files acted on, %llu left alone", (unsigned long long)n_done,
                   (unsigned long long)n_failed);
    rc = n_failed ? EX_VERDICT_NO : 0;
out:
    progress_end(&d.progress);
    manifest_writer_discard(&out);
    manifest_writer_discard(&rejects);
    manifest_reader_close(&header);
    manifest_source_close(&in);
    manifest_source_close(&against);
    dedup_release(&d);
    options_release(&table, &opt);
    return stage_end(rc, &err, &n, &opt.common);
}
