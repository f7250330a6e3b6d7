/*
 * op_host.h: what a backend whose memory is not the host's does on the host: the name of an operation for
 * messages, and parameters in the order [cout][kh][kw][cin].
 */
#ifndef WINNOW_TENSOR_OP_HOST_H
#define WINNOW_TENSOR_OP_HOST_H

#include <stdio.h>
#include <string.h>

#include "tensor/backend.h"

/* "conv2d_5 (Conv 32x73x73x64 -> 32x71x71x192, 3x3 stride 1x1)" */
static inline void op_host_name(const struct op_desc *d, char *out, size_t bytes)
{
    static const char *const kinds[OP_KINDS] =
        {"Conv",       "Depthwise", "Dense",   "BatchNorm",   "Affine",
         "Activation", "Curve",     "MaxPool", "AveragePool", "GlobalAveragePool",
         "Concat",     "Add",       "ZeroPad", "Resize",      "Reshape",
         "Multiply",   "Product",   "Scale",   "Softmax"};
    const struct tensor_shape *x = &d->x[0], *y = &d->y;
    char window[60] = "";
    if (d->kernel_h && (d->kind == OP_CONV || d->kind == OP_DEPTHWISE || d->kind == OP_MAX_POOL ||
                        d->kind == OP_AVERAGE_POOL))
        snprintf(window, sizeof window, ", %dx%d stride %dx%d", d->kernel_h, d->kernel_w, d->stride_h,
                 d->stride_w);
    snprintf(out, bytes, "%s (%s %dx%dx%dx%d -> %dx%dx%dx%d%s)", d->name ? d->name : "?", kinds[d->kind],
             x->n, x->h, x->w, x->c, y->n, y->h, y->w, y->c, window);
}

/*
 * Keras [kh,kw,cin,cout] and ours: PARAM_CONV [cout,kh,kw,cin]; PARAM_DEPTHWISE (cout the multiplier) one
 * filter of [kh,kw] for each of the cin * cout channels that come out. Dense kernels and vectors are the same
 * on both sides.
 */
static inline void op_host_reorder(const struct param_shape *p, const float *from, float *to, bool to_keras)
{
    size_t taps = (size_t)p->kh * (size_t)p->kw, cin = (size_t)p->cin, cout = (size_t)p->cout;
    if (p->kind == PARAM_DENSE || p->kind == PARAM_VECTOR) {
        memcpy(to, from, taps * cin * cout * sizeof *to);
        return;
    }
    for (size_t t = 0; t < taps; t++)
        for (size_t i = 0; i < cin; i++)
            for (size_t o = 0; o < cout; o++) {
                size_t keras = (t * cin + i) * cout + o;
                size_t ours = p->kind == PARAM_CONV ? (o * taps + t) * cin + i : (i * cout + o) * taps + t;
                to[to_keras ? keras : ours] = from[to_keras ? ours : keras];
            }
}

#endif
