/*
 * winograd.h: convolutions of stride 1 with 3x3, 5x5, 1x3, 3x1, 1x7 and 7x1 kernels by minimal filtering
 * (Winograd, Arithmetic Complexity of Computations, 1980; Lavin and Gray, Fast Algorithms for Convolutional
 * Neural Networks, 2016): a tile of outputs needs fewer multiplications than with direct sums. It computes
 * the forward pass, the gradient of the input (a convolution with the rotated kernel) and the gradient of the
 * weights (the transposed algorithm).
 *
 *   kernel  algorithm                     multiplications for outputs   instead of
 *   3x3     F(2x2, 3x3)                   16 for 4                      36
 *           F(2x4, 3x3): constant         24 for 8                      72
 *           weights, large maps
 *   5x5     F(2, 3) + F(2, 2) by F(2, 5): 42 for 4                      100
 *           constant weights
 *   1x3     F(4, 3)                       6 for 4                       12
 *   1x7     F(3, 4) + F(3, 3), taps 0..3  11 for 3                      21
 *           and 4..6 by themselves
 *
 * Interpolation points are 0, 1, -1, infinity; then 1/2; then -1/2. The last two cause half the rounding
 * error of 2 and -2. Larger tiles would need fewer multiplications and have larger rounding errors
 * (docs/notes/engine.md). Weights are transformed in double and rounded once.
 */
#ifndef WINNOW_TENSOR_CPU_WINOGRAD_H
#define WINNOW_TENSOR_CPU_WINOGRAD_H

#include <stdbool.h>

#include "tensor/cpu/cpu_view.h"

enum winograd_form {
    WINOGRAD_NONE,
    WINOGRAD_3X3,
    WINOGRAD_1X3,
    WINOGRAD_3X1,
    WINOGRAD_1X7,
    WINOGRAD_7X1,
    /* These only run forward, with constant weights. */
    WINOGRAD_3X3_WIDE,
    WINOGRAD_5X5
};

enum { MAX_POINTS = 42, MAX_TAPS = 25, MAX_PANEL = 64 };

/*
 * One convolution as tiles: output tile t has the rows and columns from (t / tiles_x % tiles_y) * step_y and
 * (t % tiles_x) * step_x on, of picture t / tiles_x / tiles_y. It reads from there on, minus the padding.
 */
struct winograd_grid {
    enum winograd_form form;
    int n, tiles_y, tiles_x, step_y, step_x;
    int pad_y, pad_x;
};

/* The loops for one instruction set. v, m and g are [points][rows][their columns]; rows is the
 * capacity of the block, n <= rows. With `panels`, v and g are [points][columns / vector][rows][vector]. */
struct winograd_kernels {
    int vector; /* floats */
    int panel;  /* columns of a packed panel, at most */
    /* v = transformed inputs of tiles first .. first + n; row_first: where in the block */
    void (*input)(const struct winograd_grid *g, const struct view *x, size_t first, size_t n, float *v,
                  size_t rows, bool panels);
    /* y of tiles from their products: columns c0 .. c0 + width; bias[c0..] and act, or added to y where
     * accumulate is set */
    void (*output)(const struct winograd_grid *g, const struct view *y, size_t first, size_t n,
                   const float *m, size_t rows, int c0, int width, const float *bias, struct act act,
                   bool accumulate);
    /* g = transformed gradients of the output tiles, in panels, for the gradient of the weights */
    void (*gradient)(const struct winograd_grid *g, const struct view *dy, size_t first, size_t n, float *out,
                     size_t rows);
    /* to[p * stride + c] = sum over taps t of matrix[p][t] * tap[t * tap_stride + c], in double; width is a
     * multiple of vector */
    void (*pack)(const double matrix[][MAX_TAPS], int n_points, const float *tap, size_t tap_stride,
                 int n_taps, int width, float *to, size_t stride);
    /* c[n x width] = a[n x n_k] * b[n_k x width]; width a multiple of vector, at most panel; n_k a
     * multiple of 16; rows of a follow each other. Meanwhile it prefetches what follows b, which is the
     * next b. */
    void (*product)(const float *a, size_t n, const float *b, int n_k, int width, float *c);
};
/* Returns NULL where the processor or the build has none */
const struct winograd_kernels *winograd_avx512(void);
const struct winograd_kernels *winograd_avx2(void);

/* Whether this operation can be computed in this way on this device. If so, none of the functions below
 * fails. */
bool winograd_suits(const struct backend *b, const struct op_desc *d);
size_t winograd_packed_bytes(const struct op_desc *d);
size_t winograd_workspace_bytes(const struct backend *b, const struct op_desc *d);
/* Transforms and packs Keras' [kh,kw,cin,cout] for the forward pass, or, with `backward`, rotated for the
 * gradient of the input. */
void winograd_pack(const struct backend *b, const struct op_desc *d, bool backward, const float *keras,
                   float *packed);
void winograd_forward(const struct backend *b, const struct op_desc *d, const struct op_io *io,
                      const float *packed, const float *bias, float *workspace);
/* io->dy must already be the gradient before the activation. dx is overwritten or added to. */
void winograd_backward_data(const struct backend *b, const struct op_desc *d, const struct op_io *io,
                            const float *packed, float *workspace);
void winograd_backward_weights(const struct backend *b, const struct op_desc *d, const struct op_io *io,
                               float *workspace);
#endif
