/*
 * hash_list.h: reads lists of hashes of pictures that must not be kept, in the formats of the organisations
 * that share such lists. Each line has one hash in hexadecimal: "md5:...", "sha1:...", "sha256:...",
 * "xxh128:..." ("xxh3:...") or digits alone, where 32 digits mean MD5 or XXH3-128, 40 SHA-1 and 64 SHA-256
 * (or PDQ, when the reader says so). What follows a blank, tab, comma or semicolon is a comment, as is a line
 * that begins with '#'. "pdq:" lines describe how a picture looks and not its bytes: they are kept apart, for
 * phash-dedup. Any other line is an error that names it, because an incomplete list gives a false sense of
 * safety. The lists are not part of winnow, and nothing from them is ever logged.
 */
#ifndef WINNOW_STORE_HASH_LIST_H
#define WINNOW_STORE_HASH_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "hash/content_hash.h"

enum hash_kind { HASH_MD5, HASH_SHA1, HASH_SHA256, HASH_XXH128, HASH_KINDS };
const char *hash_kind_name(enum hash_kind k);

struct hash_list {
    uint8_t *digests[HASH_KINDS]; /* sorted, n[k] of hash_kind_bytes(k) each */
    size_t n[HASH_KINDS], capacity[HASH_KINDS];
    uint8_t (*pdq)[32]; /* n_pdq perceptual hashes, bytes in the order in which they are printed */
    size_t n_pdq, pdq_capacity;
    /* Set it before reading, so that 64 digits without a prefix mean PDQ, not SHA-256. */
    bool bare_is_pdq;
    bool sorted;
};
#define HASH_LIST_EMPTY ((struct hash_list){0})

size_t hash_kind_bytes(enum hash_kind k);

/* Adds the entries of a file (not "-"), or of bytes that messages call name. 1,000,000
 * lines take well below a second. */
int hash_list_add_file(struct hash_list *l, const char *path, struct error *err);
int hash_list_add_bytes(struct hash_list *l, const char *bytes, size_t n_bytes, const char *name,
                        struct error *err);
/* Adds one entry. Returns 1, 2 when it is PDQ and was added to pdq, 0 when it is not a hash, or -1 with err
 * set when there is no memory. */
int hash_list_add_text(struct hash_list *l, const char *text, size_t n_bytes, struct error *err);
/* Does the same for a hash whose kind is a separate argument: "md5", "0123...". */
int hash_list_add_named(struct hash_list *l, const char *kind, const char *hex, struct error *err);
int hash_list_add(struct hash_list *l, enum hash_kind kind, const uint8_t *digest, struct error *err);
size_t hash_list_size(const struct hash_list *l); /* without PDQ */
void hash_list_release(struct hash_list *l);

/*
 * Whether the bytes are on the list; xxh is their XXH3-128. Only kinds of hashes that the list contains are
 * computed. On a match, *kind and digest_hex (65 bytes) are set to the hash that matched. The first call
 * sorts the list, so only one thread may use it.
 */
bool hash_list_matches(struct hash_list *l, const void *bytes, size_t n_bytes, const struct xxh128 *xxh,
                       enum hash_kind *kind, char digest_hex[65]);
/* Whether the list contains a digest that the caller has computed. */
bool hash_list_has(struct hash_list *l, enum hash_kind kind, const uint8_t *digest);

/* Computes a digest of hash_kind_bytes(kind) bytes. */
void hash_digest(enum hash_kind kind, const void *bytes, size_t n_bytes, uint8_t digest[32]);

#endif
