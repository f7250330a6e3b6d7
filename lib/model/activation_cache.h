/*
 * activation_cache.h: what the frozen part of a network makes of each picture, on disk, computed once.
 * Two users: phase `head` keeps the pooled features (2048 float32, 8 KiB a picture), phase `fine-tune` may
 * keep the activations at the boundary (268,192 values for InceptionV3 from conv2d_56: 1.02 MiB a picture as
 * float32, half as float16).
 *
 * Never stale. The file's name and header carry `identity`, a hash of all that makes an activation besides
 * the picture: the frozen layers with their weights, the scaling, the device kind and precision. A row's key
 * is the picture's content hash, its variant and a checksum of the very pixels fed in, so a changed resize,
 * crop or augmentation cannot match either.
 *
 * Safe against kill -9. The file only grows, block by block; a block (one batch) has a checksum of its head
 * and one of its payload, is written by one call, and counts only when both agree. What a crash left at the
 * end is cut off by the next writer. A damaged block is skipped and its pictures are computed again. Any
 * number may read while one process appends; a second writer is turned away (EX_TEMPFAIL).
 */
#ifndef WINNOW_MODEL_ACTIVATION_CACHE_H
#define WINNOW_MODEL_ACTIVATION_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum activation_dtype { ACTIVATION_F32, ACTIVATION_F16 };

struct activation_key {
    uint8_t content[16]; /* XXH3-128 of the picture's file */
    uint8_t pixels[16];  /* checksum of the bytes fed in, and their kind */
    uint32_t variant;
    uint32_t reserved; /* 0 */
};

struct activation_cache;

/* Bytes that n pictures take on disk, for the line that states the cost. */
uint64_t activation_cache_bytes(size_t n_values, enum activation_dtype dtype, uint64_t n_pictures);

/*
 * Opens or makes <folder>/<name>-<first 16 digits of identity>.cache, reads its index, maps its rows.
 * n_values: values a picture. identity: 32 hex digits.
 */
int activation_cache_open(struct activation_cache **out, const char *folder, const char *name,
                          const char *identity, size_t n_values, enum activation_dtype dtype,
                          struct error *err);
/* Reads the file again: rows that another process has appended since are then found. */
int activation_cache_reread(struct activation_cache *c, struct error *err);
/* The row of a key, or -1. Any thread, while none appends. */
int64_t activation_cache_find(const struct activation_cache *c, const struct activation_key *key);
size_t activation_cache_rows(const struct activation_cache *c);
/* n_values floats of a row to out; a float16 row is widened. Any thread, while none appends. */
void activation_cache_get(const struct activation_cache *c, int64_t row, float *out);
/*
 * Appends a block of n rows: keys [n], values [n][n_values] (rounded to nearest even for float16). The first
 * append takes the writer's lock; EX_TEMPFAIL when another process has it. Rows can be found at once.
 */
int activation_cache_append(struct activation_cache *c, const struct activation_key *keys,
                            const float *values, size_t n, struct error *err);
/* Syncs what was appended and lets the writer's lock go. */
int activation_cache_flush(struct activation_cache *c, struct error *err);
void activation_cache_close(struct activation_cache *c);

#endif
