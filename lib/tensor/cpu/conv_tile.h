/*
 * conv_tile.h: the loops of convolutions that add up products directly, for processors with AVX2: tiles of
 * pixels times vectors of output channels, whose sums stay in registers. A pixel is given by where its window
 * begins. What the window reads from there is a list of runs of neighbouring inputs, the same for all pixels,
 * so that one loop serves all kernel sizes, strides and layouts: in blocks of 8 channels a run is 8 times the
 * kernel's width. Nothing here starts threads.
 */
#ifndef WINNOW_TENSOR_CPU_CONV_TILE_H
#define WINNOW_TENSOR_CPU_CONV_TILE_H

#include "tensor/cpu/kernels.h"

enum { TILE_VECTOR = 8, TILE_WIDEST = 3 }; /* floats of a vector, and vectors of a panel at most */

/* The output channels of some vectors side by side. */
struct tile_panel {
    const float *packed; /* [n_runs * run][vectors * TILE_VECTOR] */
    int vectors;
    const ptrdiff_t *runs; /* where each begins, in floats from the beginning of a window */
    int n_runs, run;       /* run: floats of each */
    size_t vector_step;    /* floats between the vectors of an output pixel */
    int last;              /* floats of the last vector that are stored */
    const float *bias;     /* whole vectors */
    float low, high;       /* the activation: infinite where there is no bound */
    /* What is fetched into the cache meanwhile: the weights that are needed next, of which ahead moves on,
     * and runs far_from .. far_to of the windows at far[0 .. n_far], of pixels that are needed later. */
    const char *ahead, *ahead_end;
    const float *const *far;
    size_t n_far; /* at least 1; far_to is 0 where there is nothing to fetch */
    int far_from, far_to;
};

/* y[i] = min(high, max(low, sum of packed * window at x[i] + bias)) for n pixels. Each sum is in the order of
 * the runs, whatever the pixels beside it. Needs kernels_avx2(). */
void tile_panel(struct tile_panel *p, const float *const *x, float *const *y, size_t n);

#endif
