/*
 * stage.h: how a program begins, shows progress, and ends, the same in every stage.
 */
#ifndef WINNOW_CLI_STAGE_H
#define WINNOW_CLI_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "cli/options.h"

struct stage_counts {
    uint64_t n_read, n_kept, n_rejected;
};

/* Name for messages, C locale, signals (short stage), descriptors 0..2 open. First line of every
 * main. */
void stage_begin(const char *name);
const char *stage_name(void);

/*
 * Prints the error (rc < 0: "name: text", exit code err->code), or the counts when verbose, checks
 * --max-rejects. Returns the exit code for main. counts may be NULL. common may be NULL.
 */
int stage_end(int rc, const struct error *err, const struct stage_counts *counts,
              const struct common_options *common);

/* "name: text" on stderr, control characters as '?'. For warnings; errors travel in struct error. */
void stage_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One line of the family's -v output. */
void stage_note(const struct common_options *common, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * The progress line: drawn on stderr at most ten times a second when stderr is a terminal and not quiet, or
 * every 10 s as plain lines with --progress. total 0: unknown. extra is a short text after the rate ("loss
 * 0.41"), or NULL.
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

/* Threads for -j: common->threads or all processors. */
unsigned stage_threads(const struct common_options *common);

#endif
