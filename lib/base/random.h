/*
 * random.h: random numbers as a function of (seed, key, stream), and never of time, order or thread. The
 * generator is splitmix64 (Steele, Lea, Flood 2014). Generators with different keys or streams are
 * independent enough for winnow.
 */
#ifndef WINNOW_BASE_RANDOM_H
#define WINNOW_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

uint64_t random_mix(uint64_t x); /* splitmix64's finaliser */
/* Makes a key from a name or a hash: FNV-1a, then mixed. */
uint64_t random_key(const void *bytes, size_t n_bytes);
struct random random_start(uint64_t seed, uint64_t key, uint64_t stream);
uint64_t random_u64(struct random *r);
uint64_t random_below(struct random *r, uint64_t n);                   /* 0..n-1: (x * n) >> 64; n > 0 */
double random_unit(struct random *r);                                  /* [0, 1), 53 bits */
double random_range(struct random *r, double low, double high);        /* [low, high) */
double random_normal(struct random *r);                                /* Box-Muller, mean 0, deviation 1 */
void random_shuffle_u32(struct random *r, uint32_t *values, size_t n); /* Fisher-Yates */

#endif
