/*
 * partial_store.h: keeps the first bytes of pictures whose transfer was interrupted, for a later attempt, as
 * partial/<key>; the key is that of the address in the journal. It is a cache: parts are removed by age and
 * by their total size, and may be removed at any time.
 *
 * A part is one file with its own hash, the address that served it, and the validator of the version to
 * which it belongs. It appears by rename, and is used only when the hash agrees. A killed writer, a power cut
 * or a truncated file therefore loses only the part. The file begins with a line of text, so that no program
 * opens it as a picture.
 *
 * A part cannot be compared with a block list, which has hashes of whole files. Callers therefore keep no
 * parts while such a list is in use, unless an option allows it (docs/security.md).
 */
#ifndef WINNOW_STORE_PARTIAL_STORE_H
#define WINNOW_STORE_PARTIAL_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"
#include "hash/content_hash.h"
#include "store/object_store.h"

#define PARTIAL_MIN_BYTES (16u << 10) /* a smaller part is cheaper to request again than to continue */
#define PARTIAL_MAX_BYTES (1u << 31)  /* the largest value of --max-bytes */

/* All pointers point into image, which partial_release frees. */
struct partial {
    char *image; /* the contents of the file, with a NUL after them */
    size_t n_image;
    const char *url;       /* canonical address of the server that sent it, after redirects */
    const char *validator; /* the value for If-Range: a strong ETag with its quotes, or a date */
    uint64_t total_bytes;  /* size of the whole body that the server announced, or 0 */
    const uint8_t *body;
    size_t n_body;
};
#define PARTIAL_EMPTY ((struct partial){0})

/* Sets *out to a part made of these pieces, which are copied. Fails with EX_DATAERR when url or validator
 * have control characters. */
int partial_make(struct partial *out, const char *url, const char *validator, uint64_t total_bytes,
                 const void *body, size_t n_body, struct error *err);
/* Parses image, which out then owns; on failure it is freed. Returns 0, or -1 (without err) when it is not a
 * whole part. */
int partial_parse(struct partial *out, char *image, size_t n_image);
void partial_release(struct partial *p);

struct partial_store {
    const struct object_store *store;
    uint64_t limit_bytes, n_bytes; /* of all parts */
    uint64_t n_made;               /* temporaries */
};

/* Called with each key that has a part. Returns 0 to continue. */
typedef int partial_visit(void *context, const struct xxh128 *key, struct error *err);

/*
 * Removes parts that are older than max_age_s at now_s (Unix time), files whose name is not a key, and then
 * the oldest parts until the others fit into limit_bytes; 0 removes all. Calls visit for the parts that
 * remain. The caller must hold the lock of the store.
 */
int partial_store_open(struct partial_store *p, const struct object_store *s, uint64_t limit_bytes,
                       double max_age_s, int64_t now_s, partial_visit *visit, void *context,
                       struct error *err);

/* Stores a part in place of an older one for the key. *kept becomes false when the part is larger than the
 * space that is left; the key then has no part. After -1 (a full disk) the key has no part, or the older
 * one. */
int partial_store_put(struct partial_store *p, const struct xxh128 *key, const struct partial *part,
                      bool *kept, struct error *err);
/* Reads the part for the key into *out and returns 1. Returns 0 when there is none, or it was damaged and has
 * been removed. Returns -1 with err set when there is no memory. */
int partial_store_get(const struct partial_store *p, const struct xxh128 *key, struct partial *out,
                      struct error *err);
int partial_store_remove(struct partial_store *p, const struct xxh128 *key, struct error *err);

/* Removes all parts of a store, given by its folder; *n is their number. With
 * dry_run they are only counted. */
int partial_remove_all(const char *folder, bool dry_run, uint64_t *n, struct error *err);

#endif
