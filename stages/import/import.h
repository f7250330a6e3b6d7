/* import.h: adds pictures that are on disk to a run's store, as fetch adds downloaded pictures. */
#ifndef WINNOW_IMPORT_H
#define WINNOW_IMPORT_H

#include "base/error.h"
#include "cli/options.h"
#include "cli/stage.h"
#include "manifest/filter.h"

enum import_by { IMPORT_COPY, IMPORT_LINK, IMPORT_LEAVE };

struct import_options {
    struct common_options common; /* root: the folder to which paths are relative afterwards */
    const char *from;             /* the folder to which paths are relative now */
    const char *store;            /* NULL: ROOT/store; inside the root */
    int by;                       /* enum import_by */
    struct option_strings blocklists;
};
#define IMPORT_DEFAULTS                                                                                      \
    {                                                                                                        \
        .common = COMMON_OPTIONS_DEFAULTS, .from = "."                                                       \
    }

/*
 * For every row, reads the file, adds it to the store under its content hash, and writes the row with path
 * (of the object, relative to the root), bytes, xxh128 and source (the old path). Rejects: not-found,
 * unreadable, outside-root, empty-file, too-many-bytes, not-a-picture, blocked, taken-down. The objects are
 * durable when this returns 0. The caller commits f.
 */
int import_run(const struct import_options *o, struct manifest_filter *f, struct stage_counts *n,
               struct error *err);

#endif
