/*
 * picture_memory.h: remembers the results of a stage for each picture in a file, from one run to the next
 * (docs/formats.md has the format). The key is the content of the picture and the "question", which consists
 * of the stage, its version and its options. A picture with a known result for the same question is not
 * opened again.
 *
 * Lines are appended while the stage runs, so that the work of a killed run is not lost. Every line has a
 * checksum; an incomplete last line and lines that were changed are ignored. The file is a cache: it may be
 * deleted at any time. Damage to it makes the next run slower but never changes a row. Memory: the size of
 * the file and 60 bytes for each picture.
 */
#ifndef WINNOW_STORE_PICTURE_MEMORY_H
#define WINNOW_STORE_PICTURE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/error.h"
#include "base/hash_index.h"
#include "base/text.h"
#include "hash/content_hash.h"
#include "io/file_lock.h"

struct remembered {
    uint64_t bytes;      /* of the picture's file */
    const char *outcome; /* "kept", or the reject reason */
    const char *values;  /* kept: the columns, each escaped as a field of a manifest and ended by a tab;
                            else the words of the reject */
};

struct picture_memory {
    char *path;
    struct file_lock lock;
    int fd;
    uint64_t question, n_before; /* n_before: bytes of the file when it was opened */
    struct timespec written;     /* when the file was last written to before that; 0 for a new file */
    char *block;                 /* the file as it was read; lines are split into strings */
    struct remembered_line {
        struct xxh128 content;
        struct remembered what;
        bool used;
    } * lines; /* of this question */
    size_t n, capacity;
    struct hash_index by_content;
    struct text pending;              /* lines that are not in the file yet */
    uint64_t n_added, n_other, n_bad; /* n_other: n_other: lines of other questions */
    bool hold; /* set by the caller: write nothing before commit, because the files are not on the disk yet */
    bool broken;
    struct error broken_by; /* error of the first line that could not be written */
};
#define PICTURE_MEMORY_EMPTY ((struct picture_memory){.fd = -1, .lock = FILE_LOCK_EMPTY})

/*
 * Takes the lock (PATH.lock), reads the file if it exists, and cuts off an incomplete last line. question:
 * the stage, the version of its results, and all options that they depend on, as text. EX_TEMPFAIL: another
 * run holds the lock. EX_DATAERR: a file of another kind or format, which is not overwritten.
 */
int picture_memory_open(struct picture_memory *m, const char *path, const char *question, struct error *err);
/* Reads bytes as picture_memory_open would a file. For tests and fuzzing. */
int picture_memory_read(struct picture_memory *m, const char *bytes, size_t n_bytes, const char *question,
                        struct error *err);

/* The result that was known when the file was opened, borrowed until close, or NULL. */
const struct remembered *picture_memory_find(struct picture_memory *m, const struct xxh128 *content);
/* Whether a file that changed at that time may be another one than the one that was looked at, because it
 * changed after the memory was last written to. */
bool picture_memory_is_older(const struct picture_memory *m, const struct timespec *changed);
/* Adds a result, which the next run will find. A line that cannot be written (disk full) is reported at
 * commit. */
int picture_memory_add(struct picture_memory *m, const struct xxh128 *content, const struct remembered *what,
                       struct error *err);
/*
 * Writes pending lines and syncs. When more than half of the lines were not used, or belong to another
 * question, the file is rewritten without them. After an error the file is unchanged or has fewer lines.
 */
int picture_memory_commit(struct picture_memory *m, struct error *err);
void picture_memory_close(struct picture_memory *m);

/* Whether the file's first line is that of a memory. */
bool picture_memory_is(const char *path);
/* Removes an incomplete last line and lines with a wrong checksum, so that the file can be read as a
 * manifest. 1: there were such lines. */
int picture_memory_mend(const char *path, struct error *err);

#endif
