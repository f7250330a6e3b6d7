/*
 * cuda_libraries.h: finds NVIDIA's libraries on this machine. The CUDA plug-in names them without a folder. A
 * library that the loader does not find by itself is opened here before the plug-in. The loader then finds it
 * by its name.
 */
#ifndef WINNOW_TENSOR_CUDA_LIBRARIES_H
#define WINNOW_TENSOR_CUDA_LIBRARIES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct cuda_library {
    char name[32];       /* libcudnn.so.9 */
    char path[PATH_MAX]; /* the file that was opened; empty: none */
    char version[24];    /* "9.26.0"; empty: the library does not tell it */
};

/*
 * Opens the libraries that plugin (a path) is linked to: libcudart, libcublas, libcudnn, and libnccl if there
 * is one. Each is searched in the system (the loader's folders, CUDA_HOME, CUDA_PATH, the usual prefix of the
 * toolkit), then in the `nvidia` folders of a Python environment (VIRTUAL_ENV, CONDA_PREFIX, python3 on
 * PATH), then in build/cuda of the checkout that contains plugin. Fails with EX_NODEVICE; the message names
 * the library, or the part of it, that is missing, or says that there is no driver. (The driver is checked
 * before folders are searched, and only when the loader does not know all libraries.) For a file that is
 * linked to none of them it returns 0 and leaves the file to the loader. The libraries stay open until the
 * process ends.
 */
int cuda_libraries_open(const char *plugin, struct error *err);
/* Does the same, also on a machine without a driver. */
int cuda_libraries_open_always(const char *plugin, struct error *err);

/* Returns the *n libraries that the last call of these functions searched. */
const struct cuda_library *cuda_libraries(size_t *n);

#endif
