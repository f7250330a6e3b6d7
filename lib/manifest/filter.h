/*
 * filter.h: the three files of a stage that is a filter: the manifest that it reads, the rows that it keeps,
 * and the rows that it rejects. Every row goes to one of the two outputs. One call opens all three. The
 * rejects are committed first, so that the file for which make waits comes last.
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

/* Paths and lists are those of manifest_reader_open, manifest_writer_open and manifest_rejects_open. Call
 * manifest_filter_close also after a failure. */
int manifest_filter_open(struct manifest_filter *f, const char *input, const char *output,
                         const char *rejects, const char *const *reads, const char *const *adds,
                         struct error *err);
/* Calls manifest_commit for the two outputs. */
int manifest_filter_commit(struct manifest_filter *f, const struct common_options *common, struct error *err);
void manifest_filter_close(struct manifest_filter *f); /* outputs that were not committed are discarded */

#endif
