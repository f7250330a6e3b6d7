/* scan.h: writes a row with path and label for each picture in folders, and with given_split when the folders
 * are divided into splits. */
#ifndef WINNOW_SCAN_H
#define WINNOW_SCAN_H

#include "base/error.h"
#include "cli/options.h"
#include "cli/stage.h"
#include "manifest/manifest.h"

enum scan_label { SCAN_LABEL_AUTO, SCAN_LABEL_FOLDER, SCAN_LABEL_PARENT, SCAN_LABEL_NONE };

struct scan_options {
    struct common_options common;
    int label_from;         /* enum scan_label */
    const char *label;      /* the same label for every row; NULL: by label_from */
    const char *extensions; /* comma separated, lower case, without the dot */
    bool all_files, hidden, follow;
};
#define SCAN_DEFAULTS                                                                                        \
    {                                                                                                        \
        .common = COMMON_OPTIONS_DEFAULTS,                                                                   \
        .extensions = "jpg,jpeg,jpe,jfif,png,webp,gif,avif,heic,heif,hif,jxl"                                \
    }

/*
 * Whether folder (relative to opt->common.root) contains nothing but the folders train, val and test (or
 * valid, validation, training, testing), with the classes inside them. The rows of such a folder get the
 * label from the second level and given_split from the first. Returns false when the folder cannot be read;
 * scan_run then fails with the reason.
 */
bool scan_has_splits(const struct scan_options *opt, const char *folder);

/*
 * Walks over the folders (relative to opt->common.root) and writes a row for each file to out, sorted by
 * path, each path once. Rejects: `not-utf8` (shown with \xNN for invalid bytes), `not-a-regular-file`,
 * `symbolic-link` (unless follow), `link-loop`, `unreadable`. Files with other extensions are counted, and a
 * message gives their number. out has the column given_split if any folder has splits. Returns 0, or -1 with
 * err set: EX_NOINPUT for a folder that does not exist, EX_DATAERR for one outside the root.
 */
int scan_run(const struct scan_options *opt, char **folders, int n_folders, struct manifest_writer *out,
             struct manifest_writer *rejects, struct stage_counts *n, struct error *err);

#endif
