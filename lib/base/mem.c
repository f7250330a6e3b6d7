#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static void *checked(void *p, size_t bytes, struct error *err)
{
    if (!p) error_errno(err, EX_OSERR, "cannot allocate %zu bytes", bytes);
    return p;
}

void *mem_alloc(size_t bytes, struct error *err)
{
    return checked(fault_here(FAULT_ALLOC) ? NULL : malloc(bytes ? bytes : 1), bytes, err);
}

void *mem_zalloc(size_t n, size_t each_bytes, struct error *err)
{
    size_t bytes;
    if (!size_mul(n, each_bytes, &bytes)) {
        error_set(err, EX_OSERR, "cannot allocate %zu times %zu bytes", n, each_bytes);
        return NULL;
    }
    return checked(fault_here(FAULT_ALLOC) ? NULL : calloc(1, bytes ? bytes : 1), bytes, err);
}

void *mem_realloc(void *old, size_t bytes, struct error *err)
{
    return checked(fault_here(FAULT_ALLOC) ? NULL : realloc(old, bytes ? bytes : 1), bytes, err);
}

void *mem_aligned(size_t alignment, size_t bytes, struct error *err)
{
    size_t rounded;
    if (!size_add(bytes ? bytes : 1, alignment - 1, &rounded)) {
        error_set(err, EX_OSERR, "cannot allocate %zu bytes", bytes);
        return NULL;
    }
    rounded -= rounded % alignment;
    return checked(fault_here(FAULT_ALLOC) ? NULL : aligned_alloc(alignment, rounded), bytes, err);
}

char *mem_strdup(const char *s, struct error *err) { return mem_dup(s, strlen(s) + 1, err); }

void *mem_dup(const void *bytes, size_t n_bytes, struct error *err)
{
    void *p = mem_alloc(n_bytes, err);
    if (p && n_bytes) memcpy(p, bytes, n_bytes);
    return p;
}

int mem_grow(void *array_pointer, size_t *n_capacity, size_t n_wanted, size_t each_bytes, struct error *err)
{
    void **array = array_pointer;
    size_t n = *n_capacity ? *n_capacity : 16, bytes;
    if (n_wanted <= *n_capacity) return 0;
    while (n < n_wanted)
        if (!size_mul(n, 2, &n)) return error_set(err, EX_OSERR, "cannot allocate %zu elements", n_wanted);
    if (!size_mul(n, each_bytes, &bytes))
        return error_set(err, EX_OSERR, "cannot allocate %zu elements", n_wanted);
    void *grown = mem_realloc(*array, bytes, err);
    if (!grown) return -1;
    *array = grown;
    *n_capacity = n;
    return 0;
}

/* Blocks double in size up to 1 MiB, so a large manifest needs few allocations, and a small one wastes little
 * memory. */
#define ARENA_FIRST_BYTES 4096u
#define ARENA_LARGEST_BYTES (1u << 20)

struct arena_block {
    struct arena_block *next;
    size_t n_used, n_bytes;
    _Alignas(16) char data[];
};

void *arena_alloc(struct arena *a, size_t bytes, struct error *err)
{
    size_t rounded, total;
    if (!size_add(bytes, 15, &rounded)) {
        error_set(err, EX_OSERR, "cannot allocate %zu bytes", bytes);
        return NULL;
    }
    rounded &= ~(size_t)15;
    struct arena_block *b = a->blocks;
    if (!b || b->n_bytes - b->n_used < rounded) {
        size_t room = b ? b->n_bytes * 2 : ARENA_FIRST_BYTES;
        if (room > ARENA_LARGEST_BYTES) room = ARENA_LARGEST_BYTES;
        if (room < rounded) room = rounded;
        if (!size_add(room, sizeof *b, &total)) {
            error_set(err, EX_OSERR, "cannot allocate %zu bytes", bytes);
            return NULL;
        }
        b = mem_alloc(total, err);
        if (!b) return NULL;
        b->n_used = 0;
        b->n_bytes = room;
        b->next = a->blocks;
        a->blocks = b;
        a->bytes_total += total;
    }
    void *p = b->data + b->n_used;
    b->n_used += rounded;
    return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n_bytes, struct error *err)
{
    char *p = arena_alloc(a, n_bytes + 1, err);
    if (p) {
        memcpy(p, s, n_bytes);
        p[n_bytes] = 0;
    }
    return p;
}

char *arena_strdup(struct arena *a, const char *s, struct error *err)
{
    return arena_strndup(a, s, strlen(s), err);
}

void arena_reset(struct arena *a)
{
    if (!a->blocks) return;
    for (struct arena_block *b = a->blocks->next, *next; b; b = next) {
        next = b->next;
        a->bytes_total -= b->n_bytes + sizeof *b;
        free(b);
    }
    a->blocks->next = NULL;
    a->blocks->n_used = 0;
}

void arena_release(struct arena *a)
{
    for (struct arena_block *b = a->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    *a = ARENA_EMPTY;
}
