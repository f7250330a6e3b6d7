/*
 * file_kind.h: names a file of the wrong kind by its first bytes, for whoever opens files that users bring: a
 * Git LFS pointer in place of the file, a web page saved as a list, a .keras archive given as a model. It
 * knows what people mistake for winnow's own inputs, not what those inputs look like: ask it after the
 * opener's own signature did not match.
 */
#ifndef WINNOW_BASE_FILE_KIND_H
#define WINNOW_BASE_FILE_KIND_H

#include <stddef.h>

#include "base/error.h"

#define FILE_KIND_BYTES 512 /* more first bytes say nothing more */

struct file_kind {
    const char *name;   /* with its article: "a Git LFS pointer" */
    const char *remedy; /* what to do */
};

/*
 * What the first n bytes of a file are the beginning of, or NULL when they are none of the kinds known here.
 */
const struct file_kind *file_kind_of(const void *bytes, size_t n);

/* When the kind is known: -1 with err set (EX_DATAERR), "'PATH' is KIND: REMEDY". 0 when it is not. */
int file_kind_refuse(const char *path, const void *bytes, size_t n, struct error *err);

#endif
