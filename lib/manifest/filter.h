/*
 * filter.h: opens and commits the three files of a stage that filters a manifest: the input, the output with
 * the kept rows, and the output with the rejected rows. Every row goes to one of the two outputs. The rejects
 * are committed first, because make waits for the output with the kept rows.
 */
#ifndef WINNOW_MANIFEST_FILTER_H
#define WINNOW_MANIFEST_FILTER_H

#include "base/error.h"
#include "manifest/manifest.h"

struct manifest_filter {
    struct manifest_reader in;
    struct manifest_writer out, rejects;
};
#define MANIFEST_FILTER_EMPTY                                                                                \
    ((struct manifest_filter){.in = MANIFEST_READER_EMPTY,                                                   \
                              .out = MANIFEST_WRITER_EMPTY,                                                  \
                              .rejects = MANIFEST_WRITER_EMPTY})

/* Opens all three files. The paths and lists of columns are as for manifest_reader_open, manifest_writer_open
 * and manifest_rejects_open. Call manifest_filter_close also after a failure. */
int manifest_filter_open(struct manifest_filter *f, const char *input, const char *output,
                         const char *rejects, const char *const *reads, const char *const *adds,
                         struct error *err);
/* Commits both outputs with manifest_commit. */
int manifest_filter_commit(struct manifest_filter *f, const struct common_options *common, struct error *err);
void manifest_filter_close(struct manifest_filter *f); /* discards outputs that were not committed */

#endif
