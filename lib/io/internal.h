/* internal.h: what the files of lib/io share. */
#ifndef WINNOW_IO_INTERNAL_H
#define WINNOW_IO_INTERNAL_H

#include "base/error.h"

/* The folder that path sits in, malloc'd: "." when it has no slash. NULL with err set when memory ran out. */
char *path_folder(const char *path, struct error *err);

#endif
