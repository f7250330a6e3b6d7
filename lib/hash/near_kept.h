/*
 * near_kept.h: keeps near pairs in a file from one run to the next, so that the next run compares only new
 * hashes. The result is that of near_join over all hashes. docs/formats.md describes the file.
 */
#ifndef WINNOW_HASH_NEAR_KEPT_H
#define WINNOW_HASH_NEAR_KEPT_H

#include "hash/near_join.h"

struct near_kept {
    struct pdq_hash *hashes; /* sorted, each once */
    struct near_pair *pairs; /* pairs of indices in hashes */
    size_t n, n_pairs;
};
#define NEAR_KEPT_EMPTY ((struct near_kept){0})

/* If there are more pairs than this, no file is kept: to read it would take longer than to run the join. */
#define NEAR_KEPT_MOST_PAIRS (8u << 20)

/*
 * Reads the file of an earlier run. *k stays empty when there is no file, or when it was made with another
 * distance or radius. Returns 0, or -1 with err set: EX_DATAERR when the file is damaged or of another kind;
 * *k is then empty.
 */
int near_kept_read(struct near_kept *k, const char *path, int max_distance, int radius, struct error *err);
/* Does the same with the bytes of a file, which messages call name. */
int near_kept_read_memory(struct near_kept *k, const char *bytes, size_t n_bytes, const char *name,
                          int max_distance, int radius, struct error *err);
/* Writes the file for n distinct hashes and all of their pairs within max_distance. */
int near_kept_write(const char *path, const struct pdq_hash *hashes, size_t n, const struct near_pairs *pairs,
                    int max_distance, int radius, struct error *err);
void near_kept_release(struct near_kept *k);

/*
 * Does the same as near_join(hashes, n, n, NEAR_ALL, ...) for distinct hashes, but compares hashes in k only
 * with new ones. *n_new becomes the number of hashes that are not in k. Memory: 40 bytes for each hash, in
 * addition to that of near_join.
 */
int near_kept_join(const struct near_kept *k, const struct pdq_hash *hashes, size_t n, int max_distance,
                   int radius, unsigned n_threads, const struct near_progress *progress,
                   struct near_pairs *out, size_t *n_new, struct error *err);

#endif
