/*
 * plugin.h: shared objects of ours that are opened at run time, so that one package serves machines with and
 * without what they are linked to (CUDA, MPI).
 */
#ifndef WINNOW_BASE_PLUGIN_H
#define WINNOW_BASE_PLUGIN_H

#include "base/error.h"

struct plugin {
    const char *file;   /* "winnow-cuda.so" */
    const char *entry;  /* the symbol that is asked for */
    const char *what;   /* for people: "the CUDA backend" */
    const char *absent; /* the message when the file is missing: "built without CUDA" */
    /* NULL, or called with the path before the file is opened; -1 ends the search. */
    int (*prepare)(const char *path, struct error *err);
};

/*
 * Opens p->file from $WINNOW_PLUGIN_DIR; else from the folder of the running program, its ../lib/winnow, its
 * ../bin or the folder above. *symbol becomes the address of p->entry, NULL where the file has none; path (at
 * least PATH_MAX bytes) the file that was opened. It stays open for the process' life. -1 with EX_NODEVICE:
 * "built without CUDA: 'winnow-cuda.so' is not beside this program", the message of prepare or of the loader.
 */
int plugin_open(const struct plugin *p, void **symbol, char *path, struct error *err);

#endif
