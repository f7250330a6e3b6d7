/* file_lock.h: a lock that one process at a time can hold. An open descriptor holds it, so the kernel
 * releases the lock when the process ends. */
#ifndef WINNOW_IO_FILE_LOCK_H
#define WINNOW_IO_FILE_LOCK_H

#include "base/error.h"

/* Locks path with flock, creates the file if it does not exist, and writes the pid into it. Fails with
 * EX_TEMPFAIL and "held by pid N" when another process holds the lock. */
struct file_lock {
    int fd;
};
#define FILE_LOCK_EMPTY ((struct file_lock){.fd = -1})
int file_lock_take(struct file_lock *l, const char *path, struct error *err);
void file_lock_release(struct file_lock *l);

#endif
