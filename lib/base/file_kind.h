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

#define FILE_KIND_BYTES 512 /* more bytes would not help */

struct file_kind {
    const char *name;   /* with its article: "a Git LFS pointer" */
    const char *remedy; /* what to do */
};

/* The kind of file that begins with these n bytes, or NULL when it is none of the kinds known here. */
const struct file_kind *file_kind_of(const void *bytes, size_t n);

/* When the kind is known: -1 with err set (EX_DATAERR) to "'PATH' is KIND: REMEDY". Otherwise 0. */
int file_kind_refuse(const char *path, const void *bytes, size_t n, struct error *err);

#endif
