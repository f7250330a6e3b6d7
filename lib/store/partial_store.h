/*
 * partial_store.h: the first parts of pictures from interrupted transfers, kept for a later try:
 * partial/<key>, the key being the journal's for the address. A cache: parts are removed by age and by their
 * total size, and may be removed at any time.
 *
 * A part is one file that names its own hash, the address that served it and the validator of the version it
 * belongs to; it appears by rename and is believed only when all of it agrees. A killed writer, a power
 * cut or a truncated file costs the part and nothing else. It begins with a line of text: nothing that opens
 * pictures takes it for one.
 *
 * A part cannot be compared with a block list, which names hashes of whole files. Callers therefore keep none
 * while such a list is in force, unless told to (docs/security.md).
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

#define PARTIAL_MIN_BYTES (16u << 10) /* less is cheaper to ask for again than to continue */
#define PARTIAL_MAX_BYTES (1u << 31)  /* --max-bytes goes no further */

/* Everything points into image, which partial_release frees. */
struct partial {
    char *image; /* the file as it is on the disk, NUL after it */
    size_t n_image;
    const char *url;       /* canonical: who served it, after redirects */
    const char *validator; /* what If-Range says: a strong ETag with its quotes, or a date */
    uint64_t total_bytes;  /* of the whole, as announced; 0 when it was not */
    const uint8_t *body;
    size_t n_body;
};
#define PARTIAL_EMPTY ((struct partial){0})

/* A part from its pieces, which are copied. EX_DATAERR when url or validator hold control characters. */
int partial_make(struct partial *out, const char *url, const char *validator, uint64_t total_bytes,
                 const void *body, size_t n_body, struct error *err);
/* Takes image over, also on failure. -1 (no err): not a whole part. */
int partial_parse(struct partial *out, char *image, size_t n_image);
void partial_release(struct partial *p);

struct partial_store {
    const struct object_store *store;
    uint64_t limit_bytes, n_bytes; /* of all parts */
    uint64_t n_made;               /* temporaries */
};

/* A key that has a part; return 0 to go on. */
typedef int partial_visit(void *context, const struct xxh128 *key, struct error *err);

/*
 * Removes what is older than max_age_s at now_s (Unix time), files not named by a key, and then the oldest
 * until the rest fits into limit_bytes; 0 removes all. visit gets what is left. The caller holds the store's
 * lock.
 */
int partial_store_open(struct partial_store *p, const struct object_store *s, uint64_t limit_bytes,
                       double max_age_s, int64_t now_s, partial_visit *visit, void *context,
                       struct error *err);

/*
 * Puts a part in the place of the key's older one. *kept: false when it is larger than what the limit leaves;
 * then there is none for this key. On -1 (a full disk) there is none either, or the older one.
 */
int partial_store_put(struct partial_store *p, const struct xxh128 *key, const struct partial *part,
                      bool *kept, struct error *err);
/* 1: out is the key's part; 0: none, or one that was not whole and is gone now; -1: out of memory. */
int partial_store_get(const struct partial_store *p, const struct xxh128 *key, struct partial *out,
                      struct error *err);
int partial_store_remove(struct partial_store *p, const struct xxh128 *key, struct error *err);

/* All of a store's parts, by its folder's name; *n of them were there. With dry_run they are only counted. */
int partial_remove_all(const char *folder, bool dry_run, uint64_t *n, struct error *err);

#endif
