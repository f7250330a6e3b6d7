/*
 * filter.h: the three files of a stage that is a filter: the manifest read, the rows kept, the rows
 * rejected. Each row goes to one of the two. Opened in one call; committed rejects first, so that the file
 * that make waits for comes last.
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

/*
 * Paths and lists as of manifest_reader_open, manifest_writer_open and manifest_rejects_open. After a failure
 * manifest_filter_close is still due.
 */
int manifest_filter_open(struct manifest_filter *f, const char *input, const char *output,
                         const char *rejects, const char *const *reads, const char *const *adds,
                         struct error *err);
/* manifest_commit of its two files. */
int manifest_filter_commit(struct manifest_filter *f, const struct common_options *common, struct error *err);
void manifest_filter_close(struct manifest_filter *f); /* what was not committed never was */

#endif
