/*
 * plugin.h: shared objects of ours that are opened at run time, so that one package serves machines with and
 * without what they are linked to (CUDA, MPI).
 */
#ifndef WINNOW_BASE_PLUGIN_H
#define WINNOW_BASE_PLUGIN_H

#include "base/error.h"

/*
 * Opens FILE ("winnow-cuda.so") from $WINNOW_PLUGIN_DIR; else from the folder of the running program, its
 * ../lib/winnow, its ../bin or the folder above. *symbol becomes the address of `entry`, NULL where the file
 * has none; path (at least PATH_MAX bytes) the file that was opened. It stays open for the process' life. For
 * people: what ("the CUDA backend") and absent ("built without CUDA"). -1 with EX_NODEVICE: "built without
 * CUDA: 'winnow-cuda.so' is not beside this program", or what the loader said.
 */
int plugin_open(const char *file, const char *what, const char *absent, const char *entry, void **symbol,
                char *path, struct error *err);

#endif
