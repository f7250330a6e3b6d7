/*
 * file_kind.h: recognises a file of the wrong kind by its first bytes, for messages about files that users
 * give by mistake: a Git LFS pointer in place of the file, a web page saved as a list, a .keras archive given
 * as a model. It does not know winnow's own formats: call it when the signature that a reader expects is
 * missing. For the kinds of pictures see image_kind.h, whose signatures it uses.
 */
#ifndef WINNOW_BASE_FILE_KIND_H
#define WINNOW_BASE_FILE_KIND_H

#include <stddef.h>

#include "base/error.h"

#define FILE_KIND_BYTES 512 /* no signature needs more bytes */

struct file_kind {
    const char *name;   /* with its article: "a Git LFS pointer" */
    const char *remedy; /* what to do */
};

/* Returns the kind of a file that begins with these n bytes, or NULL when file_kind.c does not know it. */
const struct file_kind *file_kind_of(const void *bytes, size_t n);

/* Returns -1 with err set to EX_DATAERR and "'PATH' is KIND: REMEDY" when the kind is known, and otherwise
 * 0. */
int file_kind_refuse(const char *path, const void *bytes, size_t n, struct error *err);

#endif
