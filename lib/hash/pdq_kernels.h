/*
 * pdq_kernels.h: the four loops that take nearly all of PDQ's time. Internal to lib/hash.
 *
 * The published algorithm defines the order of every addition in the running sums of the box filters. One row
 * therefore cannot be divided among the lanes of a vector. The pass over rows therefore works on sixteen rows
 * at once, one in each lane, from a transposed block. The pass over columns has one column in each lane.
 * Every lane does the additions, the subtractions and the division of the plain loop in the same order. The
 * bits therefore do not depend on the width of the vectors.
 */
#ifndef WINNOW_HASH_PDQ_KERNELS_H
#define WINNOW_HASH_PDQ_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* The number of rows in a transposed block: two vectors of eight rows. Their two independent chains of
 * additions hide the latency of an addition. */
#define PDQ_BLOCK 16

struct pdq_kernels {
    /* dst[x] = luma of the pixel at column[x] (x when column is NULL), for n values of x; 3 channels or 1. */
    void (*luma)(float *dst, const uint8_t *row, const uint32_t *column, size_t n, unsigned channels);
    /* block[x * 16 + lane] = rows[lane * stride + x] for x < n; n and stride multiples of 8 floats, all
     * 32-byte aligned. */
    void (*transpose_in)(float *block, const float *rows, size_t stride, size_t n);
    void (*transpose_out)(float *rows, size_t stride, const float *block, size_t n);
    /* Box filter with full window w over x = 0..n-1, in 16 lanes: out[x][16] from in[x][16]. */
    void (*row_box)(float *out, const float *in, size_t n, size_t w);
    /* Does the same, but computes only the n_picks outputs at the positions pick[k], into out[k * 16 + lane].
     * The positions ascend and may repeat. */
    void (*row_box_picked)(float *out, const uint32_t *pick, size_t n_picks, const float *in, size_t n,
                           size_t w);
    /* One step of the pass over columns: sum += add, sum -= drop, out = sum / count. A part whose pointer is
     * NULL is left out. */
    void (*column_step)(float *sum, const float *add, const float *drop, float *out, float count, size_t n);
};

/* Returns the best kernels for this processor, which are chosen once. */
const struct pdq_kernels *pdq_kernels(void);
/* Returns the kernels without vectors, for tests. They give the same bits. */
const struct pdq_kernels *pdq_kernels_plain(void);

#endif
