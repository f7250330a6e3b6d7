/* text.h: strings and hexadecimal. A string is a sequence of bytes in UTF-8.
 * For numbers as text see number.h. */
#ifndef WINNOW_BASE_TEXT_H
#define WINNOW_BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* A string that can grow. TEXT_EMPTY is a valid, empty one. data is NULL until the first addition, and
 * NUL-terminated after it. Functions that add return 0. On failure they return -1 with err set, and the text
 * is unchanged. */
struct text {
    char *data;
    size_t n_bytes, capacity;
};
#define TEXT_EMPTY ((struct text){0})
int text_add(struct text *t, const void *bytes, size_t n_bytes, struct error *err);
int text_puts(struct text *t, const char *s, struct error *err);
int text_printf(struct text *t, struct error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int text_vprintf(struct text *t, struct error *err, const char *format, va_list args);
static inline void text_clear(struct text *t)
{
    t->n_bytes = 0;
    if (t->data) t->data[0] = 0;
}
void text_release(struct text *t);

/* hex_encode writes n_bytes bytes as 2 * n_bytes lower-case digits and NUL. hex_decode reads a string of
 * exactly 2 * n_bytes digits of either case, and returns 0, or -1 for any other string. */
void hex_encode(char *out, const void *bytes, size_t n_bytes);
int hex_decode(void *out, size_t n_bytes, const char *hex);

bool text_is_utf8(const char *s, size_t n_bytes); /* strict: no overlongs, no surrogates */
bool text_starts(const char *s, const char *prefix);
bool text_ends(const char *s, const char *suffix);

/* Writes as many of the n names as fit to out, for example "cat, dog, ...". Messages use this to list the
 * possible values. Returns out. */
const char *text_names_for_people(char *out, size_t out_bytes, const char *const *names, size_t n);

#endif
