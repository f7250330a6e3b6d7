/* path.h: functions on paths as text: they find the folder of a path, and refuse paths that leave the root
 * folder. */
#ifndef WINNOW_IO_PATH_H
#define WINNOW_IO_PATH_H

#include <stdbool.h>

#include "base/error.h"
#include "base/text.h"

/* Returns the folder that contains path, malloc'ed: "." when path has no slash. Returns NULL with err set
 * when there is no memory. */
char *path_folder(const char *path, struct error *err);

/*
 * Sets out to root + "/" + path. Unless allow_outside is set, absolute paths, "..", empty paths and NUL are
 * refused (EX_DATAERR). When root is "." or "", path stays as it is. A symbolic link is followed, because the
 * user created it.
 */
int path_join(struct text *out, const char *root, const char *path, bool allow_outside, struct error *err);
bool path_is_inside(const char *path); /* relative and without ".." components */

#endif
