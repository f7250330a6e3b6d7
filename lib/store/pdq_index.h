/*
 * pdq_index.h: perceptual hashes that are kept from run to run, by the content of the picture's file: a TSV
 * of xxh128, pdq_family, oriented (1: EXIF orientation was applied), pdq, pdq_quality, pixels, turned (the
 * hashes of the other seven orientations, comma separated, or empty). Renaming, moving and re-labelling
 * pictures leaves it valid. Entries of other families stay in the file, which is written whole, sorted. The
 * caller holds a lock on it.
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

/* Adds the entries of a file (one that is not there: none), or of its bytes, called name in messages.
 * EX_DATAERR. */
int pdq_index_read(struct pdq_index *x, const char *path, struct error *err);
int pdq_index_read_memory(struct pdq_index *x, const char *bytes, size_t n_bytes, const char *name,
                          struct error *err);

/*
 * What was read for this content, or NULL. With turned only an entry that has the seven. Borrowed until the
 * next change.
 */
const struct pdq_index_entry *pdq_index_find(const struct pdq_index *x, const struct xxh128 *id,
                                             enum pdq_family family, bool oriented, bool turned);
/* e->turned is copied. Found from the next run on. */
int pdq_index_add(struct pdq_index *x, const struct pdq_index_entry *e, struct error *err);
/* Every entry of this content, of other families too; *n_forgotten counts. */
void pdq_index_forget(struct pdq_index *x, const struct xxh128 *id);
/* Writes the file if anything was added or forgotten. */
int pdq_index_save(struct pdq_index *x, const char *path, struct error *err);
void pdq_index_release(struct pdq_index *x);

#endif
