/*
 * object_store.h: keeps pictures under the hash of their bytes: objects/ab/cdef...ext, XXH3-128 in
 * hexadecimal, with an extension by content. An object appears whole or not at all (a temporary file in
 * tmp/, then a rename). It is durable after the next object_store_sync; a record that must survive a power
 * cut is written after that (see journal.h). There is one writer at a time: the caller holds the lock of the
 * store.
 */
#ifndef WINNOW_STORE_OBJECT_STORE_H
#define WINNOW_STORE_OBJECT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "hash/content_hash.h"

/* "objects/ab/" + 30 digits + "." + extension + NUL */
#define OBJECT_PATH_BYTES 64

struct object_store {
    char *folder;
    int folder_fd;
    bool made[256];  /* objects/xx known to exist */
    uint64_t n_made; /* number of temporary files that this process created */
};
#define OBJECT_STORE_EMPTY ((struct object_store){.folder_fd = -1})

/* Creates the folders that are missing (folder, folder/objects, folder/tmp), and empties tmp. */
int object_store_open(struct object_store *s, const char *folder, struct error *err);
void object_store_close(struct object_store *s);

/* Returns the part before "objects/" in a path that is relative to root: "" or "store/". It is malloc'ed. For
 * a store outside the root it is an absolute path with allow_outside; without it the call fails with
 * EX_USAGE. */
int object_store_prefix(const char *store, const char *root, bool allow_outside, char **prefix,
                        struct error *err);

/* Writes the path within the store to out, and returns out. */
char *object_path(char out[OBJECT_PATH_BYTES], const struct xxh128 *hash, const char *extension);

/* Stores n bytes under their hash. *was_there becomes true when the object existed with these bytes; it is
 * then not changed. */
int object_store_put(struct object_store *s, const struct xxh128 *hash, const char *extension,
                     const void *bytes, size_t n_bytes, bool *was_there, struct error *err);
/*
 * Creates the object as a hard link to file, or as a symbolic link (file is then absolute). Returns 0 when
 * the object exists afterwards. Returns 1, with nothing changed, when no hard link is possible (another file
 * system, a file of another user, too many links). Returns -1 with err set otherwise.
 */
int object_store_link(struct object_store *s, const struct xxh128 *hash, const char *extension,
                      uint64_t n_bytes, const char *file, bool symbolic, struct error *err);
/* Whether the object exists with exactly this size. With check_bytes it is also read and hashed. */
bool object_store_has(struct object_store *s, const struct xxh128 *hash, const char *extension,
                      uint64_t n_bytes, bool check_bytes);
/* Removes the object; *was_there becomes whether it existed. The folder is synced, so that the removal is
 * durable. */
int object_store_remove(struct object_store *s, const struct xxh128 *hash, const char *extension,
                        bool *was_there, struct error *err);

/* Visits every object: its name within the store, and its hash. The visitor returns 0 to continue.
 * Returns -1 when a folder cannot be read. */
typedef int object_visit(void *context, const char *path, const struct xxh128 *hash, const char *extension,
                         struct error *err);
int object_store_walk(struct object_store *s, object_visit *visit, void *context, struct error *err);

/* When it returns 0, all objects written so far are durable. Any thread may call it. */
int object_store_sync(const struct object_store *s, struct error *err);

#endif
