/* near_join.h: finds all pairs of 256-bit hashes within a Hamming distance. */
#ifndef WINNOW_HASH_NEAR_JOIN_H
#define WINNOW_HASH_NEAR_JOIN_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "hash/pdq.h"

/* Beyond this distance the method has no advantage over comparing each hash with each: at 63 it
 * compares an eighth of all pairs. */
#define NEAR_MAX_DISTANCE 79

struct near_pair {
    uint32_t a, b;
    uint32_t distance;
}; /* a < b: indices of the hashes */
struct near_pairs {
    struct near_pair *pairs;
    size_t n, capacity;
};
#define NEAR_PAIRS_EMPTY ((struct near_pairs){0})
void near_pairs_release(struct near_pairs *p);

/*
 * Which pairs to find, when the hashes consist of two parts: the first n_first hashes, and the rest. To
 * compare a set with itself, use all three kinds. When the first part are old pictures that were compared
 * before, leave out FIRST_FIRST. When the rest are rotated copies of the first part, leave out REST_REST.
 */
enum near_wanted { NEAR_FIRST_FIRST = 1, NEAR_FIRST_REST = 2, NEAR_REST_REST = 4, NEAR_ALL = 7 };

struct near_progress {
    void (*tell)(void *context, double share);
    void *context;
}; /* called by the caller's thread */

#define NEAR_EXACT (-1)

/* The largest number of pairs. 16,000 variants of one picture make 128 million pairs, which take 1.6 GB. More
 * pairs are an error, so that the machine does not run out of memory. 10 million pictures of a usual set make
 * a few million pairs. */
#define NEAR_MAX_PAIRS (128u << 20)

/*
 * Appends to *out every wanted pair within max_distance (0..NEAR_MAX_DISTANCE), each once, in no particular
 * order.
 *
 * radius is NEAR_EXACT to find every pair. Otherwise it is the largest number of bits in which one of the
 * sixteen words of a pair may differ for the pair to be found. Radius 1 costs as much as a search at 31 bits.
 * It finds all pairs within 31 bits, and about 98 % of those at 47 bits and 80 % of those at 63, if the
 * differing bits are distributed at random. Whether a pair is found depends on its two hashes only.
 *
 * Equal hashes make pairs, too: n copies make n*n/2 pairs. Callers should therefore pass each hash once. n
 * must be below 2^32. Memory: 22 bytes a hash in addition to the hashes, 4 more for each thread, and 12 a
 * pair. The threads share each step. progress may be NULL. Returns 0, or -1 with err set (EX_OSERR) and *out
 * unchanged or longer; more than NEAR_MAX_PAIRS pairs are EX_DATAERR.
 */
int near_join(const struct pdq_hash *hashes, size_t n, size_t n_first, unsigned wanted, int max_distance,
              int radius, unsigned n_threads, const struct near_progress *progress, struct near_pairs *out,
              struct error *err);

/* For tests: makes near_join use the kernel "avx512", "avx2" or "plain", or the best one of the processor
 * (NULL). Returns 0, or -1 when this processor cannot run it. */
int near_join_use(const char *kernel);

#endif
