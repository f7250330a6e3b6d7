/*
 * number.h: numbers and times from and to text. Always decimal, in the C locale, without blanks.
 * A number is [+-] digits [. digits] [e [+-] digits] or [+-] inf: no nan, no hexadecimal.
 */
#ifndef WINNOW_BASE_NUMBER_H
#define WINNOW_BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The n_bytes bytes at s as a whole number: true, or false when they are not all digits, or over 64 bits. */
bool parse_digits(const char *s, size_t n_bytes, uint64_t *out);
/* The whole of s as a double, exact and ten times as fast as strtod. False when s is not a number. */
bool parse_number(const char *s, double *out);

/*
 * Numbers from the whole of s, within min..max: 0, or -1 with err set, naming what ("--jobs", "column
 * 'width'") and the range. parse_bytes takes 10, 10k, 10M, 10G, 10T (powers of 1024), parse_seconds takes 90,
 * 90s, 15m, 2h, 7d.
 */
int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out, const char *what, struct error *err);
int parse_i64(const char *s, int64_t min, int64_t max, int64_t *out, const char *what, struct error *err);
int parse_double(const char *s, double min, double max, double *out, const char *what, struct error *err);
int parse_bytes(const char *s, uint64_t min, uint64_t max, uint64_t *out, const char *what,
                struct error *err);
int parse_seconds(const char *s, double min, double max, double *out, const char *what, struct error *err);

/*
 * The other way; out holds at least 32 bytes and is returned. f32: %.9g; f64: %.17g; real: 15 digits, or 17
 * where 15 do not read back as the same double, "nan", "inf".
 */
char *format_f32(char *out, float value);
char *format_f64(char *out, double value);
char *format_real(char *out, double value);

/* 2026-11-22T09:00:00Z, and back: 0 or -1. out holds 21 bytes. */
char *format_time(char *out, int64_t unix_s);
int parse_time(const char *text, int64_t *unix_s);

#endif
