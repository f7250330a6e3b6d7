/* near_kernels.h: compares one hash with runs of others. Used inside lib/hash only. */
#ifndef WINNOW_HASH_NEAR_KERNELS_H
#define WINNOW_HASH_NEAR_KERNELS_H

#include <stddef.h>
#include <stdint.h>

struct near_range {
    uint32_t begin, end;
};

/*
 * Writes to hits the positions i in the ranges where popcount(x[i] ^ qx) + popcount(y[i] ^ qy) <= limit, and
 * returns their number. hits has space for every position in the ranges and 8 more. Ranges are often only one
 * or two positions long, so one call scans all ranges of a hash. It may read up to 7 elements past a range.
 */
typedef size_t near_scan(const uint64_t *x, const uint64_t *y, const struct near_range *ranges,
                         size_t n_ranges, uint64_t qx, uint64_t qy, int limit, uint32_t *hits);

struct near_kernel {
    const char *name;
    near_scan *scan;
};

/* Returns the kernel with this name, or for NULL the best one for this processor. Returns NULL when this
 * processor cannot run the kernel, or when it was not built. */
const struct near_kernel *near_kernel_find(const char *name);

#endif
