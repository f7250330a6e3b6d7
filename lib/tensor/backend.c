/*
 * backend.c: finding a device by name. The CUDA backend is a plug-in, so that one package serves machines with and
 * without it.
 */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tensor/backend.h"

#define CUDA_PLUGIN "winnow-cuda.so"

#ifdef WITHOUT_ONEDNN
const struct backend_table *backend_onednn(void)
{
    return NULL;
}
#endif

static const struct backend_table *plugin_table(void *handle, const char *path, struct error *err)
{
    const struct backend_table *(*entry)(void);
    *(void **)&entry = dlsym(handle, "winnow_backend");
    const struct backend_table *t = entry ? entry() : NULL;
    if (!t || t->abi != BACKEND_ABI) {
        error_set(err, EX_NODEVICE, "'%s' is not a backend of this version", path);
        return NULL;
    }
    return t;
}

/* 0 and *out set; or -1. A folder without the plug-in leaves err as it is, a plug-in that does not load says why. */
static int try_plugin(const char *folder, const struct backend_table **out, struct error *err)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", folder, CUDA_PLUGIN) >= (int)sizeof path || access(path, R_OK))
        return -1;
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL); /* never closed: its table stays valid for the process */
    if (!handle)
        return error_set(err, EX_NODEVICE, "cannot load the CUDA backend: %s", dlerror());
    return (*out = plugin_table(handle, path, err)) ? 0 : -1;
}

static int find_cuda(const struct backend_table **out, struct error *err)
{
    char self[PATH_MAX - 32], folder[PATH_MAX];
    const char *chosen = getenv("WINNOW_PLUGIN_DIR");
    error_set(err, EX_NODEVICE, "built without CUDA: '%s' is not beside this program", CUDA_PLUGIN);
    if (chosen)
        return try_plugin(chosen, out, err);
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return -1;
    self[n] = 0;
    char *slash = strrchr(self, '/');
    if (!slash)
        return -1;
    *slash = 0;
    static const char *const places[] = {"", "/../lib/winnow", "/../bin", "/.."};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(folder, sizeof folder, "%s%s", self, places[i]);
        if (!try_plugin(folder, out, err)) {
            error_clear(err);
            return 0;
        }
    }
    return -1;
}

int backend_find(const char *name, const struct backend_table **out, struct error *err)
{
    *out = NULL;
    if (!name || !*name || !strcmp(name, "auto")) {
        struct error ignored = {0};
        if (!find_cuda(out, &ignored))
            return 0;
        *out = backend_onednn() ? backend_onednn() : &backend_ref;
        return 0;
    }
    if (!strcmp(name, "ref")) {
        *out = &backend_ref;
        return 0;
    }
    if (!strcmp(name, "cpu"))
        return (*out = backend_onednn()) ? 0 : error_set(err, EX_NODEVICE, "device 'cpu': built without oneDNN");
    if (!strcmp(name, "cuda")) {
        if (find_cuda(out, err))
            return error_prefix(err, "device 'cuda'");
        error_clear(err);
        return 0;
    }
    return error_set(err, EX_USAGE, "unknown device '%s' (there are auto, cuda, cpu, ref)", name);
}

int backend_open(const char *name, const struct backend_options *options, const struct backend_table **table,
                 struct backend **out, struct error *err)
{
    static const char *const in_turn[] = {"cuda", "cpu", "ref"};
    *out = NULL;
    if (name && *name && strcmp(name, "auto"))
        return backend_find(name, table, err) || (*table)->open(out, options, err) ? -1 : 0;
    for (size_t i = 0; i < sizeof in_turn / sizeof *in_turn; i++)
        if (!backend_find(in_turn[i], table, err) && !(*table)->open(out, options, err)) {
            error_clear(err);
            return 0;
        }
    return -1;
}

const char *backend_listing(int i, char *out, size_t out_bytes)
{
    static const char *const names[] = {"cuda", "cpu", "ref"};
    const struct backend_table *t;
    struct backend *b;
    struct error err = {0};
    struct backend_options options = {.threads = 0, .deterministic = true};
    if (i < 0 || i >= (int)(sizeof names / sizeof *names))
        return NULL;
    if (backend_open(names[i], &options, &t, &b, &err)) {
        snprintf(out, out_bytes, "%s: not available: %s", names[i], err.text);
        return out;
    }
    snprintf(out, out_bytes, "%s: %s", names[i], t->describe(b));
    t->close(b);
    return out;
}
