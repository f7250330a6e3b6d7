/*
 * near_kernels.h: one stored hash against a run of others, at home in lib/hash.
 */
#ifndef WINNOW_HASH_NEAR_KERNELS_H
#define WINNOW_HASH_NEAR_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/*
 * Positions i < n where popcount(x[i] ^ qx) + popcount(y[i] ^ qy) <= limit, ascending, into hits (room for n + 16). Returns
 * their number. May read, but not use, up to 7 elements behind the n.
 */
typedef size_t near_scan(const uint64_t *x, const uint64_t *y, size_t n, uint64_t qx, uint64_t qy, int limit, uint32_t *hits);

struct near_kernel { const char *name; near_scan *scan; };

/* By name, or the best for this processor (NULL). NULL when this processor cannot run it, or it was not built. */
const struct near_kernel *near_kernel_find(const char *name);

#endif
