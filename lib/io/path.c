/* path.c: see path.h. */
#include "io/path.h"

#include <string.h>

#include "base/mem.h"

char *path_folder(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return mem_strdup(".", err);
    size_t n = slash == path ? 1 : (size_t)(slash - path);
    char *folder = mem_dup(path, n + 1, err);
    if (folder) folder[n] = 0;
    return folder;
}

bool path_is_inside(const char *path)
{
    if (path[0] == '/' || path[0] == 0) return false;
    for (const char *p = path; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL)
        if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || p[2] == 0)) return false;
    return true;
}

int path_join(struct text *out, const char *root, const char *path, bool allow_outside, struct error *err)
{
    char shown[256];
    text_clear(out);
    if (!allow_outside && !path_is_inside(path))
        return error_set(err, EX_DATAERR,
                         path[0] ? "path '%s' is outside the root folder (--allow-outside accepts it)"
                                 : "empty path",
                         text_for_people(shown, sizeof shown, path));
    if (path[0] != '/' && root && root[0] && strcmp(root, ".")) {
        if (text_puts(out, root, err) || (!text_ends(root, "/") && text_puts(out, "/", err))) return -1;
    }
    return text_puts(out, path, err);
}
