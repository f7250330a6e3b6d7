/* file_lock.h: lets one process at a time do something. The lock is held by an open descriptor, so that
 * the kernel releases it when the process ends. */
#ifndef WINNOW_IO_FILE_LOCK_H
#define WINNOW_IO_FILE_LOCK_H

#include "base/error.h"

/* Locks path by flock, makes it if it does not exist, and writes the pid into it. When another process
 * holds the lock: EX_TEMPFAIL, "held by pid N". */
struct file_lock {
    int fd;
};
#define FILE_LOCK_EMPTY ((struct file_lock){.fd = -1})
int file_lock_take(struct file_lock *l, const char *path, struct error *err);
void file_lock_release(struct file_lock *l);

#endif
