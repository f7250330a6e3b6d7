/* plugin.h: opens plug-ins: shared objects of winnow that are loaded at run time. One package therefore runs
 * on machines with and without the libraries that a plug-in needs (CUDA, MPI). */
#ifndef WINNOW_BASE_PLUGIN_H
#define WINNOW_BASE_PLUGIN_H

#include "base/error.h"

struct plugin {
    const char *file;   /* "winnow-cuda.so" */
    const char *entry;  /* the symbol to look up */
    const char *what;   /* for messages: "the CUDA backend" */
    const char *absent; /* the message when the file is missing: "built without CUDA" */
    /* NULL, or a function that is called with the path before the file is opened. When it returns -1, the
     * search ends. */
    int (*prepare)(const char *path, struct error *err);
};

/*
 * Opens p->file. The file is searched in $WINNOW_PLUGIN_DIR if that is set, and otherwise in the folder of
 * the running program, in ../lib/winnow and ../bin relative to it, and in the folder above it. *symbol
 * becomes the address of p->entry, or NULL when the file has none. path (at least PATH_MAX bytes) becomes the
 * path of the file. The file stays open until the process ends. Returns -1 with EX_NODEVICE: "built without
 * CUDA: 'winnow-cuda.so' is not beside this program", or the message of prepare or of the loader.
 */
int plugin_open(const struct plugin *p, void **symbol, char *path, struct error *err);

#endif
