/* io.h: reading and writing whole files, folders, and atomic files. It includes path.h. The other public
 * headers of lib/io are file_lock.h, signals.h and ordered_pool.h. */
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

/* --- full reads and writes (EINTR handled, fault hook passed) --- */

/* A descriptor with O_CLOEXEC, or -1 (EX_NOINPUT). */
int io_open_read(const char *path, struct error *err);
/* Reads exactly n bytes. Fewer are EX_DATAERR. */
int io_read_full(int fd, void *buffer, size_t n_bytes, const char *name, struct error *err);
int io_pread_full(int fd, void *buffer, size_t n_bytes, uint64_t offset, const char *name, struct error *err);
/* Reads up to n bytes; 0 at the end. */
ssize_t io_read_some(int fd, void *buffer, size_t n_bytes, const char *name, struct error *err);
int io_write_full(int fd, const void *buffer, size_t n_bytes, const char *name, struct error *err);

/* Reads the whole file into one malloc'ed block, with a NUL after the last byte that is not counted. A
 * file larger than max_bytes is EX_DATAERR. "-" is standard input. The caller frees *out. */
int io_read_file(const char *path, uint64_t max_bytes, char **out, size_t *n_bytes, struct error *err);
/* The same for text that a user gives. A file of another kind (base/file_kind.h) is EX_DATAERR,
 * and the message says what it is. */
int io_read_text(const char *path, uint64_t max_bytes, char **out, size_t *n_bytes, struct error *err);

/* A file without a name in $TMPDIR (default: /tmp), for reading and writing. The descriptor, or -1
 * (EX_CANTCREAT): "cannot WHAT '/tmp' (...)"; `what` is such as "copy the piped input to". */
int io_temporary(const char *what, struct error *err);
int io_mkdirs(const char *path, struct error *err);          /* mkdir -p, mode 0777 & ~umask */
int io_mkdirs_for(const char *file_path, struct error *err); /* the folder that file_path sits in */
int io_fsync_dir_of(const char *file_path, struct error *err);
bool io_exists(const char *path);

/* --- folders --- */

/* readdir without "." and "..". NULL: *rc is 0 at the end of the folder, and -1 with err set when it could
 * not be read to its end; a caller must not confuse the two. name is for the message. */
struct dirent *io_next_entry(DIR *d, const char *name, int *rc, struct error *err);

/* Removes a file, or a folder with everything in it. Links are removed, not followed. It continues
 * after a failure, and keeps errno. */
void io_remove_tree(const char *path);

/*
 * A folder that takes long to make is made as PLACE.new-PID or .PLACE.new-PID and then renamed.
 * io_is_leftover says whether a name has that form and its process has ended. io_sweep_leftovers removes
 * such names beside `place`, which must not end in '/'.
 */
bool io_is_leftover(const char *name);
void io_sweep_leftovers(const char *place);

/*
 * Renames the folder `made` to `place`: in one step when the file system can exchange folders, otherwise in
 * two. *old becomes the name of the folder that was there before (malloc'ed, to be removed by the caller),
 * or NULL. After an error the old folder is in its place.
 */
int io_take_place(const char *made, const char *place, char **old, struct error *err);

/* --- atomic files: the old file or the whole new one --- */

/*
 * A temporary file (mode 0666 & ~umask) that becomes `path` on commit. Where possible it has no name until
 * then, so that even SIGKILL leaves nothing. Elsewhere it is a file beside the destination (O_EXCL), which
 * INT, TERM, HUP and PIPE remove. "-" or NULL is standard output, which is buffered, and flushed and checked
 * at commit. A destination that is a device, FIFO or socket is written to directly and never replaced. Of a
 * symbolic link the target is replaced.
 */
struct atomic_file {
    FILE *stream;           /* write here; NULL when not open */
    char *path, *temporary; /* owned; temporary NULL for stdout and written-through destinations */
    bool unnamed;           /* the temporary file has no name yet */
    int slot;               /* in the table of names that the signal handler unlinks */
};
#define ATOMIC_FILE_EMPTY ((struct atomic_file){.slot = -1})
int atomic_file_open(struct atomic_file *f, const char *path, struct error *err);
/* Flushes and syncs the file, closes it, renames it, and syncs the folder. */
int atomic_file_commit(struct atomic_file *f, struct error *err);
/* Does nothing after a commit. Keeps errno. */
void atomic_file_discard(struct atomic_file *f);
/* Writes bytes in memory to a file. */
int atomic_file_write(const char *path, const void *bytes, size_t n_bytes, struct error *err);
/* Appends the name that a temporary file has beside its destination:
 * .NAME.XXXXXXXX.tmp, a hexadecimal number. */
int io_temporary_name(struct text *t, const char *path, unsigned number, struct error *err);
/* Whether a name has that form. Such a file is in use, or a killed process left it. */
bool io_is_temporary(const char *name);

/* --- paths --- */

double clock_seconds(void); /* monotonic */

#endif
