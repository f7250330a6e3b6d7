/*
 * op_host.h: functions on the host that all backends share: the name of an operation for messages, the order
 * of parameters [cout][kh][kw][cin], and the values that backward reads.
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
 * Converts parameters between Keras' layout [kh,kw,cin,cout] and ours. Ours is [cout,kh,kw,cin] for
 * PARAM_CONV. For PARAM_DEPTHWISE (cout is the multiplier) it is one filter [kh,kw] for each of the cin *
 * cout output channels. Dense kernels and vectors are the same in both.
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

/* Returns which values of the forward pass the gradients of most operations need. */
static inline unsigned op_host_backward_reads(const struct op_desc *d)
{
    unsigned reads = d->activation != OP_LINEAR ? BACKWARD_READS_Y : 0;
    switch (d->kind) {
    case OP_CONV:
    case OP_DEPTHWISE:
    case OP_DENSE: return reads | (d->needs_dw ? BACKWARD_READS_X : 0);
    case OP_BATCH_NORM:
    case OP_CURVE:
    case OP_PRODUCT:
    case OP_SCALE: return reads | BACKWARD_READS_X;
    default: return reads;
    }
}

/* Returns -1 with err set for an operation that cuda cannot run (the message names it), and otherwise 0. */
static inline int op_host_refuses(const struct op_desc *d, const char *name, int n_gpus, int most_channels,
                                  struct error *err)
{
    bool softmax_of_map = d->kind == OP_SOFTMAX && (d->y.h > 1 || d->y.w > 1);
    bool cuts = d->kind == OP_ZERO_PAD &&
                (d->pad_top < 0 || d->pad_bottom < 0 || d->pad_left < 0 || d->pad_right < 0);
    bool flat = d->kind == OP_RESHAPE || d->kind == OP_MULTIPLY || d->kind == OP_ACTIVATION ||
                (d->kind == OP_DENSE && d->y.c <= most_channels);
    if (softmax_of_map || cuts || d->kind == OP_RESIZE || d->kind == OP_CHANNELS || d->kind == OP_CURVE ||
        d->kind == OP_SCALE)
        return error_set(err, EX_UNAVAILABLE, "cuda: %s: this operation runs on the CPU only (--device cpu)",
                         name);
    if (d->y.n % n_gpus)
        return error_set(err, EX_USAGE, "cuda: %s: %d pictures do not divide among %d GPUs", name, d->y.n,
                         n_gpus);
    if (!flat && (d->y.c > most_channels || d->x[0].c > most_channels))
        return error_set(err, EX_UNAVAILABLE, "cuda: %s: more than %d channels", name, most_channels);
    return 0;
}

/* Converts bytes to signed bytes: value - 128. */
static inline void op_host_to_signed(uint8_t *restrict to, const uint8_t *restrict from, size_t n)
{
    size_t i = 0;
    for (uint64_t v; i + sizeof v <= n; i += sizeof v) {
        memcpy(&v, from + i, sizeof v);
        v ^= 0x8080808080808080;
        memcpy(to + i, &v, sizeof v);
    }
    for (; i < n; i++)
        to[i] = from[i] ^ 0x80;
}

static inline void op_host_to_floats(float *to, const uint8_t *from, size_t n, float scale, float offset)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (float)from[i] * scale + offset;
}

/* For average pools with more padding on one side: computes for each pixel of y (h x w) the factor that
 * corrects an average over the whole window, so that padding does not count. */
static inline void op_host_average_factors(const struct op_desc *d, float *factors)
{
    for (int y = 0; y < d->y.h; y++)
        for (int x = 0; x < d->y.w; x++) {
            int y0 = y * d->stride_h - d->pad_top, x0 = x * d->stride_w - d->pad_left, y1 = y0 + d->kernel_h,
                x1 = x0 + d->kernel_w;
            int rows = (y1 < d->x[0].h ? y1 : d->x[0].h) - (y0 > 0 ? y0 : 0),
                columns = (x1 < d->x[0].w ? x1 : d->x[0].w) - (x0 > 0 ? x0 : 0);
            *factors++ =
                (float)(d->kernel_h * d->kernel_w) / (float)(rows * columns > 0 ? rows * columns : 1);
        }
}

#endif
