/* plugin.c: finds and opens plug-ins; see plugin.h. */
#include "base/plugin.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Returns 0 when the file was opened. Returns -1 with err unchanged when the folder has no such file, and -1
 * with a new message when the file cannot be loaded. */
static int try_folder(const char *folder, const struct plugin *p, void **symbol, char *path,
                      struct error *err)
{
    if (snprintf(path, PATH_MAX, "%s/%s", folder, p->file) >= PATH_MAX || access(path, R_OK)) return -1;
    if (p->prepare && p->prepare(path, err)) return -1;
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) return error_set(err, EX_NODEVICE, "cannot load %s: %s", p->what, dlerror());
    *symbol = dlsym(handle, p->entry);
    return 0;
}

/* The folder of the running program, without a slash at its end. */
static int own_folder(char *out, size_t bytes)
{
    ssize_t n = readlink("/proc/self/exe", out, bytes - 1);
    out[n > 0 ? n : 0] = 0;
    char *slash = strrchr(out, '/');
    if (slash) *slash = 0;
    return slash ? 0 : -1;
}

int plugin_open(const struct plugin *p, void **symbol, char *path, struct error *err)
{
    static const char *const places[] = {"", "/../lib/winnow", "/../bin", "/.."};
    char self[PATH_MAX - 32], folder[PATH_MAX];
    const char *chosen = getenv("WINNOW_PLUGIN_DIR");
    int rc = -1;
    *symbol = NULL;
    error_set(err, EX_NODEVICE, "%s: '%s' is not beside this program", p->absent, p->file);
    if (chosen)
        rc = try_folder(chosen, p, symbol, path, err);
    else if (!own_folder(self, sizeof self))
        for (size_t i = 0; rc && i < sizeof places / sizeof *places; i++) {
            snprintf(folder, sizeof folder, "%s%s", self, places[i]);
            rc = try_folder(folder, p, symbol, path, err);
        }
    if (!rc) error_clear(err);
    return rc;
}
