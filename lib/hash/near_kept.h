/*
 * near_kept.h: near pairs kept from run to run in a file (format in docs/formats.md), so that the next run
 * joins only what is new. The result is the one of near_join over all hashes.
 */
#ifndef WINNOW_HASH_NEAR_KEPT_H
#define WINNOW_HASH_NEAR_KEPT_H

#include "hash/near_join.h"

struct near_kept {
    struct pdq_hash *hashes; /* sorted, each once */
    struct near_pair *pairs; /* of places in hashes */
    size_t n, n_pairs;
};
#define NEAR_KEPT_EMPTY ((struct near_kept){0})

/* More pairs than this are not kept: the file would take longer to read than the join to run. */
#define NEAR_KEPT_MOST_PAIRS (8u << 20)

/*
 * Reads the file of an earlier run. *k stays empty when there is none, or when it was made with another
 * distance or radius. EX_DATAERR: the file is damaged or of another kind, and *k is empty.
 */
int near_kept_read(struct near_kept *k, const char *path, int max_distance, int radius, struct error *err);
/* The same for the bytes of a file, called name in messages. */
int near_kept_read_memory(struct near_kept *k, const char *bytes, size_t n_bytes, const char *name,
                          int max_distance, int radius, struct error *err);
/* Writes the file for n distinct hashes and all of their pairs within max_distance. */
int near_kept_write(const char *path, const struct pdq_hash *hashes, size_t n, const struct near_pairs *pairs,
                    int max_distance, int radius, struct error *err);
void near_kept_release(struct near_kept *k);

/*
 * near_join(hashes, n, n, NEAR_ALL, ...) for distinct hashes, of which those in k are compared with new ones
 * only. *n_new: how many were not in k. Memory beside the join's: 40 bytes a hash.
 */
int near_kept_join(const struct near_kept *k, const struct pdq_hash *hashes, size_t n, int max_distance,
                   int radius, unsigned n_threads, const struct near_progress *progress,
                   struct near_pairs *out, size_t *n_new, struct error *err);

#endif
