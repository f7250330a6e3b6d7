/*
 * names.h: strings that occur many times, numbered in the order of their first sight: labels, groups. A hash
 * index over an arena, so that a manifest of a million different labels costs a million look-ups and not
 * their square.
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

/* The number of text, added when it is new. */
int names_find(struct names *t, const char *text, uint32_t *out, struct error *err);
void names_release(struct names *t);

#endif
