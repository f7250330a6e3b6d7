/* files.c: reads and writes whole files, and creates folders. Calls are repeated after EINTR, the fault hook
 * can make them fail, and messages name the file. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file_kind.h"
#include "base/mem.h"
#include "io/io.h"

int io_open_read(const char *path, struct error *err)
{
    char shown[256];
    int fd = fault_here(FAULT_OPEN) ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return error_errno(err, EX_NOINPUT, "cannot open '%s'", text_for_people(shown, sizeof shown, path));
    return fd;
}

ssize_t io_read_some(int fd, void *buffer, size_t n_bytes, const char *name, struct error *err)
{
    char shown[256];
    for (;;) {
        ssize_t n = fault_here(FAULT_READ) ? -1 : read(fd, buffer, n_bytes);
        if (n >= 0) return n;
        if (errno != EINTR)
            return error_errno(err, EX_NOINPUT, "cannot read '%s'",
                               text_for_people(shown, sizeof shown, name));
    }
}

int io_read_full(int fd, void *buffer, size_t n_bytes, const char *name, struct error *err)
{
    char shown[256];
    for (size_t done = 0; done < n_bytes;) {
        ssize_t n = io_read_some(fd, (char *)buffer + done, n_bytes - done, name, err);
        if (n < 0) return -1;
        if (n == 0)
            return error_set(err, EX_DATAERR, "'%s' ends after %zu of %zu bytes",
                             text_for_people(shown, sizeof shown, name), done, n_bytes);
        done += (size_t)n;
    }
    return 0;
}

int io_pread_full(int fd, void *buffer, size_t n_bytes, uint64_t offset, const char *name, struct error *err)
{
    char shown[256];
    for (size_t done = 0; done < n_bytes;) {
        ssize_t n = fault_here(FAULT_READ)
                        ? -1
                        : pread(fd, (char *)buffer + done, n_bytes - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0)
            return error_errno(err, EX_NOINPUT, "cannot read '%s'",
                               text_for_people(shown, sizeof shown, name));
        if (n == 0)
            return error_set(err, EX_DATAERR, "'%s' ends before byte %llu",
                             text_for_people(shown, sizeof shown, name),
                             (unsigned long long)offset + n_bytes);
        done += (size_t)n;
    }
    return 0;
}

int io_write_full(int fd, const void *buffer, size_t n_bytes, const char *name, struct error *err)
{
    char shown[256];
    for (size_t done = 0; done < n_bytes;) {
        ssize_t n = fault_here(FAULT_WRITE) ? -1 : write(fd, (const char *)buffer + done, n_bytes - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0)
            return error_errno(err, EX_IOERR, "cannot write '%s'",
                               text_for_people(shown, sizeof shown, name));
        done += (size_t)n;
    }
    return 0;
}

int io_read_file(const char *path, uint64_t max_bytes, char **out, size_t *n_bytes, struct error *err)
{
    bool standard_input = strcmp(path, "-") == 0;
    const char *name = standard_input ? "standard input" : path;
    char shown[256], *data = NULL;
    size_t room = 0, n = 0;
    struct stat st;
    int fd = standard_input ? STDIN_FILENO : io_open_read(path, err);
    if (fd < 0) return -1;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        error_set(err, EX_NOINPUT, "'%s' is a folder", text_for_people(shown, sizeof shown, name));
        goto fail;
    }
    /* One byte more than the size, so that the read that finds the end needs no second buffer. */
    size_t guess = S_ISREG(st.st_mode) && st.st_size >= 0 ? (size_t)st.st_size + 1 : 65536;
    if (guess > max_bytes + 1) guess = (size_t)max_bytes + 1;
    for (;;) {
        if (n + 1 >= room && mem_grow(&data, &room, n == 0 ? guess + 1 : n * 2, 1, err)) goto fail;
        ssize_t got = io_read_some(fd, data + n, room - 1 - n, name, err);
        if (got < 0) goto fail;
        if (got == 0) break;
        n += (size_t)got;
        if (n > max_bytes) {
            error_set(err, EX_DATAERR, "'%s' is larger than %llu bytes",
                      text_for_people(shown, sizeof shown, name), (unsigned long long)max_bytes);
            goto fail;
        }
    }
    data[n] = 0;
    if (!standard_input) close(fd);
    *out = data;
    *n_bytes = n;
    return 0;
fail:
    free(data);
    if (!standard_input) close(fd);
    return -1;
}

int io_read_text(const char *path, uint64_t max_bytes, char **out, size_t *n_bytes, struct error *err)
{
    if (io_read_file(path, max_bytes, out, n_bytes, err)) return -1;
    if (!file_kind_refuse(strcmp(path, "-") == 0 ? "standard input" : path, *out, *n_bytes, err)) return 0;
    free(*out);
    *out = NULL;
    return -1;
}

int io_mkdirs(const char *path, struct error *err)
{
    char shown[256];
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) return 0;
    char *p = mem_strdup(path, err);
    if (!p) return -1;
    int rc = 0;
    for (char *s = p + 1; rc == 0; s++) {
        if (*s && *s != '/') continue;
        char kept = *s;
        *s = 0;
        /* Folders that exist may be read-only or automounted, so that mkdir fails for them. Only a
         * failure that leaves no folder counts. */
        if (mkdir(p, 0777) && (stat(p, &st) || !S_ISDIR(st.st_mode)))
            rc = error_errno(err, EX_CANTCREAT, "cannot create folder '%s'",
                             text_for_people(shown, sizeof shown, p));
        *s = kept;
        if (!kept) break;
    }
    free(p);
    return rc;
}

int io_mkdirs_for(const char *file_path, struct error *err)
{
    char *folder = path_folder(file_path, err);
    if (!folder) return -1;
    int rc = io_mkdirs(folder, err);
    free(folder);
    return rc;
}

int io_fsync_dir_of(const char *file_path, struct error *err)
{
    char shown[256], *folder = path_folder(file_path, err);
    if (!folder) return -1;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    /* Some file systems refuse to sync a folder (EINVAL). This is not an error, because they offer no other
     * way. */
    if (fd < 0 || fault_here(FAULT_FSYNC) || (fsync(fd) && errno != EINVAL && errno != ENOTSUP))
        rc = error_errno(err, EX_IOERR, "cannot sync folder '%s'",
                         text_for_people(shown, sizeof shown, folder));
    if (fd >= 0) close(fd);
    free(folder);
    return rc;
}

bool io_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

double clock_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
