#include "manifest/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define COPY_BYTES (1u << 20)

/* Copies everything from a descriptor to a file without a name in $TMPDIR. Returns its descriptor, or -1.
 * name is what messages call the input. EX_CANTCREAT names the folder. */
static int manifest_spool(int from, const char *name, struct error *err)
{
    char *buffer = NULL;
    int fd = io_temporary("copy the piped input to", err);
    if (fd < 0) return -1;
    if (!(buffer = mem_alloc(COPY_BYTES, err))) goto fail;
    for (;;) {
        ssize_t n = io_read_some(from, buffer, COPY_BYTES, name, err);
        if (n < 0) goto fail;
        if (n == 0) break;
        if (io_write_full(fd, buffer, (size_t)n, "temporary copy of the piped input", err)) goto fail;
    }
    free(buffer);
    return fd;
fail:
    free(buffer);
    close(fd);
    return -1;
}

int manifest_source_open(struct manifest_source *s, const char *path, struct error *err)
{
    char own[64];
    bool standard_input = !path || strcmp(path, "-") == 0;
    *s = MANIFEST_SOURCE_EMPTY;
    if (!(s->name = mem_strdup(standard_input ? "standard input" : path, err))) return -1;
    s->fd = standard_input ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : io_open_read(path, err);
    if (s->fd < 0) {
        if (standard_input) error_errno(err, EX_NOINPUT, "cannot read standard input");
        goto fail;
    }
    if (fstat(s->fd, &s->seen)) {
        error_errno(err, EX_NOINPUT, "cannot read '%s'", s->name);
        goto fail;
    }
    /* `< file` can be read again, unless a part of it was read before. */
    bool again = S_ISREG(s->seen.st_mode) && (!standard_input || lseek(s->fd, 0, SEEK_CUR) == 0);
    if (!again) {
        int copy = manifest_spool(s->fd, s->name, err);
        if (copy < 0) goto fail;
        close(s->fd);
        s->fd = copy;
        fstat(s->fd, &s->seen);
    }
    snprintf(own, sizeof own, "/proc/self/fd/%d", s->fd);
    if (!(s->path = mem_strdup(again && !standard_input ? path : own, err))) goto fail;
    return 0;
fail:
    manifest_source_close(s);
    return -1;
}

int manifest_source_read(struct manifest_source *s, struct manifest_reader *r, const char *const *required,
                         struct error *err)
{
    struct error own = {0};
    int rc = manifest_reader_open(r, s->path, required, &own);
    if (rc) {
        /* The reader's message has the name of the copy; replace it by the name that the user knows. */
        const char *at = strstr(own.text, s->path);
        *err = own;
        if (at && strcmp(s->path, s->name))
            snprintf(err->text, sizeof err->text, "%.*s%s%s", (int)(at - own.text), own.text, s->name,
                     at + strlen(s->path));
        return rc;
    }
    char *name = mem_strdup(s->name, err);
    if (!name) {
        manifest_reader_close(r);
        return -1;
    }
    free(r->name);
    r->name = name;
    return 0;
}

int manifest_source_check(const struct manifest_source *s, struct error *err)
{
    struct stat now;
    char shown[256];
    if (fstat(s->fd, &now) == 0 && now.st_size == s->seen.st_size &&
        now.st_mtim.tv_sec == s->seen.st_mtim.tv_sec && now.st_mtim.tv_nsec == s->seen.st_mtim.tv_nsec)
        return 0;
    return error_set(err, EX_DATAERR, "'%s' was written to while it was read",
                     text_for_people(shown, sizeof shown, s->name));
}

void manifest_source_close(struct manifest_source *s)
{
    int saved = errno;
    if (s->fd >= 0) close(s->fd);
    free(s->name);
    free(s->path);
    *s = MANIFEST_SOURCE_EMPTY;
    errno = saved;
}
