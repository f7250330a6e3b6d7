/*
 * conv_tile.h: the loops of convolutions that add up products directly, for processors with AVX2 or AVX-512:
 * tiles of pixels times vectors of output channels, whose sums stay in registers. The address at which its
 * window begins identifies a pixel. From there, the window reads a list of runs of adjacent inputs. The list
 * is the same for all pixels, so one loop suits all kernel sizes, strides and layouts. No function here
 * starts threads.
 *
 * A long window is computed in several passes over the pixels. Each pass has as many runs as have weights
 * that fit into the first-level cache. Between passes the sums are in memory; the result is that of a single
 * pass.
 */
#ifndef WINNOW_TENSOR_CPU_CONV_TILE_H
#define WINNOW_TENSOR_CPU_CONV_TILE_H

#include <stdbool.h>

#include "tensor/cpu/kernels.h"

enum { TILE_PIXELS = 8 }; /* of a tile, at most */

struct tile_run {
    ptrdiff_t at, n; /* in floats, from the beginning of a window */
};

/* One pass over some runs, for the output channels in a few adjacent vectors. */
struct tile_pass {
    const float *packed; /* [floats of the runs][vectors * vector] */
    int vectors;
    const struct tile_run *runs;
    int n_runs;
    bool short_runs; /* each has 8 floats */
    /* [pixels, rounded up to a tile][vectors * vector]: the sums between passes. They are read after an
     * earlier pass (resume), and written before a later one (more). The last pass writes the outputs. */
    float *sums;
    bool resume, more;
    bool add;           /* the outputs to what is at y */
    size_t vector_step; /* floats between the vectors of an output pixel */
    int last;           /* floats of the last vector that are stored */
    const float *bias;  /* whole vectors */
    /* What is added to the outputs before the activation, a pointer for each pixel, with the same vectors; or
     * NULL. */
    const float *const *residual;
    size_t residual_step;
    float low, high; /* the activation: infinite where there is no bound */
    /* What is fetched into the cache meanwhile: weights that are needed next, of which ahead moves on, and
     * runs far_from .. far_to of the windows at far[0 .. n_far], of pixels that are needed later. */
    const char *ahead, *ahead_end;
    const float *const *far;
    size_t n_far; /* 0: nothing */
    int far_from, far_to;
};

struct tile_kernels {
    int vector; /* floats */
    int widest; /* vectors of a panel, at most */
    /* Size of the weights in a pass. With AVX-512, four vectors a step are more than the second-level cache
     * can deliver. */
    size_t pass_bytes;
    /* y[i] = min(high, max(low, sum of packed * window at x[i] + bias + residual[i])) for n pixels. Each sum
     * follows the order of the runs and does not depend on the other pixels. x has TILE_PIXELS - 1 more
     * pointers that can be read. */
    void (*pass)(struct tile_pass *p, const float *const *x, float *const *y, size_t n);
};
const struct tile_kernels *tiles_avx512(void); /* returns NULL where the processor or the build has none */
const struct tile_kernels *tiles_avx2(void);

#endif
