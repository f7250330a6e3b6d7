/*
 * near_join.h: all pairs of 256-bit hashes within a Hamming distance, exactly.
 */
#ifndef WINNOW_HASH_NEAR_JOIN_H
#define WINNOW_HASH_NEAR_JOIN_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "hash/pdq.h"

/* Beyond this the index has no edge over comparing everything with everything (63: an eighth of all pairs is
 * looked at). */
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
 * Which pairs are wanted, of hashes that fall in two parts: the first n_first of them, and the rest. A
 * self-join wants all three; old against new leaves out FIRST_FIRST; turned copies as the rest leave out
 * REST_REST.
 */
enum near_wanted { NEAR_FIRST_FIRST = 1, NEAR_FIRST_REST = 2, NEAR_REST_REST = 4, NEAR_ALL = 7 };

struct near_progress {
    void (*tell)(void *context, double share);
    void *context;
}; /* called by the caller's thread */

#define NEAR_EXACT (-1)

/*
 * A picture that occurs in 16,000 variants makes 128 million pairs, 1.6 GB of them. More is an error, not a
 * machine without memory; 10 million pictures of a usual set make a few million.
 */
#define NEAR_MAX_PAIRS (128u << 20)

/*
 * Appends to *out every wanted pair within max_distance (0..NEAR_MAX_DISTANCE), each once, in no particular
 * order. radius is NEAR_EXACT, or the most bits that one of the sixteen words of a pair may differ in for the
 * pair to be found: 1 finds all pairs within 31 bits, about 98 % of those at 47 and 80 % at 63 if the
 * differing bits lie anywhere, at the price of 31; whether a pair is found depends on the two hashes only.
 * Equal hashes make pairs, too: n copies make n*n/2 of them, so callers fold equal hashes first. n below
 * 2^32. Memory: 22 bytes a hash beside the hashes, 4 more for each thread, and 12 a pair. Threads share each
 * step. progress may be NULL. 0, or -1 with err set (EX_OSERR) and *out as it was, or longer; over
 * NEAR_MAX_PAIRS is EX_DATAERR.
 */
int near_join(const struct pdq_hash *hashes, size_t n, size_t n_first, unsigned wanted, int max_distance,
              int radius, unsigned n_threads, const struct near_progress *progress, struct near_pairs *out,
              struct error *err);

/* For tests: "avx512", "avx2" or "plain" instead of what the processor has; NULL: choose. 0, or -1 when it
 * cannot run here. */
int near_join_use(const char *kernel);

#endif
