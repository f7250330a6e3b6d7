/*
 * pdq_kernels.h: the four loops in which PDQ spends its time, at home in lib/hash.
 *
 * The running sums of the box filters are defined addition by addition, so a row cannot be split among lanes.
 * The row pass therefore takes sixteen rows at once, a row to a lane, from a transposed block; the column
 * pass takes a lane a column. Every lane does the additions, subtractions and the division of the plain loop
 * in its order, and nothing else, so the bits do not depend on the width of the vectors.
 */
#ifndef WINNOW_HASH_PDQ_KERNELS_H
#define WINNOW_HASH_PDQ_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* rows in a transposed block: two vectors of eight, two chains to hide the adder's latency */
#define PDQ_BLOCK 16

struct pdq_kernels {
    /* dst[x] = luma of the pixel at column[x] (x when column is NULL), n of them; 3 channels or 1. */
    void (*luma)(float *dst, const uint8_t *row, const uint32_t *column, size_t n, unsigned channels);
    /* block[x * 16 + lane] = rows[lane * stride + x] for x < n; n and stride multiples of 8 floats, all
     * 32-byte aligned. */
    void (*transpose_in)(float *block, const float *rows, size_t stride, size_t n);
    void (*transpose_out)(float *rows, size_t stride, const float *block, size_t n);
    /* 1-D box of full window w over x = 0..n-1 of 16 lanes: out[x][16] from in[x][16]. */
    void (*row_box)(float *out, const float *in, size_t n, size_t w);
    /* The same, but only the n_picks outputs at ascending positions pick[k] (repeats allowed): out[k * 16 +
     * lane]. */
    void (*row_box_picked)(float *out, const uint32_t *pick, size_t n_picks, const float *in, size_t n,
                           size_t w);
    /* One step of the column pass: sum += add (if any); sum -= drop (if any);
     * out = sum / count (if wanted). */
    void (*column_step)(float *sum, const float *add, const float *drop, float *out, float count, size_t n);
};

/* For this processor, chosen once. */
const struct pdq_kernels *pdq_kernels(void);
/* The plain ones, for tests: the same bits. */
const struct pdq_kernels *pdq_kernels_plain(void);

#endif
