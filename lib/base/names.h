/*
 * names.h: gives each different string a number, in the order in which the strings are first seen. It is
 * meant for strings that occur many times, such as labels and group names. A search takes constant time,
 * however many strings there are.
 */
#ifndef WINNOW_BASE_NAMES_H
#define WINNOW_BASE_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/hash_index.h"
#include "base/mem.h"

struct names {
    const char **text; /* n of them */
    size_t n, capacity;
    struct hash_index index;
    struct arena arena;
};
#define NAMES_EMPTY ((struct names){0})

/* Sets *out to the number of text. A new text gets the next number. Returns 0, or -1 with err set. */
int names_find(struct names *t, const char *text, uint32_t *out, struct error *err);
void names_release(struct names *t);

#endif
