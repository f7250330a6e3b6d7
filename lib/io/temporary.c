#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/io.h"

int io_temporary(const char *what, struct error *err)
{
    const char *folder = getenv("TMPDIR");
    char shown[256], path[4096];
    if (!folder || !*folder) folder = "/tmp";
    int fd = fault_here(FAULT_OPEN) ? -1 : open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0) return fd;
    /* a file system without O_TMPFILE */
    if ((size_t)snprintf(path, sizeof path, "%s/winnow-XXXXXX", folder) >= sizeof path)
        return error_set(err, EX_CANTCREAT, "TMPDIR is too long");
    if ((fd = mkostemp(path, O_CLOEXEC)) < 0)
        return error_errno(err, EX_CANTCREAT, "cannot %s '%s' (TMPDIR names another folder)", what,
                           text_for_people(shown, sizeof shown, folder));
    unlink(path);
    return fd;
}
