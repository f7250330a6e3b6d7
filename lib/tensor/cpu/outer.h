/*
 * outer.h: sums of outer products, c[m x n] = sum over k of a[k][m] * b[k][n], for the gradients of weights:
 * k goes over pixels or tiles, m over channels of the input, n over channels of the output.
 *
 * Both sides are read as panels of as many channels as a vector has, one k after another, which is what a
 * tensor in blocks of 8 channels is. Others are copied into panels a part at a time. The sums of a part begin
 * at zero and are then added to c, so that their order depends on the shapes only, never on threads.
 */
#ifndef WINNOW_TENSOR_CPU_OUTER_H
#define WINNOW_TENSOR_CPU_OUTER_H

#include "tensor/cpu/cpu_view.h"

/* Products in a part: a panel three vectors wide stays in the first-level cache. Not a power of two, so that
 * panels do not lie on the same lines of the cache. */
enum { OUTER_PART = 132 };

/* Value (run r, k, channel i) is p[i / vector * panel + r * run + k * vector + i % vector]. */
struct outer_panels {
    const float *p;
    size_t panel, run;
};

/* One part: n_runs runs of n values of k. */
struct outer_part {
    struct outer_panels a, b;
    size_t n_runs, n;
    float *c; /* [m][c_stride]: the sums are added to it */
    size_t c_stride;
};

struct outer_kernels {
    int vector; /* floats */
    /* Rows from .. to (from is a multiple of vector) and all n_columns of c. */
    void (*part)(const struct outer_part *p, int from, int to, int n_columns);
    /* Copies channels from .. to of n pixels of a tensor into panels. at: channel 0 of each pixel, or NULL
     * for zeros; to is rounded up with zeros. */
    void (*copy)(const float *const *at, size_t n, const struct view *v, int from, int to, float *panels,
                 size_t panel);
};
const struct outer_kernels *outer_avx512(void); /* NULL where the processor or the build has none */
const struct outer_kernels *outer_avx2(void);
const struct outer_kernels *outer_kernels(const struct backend *b);

/* Whether outer_gradient is for this operation on this device. */
bool outer_suits(const struct backend *b, const struct op_desc *d);
size_t outer_workspace_bytes(const struct backend *b, const struct op_desc *d);
/* dw of a convolution; io->dy has passed the activation already. The bits do not depend on threads. */
void outer_gradient(const struct backend *b, const struct op_desc *d, const struct op_io *io,
                    float *workspace);

#endif
