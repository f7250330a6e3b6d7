/*
 * net_open.c: which reader a path needs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "io/io.h"
#include "net/internal.h"

static int open_path(struct net *n, const char *path, bool header_only, struct error *err)
{
    struct text text = TEXT_EMPTY;
    struct stat st;
    int rc = -1;
    *n = NET_EMPTY;
    if (stat(path, &st)) return error_errno(err, EX_NOINPUT, "cannot open the model '%s'", path);
    if (S_ISDIR(st.st_mode)) {
        if (!text_printf(&text, err, "%s/model.json", path)) {
            if (!io_exists(text.data))
                error_set(err, EX_NOINPUT, "'%s' is no model folder: it has no model.json", path);
            else
                rc = net_read_tfjs(n, path, text.data, header_only, err);
        }
    } else {
        static const unsigned char hdf5_mark[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
        unsigned char first[8] = {0};
        int fd = S_ISREG(st.st_mode) ? io_open_read(path, err)
                                     : error_set(err, EX_DATAERR, "'%s' is no regular file", path);
        if (fd < 0) return -1;
        ssize_t got = io_read_some(fd, first, sizeof first, path, err);
        close(fd);
        if (got < 0) return -1;
        if (got == 8 && memcmp(first, hdf5_mark, 8) == 0)
            rc = net_read_h5(n, path, header_only, err);
        else {
            const char *slash = strrchr(path, '/');
            if (!text_add(&text, slash ? path : ".", slash ? (size_t)(slash - path) + (slash == path) : 1,
                          err))
                rc = net_read_tfjs(n, text.data, path, header_only, err);
        }
    }
    text_release(&text);
    return rc;
}

int net_open(struct net *n, const char *path, struct error *err) { return open_path(n, path, false, err); }

int net_open_header(struct net *n, const char *path, struct error *err)
{
    return open_path(n, path, true, err);
}
