/*
 * onnx_external.c: reads tensors whose bytes are in another file, as PyTorch writes them for large models.
 * The file must be in the folder of the model; a path or link that leads out of it is refused.
 */
#ifdef WINNOW_WITHOUT_ONNX
typedef int onnx_external_is_left_out;
#else

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/number.h"
#include "base/text.h"
#include "io/io.h"
#include "onnx/onnx_reader.h"

static int open_beneath(struct reader *r, const char *location)
{
    char *folder = path_folder(r->path, r->err), shown[128];
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    if (!folder) return -1;
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
    free(folder);
    text_for_people(shown, sizeof shown, location);
    if (dir < 0) return error_errno(r->err, EX_NOINPUT, "cannot open the model's folder");
    fd = (int)syscall(SYS_openat2, dir, location, &how, sizeof how);
    if (fd < 0 && errno == ENOSYS) { /* before Linux 5.6: refuse all links */
        how.flags |= O_NOFOLLOW;
        fd = strchr(location, '/') ? -1 : openat(dir, location, (int)how.flags);
    }
    int why = errno;
    close(dir);
    errno = why;
    if (fd < 0 && (why == EXDEV || why == ELOOP))
        return error_set(r->err, EX_DATAERR, "its data '%s' lie outside the model's folder: put a copy there",
                         shown);
    if (fd < 0) return error_errno(r->err, EX_NOINPUT, "cannot open its data '%s'", shown);
    return fd;
}

const void *external_bytes(struct reader *r, const Onnx__TensorProto *t, size_t n_bytes)
{
    const char *location = NULL;
    uint64_t offset = 0, length = n_bytes;
    struct stat st;
    char shown[128];
    for (size_t i = 0; i < t->n_external_data; i++) {
        const Onnx__StringStringEntryProto *e = t->external_data[i];
        if (!e->key || !e->value) continue;
        if (strcmp(e->key, "location") == 0) location = e->value;
        if ((strcmp(e->key, "offset") == 0 &&
             parse_u64(e->value, 0, INT64_MAX, &offset, "its offset", r->err)) ||
            (strcmp(e->key, "length") == 0 &&
             parse_u64(e->value, 0, INT64_MAX, &length, "its length", r->err)))
            return NULL;
    }
    text_for_people(shown, sizeof shown, location ? location : "");
    if (!location || !path_is_inside(location) || strchr(location, '\\')) {
        error_set(r->err, EX_DATAERR, "its data '%s' lie outside the model's folder", shown);
        return NULL;
    }
    if (length != n_bytes) {
        error_set(r->err, EX_DATAERR, "its data have %llu bytes, and its dimensions need %zu",
                  (unsigned long long)length, n_bytes);
        return NULL;
    }
    int fd = open_beneath(r, location);
    if (fd < 0) return NULL;
    void *bytes = NULL;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size < offset ||
        (uint64_t)st.st_size - offset < length)
        error_set(r->err, EX_DATAERR, "its data '%s' end before %llu bytes from byte %llu on", shown,
                  (unsigned long long)length, (unsigned long long)offset);
    else if (lseek(fd, (off_t)offset, SEEK_SET) < 0)
        error_errno(r->err, EX_NOINPUT, "cannot read its data '%s'", shown);
    else if ((bytes = arena_alloc(&r->arena, n_bytes ? n_bytes : 1, r->err)) &&
             io_read_full(fd, bytes, n_bytes, location, r->err))
        bytes = NULL;
    close(fd);
    return bytes;
}

#endif
