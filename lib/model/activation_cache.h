/*
 * activation_cache.h: keeps on disk what the frozen part of a network computes for each picture, so that it
 * is computed once. Phase `head` keeps the pooled features (2048 float32, 8 KiB a picture). Phase
 * `fine-tune` may keep the activations at the boundary, the last frozen layer (for InceptionV3 from
 * conv2d_56 on 268,192 values: 1.02 MiB a picture as float32, half of that as float16).
 *
 * An entry is never used for something else. The name and the header of the file contain `identity`, a hash
 * of everything but the picture on which activations depend: the frozen layers with their weights, the
 * scaling, the kind of device, the precision. The key of a row is the content hash of the picture, its
 * variant, and a checksum of the pixels themselves. A changed resize, crop or augmentation therefore finds
 * no row.
 *
 * The file survives kill -9. It only grows, one block (a batch) at a time. A block has a checksum of its
 * head and one of its payload, is written by one call, and is used only when both agree. The next writer
 * removes what a crash left at the end. A damaged block is skipped, and its pictures are computed again. Any
 * number of processes may read while one appends; a second writer gets EX_TEMPFAIL.
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

/* The bytes on disk for n pictures, for the message that states the cost. */
uint64_t activation_cache_bytes(size_t n_values, enum activation_dtype dtype, uint64_t n_pictures);

/* Opens or makes <folder>/<name>-<first 16 digits of identity>.cache, reads its index, and maps its rows.
 * n_values: values for each picture. identity: 32 hexadecimal digits. */
int activation_cache_open(struct activation_cache **out, const char *folder, const char *name,
                          const char *identity, size_t n_values, enum activation_dtype dtype,
                          struct error *err);
/* Reads the file again, to find rows that another process has appended. */
int activation_cache_reread(struct activation_cache *c, struct error *err);
/* The row of a key, or -1. May be called from any thread while none appends. */
int64_t activation_cache_find(const struct activation_cache *c, const struct activation_key *key);
size_t activation_cache_rows(const struct activation_cache *c);
/* Copies the n_values floats of a row to out; a float16 row is widened. May be called from
 * any thread while none appends. */
void activation_cache_get(const struct activation_cache *c, int64_t row, float *out);
/*
 * Appends a block of n rows: keys [n], values [n][n_values] (rounded to nearest even for float16). The first
 * call takes the writer's lock: EX_TEMPFAIL when another process has it. The rows can be found at once.
 */
int activation_cache_append(struct activation_cache *c, const struct activation_key *keys,
                            const float *values, size_t n, struct error *err);
/* Syncs what was appended, and releases the writer's lock. */
int activation_cache_flush(struct activation_cache *c, struct error *err);
void activation_cache_close(struct activation_cache *c);

#endif
