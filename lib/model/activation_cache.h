/*
 * activation_cache.h: a file with the outputs of the frozen part of a network for each picture, so that each
 * is computed only once. Phase `head` keeps the pooled features (2048 float32, 8 KiB a picture). Phase
 * `fine-tune` may keep the activations at the boundary, which is the last frozen layer. When InceptionV3 is
 * unlocked from conv2d_56 on, these are 268,192 values: 1.02 MiB a picture as float32, and half of that as
 * float16.
 *
 * A row is only found for exactly the input and the network from which it was computed. The name and the
 * header of the file contain `identity`, a hash of everything but the picture on which activations depend:
 * the frozen layers with their weights, the scaling, the kind of device, the precision. The key of a row is
 * the content hash of the picture, its variant, and a checksum of the pixels themselves. When the resizing,
 * the crop or the augmentation changes, no row has the new key.
 *
 * The file survives kill -9. It only grows, one block (a batch) at a time. A block has a checksum of its head
 * and one of its payload, is written by one call, and is used only when both checksums agree. The next writer
 * removes an incomplete block that a crash left at the end. A damaged block is skipped, and its pictures are
 * computed again. Any number of processes may read while one appends; a second writer gets EX_TEMPFAIL.
 */
#ifndef WINNOW_MODEL_ACTIVATION_CACHE_H
#define WINNOW_MODEL_ACTIVATION_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum activation_dtype { ACTIVATION_F32, ACTIVATION_F16 };

struct activation_key {
    uint8_t content[16]; /* XXH3-128 of the picture's file */
    uint8_t pixels[16];  /* checksum of the bytes that the network reads, and of their kind */
    uint32_t variant;
    uint32_t reserved; /* 0 */
};

struct activation_cache;

/* Returns the bytes on disk for n_pictures pictures, for a message. */
uint64_t activation_cache_bytes(size_t n_values, enum activation_dtype dtype, uint64_t n_pictures);

/* Opens <folder>/<name>-<first 16 digits of identity>.cache, which is created if it does not exist. Reads its
 * index, and maps its rows. n_values: values for each picture. identity: 32 hexadecimal digits. */
int activation_cache_open(struct activation_cache **out, const char *folder, const char *name,
                          const char *identity, size_t n_values, enum activation_dtype dtype,
                          struct error *err);
/* Reads the file again, to find rows that another process has appended. */
int activation_cache_reread(struct activation_cache *c, struct error *err);
/* Returns the row of a key, or -1. Any thread may call it while none appends. */
int64_t activation_cache_find(const struct activation_cache *c, const struct activation_key *key);
size_t activation_cache_rows(const struct activation_cache *c);
/* Copies the n_values floats of a row to out; float16 values are converted. Any thread may call it while none
 * appends. */
void activation_cache_get(const struct activation_cache *c, int64_t row, float *out);
/*
 * Appends a block of n rows: keys [n], values [n][n_values] (rounded to nearest even for float16). The first
 * call acquires the writer's lock, and fails with EX_TEMPFAIL when another process holds it. The rows can be
 * found at once.
 */
int activation_cache_append(struct activation_cache *c, const struct activation_key *keys,
                            const float *values, size_t n, struct error *err);
/* Syncs the appended blocks to the disk, and releases the writer's lock. */
int activation_cache_flush(struct activation_cache *c, struct error *err);
void activation_cache_close(struct activation_cache *c);

#endif
