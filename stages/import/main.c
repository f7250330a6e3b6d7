/* import: adds pictures that are on disk to a run's store. Reads: path. Adds: path bytes xxh128 source. */
#include "import.h"

static const struct option_row rows[] = {
    OPTION(struct import_options, CHOICE, 0, "by", by, "HOW",
           "copy: copy each file; link: make hard links, which show later changes of the originals; "
           "leave: make symbolic links, for originals that are never moved",
           CHOICES("copy|link|leave")),
    OPTION(struct import_options, STRING, 0, "from", from, "DIR",
           "folder that the paths in the manifest are relative to"),
    OPTION(struct import_options, STRING, 0, "store", store, "DIR",
           "folder of the store; must be inside --root (default: ROOT/store)"),
    OPTION(struct import_options, STRINGS, 0, "blocklist", blocklists, "FILE",
           "MD5, SHA-1, SHA-256 or XXH3-128 hashes of pictures that must not be added (repeatable)"),
    COMMON_ROW_OUTPUT(struct import_options, common),
    COMMON_ROW_REJECTS(struct import_options, common),
    COMMON_ROW_ROOT(struct import_options, common),
    COMMON_ROW_TALK(struct import_options, common),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "import",
    .synopsis = "[MANIFEST]",
    .summary = "add pictures from folders to the store of a run",
    .details =
        "Adds pictures from folders to a store, as fetch adds pictures from the web. Reads the manifest "
        "that scan writes, and puts each file into STORE/objects, named by its content. Sets path (the "
        "path in the store, relative to --root), bytes, xxh128 and source (the old path); other columns "
        "are copied. Pictures that were taken down are not added again.\n\n"
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
