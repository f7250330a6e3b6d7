/*
 * object_store.h: pictures named by their bytes: objects/ab/cdef...ext, XXH3-128 in hex, extension by
 * content.
 * An object appears whole or not at all (a temporary in tmp/, then rename). It is durable after the next
 * object_store_sync; a record that must survive power cuts is written after that (see journal.h). One writer
 * at a time: the caller holds the store's lock.
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
    uint64_t n_made; /* temporaries made by this process */
};
#define OBJECT_STORE_EMPTY ((struct object_store){.folder_fd = -1})

/* Makes what is missing of folder, folder/objects, folder/tmp, and removes what earlier runs left in tmp. */
int object_store_open(struct object_store *s, const char *folder, struct error *err);
void object_store_close(struct object_store *s);

/*
 * What stands before "objects/" in a path that is relative to root: "" or "store/". malloc'ed. A store
 * outside the root is EX_USAGE, or with allow_outside an absolute path.
 */
int object_store_prefix(const char *store, const char *root, bool allow_outside, char **prefix,
                        struct error *err);

/* The path within the store. Returns out. */
char *object_path(char out[OBJECT_PATH_BYTES], const struct xxh128 *hash, const char *extension);

/* Stores n bytes under their hash. *was_there: the object was there already with these bytes and was left
 * alone. */
int object_store_put(struct object_store *s, const struct xxh128 *hash, const char *extension,
                     const void *bytes, size_t n_bytes, bool *was_there, struct error *err);
/*
 * The object as a hard link to file, or a symbolic one (file is then absolute). 0: it is there; 1: no hard
 * link can be made to it (another file system, a file of somebody else, too many links), nothing was changed;
 * -1.
 */
int object_store_link(struct object_store *s, const struct xxh128 *hash, const char *extension,
                      uint64_t n_bytes, const char *file, bool symbolic, struct error *err);
/* Whether the object is there with exactly this size; with check_bytes it is also read and hashed. */
bool object_store_has(struct object_store *s, const struct xxh128 *hash, const char *extension,
                      uint64_t n_bytes, bool check_bytes);
/* Removes it if it is there; *was_there says so. The folder is synced, so that it stays gone. */
int object_store_remove(struct object_store *s, const struct xxh128 *hash, const char *extension,
                        bool *was_there, struct error *err);

/*
 * Every object: name within the store, and its hash. The visitor returns 0 to go on. Errors of reading
 * folders are -1.
 */
typedef int object_visit(void *context, const char *path, const struct xxh128 *hash, const char *extension,
                         struct error *err);
int object_store_walk(struct object_store *s, object_visit *visit, void *context, struct error *err);

/* Everything written so far is durable when this returns 0. Any thread. */
int object_store_sync(const struct object_store *s, struct error *err);

#endif
