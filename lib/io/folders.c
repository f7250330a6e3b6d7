/* folders.c: reads the names in folders, removes folders, and replaces a folder by a new one that was written
 * beside it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/number.h"
#include "io/io.h"

struct dirent *io_next_entry(DIR *d, const char *name, int *rc, struct error *err)
{
    char shown[256];
    struct dirent *e;
    do {
        errno = 0;
        e = fault_here(FAULT_READ) ? NULL : readdir(d);
    } while (e && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0));
    *rc = e || errno == 0 ? 0
                          : error_errno(err, EX_IOERR, "cannot read the folder '%s'",
                                        text_for_people(shown, sizeof shown, name));
    return e;
}

/* Links are removed, not followed. */
static void remove_below(int fd)
{
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return;
    }
    for (struct dirent *e; (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            unlinkat(dirfd(d), e->d_name, 0) == 0)
            continue;
        int inner = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner >= 0) {
            remove_below(inner);
            (void)unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
        }
    }
    closedir(d);
}

void io_remove_tree(const char *path)
{
    int saved = errno, fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        (void)unlink(path);
    } else {
        remove_below(fd);
        (void)rmdir(path);
    }
    errno = saved;
}

bool io_is_leftover(const char *name)
{
    const char *mark = strstr(name, ".new-");
    for (const char *next; mark && (next = strstr(mark + 1, ".new-"));)
        mark = next;
    if (!mark) return false;
    uint64_t pid;
    mark += strlen(".new-");
    return parse_digits(mark, strlen(mark), &pid) && pid > 0 && pid <= INT_MAX && pid != (uint64_t)getpid() &&
           kill((pid_t)pid, 0) && errno == ESRCH;
}

void io_sweep_leftovers(const char *place)
{
    const char *slash = strrchr(place, '/'), *base = slash ? slash + 1 : place;
    struct text t = TEXT_EMPTY;
    struct error ignored = {0};
    DIR *d = text_printf(&t, &ignored, "%.*s", slash ? (slash == place ? 1 : (int)(slash - place)) : 1,
                         slash ? place : ".")
                 ? NULL
                 : opendir(t.data);
    for (struct dirent *e; d && (e = readdir(d));) {
        const char *name = e->d_name;
        /* a name such as ..PLACE.new-1.new-1, of a folder that was begun inside an unfinished one */
        while (*name == '.' && base[0] != '.')
            name++;
        if (!text_starts(name, base) || !text_starts(name + strlen(base), ".new-") ||
            !io_is_leftover(e->d_name))
            continue;
        text_clear(&t);
        if (text_printf(&t, &ignored, "%.*s%s", slash ? (int)(slash - place + 1) : 0, place, e->d_name) == 0)
            io_remove_tree(t.data);
    }
    if (d) closedir(d);
    text_release(&t);
}

int io_take_place(const char *made, const char *place, char **old, struct error *err)
{
    struct text aside = TEXT_EMPTY;
    *old = NULL;
    if (fault_here(FAULT_RENAME)) return error_errno(err, EX_CANTCREAT, "cannot move '%s' into place", made);
    if (rename(made, place) == 0) return 0; /* place did not exist, or was an empty folder */
    if (errno != ENOTEMPTY && errno != EEXIST)
        return error_errno(err, EX_CANTCREAT, "cannot move '%s' into place", made);
    if (!(*old = mem_strdup(made, err))) return -1;
    if (renameat2(AT_FDCWD, made, AT_FDCWD, place, RENAME_EXCHANGE) == 0) return 0;
    /* This file system (such as NFS) cannot exchange folders: for a moment there is no folder at `place`. */
    free(*old);
    *old = NULL;
    if (text_printf(&aside, err, "%s.old", made)) return -1;
    int rc = rename(place, aside.data) || rename(made, place)
                 ? error_errno(err, EX_CANTCREAT, "cannot move '%s' into place", made)
                 : 0;
    if (rc)
        (void)rename(aside.data, place);
    else
        *old = aside.data;
    if (rc) text_release(&aside);
    return rc;
}
