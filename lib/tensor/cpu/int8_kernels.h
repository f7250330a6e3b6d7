/* int8_kernels.h: the inner loops on bytes, compiled once for each instruction set; all give the same
 * bits. */
#ifndef WINNOW_TENSOR_CPU_INT8_KERNELS_H
#define WINNOW_TENSOR_CPU_INT8_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/simd.h"

enum {
    INT8_BLOCK = 16,       /* output channels that are packed together */
    INT8_MOST_BLOCKS = 16, /* most_blocks, at most */
    INT8_BEYOND = 1024     /* bytes that are readable after the last weights */
};

/* The weights and limits for n_blocks blocks of output channels. */
struct int8_window {
    /* [block][run][step][16][4]: for each channel of a block, the weights of four consecutive bytes. A run
     * is a contiguous part of a window, n_steps times 4 bytes long. */
    const int8_t *weights;
    size_t block_bytes;
    const size_t *run_at; /* [n_runs]: offset of each run from the first byte of the window */
    int n_runs, n_steps;
    /* NULL, or for kernels that join steps: the steps of one block in another order, with the offset of each.
     * First come n_fours groups of four adjacent steps (with the offset of the first step), then n_twos
     * groups of two, then single steps. The products of a group can be added in 16 bits without overflow. */
    const int32_t *step_at;
    int n_fours, n_twos;
    int n_blocks, n_channels; /* up to most_blocks; channels in them that are written */
    const int32_t *bias;
    const float *factor; /* byte = clamp(sum * factor) + zero */
    float low, high;     /* of sum * factor */
    int zero;
};

struct int8_kernels {
    const char *isa;
    bool joins_steps; /* takes step_at */
    int most_blocks;
    int most_pixels[INT8_MOST_BLOCKS + 1]; /* pixels at a time, by n_blocks */
    /* y[i * y_stride ..] of n_pixels pixels, whose windows begin at x[i]. Writes no byte after n_channels. */
    void (*conv)(const struct int8_window *w, const uint8_t *const *x, int n_pixels, uint8_t *y,
                 size_t y_stride);
    /* Writes the sums themselves, with the bias, to sums [n_pixels][n_blocks * 16]. */
    void (*conv_sums)(const struct int8_window *w, const uint8_t *const *x, int n_pixels, int32_t *sums);
    /* sums [n_c] = bias + sum over taps of at[i][c] * weights[i * n_c + c], for one pixel */
    void (*depthwise)(const uint8_t *const *at, int n_taps, const int16_t *weights, const int32_t *bias,
                      int n_c, int32_t *sums);
    void (*to_bytes)(const int32_t *sums, const float *factor, int n_c, float low, float high, int zero,
                     uint8_t *y);
    void (*max)(uint8_t *y, const uint8_t *x, size_t n);
    void (*max_of)(uint8_t *y, const uint8_t *const *at, int n_taps, size_t n); /* of n_taps pixels */
    void (*sum)(uint32_t *y, const uint8_t *x, size_t n);                       /* y += x */
    void (*mean)(uint8_t *y, const uint32_t *sums, size_t n,
                 float share); /* the byte nearest to sum * share */
    /* Computes such a mean over n_taps pixels (at most 256) of n bytes each. */
    void (*mean_of)(uint8_t *y, const uint8_t *const *at, int n_taps, size_t n, float share);
    /* y = clamp((a - zero_a) * factor_a + (b - zero_b) * factor_b) + zero */
    void (*add)(uint8_t *y, const uint8_t *a, const uint8_t *b, size_t n, const float factor[2],
                const int zeros[3], float low, float high);
};

/* Returns the i-th set of kernels for this processor, from the slowest to the fastest, or NULL after the
 * last. The first is plain C. */
const struct int8_kernels *int8_kernels_at(int i);
/* Returns the fastest set up to this level. VNNI and AMX are used only if neither WINNOW_SIMD nor
 * ONEDNN_MAX_CPU_ISA is set. */
const struct int8_kernels *int8_kernels_best(enum simd level);
const struct int8_kernels *int8_kernels_base(void);
const struct int8_kernels *int8_kernels_avx2(void); /* returns NULL on other processors */
const struct int8_kernels *int8_kernels_avxvnni(void);
const struct int8_kernels *int8_kernels_avx512(void);
const struct int8_kernels *int8_kernels_vnni(void);
const struct int8_kernels *int8_kernels_amx(void);

#endif
