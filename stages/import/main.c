/* import: puts pictures that are on disk into a run's store. Reads: path. Adds: path bytes xxh128 source. */
#include "import.h"

static const struct option_row rows[] = {
    OPTION(struct import_options, CHOICE, 0, "by", by, "HOW",
           "copy: the store has files of its own; link: hard links, which show later changes of the "
           "originals, copies across file systems; leave: symbolic links, the originals stay where they "
           "are and have to stay there",
           CHOICES("copy|link|leave")),
    OPTION(struct import_options, STRING, 0, "from", from, "DIR",
           "the paths read are relative to this folder"),
    OPTION(struct import_options, STRING, 0, "store", store, "DIR",
           "where objects lie; inside --root (default: ROOT/store)"),
    OPTION(struct import_options, STRINGS, 0, "blocklist", blocklists, "FILE",
           "hashes of pictures that are not taken in: MD5, SHA-1, SHA-256, XXH3-128 (repeatable)"),
    COMMON_ROW_OUTPUT(struct import_options, common),
    COMMON_ROW_REJECTS(struct import_options, common),
    COMMON_ROW_ROOT(struct import_options, common),
    COMMON_ROW_TALK(struct import_options, common),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "import",
    .synopsis = "[MANIFEST]",
    .summary = "take pictures that are on disk into a run's store",
    .details =
        "Fills a store from folders, as fetch fills it from addresses: every file of the manifest (path, as "
        "scan writes it; label and others pass through) gets a place in STORE/objects, named by its content, "
        "and the row gets path (the place in the store, relative to --root), bytes, xxh128 and source (the "
        "path as it was). What was taken down from the store stays out.\n\n"
        "  scan photos | import --root runs/my -o runs/my/imported.tsv\n\n"
        "Reasons in --rejects: not-found unreadable outside-root empty-file too-many-bytes not-a-picture "
        "blocked taken-down.",
    .rows = rows,
    .max_operands = 1,
};

int main(int argc, char **argv)
{
    static const char *const reads[] = {"path", NULL};
    static const char *const adds[] = {"path", "bytes", "xxh128", "source", NULL};
    struct import_options opt = IMPORT_DEFAULTS;
    struct manifest_filter f = MANIFEST_FILTER_EMPTY;
    struct stage_counts n = {0};
    struct operands operands;
    struct error err = {0};
    stage_begin("import");
    int rc = options_parse(&table, &opt, argc, argv, &operands);
    if (rc != OPTIONS_RUN) return rc;
    rc = manifest_filter_open(&f, operands.n ? operands.items[0] : NULL, opt.common.output,
                              opt.common.rejects, reads, adds, &err) ||
                 import_run(&opt, &f, &n, &err) || manifest_filter_commit(&f, &opt.common, &err)
             ? -1
             : 0;
    manifest_filter_close(&f);
    options_release(&table, &opt);
    return stage_end(rc, &err, &n, &opt.common);
}
