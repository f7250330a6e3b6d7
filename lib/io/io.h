/*
 * io.h: whole reads and writes, folders, atomic files, path rules. Front door of lib/io together with
 * file_lock.h, signals.h and ordered_pool.h.
 */
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

/* --- full reads and writes (EINTR handled, fault hook passed) --- */

/* descriptor with O_CLOEXEC, or -1 (EX_NOINPUT) */
int io_open_read(const char *path, struct error *err);
/* short = EX_DATAERR */
int io_read_full(int fd, void *buffer, size_t n_bytes, const char *name, struct error *err);
int io_pread_full(int fd, void *buffer, size_t n_bytes, uint64_t offset, const char *name, struct error *err);
/* 0 at the end */
ssize_t io_read_some(int fd, void *buffer, size_t n_bytes, const char *name, struct error *err);
int io_write_full(int fd, const void *buffer, size_t n_bytes, const char *name, struct error *err);

/*
 * The whole file as one malloc'd block, NUL after the last byte (not counted). A file over max_bytes is
 * EX_DATAERR. "-" reads standard input. The caller frees *out.
 */
int io_read_file(const char *path, uint64_t max_bytes, char **out, size_t *n_bytes, struct error *err);
/* The same for text that people bring: a file of another kind (base/file_kind.h) is EX_DATAERR and named. */
int io_read_text(const char *path, uint64_t max_bytes, char **out, size_t *n_bytes, struct error *err);

int io_mkdirs(const char *path, struct error *err);          /* mkdir -p, mode 0777 & ~umask */
int io_mkdirs_for(const char *file_path, struct error *err); /* the folder that file_path sits in */
int io_fsync_dir_of(const char *file_path, struct error *err);
bool io_exists(const char *path);
/* The folder that path sits in, malloc'd: "." when it has no slash. NULL with err set without memory. */
char *path_folder(const char *path, struct error *err);

/* --- folders --- */

/*
 * readdir without "." and "..". NULL: *rc is 0 at the end of the folder, -1 with err set when it could not be
 * read on; a caller must not take that for the end. name: for the message.
 */
struct dirent *io_next_entry(DIR *d, const char *name, int *rc, struct error *err);

/* A file, or a folder with all that is in it; links are removed, not followed. As far as it goes; keeps
 * errno. */
void io_remove_tree(const char *path);

/*
 * What takes long to make is made in PLACE.new-PID (or .PLACE.new-PID) and renamed. io_is_leftover: whether a
 * name is of that form and its process is dead. io_sweep_leftovers removes such names beside `place`, which
 * must not end in '/'.
 */
bool io_is_leftover(const char *name);
void io_sweep_leftovers(const char *place);

/*
 * The folder `made` becomes `place`, in one step where the file system can exchange folders, else in two.
 * *old: where the folder now is that was there before (malloc'd, the caller's to remove), NULL if none was.
 * After an error the old one is in its place.
 */
int io_take_place(const char *made, const char *place, char **old, struct error *err);

/* --- atomic files: the old file or the whole new one --- */

/*
 * A temporary (mode 0666 & ~umask) that becomes `path` on commit. Where the file system can, it has no name
 * until then, so that even SIGKILL leaves nothing; elsewhere it is a sibling (O_EXCL), unlinked on INT, TERM,
 * HUP, PIPE. "-" or NULL is standard output: buffered, flushed and checked at commit. A destination that is a
 * device, FIFO or socket is written through, never renamed over; through a symbolic link the target is
 * replaced.
 */
struct atomic_file {
    FILE *stream;           /* write here; NULL when not open */
    char *path, *temporary; /* owned; temporary NULL for stdout and written-through destinations */
    bool unnamed;           /* the temporary has not got its name yet */
    int slot;               /* in the table of names that the signal handler unlinks */
};
#define ATOMIC_FILE_EMPTY ((struct atomic_file){.slot = -1})
int atomic_file_open(struct atomic_file *f, const char *path, struct error *err);
/* flush, fsync, close, rename, fsync the folder */
int atomic_file_commit(struct atomic_file *f, struct error *err);
/* nothing to do after a commit; keeps errno */
void atomic_file_discard(struct atomic_file *f);
/* For whole contents in hand. */
int atomic_file_write(const char *path, const void *bytes, size_t n_bytes, struct error *err);
/* What a file is called beside its place before it has it: .NAME.XXXXXXXX.tmp, the number in hexadecimal,
 * appended to t. */
int io_temporary_name(struct text *t, const char *path, unsigned number, struct error *err);
/* Whether a name is of that form: in use, or left by a kill. */
bool io_is_temporary(const char *name);

/* --- paths --- */

/*
 * root + "/" + path into out. Refused (EX_DATAERR) unless allow_outside: absolute paths, "..", empty, NUL.
 * root "." or "" leaves path as it is. A symbolic link is followed (the user made it).
 */
int path_join(struct text *out, const char *root, const char *path, bool allow_outside, struct error *err);
bool path_is_inside(const char *path); /* relative and without ".." components */

double clock_seconds(void); /* monotonic */

#endif
