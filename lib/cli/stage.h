/* stage.h: how every program begins, shows progress, and ends. */
#ifndef WINNOW_CLI_STAGE_H
#define WINNOW_CLI_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "cli/options.h"

struct stage_counts {
    uint64_t n_read, n_kept, n_rejected;
};

/* Sets the name for messages, the C locale and the signals, and opens descriptors 0..2 if they are
 * closed. The first line of every main. */
void stage_begin(const char *name);
const char *stage_name(void);

/* Prints the error when rc < 0 ("name: text"; the exit code is err->code), and otherwise the counts when
 * verbose, and checks --max-rejects. Returns the exit code for main. counts and common may be NULL. */
int stage_end(int rc, const struct error *err, const struct stage_counts *counts,
              const struct common_options *common);

/* Prints "name: text" on standard error, with '?' for control characters. For warnings;
 * errors are returned in struct error. */
void stage_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same for each line of a text; NULL is none. */
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

/* The number of threads for -j: common->threads, or one for each processor. */
unsigned stage_threads(const struct common_options *common);

#endif
