/*
 * spill.h: large arrays that need not fit into memory. An array of SPILL_LEAST_BYTES or more lies in a file
 * without a name in $TMPDIR that is mapped; while more than SPILL_RESIDENT_BYTES of the process are resident,
 * a thread unmaps the pages of these files again. Their contents stay in the page cache, which the kernel
 * writes out and takes back when others need the memory. An array that cannot get its file (no space, a
 * file system that cannot reserve it) is in memory as usual.
 *
 * It suits columns that are read and written from one end to the other, or sorted by pieces: touching a page
 * again costs less than a microsecond. It does not suit tables that are looked up at random.
 */
#ifndef WINNOW_IO_SPILL_H
#define WINNOW_IO_SPILL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define SPILL_LEAST_BYTES ((size_t)8 << 20)
#define SPILL_RESIDENT_BYTES ((size_t)64 << 20)

/* So large that it lies in a file, if there is one to be had. */
bool spill_is_large(size_t bytes);
/* As mem_alloc, mem_zalloc, mem_realloc (old stays valid on failure) and mem_grow, by halves. spill_free, not
 * free, releases them. Any thread. */
void *spill_alloc(size_t bytes, struct error *err);
void *spill_zalloc(size_t n, size_t each_bytes, struct error *err);
void *spill_realloc(void *old, size_t old_bytes, size_t bytes, struct error *err);
int spill_grow(void *array_pointer, size_t *n_capacity, size_t n_wanted, size_t each_bytes,
               struct error *err);
void spill_free(void *p); /* NULL is fine; errno is kept */

/* Unmaps pages now if too much is resident. For loops that touch pages faster than a thread on a busy machine
 * gets its turn: call it after every few megabytes that may have been touched. */
void spill_breathe(void);
/* For loops over columns: `for (size_t i = 0; spill_step(i) < n; i++)` breathes at every 65,536th step. */
static inline size_t spill_step(size_t i)
{
    if ((i & 0xffff) == 0) spill_breathe();
    return i;
}

#endif
