/*
 * mem.h: size arithmetic that detects overflow, and allocation. Add and multiply sizes with size_add and
 * size_mul. Use mem_alloc for a size that comes from a file: a hostile size then gives an error and not a
 * crash. The fault hook below can make any allocation fail.
 */
#ifndef WINNOW_BASE_MEM_H
#define WINNOW_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Set *out to a + b, or to a * b. Return false on overflow; *out is then undefined. */
static inline bool size_add(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }
static inline bool size_mul(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }

/* Return new memory, like malloc, calloc(n, each) and realloc (for zero bytes a unique pointer), or a copy of
 * a string or of n_bytes bytes. Return NULL with err set (EX_OSERR) on failure. free() releases it. */
void *mem_alloc(size_t bytes, struct error *err);
void *mem_zalloc(size_t n, size_t each_bytes, struct error *err);
void *mem_realloc(void *old, size_t bytes, struct error *err);        /* old stays valid on failure */
void *mem_aligned(size_t alignment, size_t bytes, struct error *err); /* alignment: a power of 2 */
char *mem_strdup(const char *s, struct error *err);
void *mem_dup(const void *bytes, size_t n_bytes, struct error *err);

/* Enlarges *array (n_capacity elements of each_bytes), by doubling, so that it holds at least n_wanted
 * elements. Returns 0, or -1 with err set and nothing changed. */
int mem_grow(void *array_pointer, size_t *n_capacity, size_t n_wanted, size_t each_bytes, struct error *err);

/* An arena: many small allocations that are freed together. ARENA_EMPTY is a valid arena. Pointers stay
 * valid until arena_release or arena_reset. */
struct arena {
    struct arena_block *blocks;
    size_t bytes_total;
};
#define ARENA_EMPTY ((struct arena){0})
/* Return memory that is aligned to 16 bytes and not zeroed, or a copy in it; NULL with err set on failure. */
void *arena_alloc(struct arena *a, size_t bytes, struct error *err);
char *arena_strdup(struct arena *a, const char *s, struct error *err);
char *arena_strndup(struct arena *a, const char *s, size_t n_bytes, struct error *err); /* adds a NUL */
void arena_reset(struct arena *a); /* keeps the newest block for reuse */
void arena_release(struct arena *a);

/*
 * The fault hook for tests. With WINNOW_FAULT=<kind>:<n> in the environment, the nth call of that kind in the
 * process fails (ENOMEM for alloc, ENOSPC for write, EIO for read, fsync and rename, EMFILE for open). With
 * WINNOW_FAULT_COUNT=FILE the number of calls of each kind is appended to FILE at exit. The hook is part of
 * every build and costs one branch.
 */
enum fault_kind { FAULT_ALLOC, FAULT_OPEN, FAULT_READ, FAULT_WRITE, FAULT_FSYNC, FAULT_RENAME, FAULT_KINDS };
bool fault_here(enum fault_kind kind); /* true: the call must fail now; errno is set */

#endif
