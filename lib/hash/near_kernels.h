/*
 * near_kernels.h: one stored hash against runs of others, internal to lib/hash.
 */
#ifndef WINNOW_HASH_NEAR_KERNELS_H
#define WINNOW_HASH_NEAR_KERNELS_H

#include <stddef.h>
#include <stdint.h>

struct near_range {
    uint32_t begin, end;
};

/*
 * Positions i in the ranges where popcount(x[i] ^ qx) + popcount(y[i] ^ qy) <= limit into hits (room for
 * every position in the ranges and 8 more). Returns their number. Ranges are short, often of one or two
 * positions, so all of a query's go into one call. May read, but not use, up to 7 elements past a range.
 */
typedef size_t near_scan(const uint64_t *x, const uint64_t *y, const struct near_range *ranges,
                         size_t n_ranges, uint64_t qx, uint64_t qy, int limit, uint32_t *hits);

struct near_kernel {
    const char *name;
    near_scan *scan;
};

/* By name, or the best for this processor (NULL). NULL when this processor cannot run it, or it was not
 * built. */
const struct near_kernel *near_kernel_find(const char *name);

#endif
