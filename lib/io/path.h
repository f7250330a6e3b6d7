/* path.h: rules for paths as text: the folder of a path, and which paths stay inside the root. */
#ifndef WINNOW_IO_PATH_H
#define WINNOW_IO_PATH_H

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"

/* The folder that contains path, malloc'ed: "." when path has no slash. NULL with
 * err set when there is no memory. */
char *path_folder(const char *path, struct error *err);

/*
 * Sets out to root + "/" + path. Unless allow_outside is set, absolute paths, "..", empty paths and NUL are
 * refused (EX_DATAERR). When root is "." or "", path stays as it is. A symbolic link is followed, since the
 * user made it.
 */
int path_join(struct text *out, const char *root, const char *path, bool allow_outside, struct error *err);
bool path_is_inside(const char *path); /* relative and without ".." components */

#endif
