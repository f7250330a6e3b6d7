/* cuda_libraries.c: finds and opens libcudart, libcublas, libcudnn and libnccl; see cuda_libraries.h. */
#include "tensor/cuda_libraries.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <glob.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CUDART, CUBLAS, CUDNN, NCCL, N_LIBRARIES };

/* %d is the CUDA version for which the plug-in was built. */
static const char *const names[N_LIBRARIES] = {"libcudart.so.%d", "libcublas.so.%d", "libcudnn.so.9",
                                               "libnccl.so.2"};

static struct cuda_library found[N_LIBRARIES];
static size_t n_found;

const struct cuda_library *cuda_libraries(size_t *n)
{
    *n = n_found;
    return found;
}

/* --- the folders --- */

/* Places are searched one after another: finding the later ones needs a child process, and usually the
 * first is enough. */
enum { SYSTEM, ENVIRONMENT, PYTHON, CHECKOUT, N_PLACES };

struct folders {
    const char *plugin;
    glob_t list[N_PLACES];
    bool listed[N_PLACES];
};

static void add(glob_t *list, const char *root, const char *below)
{
    char pattern[PATH_MAX];
    if (root && *root && snprintf(pattern, sizeof pattern, "%s/%s", root, below) < PATH_MAX)
        glob(pattern, list->gl_pathc ? GLOB_APPEND : 0, NULL, list);
}

/* Adds the module folders of python3. It runs python3 to get them, because python3 may be a wrapper script
 * (pyenv). */
static void add_python(glob_t *list)
{
    char line[PATH_MAX];
    FILE *python = popen("exec python3 -c 'import sys; print(*filter(None, sys.path), sep=\"\\n\")' "
                         "</dev/null 2>/dev/null",
                         "re");
    while (python && fgets(line, sizeof line, python)) {
        line[strcspn(line, "\n")] = 0;
        add(list, line, "nvidia/*/lib");
    }
    if (python) pclose(python);
}

static const glob_t *folders_of(struct folders *f, int place)
{
    glob_t *list = &f->list[place];
    char own[PATH_MAX];
    if (f->listed[place]) return list;
    f->listed[place] = true;
    switch (place) {
    case SYSTEM: {
        const char *roots[] = {getenv("CUDA_HOME"), getenv("CUDA_PATH"), "/usr/local/cuda"};
        for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
            add(list, roots[i], "lib64");
            add(list, roots[i], "lib");
        }
        break;
    }
    case ENVIRONMENT:
        add(list, getenv("VIRTUAL_ENV"), "lib/python3*/site-packages/nvidia/*/lib");
        add(list, getenv("CONDA_PREFIX"), "lib/python3*/site-packages/nvidia/*/lib");
        add(list, getenv("CONDA_PREFIX"), "lib");
        break;
    case PYTHON: add_python(list); break;
    case CHECKOUT:
        /* bin/winnow-cuda.so, build/CONFIG/bin/winnow-cuda.so */
        snprintf(own, sizeof own, "%s", f->plugin);
        if (strrchr(own, '/')) {
            *strrchr(own, '/') = 0;
            add(list, own, "../build/cuda/lib");
            add(list, own, "../../../build/cuda/lib");
        }
    }
    return list;
}

/* --- one library --- */

#define OTHER_CUDA "%s is for CUDA %d, this build for CUDA %d"

/* Finds out which file the loader took for a name. */
static void take_path(void *handle, char *path)
{
    struct link_map *map = NULL;
    if (!dlinfo(handle, RTLD_DI_LINKMAP, &map) && map) snprintf(path, PATH_MAX, "%s", map->l_name);
}

static void take_version(void *handle, int which, char *version, size_t bytes)
{
    static const char *const asked[] = {"cudaRuntimeGetVersion", "cublasGetProperty", "cudnnGetVersion",
                                        "ncclGetVersion"};
    void *symbol = dlsym(handle, asked[which]);
    int (*of_pointer)(int *), (*property)(int, int *), v[3] = {0};
    size_t (*number)(void);
    if (!symbol) return;
    switch (which) {
    case CUDART:
    case NCCL:
        *(void **)&of_pointer = symbol;
        if (of_pointer(v)) return;
        break;
    case CUBLAS:
        *(void **)&property = symbol;
        for (int i = 0; i < 3; i++)
            if (property(i, &v[i])) return;
        break;
    case CUDNN: *(void **)&number = symbol; v[0] = (int)number();
    }
    if (which == CUDART)
        snprintf(version, bytes, "%d.%d", v[0] / 1000, v[0] % 1000 / 10);
    else if (which == CUBLAS)
        snprintf(version, bytes, "%d.%d.%d", v[0], v[1], v[2]);
    else
        snprintf(version, bytes, "%d.%d.%d", v[0] / 10000, v[0] / 100 % 100, v[0] % 100);
}

/* cuDNN opens its parts at the first call, and ends the process when one is missing. */
static int check_cudnn_parts(const char *path, struct error *err)
{
    static const char *const parts[] =
        {"ops", "cnn", "graph", "heuristic", "engines_precompiled", "engines_runtime_compiled"};
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path) : 0;
    for (size_t i = 0; slash && i < sizeof parts / sizeof *parts; i++) {
        char name[64], file[PATH_MAX + 64];
        snprintf(name, sizeof name, "libcudnn_%s.so.9", parts[i]);
        snprintf(file, sizeof file, "%.*s/%s", folder, path, name);
        if (access(file, R_OK) && !dlopen(name, RTLD_LAZY))
            return error_set(err, EX_NODEVICE, "%s is missing beside %s", name, path);
    }
    return 0;
}

