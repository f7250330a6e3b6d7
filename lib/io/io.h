/* io.h: reads and writes whole files, creates and removes folders, and writes files atomically. It includes
 * path.h. The other public headers of lib/io are file_lock.h, signals.h and ordered_pool.h. */
#ifndef WINNOW_IO_IO_H
#define WINNOW_IO_IO_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/text.h"
#include "io/path.h"

/* --- full reads and writes: they repeat after EINTR, and call the fault hook of base/mem.h --- */

/* Returns a descriptor with O_CLOEXEC, or -1 with err set (EX_NOINPUT). */
int io_open_read(const char *path, struct error *err);
/* Reads exactly n bytes. Fails with EX_DATAERR when there are fewer. */
int io_read_full(int fd, void *buffer, size_t n_bytes, const char *name, struct error *err);
int io_pread_full(int fd, void *buffer, size_t n_bytes, uint64_t offset, const char *name, struct error *err);
/* Reads up to n bytes. Returns their number, 0 at the end of the file, or -1 with err set. */
ssize_t io_read_some(int fd, void *buffer, size_t n_bytes, const char *name, struct error *err);
int io_write_full(int fd, const void *buffer, size_t n_bytes, const char *name, struct error *err);

/* Reads the whole file into one malloc'ed block, which the caller frees. A NUL follows the last byte and is
 * not counted. "-" is standard input. Fails with EX_DATAERR when the file is larger than max_bytes. */
int io_read_file(const char *path, uint64_t max_bytes, char **out, size_t *n_bytes, struct error *err);
/* Does the same for a text file that the user names. Fails with EX_DATAERR for a file of another kind
 * (base/file_kind.h); the message names that kind. */
int io_read_text(const char *path, uint64_t max_bytes, char **out, size_t *n_bytes, struct error *err);

/* Opens a file without a name in $TMPDIR (default: /tmp), for reading and writing. Returns its descriptor, or
 * -1 with err set: EX_CANTCREAT, "cannot WHAT '/tmp' (...)". `what` is, for example, "copy the piped input
 * to". */
int io_temporary(const char *what, struct error *err);
int io_mkdirs(const char *path, struct error *err);          /* mkdir -p, mode 0777 & ~umask */
int io_mkdirs_for(const char *file_path, struct error *err); /* creates the folder of file_path */
int io_fsync_dir_of(const char *file_path, struct error *err);
bool io_exists(const char *path);

/* --- folders --- */

/* Returns the next entry, without "." and "..". Returns NULL at the end of the folder, with *rc 0, and also
 * when the folder cannot be read to its end, with *rc -1 and err set. Messages call the folder name. */
struct dirent *io_next_entry(DIR *d, const char *name, int *rc, struct error *err);

/* Removes a file, or a folder with its contents. Links are removed, not followed. After a failure it
 * continues with the next entry. errno is kept. */
void io_remove_tree(const char *path);

/*
 * A folder that takes long to write is written as PLACE.new-PID or .PLACE.new-PID and then renamed.
 * io_is_leftover returns whether a name has that form and its process has ended. io_sweep_leftovers removes
 * such folders beside `place`, which must not end in '/'.
 */
bool io_is_leftover(const char *name);
void io_sweep_leftovers(const char *place);

/*
 * Renames the folder `made` to `place`: in one step when the file system can exchange folders, otherwise in
 * two. *old becomes the new name of the folder that was at `place` before, or NULL. The caller removes that
 * folder and frees *old. After an error the old folder is still at `place`.
 */
int io_take_place(const char *made, const char *place, char **old, struct error *err);

/* --- atomic files: the old file or the whole new one --- */

/*
 * A temporary file (mode 0666 & ~umask) that becomes `path` on commit. Where the file system allows it, the
 * file has no name until then, so that even SIGKILL leaves nothing. Elsewhere it has a name beside the
 * destination (O_EXCL), and INT, TERM, HUP and PIPE remove it. "-" or NULL means standard output, which is
 * buffered, and flushed and checked on commit. A destination that is a device, FIFO or socket is written to
 * directly and never replaced. When it is a symbolic link, the target of the link is replaced.
 */
struct atomic_file {
    FILE *stream;           /* write here; NULL when not open */
    char *path, *temporary; /* owned; temporary is NULL for stdout, devices, FIFOs and sockets */
    bool unnamed;           /* the temporary file has no name yet */
    int slot;               /* index in the table of names that the signal handler unlinks */
};
#define ATOMIC_FILE_EMPTY ((struct atomic_file){.slot = -1})
int atomic_file_open(struct atomic_file *f, const char *path, struct error *err);
/* Flushes and syncs the file, closes it, renames it to its path, and syncs the folder. */
int atomic_file_commit(struct atomic_file *f, struct error *err);
/* Removes the temporary file. Does nothing after a commit. Keeps errno. */
void atomic_file_discard(struct atomic_file *f);
/* Writes n_bytes bytes to a file at path, atomically. */
int atomic_file_write(const char *path, const void *bytes, size_t n_bytes, struct error *err);
/* Appends the path of a temporary file beside path: its name is .NAME.XXXXXXXX.tmp, with a hexadecimal
 * number. */
int io_temporary_name(struct text *t, const char *path, unsigned number, struct error *err);
/* Whether a name has that form. A process is using such a file, or was killed while it did. */
bool io_is_temporary(const char *name);

/* --- paths --- */

double clock_seconds(void); /* monotonic */

#endif
