/*
 * file_lock.h: one process at a time. The lock is an open descriptor, so a dead process holds nothing.
 */
#ifndef WINNOW_IO_FILE_LOCK_H
#define WINNOW_IO_FILE_LOCK_H

#include "base/error.h"

/* flock on path (made if absent), holder's pid written in. Held elsewhere: EX_TEMPFAIL, "held by pid N". */
struct file_lock {
    int fd;
};
#define FILE_LOCK_EMPTY ((struct file_lock){.fd = -1})
int file_lock_take(struct file_lock *l, const char *path, struct error *err);
void file_lock_release(struct file_lock *l);

#endif
