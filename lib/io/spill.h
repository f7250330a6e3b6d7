/*
 * spill.h: allocates large arrays that need not fit into memory. An array of SPILL_LEAST_BYTES or more is a
 * mapped file without a name in $TMPDIR. While more than SPILL_RESIDENT_BYTES of the process are resident, a
 * thread unmaps the pages of these files. Their contents stay in the page cache, which the kernel can write
 * out when the memory is needed elsewhere. When the file cannot be made (no space, or a file system that
 * cannot reserve it), the array is in memory as usual.
 *
 * This suits columns that are read and written sequentially, or sorted piece by piece: access to an unmapped
 * page costs less than a microsecond. It does not suit tables with random access.
 */
#ifndef WINNOW_IO_SPILL_H
#define WINNOW_IO_SPILL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define SPILL_LEAST_BYTES ((size_t)8 << 20)
#define SPILL_RESIDENT_BYTES ((size_t)64 << 20)

/* Whether an array of this size is kept in a file, if one can be made. */
bool spill_is_large(size_t bytes);
/* Like mem_alloc, mem_zalloc, mem_realloc (old stays valid on failure) and mem_grow, but spill_grow enlarges
 * an array by half. Free the arrays with spill_free, not free. Any thread may call these. */
void *spill_alloc(size_t bytes, struct error *err);
void *spill_zalloc(size_t n, size_t each_bytes, struct error *err);
void *spill_realloc(void *old, size_t old_bytes, size_t bytes, struct error *err);
int spill_grow(void *array_pointer, size_t *n_capacity, size_t n_wanted, size_t each_bytes,
               struct error *err);
void spill_free(void *p); /* NULL is fine; errno is kept */

/* Unmaps pages now if too much is resident. A loop may touch pages faster than the thread can unmap them on a
 * busy machine. Such a loop should call this after every few megabytes. */
void spill_breathe(void);
/* For a loop over a column: `for (size_t i = 0; spill_step(i) < n; i++)` calls spill_breathe at every
 * 65,536th step. Returns i. */
static inline size_t spill_step(size_t i)
{
    if ((i & 0xffff) == 0) spill_breathe();
    return i;
}

#endif
