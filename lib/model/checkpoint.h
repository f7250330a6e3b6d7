/*
 * checkpoint.h: a file of named byte blocks, whole or not at all, each with its checksum. What `train` saves
 * to go on from (weights, optimiser state, counters, its options as text) and keeps its best weights in.
 * Knows nothing of what is inside. Layout in docs/training-run.md: a header, a table of {name, offset, bytes,
 * XXH3-128}, the blocks at multiples of 64.
 */
#ifndef WINNOW_MODEL_CHECKPOINT_H
#define WINNOW_MODEL_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define CHECKPOINT_MAX_SECTIONS 64
#define CHECKPOINT_NAME_BYTES 32

/*
 * A block to write: bytes in hand, or, with bytes NULL, a function that puts n_bytes of them into a buffer (0
 * or -1), so that no more than the largest such block is in memory at a time.
 */
struct checkpoint_section {
    const char *name;
    const void *bytes;
    size_t n_bytes;
    int (*fill)(void *context, int which, void *buffer, struct error *err);
    void *context;
    int which;
};

/* Writes path atomically (the old file or the whole new one, synced). Names are unique, shorter than 32
 * bytes. */
int checkpoint_write(const char *path, const struct checkpoint_section *sections, size_t n_sections,
                     struct error *err);

struct checkpoint {
    char *data;
    size_t n_bytes;
    size_t n_sections;
};
#define CHECKPOINT_EMPTY ((struct checkpoint){0})

/* Reads and checks the whole file. EX_NOINPUT when it is not there, EX_DATAERR when anything in it is damaged
 * or cut off. */
int checkpoint_read(struct checkpoint *c, const char *path, struct error *err);
/* The same over bytes in memory, which c then owns (malloc'd). For tests and fuzzing. */
int checkpoint_take(struct checkpoint *c, char *data, size_t n_bytes, const char *name, struct error *err);
/* A block, borrowed from c, 64-byte aligned relative to the file's start; NULL when there is none of that
 * name. */
const void *checkpoint_find(const struct checkpoint *c, const char *name, size_t *n_bytes);
/* Copies a block of exactly n_bytes to out, or EX_DATAERR naming it. */
int checkpoint_copy(const struct checkpoint *c, const char *name, void *out, size_t n_bytes,
                    struct error *err);
void checkpoint_release(struct checkpoint *c);

#endif
