#include "store/object_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/io.h"

static int sweep_temporaries(struct object_store *s, struct error *err)
{
    int fd = openat(s->folder_fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        if (fd >= 0) close(fd);
        return error_errno(err, EX_NOINPUT, "cannot read '%s/tmp'", s->folder);
    }
    int rc = 0;
    for (struct dirent *entry; (entry = io_next_entry(d, "tmp", &rc, err));)
        if (entry->d_name[0] != '.') unlinkat(dirfd(d), entry->d_name, 0);
    closedir(d);
    return rc;
}

int object_store_open(struct object_store *s, const char *folder, struct error *err)
{
    struct object_store opened = OBJECT_STORE_EMPTY;
    *s = OBJECT_STORE_EMPTY;
    if (io_mkdirs(folder, err) || !(opened.folder = mem_strdup(folder, err))) return -1;
    opened.folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened.folder_fd < 0) {
        error_errno(err, EX_NOINPUT, "cannot open the store '%s'", folder);
        goto fail;
    }
    if ((mkdirat(opened.folder_fd, "objects", 0777) && errno != EEXIST) ||
        (mkdirat(opened.folder_fd, "tmp", 0700) && errno != EEXIST)) {
        error_errno(err, EX_CANTCREAT, "cannot make folders in the store '%s'", folder);
        goto fail;
    }
    if (sweep_temporaries(&opened, err)) goto fail;
    *s = opened;
    return 0;
fail:
    object_store_close(&opened);
    return -1;
}

void object_store_close(struct object_store *s)
{
    if (s->folder_fd >= 0) close(s->folder_fd);
    free(s->folder);
    *s = OBJECT_STORE_EMPTY;
}

char *object_path(char out[OBJECT_PATH_BYTES], const struct xxh128 *hash, const char *extension)
{
    char hex[XXH128_HEX_BYTES];
    xxh128_hex(hex, hash);
    snprintf(out, OBJECT_PATH_BYTES, "objects/%.2s/%s.%.8s", hex, hex + 2, extension);
    return out;
}

int object_store_prefix(const char *store, const char *root, bool allow_outside, char **prefix,
                        struct error *err)
{
    char *real_root = realpath(root, NULL), *real = realpath(store, NULL);
    struct text t = TEXT_EMPTY;
    int rc = -1;
    if (!real_root || !real) {
        error_errno(err, EX_NOINPUT, "cannot find '%s'", real_root ? store : root);
        goto out;
    }
    size_t n = strlen(real_root);
    if (n == 1) n = 0; /* "/" */
    bool inside = strncmp(real, real_root, n) == 0 && (real[n] == '/' || real[n] == 0);
    if (!inside && !allow_outside) {
        error_set(err, EX_USAGE, "the store '%s' is outside --root '%s', so paths cannot be relative to it",
                  store, root);
        goto out;
    }
    const char *rest = inside ? real + n + (real[n] == '/') : real;
    if (text_puts(&t, rest, err) || (*rest && text_puts(&t, "/", err))) goto out;
    *prefix = mem_strdup(t.data ? t.data : "", err);
    rc = *prefix ? 0 : -1;
out:
    free(real_root);
    free(real);
    text_release(&t);
    return rc;
}

