/*
 * relabel.h: applies decisions to a manifest.
 */
#ifndef WINNOW_RELABEL_H
#define WINNOW_RELABEL_H

#include <stdbool.h>

#include "cli/stage.h"
#include "manifest/manifest.h"
#include "review/decisions.h"

struct relabel_options {
    struct common_options common;
    struct option_strings decisions;
    const char *stats, *conflicts;
    bool new_classes, require_agreement;
};

struct relabel_counts {
    uint64_t n_relabelled, n_already, n_kept, n_dropped, n_unsure, n_disputed, n_undecided, n_restored;
    /* Numbers of pictures: on which reviewers disagree; with a decision and in the manifest; with a decision
     * and not in it. */
    uint64_t n_conflicts, n_here, n_elsewhere;
};

/* Applies the decisions to the rows of t, writes each row to out or rejects, and fills n. d must be sorted.
 * Fails with EX_DATAERR when the class of a decision is unknown; the message names it. */
int relabel_run(const struct manifest_table *t, const struct decisions *d, const struct relabel_options *o,
                struct manifest_writer *out, struct manifest_writer *rejects, struct relabel_counts *n,
                struct error *err);
/* Write the files of --stats and --conflicts. Return 0, or -1 with err set and no file written. */
int relabel_write_stats(const char *path, const struct relabel_counts *n, const struct decisions *d,
                        struct error *err);
int relabel_write_conflicts(const char *path, const struct decisions *d, struct error *err);

#endif
