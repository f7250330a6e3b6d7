/*
 * picture_memory.h: what a stage learned of pictures, kept from run to run in one file (format in
 * docs/formats.md), by the content of the picture and by the question: the stage, its version and its
 * options. A picture that comes again with the same question is not looked at.
 *
 * The file is appended to while the stage runs, so that a killed run has not lost its work. Every line has a
 * checksum: a torn tail and lines that were changed count as not there. It is a cache: it may be deleted at
 * any time, and whatever is wrong with it costs time, never a row. Memory: the file's size and 60 bytes a
 * picture.
 */
#ifndef WINNOW_STORE_PICTURE_MEMORY_H
#define WINNOW_STORE_PICTURE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
    char *block;                 /* the file as it was; lines cut into strings */
    struct remembered_line {
        struct xxh128 content;
        struct remembered what;
        bool used;
    } * lines; /* of this question */
    size_t n, capacity;
    struct hash_index by_content;
    struct text pending;              /* lines that are not in the file yet */
    uint64_t n_added, n_other, n_bad; /* n_other: lines of other questions */
    bool hold; /* set by the caller: nothing is written before commit, as files are not on the disk yet */
    bool broken;
    struct error broken_by; /* of the first line that could not be written */
};
#define PICTURE_MEMORY_EMPTY ((struct picture_memory){.fd = -1, .lock = FILE_LOCK_EMPTY})

/*
 * Takes the lock (PATH.lock), reads what is there and cuts off a torn tail. question: stage, version of what
 * it computes, and all options that its answer depends on, in words. Held by another run: EX_TEMPFAIL. A file
 * of another kind or format is EX_DATAERR; nothing is written over it.
 */
int picture_memory_open(struct picture_memory *m, const char *path, const char *question, struct error *err);
/* Reads bytes as picture_memory_open would a file. For tests and fuzzing. */
int picture_memory_read(struct picture_memory *m, const char *bytes, size_t n_bytes, const char *question,
                        struct error *err);

/* What was known when the file was opened: NULL, or borrowed until close. */
const struct remembered *picture_memory_find(struct picture_memory *m, const struct xxh128 *content);
/* Found from the next run on. A line that cannot be written (disk full) is told at commit. */
int picture_memory_add(struct picture_memory *m, const struct xxh128 *content, const struct remembered *what,
                       struct error *err);
/*
 * Writes what is pending and syncs. When more than half of the lines were not asked for, or belong to another
 * question, the file is written anew without them. After an error the file is as it was, or has fewer lines.
 */
int picture_memory_commit(struct picture_memory *m, struct error *err);
void picture_memory_close(struct picture_memory *m);

/* Whether the file's first line is that of a memory. */
bool picture_memory_is(const char *path);
/* Drops a torn tail and lines whose checksum is wrong: the file then reads as a manifest. 1: it had some. */
int picture_memory_mend(const char *path, struct error *err);

#endif
