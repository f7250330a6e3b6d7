/*
 * source.h: a manifest that is read more than once, for stages that need facts about all rows before they
 * write the first one, and must not hold ten million rows of text in memory. A regular file is simply read
 * again. Standard input, a FIFO or a pipe is first copied to a temporary file without a name in $TMPDIR.
 */
#ifndef WINNOW_MANIFEST_SOURCE_H
#define WINNOW_MANIFEST_SOURCE_H

#include <sys/stat.h>

#include "base/error.h"
#include "manifest/manifest.h"

struct manifest_source {
    char *name; /* for messages */
    char *path; /* what is opened each time */
    int fd;     /* keeps the copy alive, or the file for the check; -1 before open */
    struct stat seen;
};
#define MANIFEST_SOURCE_EMPTY ((struct manifest_source){.fd = -1})

/* path NULL or "-" is standard input. EX_NOINPUT; EX_IOERR when there is no space for the copy. */
int manifest_source_open(struct manifest_source *s, const char *path, struct error *err);
/*
 * Opens a reader at the first row, as manifest_reader_open does. After the last row of a second reading,
 * manifest_source_check says whether the file is still the one of the first reading: EX_DATAERR when it was
 * changed in between.
 */
int manifest_source_read(struct manifest_source *s, struct manifest_reader *r, const char *const *required,
                         struct error *err);
int manifest_source_check(const struct manifest_source *s, struct error *err);
void manifest_source_close(struct manifest_source *s);

#endif
