#include "base/random.h"

#include <math.h>

#define GOLDEN 0x9E3779B97F4A7C15ull

uint64_t random_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x ^ (x >> 31);
}

uint64_t random_key(const void *bytes, size_t n_bytes)
{
    const unsigned char *p = bytes;
    uint64_t h = 0xCBF29CE484222325ull;
    for (size_t i = 0; i < n_bytes; i++)
        h = (h ^ p[i]) * 0x100000001B3ull;
    return random_mix(h);
}

struct random random_start(uint64_t seed, uint64_t key, uint64_t stream)
{
    uint64_t state = random_mix(seed + GOLDEN);
    state = random_mix(state ^ (key + GOLDEN));
    state = random_mix(state ^ (stream * GOLDEN + 1));
    return (struct random){state};
}

uint64_t random_u64(struct random *r) { return random_mix(r->state += GOLDEN); }

uint64_t random_below(struct random *r, uint64_t n)
{
    return (uint64_t)(((unsigned __int128)random_u64(r) * n) >> 64);
}

double random_unit(struct random *r) { return (double)(random_u64(r) >> 11) * 0x1p-53; }

double random_range(struct random *r, double low, double high) { return low + (high - low) * random_unit(r); }

double random_normal(struct random *r)
{
    double u = 1.0 - random_unit(r), v = random_unit(r); /* u in (0, 1]: its logarithm is finite */
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586477 * v);
}

void random_shuffle_u32(struct random *r, uint32_t *values, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)random_below(r, i);
        uint32_t t = values[i - 1];
        values[i - 1] = values[j];
        values[j] = t;
    }
}
