#include "io/file_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/text.h"

int file_lock_take(struct file_lock *l, const char *path, struct error *err)
{
    char shown[256], pid[32];
    text_for_people(shown, sizeof shown, path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0) return error_errno(err, EX_CANTCREAT, "cannot open lock '%s'", shown);
    while (flock(fd, LOCK_EX | LOCK_NB)) {
        if (errno == EINTR) continue;
        if (errno != EWOULDBLOCK) {
            error_errno(err, EX_OSERR, "cannot lock '%s'", shown);
        } else {
            ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
            pid[n > 0 ? n : 0] = 0;
            pid[strspn(pid, "0123456789")] = 0;
            error_set(err, EX_TEMPFAIL, "'%s' is held by pid %s; try again when it is done", shown,
                      pid[0] ? pid : "unknown");
        }
        close(fd);
        return -1;
    }
    /* The number is for the message to a process that is refused. The open descriptor holds the lock,
     * which the kernel releases when the process ends. */
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) || pwrite(fd, pid, (size_t)n, 0) != n) {
        error_errno(err, EX_IOERR, "cannot write lock '%s'", shown);
        close(fd);
        return -1;
    }
    l->fd = fd;
    return 0;
}

void file_lock_release(struct file_lock *l)
{
    if (l->fd >= 0) close(l->fd);
    l->fd = -1;
}