bool object_store_has(struct object_store *s, const struct xxh128 *hash, const char *extension,
                      uint64_t n_bytes, bool check_bytes)
{
    char path[OBJECT_PATH_BYTES];
    struct stat st;
    struct xxh128 found;
    uint64_t n_found;
    struct error ignored = {0};
    if (fstatat(s->folder_fd, object_path(path, hash, extension), &st, 0) || !S_ISREG(st.st_mode) ||
        (uint64_t)st.st_size != n_bytes)
        return false;
    if (!check_bytes) return true;
    int fd = openat(s->folder_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    bool same = xxh128_of_fd(&found, &n_found, fd, path, &ignored) == 0 && n_found == n_bytes &&
                memcmp(&found, hash, sizeof found) == 0;
    close(fd);
    return same;
}

static int make_folder(struct object_store *s, const struct xxh128 *hash, struct error *err)
{
    char folder[16];
    if (s->made[hash->bytes[0]]) return 0;
    snprintf(folder, sizeof folder, "objects/%02x", hash->bytes[0]);
    if (mkdirat(s->folder_fd, folder, 0777) && errno != EEXIST)
        return error_errno(err, EX_CANTCREAT, "cannot make '%s/%s'", s->folder, folder);
    s->made[hash->bytes[0]] = true;
    return 0;
}

int object_store_put(struct object_store *s, const struct xxh128 *hash, const char *extension,
                     const void *bytes, size_t n_bytes, bool *was_there, struct error *err)
{
    char path[OBJECT_PATH_BYTES], temporary[48];
    /* The file is read and compared: a power cut may have left a file of the right size with no contents. */
    *was_there = object_store_has(s, hash, extension, n_bytes, true);
    if (*was_there) return 0;
    if (make_folder(s, hash, err)) return -1;
    snprintf(temporary, sizeof temporary, "tmp/%llu", (unsigned long long)++s->n_made);
    int fd = fault_here(FAULT_OPEN)
                 ? -1
                 : openat(s->folder_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return error_errno(err, EX_CANTCREAT, "cannot make '%s/%s'", s->folder, temporary);
    if (io_write_full(fd, bytes, n_bytes, temporary, err)) {
        close(fd);
        goto fail;
    }
    if (close(fd)) {
        error_errno(err, EX_IOERR, "cannot write '%s/%s'", s->folder, temporary);
        goto fail;
    }
    object_path(path, hash, extension);
    if (fault_here(FAULT_RENAME) || renameat(s->folder_fd, temporary, s->folder_fd, path)) {
        error_errno(err, EX_CANTCREAT, "cannot make '%s/%s'", s->folder, path);
        goto fail;
    }
    return 0;
fail:
    unlinkat(s->folder_fd, temporary, 0);
    return -1;
}

int object_store_link(struct object_store *s, const struct xxh128 *hash, const char *extension,
                      uint64_t n_bytes, const char *file, bool symbolic, struct error *err)
{
    char path[OBJECT_PATH_BYTES], temporary[48];
    if (object_store_has(s, hash, extension, n_bytes, true)) return 0;
    if (make_folder(s, hash, err)) return -1;
    snprintf(temporary, sizeof temporary, "tmp/%llu", (unsigned long long)++s->n_made);
    if (symbolic ? symlinkat(file, s->folder_fd, temporary)
                 : linkat(AT_FDCWD, file, s->folder_fd, temporary, AT_SYMLINK_FOLLOW)) {
        if (!symbolic && (errno == EXDEV || errno == EPERM || errno == EMLINK || errno == ENOTSUP)) return 1;
        return error_errno(err, EX_CANTCREAT, "cannot make '%s/%s'", s->folder, temporary);
    }
    object_path(path, hash, extension);
    if (fault_here(FAULT_RENAME) || renameat(s->folder_fd, temporary, s->folder_fd, path)) {
        error_errno(err, EX_CANTCREAT, "cannot make '%s/%s'", s->folder, path);
        unlinkat(s->folder_fd, temporary, 0);
        return -1;
    }
    /* When both names were links to one file already, rename does nothing and leaves the first name. */
    unlinkat(s->folder_fd, temporary, 0);
    return 0;
}

int object_store_remove(struct object_store *s, const struct xxh128 *hash, const char *extension,
                        bool *was_there, struct error *err)
{
    char path[OBJECT_PATH_BYTES], folder[16];
    *was_there = false;
    if (unlinkat(s->folder_fd, object_path(path, hash, extension), 0)) {
        if (errno == ENOENT) return 0;
        return error_errno(err, EX_IOERR, "cannot remove '%s/%s'", s->folder, path);
    }
    *was_there = true;
    snprintf(folder, sizeof folder, "objects/%02x", hash->bytes[0]);
    int fd = openat(s->folder_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 || fsync(fd) ? error_errno(err, EX_IOERR, "cannot sync '%s/%s'", s->folder, folder) : 0;
    if (fd >= 0) close(fd);
    return rc;
}

static int walk_folder(struct object_store *s, const char *folder, object_visit *visit, void *context,
                       struct error *err)
{
    char inner[16];
    snprintf(inner, sizeof inner, "objects/%.2s", folder);
    int fd = openat(s->folder_fd, inner, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    if (fd < 0)
        return errno == ENOENT ? 0 : error_errno(err, EX_NOINPUT, "cannot read '%s/%s'", s->folder, inner);
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return error_errno(err, EX_OSERR, "cannot read '%s/%s'", s->folder, inner);
    }
    for (struct dirent *e; rc == 0 && (e = io_next_entry(d, inner, &rc, err));) {
        char hex[XXH128_HEX_BYTES], path[OBJECT_PATH_BYTES];
        struct xxh128 hash;
        const char *dot = strchr(e->d_name, '.');
        if (!dot || dot - e->d_name != 30 || strlen(dot) > 6) continue;
        snprintf(hex, sizeof hex, "%.2s%.30s", folder, e->d_name);
        if (xxh128_from_hex(&hash, hex)) continue;
        snprintf(path, sizeof path, "%.10s/%.40s", inner, e->d_name);
        rc = visit(context, path, &hash, dot + 1, err);
    }
    closedir(d);
    return rc;
}

int object_store_walk(struct object_store *s, object_visit *visit, void *context, struct error *err)
{
    for (unsigned i = 0; i < 256; i++) {
        char folder[3];
        snprintf(folder, sizeof folder, "%02x", i);
        if (walk_folder(s, folder, visit, context, err)) return -1;
    }
    return 0;
}

int object_store_sync(const struct object_store *s, struct error *err)
{
    /* One call syncs a whole batch of small files and their folders. With fsync, each file would need a flush
     * of the disk. */
    if (fault_here(FAULT_FSYNC) || syncfs(s->folder_fd))
        return error_errno(err, EX_IOERR, "cannot sync the store '%s'", s->folder);
    return 0;
}
