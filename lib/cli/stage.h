/* stage.h: functions that every program calls to begin, to show progress, and to end. */
#ifndef WINNOW_CLI_STAGE_H
#define WINNOW_CLI_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "cli/options.h"

struct stage_counts {
    uint64_t n_read, n_kept, n_rejected;
};

/* Sets the name for messages, the C locale and the signal handlers, and opens descriptors 0..2 if they are
 * closed. It is the first line of every main. */
void stage_begin(const char *name);
const char *stage_name(void);

/* Returns the exit code for main. When rc < 0, prints the error as "name: text" and returns err->code.
 * Otherwise prints the counts, if -v was given, and checks --max-rejects. counts and common may be NULL. */
int stage_end(int rc, const struct error *err, const struct stage_counts *counts,
              const struct common_options *common);

/* Prints "name: text" on standard error, with '?' for control characters. For warnings;
 * errors are returned in struct error. */
void stage_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Calls stage_warn for each line of text. Does nothing when text is NULL. */
void stage_warn_lines(const char *text);

/* Prints one line, if -v was given. */
void stage_note(const struct common_options *common, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * The progress line. It is drawn on standard error at most ten times a second, when that is a terminal and
 * -q was not given; with --progress it is a plain line every 10 s. total 0 means unknown. extra is a short
 * text after the rate ("loss 0.41"), or NULL.
 */
struct progress {
    bool on, tty;
    double started, drawn;
    uint64_t total;
    const char *unit;
};
void progress_start(struct progress *p, const struct common_options *common, uint64_t total,
                    const char *unit);
void progress_update(struct progress *p, uint64_t done, const char *extra);
void progress_end(struct progress *p); /* wipes the line */

/* Returns the number of threads that -j asks for: common->threads, or one for each processor when that is
 * 0. */
unsigned stage_threads(const struct common_options *common);

#endif
