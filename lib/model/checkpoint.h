/*
 * checkpoint.h: a file of named blocks of bytes, each with a checksum, that is complete or does not exist.
 * `train` saves in it what it needs to continue (weights, state of the optimiser, counters, its options as
 * text), and its best weights. This module does not know what the blocks mean. docs/training-run.md has the
 * layout: a header, a table of {name, offset, bytes, XXH3-128}, and the blocks at multiples of 64.
 */
#ifndef WINNOW_MODEL_CHECKPOINT_H
#define WINNOW_MODEL_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define CHECKPOINT_MAX_SECTIONS 64
#define CHECKPOINT_NAME_BYTES 32

/* A block to write: its bytes, or, when bytes is NULL, a function that puts n_bytes of them into a buffer
 * (returning 0 or -1), so that at most the largest such block is in memory. */
struct checkpoint_section {
    const char *name;
    const void *bytes;
    size_t n_bytes;
    int (*fill)(void *context, int which, void *buffer, struct error *err);
    void *context;
    int which;
};

/* Writes path atomically (the old file or the whole new one, synced). Names must
 * differ, and be shorter than 32 bytes. */
int checkpoint_write(const char *path, const struct checkpoint_section *sections, size_t n_sections,
                     struct error *err);

struct checkpoint {
    char *data;
    size_t n_bytes;
    size_t n_sections;
};
#define CHECKPOINT_EMPTY ((struct checkpoint){0})

/* Reads and checks the whole file. EX_NOINPUT when it does not exist, EX_DATAERR when
 * anything in it is damaged or missing. */
int checkpoint_read(struct checkpoint *c, const char *path, struct error *err);
/* The same for bytes in memory (malloc'ed), which c then owns. For tests and fuzzing. */
int checkpoint_take(struct checkpoint *c, char *data, size_t n_bytes, const char *name, struct error *err);
/* The block with this name, borrowed from c, at a multiple of 64 from the start of the
 * file; NULL when there is none. */
const void *checkpoint_find(const struct checkpoint *c, const char *name, size_t *n_bytes);
/* Copies a block of exactly n_bytes to out; otherwise EX_DATAERR names it. */
int checkpoint_copy(const struct checkpoint *c, const char *name, void *out, size_t n_bytes,
                    struct error *err);
void checkpoint_release(struct checkpoint *c);

#endif
