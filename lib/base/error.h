/*
 * error.h: how the library reports errors.
 *
 * A function that can fail returns 0, or -1 with the caller's struct error filled: an exit code (sysexits)
 * and one sentence. The sentence first says what failed and then why, with the file or option in quotes. A
 * caller that knows more adds a prefix. Only main prints; the library neither prints nor exits.
 */
#ifndef WINNOW_BASE_ERROR_H
#define WINNOW_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <sysexits.h>

/* Exit codes in addition to those of sysexits. docs/formats.md lists all. */
/* the run is complete, but its result is not acceptable (gate missed, too many rejects) */
#define EX_VERDICT_NO 1
#define EX_NODEVICE EX_UNAVAILABLE

#define ERROR_TEXT_BYTES 1024

struct error {
    int code;        /* an exit code; 0 while nothing went wrong */
    int saved_errno; /* the errno that caused it, or 0 */
    char text[ERROR_TEXT_BYTES];
};

/* Sets the code and the sentence, as printf does. A sentence that is too long is cut. Always returns -1. */
int error_set(struct error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
int error_vset(struct error *err, int code, const char *format, va_list args);

/*
 * The same, followed by ": <strerror(errno)>". The given code is kept, except that ENOMEM becomes EX_OSERR
 * and ENOSPC, EDQUOT, EFBIG and EIO become EX_IOERR. Always returns -1.
 */
int error_errno(struct error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the sentence. Always returns -1. */
int error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Whether this errno means that the machine has a problem (EIO, ESTALE, no descriptors, no memory) that
 * concerns all files and not only this one. The run then ends, instead of rejecting every row that follows.
 */
bool errno_of_machine(int number);

/* Clears the error, for a caller that has recovered. */
void error_clear(struct error *err);

/* Copies at most bytes-1 bytes of s to out, with '?' in place of control characters, DEL
 * and invalid UTF-8. Returns out. */
const char *text_for_people(char *out, unsigned long bytes, const char *s);

#ifdef __clang_analyzer__
/* For the static analyser, which reads one file at a time: without these macros it assumes that error_set may
 * return 0. */
#define error_set(...) (error_set(__VA_ARGS__), -1)
#define error_errno(...) (error_errno(__VA_ARGS__), -1)
#define error_prefix(...) (error_prefix(__VA_ARGS__), -1)
#endif

#endif
