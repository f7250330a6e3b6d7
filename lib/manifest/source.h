/*
 * source.h: opens a manifest that is read more than once. This is for stages that must see all rows before
 * they write the first one, but must not hold ten million rows of text in memory. A regular file is simply
 * read again. Standard input, a FIFO or a pipe is first copied to a temporary file without a name in $TMPDIR.
 */
#ifndef WINNOW_MANIFEST_SOURCE_H
#define WINNOW_MANIFEST_SOURCE_H

#include <sys/stat.h>

#include "base/error.h"
#include "manifest/manifest.h"

struct manifest_source {
    char *name; /* for messages */
    char *path; /* what is opened each time */
    int fd;     /* the copy, or the file, which is kept open for manifest_source_check; -1 before open */
    struct stat seen;
};
#define MANIFEST_SOURCE_EMPTY ((struct manifest_source){.fd = -1})

/* Opens path (NULL or "-": standard input). Returns 0, or -1 with err set: EX_NOINPUT, or EX_IOERR when there
 * is no space for the copy. */
int manifest_source_open(struct manifest_source *s, const char *path, struct error *err);
/*
 * Opens a reader at the first row, as manifest_reader_open does. Call manifest_source_check after the last
 * row of a second reading. It returns 0, or -1 with EX_DATAERR when the file has changed since the first
 * reading.
 */
int manifest_source_read(struct manifest_source *s, struct manifest_reader *r, const char *const *required,
                         struct error *err);
int manifest_source_check(const struct manifest_source *s, struct error *err);
void manifest_source_close(struct manifest_source *s);

#endif
