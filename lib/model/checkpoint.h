/*
 * checkpoint.h: reads and writes a file of named blocks of bytes, each with a checksum. The file is complete
 * or does not exist. `train` saves in it what it needs to continue: weights, the state of the optimiser,
 * counters, its options as text, and its best weights. This module does not know what the blocks mean.
 * docs/training-run.md has the layout: a header, a table of {name, offset, bytes, XXH3-128}, and the blocks
 * at multiples of 64.
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

/* Writes path atomically: at any time it is the old file or the whole new one. The names of the sections must
 * differ, and be shorter than 32 bytes. */
int checkpoint_write(const char *path, const struct checkpoint_section *sections, size_t n_sections,
                     struct error *err);

struct checkpoint {
    char *data;
    size_t n_bytes;
    size_t n_sections;
};
#define CHECKPOINT_EMPTY ((struct checkpoint){0})

/* Reads and checks the whole file. Returns 0, or -1 with err set: EX_NOINPUT when it does not exist,
 * EX_DATAERR when any part is damaged or missing. */
int checkpoint_read(struct checkpoint *c, const char *path, struct error *err);
/* Does the same with malloc'ed bytes, which c then owns. For tests and fuzzing. */
int checkpoint_take(struct checkpoint *c, char *data, size_t n_bytes, const char *name, struct error *err);
/* Returns the block with this name, borrowed from c, or NULL when there is none. Its offset in the file is a
 * multiple of 64. */
const void *checkpoint_find(const struct checkpoint *c, const char *name, size_t *n_bytes);
/* Copies a block of exactly n_bytes to out. Fails with EX_DATAERR, and names the block, when it is missing or
 * has another size. */
int checkpoint_copy(const struct checkpoint *c, const char *name, void *out, size_t n_bytes,
                    struct error *err);
void checkpoint_release(struct checkpoint *c);

#endif
