/* plugin.h: opens plug-ins, which are shared objects of winnow that are opened at run time, so that one
 * package runs on machines with and without the libraries that they need (CUDA, MPI). */
#ifndef WINNOW_BASE_PLUGIN_H
#define WINNOW_BASE_PLUGIN_H

#include "base/error.h"

struct plugin {
    const char *file;   /* "winnow-cuda.so" */
    const char *entry;  /* the symbol to look up */
    const char *what;   /* for people: "the CUDA backend" */
    const char *absent; /* the message when the file is missing: "built without CUDA" */
    /* NULL, or a function that is called with the path before the file is opened; -1 ends the search. */
    int (*prepare)(const char *path, struct error *err);
};

/*
 * Opens p->file, which is looked for in $WINNOW_PLUGIN_DIR if set, and otherwise in the folder of the
 * running program, in its ../lib/winnow and ../bin, and in the folder above. *symbol becomes the address of
 * p->entry, or NULL when the file has none. path (at least PATH_MAX bytes) becomes the path of the file. The
 * file stays open until the process ends. -1 with EX_NODEVICE: "built without CUDA: 'winnow-cuda.so' is not
 * beside this program", or the message of prepare or of the loader.
 */
int plugin_open(const struct plugin *p, void **symbol, char *path, struct error *err);

#endif
