/* scan: writes a manifest of the pictures in folders. Adds: path label (given_split). */
#include "scan.h"

static const struct option_row rows[] = {
    OPTION(struct scan_options, CHOICE, 0, "label-from", label_from, "RULE",
           "auto: the first folder below FOLDER, or FOLDER itself for files directly in it; folder: "
           "always FOLDER; parent: the folder that contains the file; none: no label",
           CHOICES("auto|folder|parent|none")),
    OPTION(struct scan_options, STRING, 0, "label", label, "NAME", "give every row this label"),
    OPTION(struct scan_options, STRING, 0, "ext", extensions, "LIST",
           "take files with these extensions, in upper or lower case"),
    OPTION(struct scan_options, FLAG, 0, "all-files", all_files, NULL,
           "take every file, whatever its extension"),
    OPTION(struct scan_options, FLAG, 0, "hidden", hidden, NULL, "also take names that begin with a dot"),
    OPTION(struct scan_options, FLAG, 'L', "follow", follow, NULL,
           "follow symbolic links to files and folders"),
    COMMON_ROW_OUTPUT(struct scan_options, common),
    COMMON_ROW_REJECTS(struct scan_options, common),
    COMMON_ROW_ROOT(struct scan_options, common),
    COMMON_ROW_TALK(struct scan_options, common),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "scan",
    .synopsis = "FOLDER...",
    .summary = "turn folders of pictures into a manifest",
    .details =
        "Writes path and label, sorted by path, each file once. Folders are searched to any depth; paths "
        "are relative to --root, and so are the FOLDERs. FIFOs, devices, links and names that are not "
        "UTF-8 go to --rejects with a reason. When a folder contains only folders named train, val and "
        "test (or validation, valid, training, testing), the label is the folder below these, and a "
        "column given_split holds the split, which train-test-split keeps.\n\n"
        "  scan raw_data                   raw_data/<label>/**/*.jpg\n"
        "  scan raw_data/cat raw_data/dog  two classes of it, for files that lie directly in these folders",
    .rows = rows,
    .min_operands = 1,
    .max_operands = -1,
};

int main(int argc, char **argv)
{
    char *columns[] = {"path", "label", "given_split"};
    struct manifest_schema schema = {.names = columns, .n = 2};
    struct scan_options opt = SCAN_DEFAULTS;
    struct manifest_writer out = MANIFEST_WRITER_EMPTY, rejects = MANIFEST_WRITER_EMPTY;
    struct stage_counts n = {0};
    struct operands operands;
    struct error err = {0};
    stage_begin("scan");
    int rc = options_parse(&table, &opt, argc, argv, &operands);
    if (rc != OPTIONS_RUN) return rc;
    rc = -1;
    for (int i = 0; i < operands.n; i++)
        if (scan_has_splits(&opt, operands.items[i])) schema.n = 3;
    if (manifest_writer_open(&out, opt.common.output, &schema, NULL, &err) ||
        manifest_rejects_open(&rejects, opt.common.rejects, &schema, &err) ||
        scan_run(&opt, operands.items, operands.n, &out, &rejects, &n, &err))
        goto out;
    if (manifest_commit(&out, &rejects, 0, &opt.common, &err)) goto out;
    rc = 0;
out:
    manifest_writer_discard(&out);
    manifest_writer_discard(&rejects);
    options_release(&table, &opt);
    return stage_end(rc, &err, &n, &opt.common);
}
