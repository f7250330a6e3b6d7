/*
 * pdq_kernels.h: the four loops in which PDQ spends its time. Used inside lib/hash only.
 *
 * The running sums of the box filters are defined addition by addition, so that one row cannot be divided
 * among the lanes of a vector. The pass over rows therefore works on sixteen rows at once, one in each lane,
 * from a transposed block. The pass over columns has one column in each lane. Every lane does exactly the
 * additions, subtractions and the division of the plain loop in the same order, so that the bits do not
 * depend on the width of the vectors.
 */
#ifndef WINNOW_HASH_PDQ_KERNELS_H
#define WINNOW_HASH_PDQ_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* The rows in a transposed block: two vectors of eight, whose two chains of
 * additions hide the adder's latency. */
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
    /* The same, but only the n_picks outputs at the ascending positions pick[k], which
     * may repeat: out[k * 16 + lane]. */
    void (*row_box_picked)(float *out, const uint32_t *pick, size_t n_picks, const float *in, size_t n,
                           size_t w);
    /* One step of the pass over columns: sum += add, sum -= drop, out = sum /
     * count; NULL leaves a part out. */
    void (*column_step)(float *sum, const float *add, const float *drop, float *out, float count, size_t n);
};

/* The best for this processor, chosen once. */
const struct pdq_kernels *pdq_kernels(void);
/* The plain ones, for tests. They give the same bits. */
const struct pdq_kernels *pdq_kernels_plain(void);

#endif
