/*
 * tap.h: a tiny harness. CHECK prints "ok N - text" or "not ok N - text" with file and line; tap_done prints
 * the plan and gives main's exit status, non-zero after any failure.
 */
#ifndef WINNOW_TESTS_TAP_H
#define WINNOW_TESTS_TAP_H

#include <stdbool.h>

bool tap_check(bool ok, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void tap_skip(const char *what, const char *why);
int tap_done(void);
/* |a - b| <= atol + rtol * |b|, NaN never close; prints both values when not. */
bool tap_close(double a, double b, double atol, double rtol, const char *file, int line, const char *what);
/* A fresh folder under TMPDIR, removed at exit. Owned by the harness. */
const char *tap_tmpdir(void);

#define CHECK(condition) tap_check((condition), __FILE__, __LINE__, "%s", #condition)
#define CHECK_SAY(condition, ...) tap_check((condition), __FILE__, __LINE__, __VA_ARGS__)
#define CHECK_CLOSE(a, b, atol, rtol, what) tap_close((a), (b), (atol), (rtol), __FILE__, __LINE__, (what))

#endif
