/* number.h: converts numbers and times from and to text. The text is always decimal, in the C locale, without
 * blanks. A number is [+-] digits [. digits] [e [+-] digits], or [+-] inf. nan and hexadecimal are not
 * accepted. */
#ifndef WINNOW_BASE_NUMBER_H
#define WINNOW_BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Reads the n_bytes bytes at s as a whole number. Returns false when they are not all
 * digits, or need more than 64 bits. */
bool parse_digits(const char *s, size_t n_bytes, uint64_t *out);
/* Reads the whole of s as a double, exactly, ten times as fast as strtod. Returns false when s is not a
 * number. */
bool parse_number(const char *s, double *out);

/*
 * Read the whole of s as a number within min..max. `what` names the number in the message, such as "--jobs"
 * or "column 'width'". Return 0, or -1 with err set; the message gives the range. parse_bytes accepts 10,
 * 10k, 10M, 10G and 10T (powers of 1024), and parse_seconds 90, 90s, 15m, 2h and 7d.
 */
int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out, const char *what, struct error *err);
int parse_i64(const char *s, int64_t min, int64_t max, int64_t *out, const char *what, struct error *err);
int parse_double(const char *s, double min, double max, double *out, const char *what, struct error *err);
int parse_bytes(const char *s, uint64_t min, uint64_t max, uint64_t *out, const char *what,
                struct error *err);
int parse_seconds(const char *s, double min, double max, double *out, const char *what, struct error *err);

/* Write a number to out, which has at least 32 bytes, and return out. format_f32 uses %.9g, and format_f64
 * %.17g. format_real writes 15 digits, or 17 when 15 digits do not read back as the same double; it also
 * writes "nan" and "inf". */
char *format_f32(char *out, float value);
char *format_f64(char *out, double value);
char *format_real(char *out, double value);

/* Write and read a time such as 2026-11-22T09:00:00Z. out has 21 bytes. format_time returns out. parse_time
 * returns 0, or -1 when s is not a time. */
char *format_time(char *out, int64_t unix_s);
int parse_time(const char *text, int64_t *unix_s);

#endif
