/*
 * kernels.h: the inner loops of the CPU backend, compiled once for each instruction set and chosen when the
 * device is opened. A run is n_pixels pixels of n_c adjacent floats. Strides are in floats. No kernel starts
 * threads.
 */
#ifndef WINNOW_TENSOR_CPU_KERNELS_H
#define WINNOW_TENSOR_CPU_KERNELS_H

#include <stddef.h>
#include <stdint.h>

struct act {
    int kind;
    float max;
}; /* kind: enum op_activation; max: the cap of OP_RELU_CAPPED */

/* The windows of n output pixels of a pool. The outputs are y_step apart, and their windows begin x_step
 * apart and have n_rows x n_cols taps. The number of a tap is first_tap + row * tap_stride + column. */
struct windows {
    size_t n, y_step, x_step, row_stride, px_stride;
    int n_rows, n_cols, n_c;
    int first_tap, tap_stride; /* max */
    float share;               /* sum */
};

struct kernels {
    const char *isa;
    /* sum[c] += sum of (x - shift), square[c] += sum of (x - shift)^2; shift[c] near the mean keeps float
     * sums exact enough */
    void (*moments)(const float *x, size_t stride, size_t n_pixels, int n_c, const float *shift, double *sum,
                    double *square, float *scratch);
    /* y = act(x * scale[c] + offset[c]) */
    void (*affine)(const float *x, size_t x_stride, float *y, size_t y_stride, size_t n_pixels, int n_c,
                   const float *scale, const float *offset, struct act act);
    /* g = dy * act'(x*scale + offset); sum[c] += g, dot[c] += g * (x - mean[c]) */
    void (*norm_sums)(const float *x, size_t x_stride, const float *dy, size_t dy_stride, size_t n_pixels,
                      int n_c, const float *scale, const float *offset, const float *mean, struct act act,
                      double *sum, double *dot, float *scratch);
    /* dx (+)= a[c]*g + b[c]*x + c0[c], g as above */
    void (*norm_input)(const float *x, size_t x_stride, const float *dy, size_t dy_stride, float *dx,
                       size_t dx_stride, size_t n_pixels, int n_c, const float *scale, const float *offset,
                       const float *a, const float *b, const float *c0, struct act act, int accumulate);
    /* The two kinds of pools. max_windows sets y[c] to the largest value of a window, and winner (n x n_c
     * bytes, or NULL) to its tap, the first among equal values. sum_windows sets y[c] = share * sum. */
    void (*max_windows)(float *y, uint8_t *winner, const float *x, const struct windows *w);
    void (*sum_windows)(float *y, const float *x, const struct windows *w);
    void (*scatter_equal)(float *dx, const float *dy, const uint8_t *at, uint8_t index,
                          size_t n);                 /* dx += dy where at == index */
    void (*add)(float *y, const float *x, size_t n); /* y += x */
    void (*axpy)(float *y, const float *x, size_t n, float a);
    void (*scale)(float *y, size_t n, float a);
    void (*multiply)(float *y, const float *x, const float *m, size_t n); /* y = x * m */
    void (*activate)(float *y, const float *x, size_t n, struct act act);
    void (*silu)(float *y, const float *x, size_t n);                               /* y = x * sigmoid(x) */
    void (*activate_backward)(float *dy, const float *y, size_t n, struct act act); /* dy *= act'(y) */
    void (*bias_activate)(float *y, const float *bias, size_t n, struct act act);   /* y = act(y + bias) */
    /* c[n_rows x n_c] = a[n_rows x n_k] * b[n_k x n_c], with rows strides apart. Each sum is added
     * separately, in the order of k, so its bits do not depend on the other rows and columns. */
    void (*product)(const float *a, size_t a_stride, size_t n_rows, const float *b, size_t b_stride,
                    size_t n_k, size_t n_c, float *c, size_t c_stride);
    void (*bytes)(float *y, const uint8_t *x, size_t n, float scale, float offset);
    double (*squares)(const float *x, size_t n);
    void (*sgd)(float *p, const float *g, float *v, size_t n, float rate, float momentum, int nesterov);
    void (*adam)(float *p, const float *g, float *m, float *v, size_t n, float rate, float beta1, float beta2,
                 float epsilon);
};

const struct kernels *kernels_base(void);
const struct kernels *kernels_avx2(void); /* returns NULL on other processors */
const struct kernels *kernels_avx512(void);

#endif
