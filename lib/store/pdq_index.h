/*
 * pdq_index.h: keeps perceptual hashes from one run to the next, by the content of the picture's file, in a
 * TSV with the columns xxh128, pdq_family, oriented (1: the EXIF orientation was applied), pdq, pdq_quality,
 * pixels and turned (the hashes of the other seven orientations, separated by commas, or empty). Entries
 * stay valid when pictures are renamed, moved or labelled anew. Entries of other families stay in the file.
 * The file is always written whole, and sorted. The caller must hold a lock on it.
 */
#ifndef WINNOW_STORE_PDQ_INDEX_H
#define WINNOW_STORE_PDQ_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"
#include "hash/content_hash.h"
#include "hash/pdq.h"

#define PDQ_TURNED (PDQ_DIHEDRALS - 1)

struct pdq_index_entry {
    struct xxh128 id;
    struct pdq_hash pdq;
    const struct pdq_hash *turned; /* PDQ_TURNED of them, or NULL */
    uint32_t pixels;
    uint8_t family, oriented, quality; /* enum pdq_family; 0 or 1; 0..100 */
};

struct pdq_index {
    struct pdq_index_entry *entries; /* the first n_read sorted */
    size_t n, n_read, capacity;
    size_t n_forgotten;
    struct arena arena;
};
#define PDQ_INDEX_EMPTY ((struct pdq_index){0})

/* Adds the entries of a file (none when it does not exist), or of its bytes, which messages call name. Fails
 * with EX_DATAERR when the file is damaged. */
int pdq_index_read(struct pdq_index *x, const char *path, struct error *err);
int pdq_index_read_memory(struct pdq_index *x, const char *bytes, size_t n_bytes, const char *name,
                          struct error *err);

/* Returns the entry for this content, borrowed until the next change, or NULL. With `turned`, only an entry
 * with the seven other hashes is returned. */
const struct pdq_index_entry *pdq_index_find(const struct pdq_index *x, const struct xxh128 *id,
                                             enum pdq_family family, bool oriented, bool turned);
/* Adds an entry; e->turned is copied. pdq_index_find finds it only after the file was saved and read
 * again. */
int pdq_index_add(struct pdq_index *x, const struct pdq_index_entry *e, struct error *err);
/* Removes every entry for this content, also of other families. n_forgotten grows by their number. */
void pdq_index_forget(struct pdq_index *x, const struct xxh128 *id);
/* Writes the file if an entry was added or removed. */
int pdq_index_save(struct pdq_index *x, const char *path, struct error *err);
void pdq_index_release(struct pdq_index *x);

#endif
