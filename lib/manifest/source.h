/*
 * source.h: a manifest that is read more than once, for stages that need facts about all rows before they
 * write the first and must not hold ten million rows of text. A regular file is simply read again; standard
 * input, a FIFO or a pipe is copied to an unlinked temporary file in $TMPDIR first.
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

/* path NULL or "-": standard input. EX_NOINPUT, EX_IOERR (no room for the copy). */
int manifest_source_open(struct manifest_source *s, const char *path, struct error *err);
/*
 * A reader from the first row on; as manifest_reader_open. After the last row of a second reading,
 * manifest_source_check says whether the file was still the one of the first reading: EX_DATAERR when it was
 * written to in between.
 */
int manifest_source_read(struct manifest_source *s, struct manifest_reader *r, const char *const *required,
                         struct error *err);
int manifest_source_check(const struct manifest_source *s, struct error *err);
void manifest_source_close(struct manifest_source *s);

/*
 * All of a descriptor into an unlinked file of its own in $TMPDIR: its descriptor, or -1. name is what
 * messages call the descriptor. EX_CANTCREAT names the folder.
 */
int manifest_spool(int from, const char *name, struct error *err);

#endif