/* The CUDA version for which a cuDNN was built; 0 when it does not say. */
static int cudnn_major(void *handle)
{
    size_t (*version)(void);
    *(void **)&version = handle ? dlsym(handle, "cudnnGetCudartVersion") : NULL;
    return version ? (int)(version() / 1000) : 0;
}

/* The same for the file at path. Loading a cuDNN leaves its parts in the process, and the next cuDNN,
 * whose parts have the same names, would use them. Therefore a child process loads it. */
static int cudnn_major_of(const char *path)
{
    int status;
    pid_t child = fork();
    if (!child) {
        int nowhere = open("/dev/null", O_WRONLY);
        dup2(nowhere, STDERR_FILENO);
        _exit(cudnn_major(dlopen(path, RTLD_LAZY)));
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

/* 1: the library was found in folder and is open. 0: folder does not have it, or has one for another CUDA
 * (recorded in other). -1: error. */
static int try_folder(const char *folder, int which, int major, struct cuda_library *l, void **handle,
                      struct error *other, struct error *err)
{
    char path[PATH_MAX], first[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", folder, l->name) >= PATH_MAX || access(path, R_OK)) return 0;
    if (which == CUBLAS) {
        /* Not every build of libcublas looks in its own folder. */
        if (snprintf(first, sizeof first, "%s/libcublasLt.so.%d", folder, major) < PATH_MAX &&
            !access(first, R_OK))
            dlopen(first, RTLD_LAZY);
    } else if (which == CUDNN) {
        if (check_cudnn_parts(path, err)) return -1;
        int its = cudnn_major_of(path);
        if (its && its != major) {
            error_set(other, EX_NODEVICE, OTHER_CUDA, path, its, major);
            return 0;
        }
    }
    if (!(*handle = dlopen(path, RTLD_LAZY)))
        return error_set(err, EX_NODEVICE, "cannot load %s: %s", path, dlerror());
    return 1;
}

static int open_library(struct folders *f, int which, int major, bool always, struct error *err)
{
    struct cuda_library *l = &found[which];
    void *handle = dlopen(l->name, RTLD_LAZY);
    const char *said = handle ? "" : dlerror();
    struct error other = {0};
    int rc = 0;
    /* The loader found it, but not a library that it needs. */
    if (!handle && strncmp(said, l->name, strlen(l->name)))
        return error_set(err, EX_NODEVICE, "cannot load %s: %s", l->name, said);
    if (!handle && which != NCCL && !always && !dlopen("libcuda.so.1", RTLD_LAZY))
        return error_set(err, EX_NODEVICE, "no GPU here: no driver (libcuda.so.1)");
    for (int place = 0; !handle && !rc && place < N_PLACES; place++) {
        const glob_t *list = folders_of(f, place);
        for (size_t i = 0; !rc && i < list->gl_pathc; i++)
            rc = try_folder(list->gl_pathv[i], which, major, l, &handle, &other, err);
    }
    if (rc < 0) return -1;
    if (!handle && other.code) {
        *err = other;
        return -1;
    }
    if (!handle)
        return error_set(err, EX_NODEVICE,
                         "%s is not found in the system, a Python environment or build/cuda (./bootstrap gpu "
                         "fetches it)",
                         l->name);
    take_path(handle, l->path);
    if (which == CUDNN) {
        if (check_cudnn_parts(l->path, err)) return -1;
        int its = cudnn_major(handle);
        if (its && its != major) return error_set(err, EX_NODEVICE, OTHER_CUDA, l->path, its, major);
    }
    if (always) take_version(handle, which, l->version, sizeof l->version);
    return 0;
}

/* The CUDA version with which the plug-in was linked: it contains the name
 * libcudart.so.N as text. 0: none. */
static int linked_major(const char *plugin)
{
    static const char name[] = "libcudart.so.";
    int fd = open(plugin, O_RDONLY | O_CLOEXEC), major = 0;
    FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
    size_t matched = 0;
    for (int c; f && !major && (c = getc(f)) != EOF;) {
        if (matched == sizeof name - 1 && c >= '0' && c <= '9') {
            ungetc(c, f);
            if (fscanf(f, "%2d", &major) != 1) break;
        }
        matched = c == name[matched] ? matched + 1 : c == name[0];
    }
    if (f) fclose(f);
    return major;
}

static int open_all(const char *plugin, bool always, struct error *err)
{
    struct folders f = {.plugin = plugin};
    int major = linked_major(plugin), rc = 0;
    memset(found, 0, sizeof found);
    n_found = 0;
    if (!major) return 0;
    for (int i = 0; i < N_LIBRARIES; i++)
        snprintf(found[i].name, sizeof found[i].name, names[i], major);
    n_found = N_LIBRARIES;
    for (int i = 0; i < N_LIBRARIES && (!rc || always); i++) {
        struct error why = {0};
        if (!open_library(&f, i, major, always, &why) || i == NCCL || rc) continue;
        *err = why;
        rc = -1;
    }
    for (int i = 0; i < N_PLACES; i++)
        if (f.listed[i] && f.list[i].gl_pathv) globfree(&f.list[i]);
    return rc;
}

int cuda_libraries_open(const char *plugin, struct error *err) { return open_all(plugin, false, err); }
int cuda_libraries_open_always(const char *plugin, struct error *err) { return open_all(plugin, true, err); }
