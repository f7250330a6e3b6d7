/*
 * atomic_file.c: writes a file so that its path is always the old file or the whole new one, and no temporary
 * file remains. The temporary file is created in the folder of the destination, because a rename cannot cross
 * file systems. It is opened with O_TMPFILE and has no name, so nothing remains when the process is killed.
 * At commit it gets the name .NAME.00000000.tmp beside the destination, and is renamed to the destination. A
 * kill between these two steps leaves that name, which the next writer of the destination removes. Where
 * O_TMPFILE or /proc is missing, the temporary file has the name .NAME.XXXXXXXX.tmp from the start. A kill
 * leaves it, and signal handlers remove it (signals.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/random.h"
#include "io/io.h"
#include "io/signals.h"

/* Returns the path to write, malloc'ed: the target of a symbolic link, which need not exist yet, or the path
 * itself. */
static char *final_path(const char *path, struct error *err)
{
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode)) {
        char *real = realpath(path, NULL), shown[256];
        if (real) return real;
        if (errno != ENOENT) {
            error_errno(err, EX_CANTCREAT, "cannot follow '%s'", text_for_people(shown, sizeof shown, path));
            return NULL;
        }
        error_set(err, EX_CANTCREAT, "'%s' is a link to nowhere", text_for_people(shown, sizeof shown, path));
        return NULL;
    }
    return mem_strdup(path, err);
}

int io_temporary_name(struct text *t, const char *path, unsigned number, struct error *err)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    return text_printf(t, err, "%.*s.%.200s.%08x.tmp", (int)(base - path), path, base, number);
}

/* Sets f->temporary (NULL or freed before) to the name with that number. */
static int name_by(struct atomic_file *f, unsigned number, struct error *err)
{
    struct text t = TEXT_EMPTY;
    if (io_temporary_name(&t, f->path, number, err)) {
        text_release(&t);
        return -1;
    }
    free(f->temporary);
    f->temporary = t.data;
    return 0;
}

bool io_is_temporary(const char *name)
{
    size_t n = strlen(name);
    return n >= 15 && name[0] == '.' && name[n - 13] == '.' &&
           strspn(name + n - 12, "0123456789abcdef") == 8 && strcmp(name + n - 4, ".tmp") == 0;
}

/* Sets f->temporary to a new name. */
static int draw_name(struct atomic_file *f, struct error *err)
{
    static atomic_uint counter;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return name_by(f,
                   (unsigned)random_mix((uint64_t)now.tv_nsec ^ (uint64_t)getpid() << 32 ^
                                        atomic_fetch_add(&counter, 1)),
                   err);
}

/* Sets f->temporary to the name that all writers of f->path use for the moment between link and rename. */
static int common_name(struct atomic_file *f, struct error *err) { return name_by(f, 0, err); }

static int open_unnamed(const char *path, struct error *err)
{
    char *folder = path_folder(path, err);
    int fd = -1;
    if (folder && access("/proc/self/fd", X_OK) == 0)
        fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
    free(folder);
    return fd;
}

#define NAME_ATTEMPTS 100

static int open_temporary(struct atomic_file *f, struct error *err)
{
    char shown[256];
    int fd = -1;
    if (draw_name(f, err)) return -1;
    if (!fault_here(FAULT_OPEN)) {
        fd = open_unnamed(f->path, err);
        f->unnamed = fd >= 0;
        for (int attempt = 0; fd < 0 && attempt < NAME_ATTEMPTS; attempt++) {
            fd = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
            if (fd >= 0)
                f->slot = cleanup_remember(f->temporary);
            else if (errno != EEXIST || draw_name(f, err))
                break;
        }
    }
    if (fd < 0) {
        error_errno(err, EX_CANTCREAT, "cannot create '%s'", text_for_people(shown, sizeof shown, f->path));
        free(f->temporary);
        f->temporary = NULL;
    }
    return fd;
}

/*
 * Removes this name if a killed writer left it. A writer locks its file before it gives the file a name, and
 * only the holder of that lock removes the name. A name whose lock is free therefore belongs to a dead
 * writer.
 */
static bool remove_left_over(const char *name)
{
    struct stat held, named;
    bool removed = false;
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return errno == ENOENT;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &held) == 0 && lstat(name, &named) == 0 &&
        held.st_dev == named.st_dev && held.st_ino == named.st_ino)
        removed = unlink(name) == 0;
    close(fd);
    return removed;
}

/* Links the unnamed temporary file to a name beside the destination: the common name, or another one when
 * that is in use. */
static int name_temporary(struct atomic_file *f, struct error *err)
{
    char from[64], shown[256];
    snprintf(from, sizeof from, "/proc/self/fd/%d", fileno(f->stream));
    /* A failure is ignored: on a file system without locks, no name is ever treated as left over. */
    flock(fileno(f->stream), LOCK_EX | LOCK_NB);
    if (common_name(f, err)) return -1;
    for (int attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
        f->slot = cleanup_remember(f->temporary);
        if (linkat(AT_FDCWD, from, AT_FDCWD, f->temporary, AT_SYMLINK_FOLLOW) == 0) {
            f->unnamed = false;
            return 0;
        }
        int saved = errno;
        cleanup_forget(f->slot);
        f->slot = -1;
        errno = saved;
        if (saved != EEXIST || (!(attempt == 0 && remove_left_over(f->temporary)) && draw_name(f, err)))
            break;
    }
    return error_errno(err, EX_CANTCREAT, "cannot create '%s'",
                       text_for_people(shown, sizeof shown, f->path));
}

int atomic_file_open(struct atomic_file *f, const char *path, struct error *err)
{
    char shown[256];
    struct stat st;
    int fd = -1;
    *f = ATOMIC_FILE_EMPTY;
    if (!path || strcmp(path, "-") == 0) {
        f->stream = stdout;
        return 0;
    }
    if (!path[0]) return error_set(err, EX_USAGE, "an empty output file name");
    f->path = final_path(path, err);
    if (!f->path) return -1;
    if (stat(f->path, &st) == 0 && !S_ISREG(st.st_mode)) {
        if (S_ISDIR(st.st_mode))
            error_set(err, EX_CANTCREAT, "cannot write '%s': it is a folder",
                      text_for_people(shown, sizeof shown, path));
        else if ((fd = open(f->path, O_WRONLY | O_CLOEXEC | O_NOCTTY)) < 0)
            error_errno(err, EX_CANTCREAT, "cannot open '%s'", text_for_people(shown, sizeof shown, path));
    } else {
        fd = open_temporary(f, err);
    }
    if (fd < 0) goto fail;
    f->stream = fdopen(fd, "w");
    if (!f->stream) {
        error_errno(err, EX_OSERR, "cannot open '%s'", text_for_people(shown, sizeof shown, path));
        close(fd);
        goto fail;
    }
    return 0;
fail:
    atomic_file_discard(f);
    return -1;
}

int atomic_file_commit(struct atomic_file *f, struct error *err)
{
    char shown[256];
    const char *name = text_for_people(shown, sizeof shown, f->path ? f->path : "standard output");
    bool failed;
    if (!f->stream) return 0;
    failed = fault_here(FAULT_WRITE) || fflush(f->stream) || ferror(f->stream);
    if (failed) {
        if (errno == 0) errno = EIO;
        error_errno(err, EX_IOERR, "cannot write '%s'", name);
        goto fail;
    }
    if (!f->path) { /* standard output stays open, because other code may still use it */
        f->stream = NULL;
        return 0;
    }
    if (f->temporary && (fault_here(FAULT_FSYNC) || fsync(fileno(f->stream)))) {
        error_errno(err, EX_IOERR, "cannot sync '%s'", name);
        goto fail;
    }
    if (f->temporary && f->unnamed && name_temporary(f, err)) goto fail;
    if (f->temporary) {
        if (fault_here(FAULT_RENAME) || rename(f->temporary, f->path)) {
            error_errno(err, EX_CANTCREAT, "cannot rename '%s' into place", name);
            goto fail;
        }
        cleanup_forget(f->slot);
        f->slot = -1;
        free(f->temporary);
        f->temporary = NULL;
        if (io_fsync_dir_of(f->path, err)) goto fail;
    }
    failed = fclose(f->stream); /* after the rename, because closing releases the lock on the name */
    f->stream = NULL;
    if (failed) {
        error_errno(err, EX_IOERR, "cannot close '%s'", name);
        goto fail;
    }
    atomic_file_discard(f);
    return 0;
fail:
    atomic_file_discard(f);
    return -1;
}

void atomic_file_discard(struct atomic_file *f)
{
    int saved = errno;
    if (f->stream && f->stream != stdout) fclose(f->stream);
    if (f->temporary && !f->unnamed) unlink(f->temporary);
    cleanup_forget(f->slot);
    free(f->temporary);
    free(f->path);
    *f = ATOMIC_FILE_EMPTY;
    errno = saved;
}

int atomic_file_write(const char *path, const void *bytes, size_t n_bytes, struct error *err)
{
    struct atomic_file f = ATOMIC_FILE_EMPTY;
    char shown[256];
    if (atomic_file_open(&f, path, err)) return -1;
    if (fwrite(bytes, 1, n_bytes, f.stream) != n_bytes) {
        error_errno(err, EX_IOERR, "cannot write '%s'", text_for_people(shown, sizeof shown, path));
        atomic_file_discard(&f);
        return -1;
    }
    return atomic_file_commit(&f, err);
}
