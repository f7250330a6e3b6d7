/*
 * cpu_conv_packed.c: convolutions that train without oneDNN's primitives: 1x1 (by cpu_conv_tiled.c, and the
 * gradient of the weights by outer.h), and those that are suitable for minimal filtering (winograd.h).
 * Constant weights are packed once, and those that learn before each use.
 */
#include <omp.h>

#include "base/mem.h"
#include "tensor/cpu/cpu.h"
#include "tensor/cpu/outer.h"
#include "tensor/cpu/winograd.h"

static bool is_pointwise(const struct backend *b, const struct op_desc *d)
{
    return d->kind == OP_CONV && conv_groups(d) == 1 && d->kernel_h == 1 && d->kernel_w == 1 &&
           d->stride_h == 1 && d->stride_w == 1 && d->y.h == d->x[0].h && d->y.w == d->x[0].w &&
           d->x[0].c >= 16 && d->y.c >= 16 && outer_suits(b, d) &&
           (!b->block ||
            (d->x[0].c % b->block == 0 && d->y.c % b->block == 0 && d->y.parent_c % b->block == 0)) &&
           d->activation != OP_SIGMOID;
}

enum conv_algorithm conv_algorithm_of(const struct backend *b, const struct op_desc *d)
{
    return winograd_suits(b, d)     ? CONV_WINOGRAD
           : conv_tiled_suits(b, d) ? CONV_TILED
           : is_pointwise(b, d)     ? CONV_POINTWISE
                                    : CONV_ONEDNN;
}

/* A 1x1 convolution in one direction as cpu_conv_tiled.c knows it: dx is that of dy with turned weights. */
static struct op_desc product_of(const struct op_desc *d, bool backward)
{
    struct op_desc p = *d;
    if (backward) {
        p.x[0] = d->y;
        p.y = d->x[0];
        p.has_bias = false;
        p.activation = OP_LINEAR;
    }
    return p;
}

static size_t pointwise_bytes(const struct backend *b, const struct op_desc *d, bool backward)
{
    struct op_desc p = product_of(d, backward);
    return conv_tiled_packed_bytes(b, &p);
}

static void pointwise_pack(const struct backend *b, const struct op_desc *d, bool backward,
                           const float *keras, float *packed)
{
    struct op_desc p = product_of(d, backward);
    conv_tiled_pack(b, &p, keras, backward, packed);
}

static void pointwise_run(const struct backend *b, const struct backend_op *op, bool backward,
                          const struct op_io *io, const float *bias, float *packed, float *workspace)
{
    struct backend_op product = {.d = product_of(&op->d, backward),
                                 .conv.packed = packed,
                                 .bias = (float *)bias};
    struct op_io in = {.x = {backward ? io->dy : io->x[0]}, .y = backward ? io->dx[0] : io->y};
    in.accumulate[0] = backward && io->accumulate[0];
    conv_tiled_forward(b, &product, &in, workspace);
}

/* Bytes of packed weights for one direction. */
size_t conv_packed_bytes(const struct backend *b, const struct backend_op *op, bool backward)
{
    const struct op_desc *d = &op->d;
    return op->conv.algorithm == CONV_TILED       ? conv_tiled_packed_bytes(b, d)
           : op->conv.algorithm == CONV_POINTWISE ? pointwise_bytes(b, d, backward)
                                                  : page_aligned(winograd_packed_bytes(d));
}

static size_t pointwise_workspace_bytes(const struct backend *b, const struct op_desc *d)
{
    struct op_desc forward = product_of(d, false), backward = product_of(d, true);
    size_t sizes[] = {conv_tiled_workspace_bytes(b, &forward), conv_tiled_workspace_bytes(b, &backward),
                      outer_workspace_bytes(b, d), (size_t)d->y.c * sizeof(float)},
           most = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        most = sizes[i] > most ? sizes[i] : most;
    return most;
}

size_t conv_packed_workspace_bytes(const struct backend *b, const struct backend_op *op)
{
    const struct op_desc *d = &op->d;
    if (op->conv.algorithm == CONV_TILED) return conv_tiled_workspace_bytes(b, d);
    size_t bias_sums = page_aligned((size_t)d->y.c * sizeof(float)), packed = 0;
    for (int backward = 0; backward <= 1 && !d->constant_weights; backward++) {
        size_t bytes = conv_packed_bytes(b, op, backward);
        packed = bytes > packed ? bytes : packed;
    }
    if (op->conv.algorithm == CONV_POINTWISE) return packed + page_aligned(pointwise_workspace_bytes(b, d));
    return page_aligned(winograd_workspace_bytes(b, d)) + bias_sums + packed;
}

int conv_packed_load(struct backend *b, struct backend_op *op, const float *weights, struct error *err)
{
    struct conv_state *s = &op->conv;
    if (s->algorithm == CONV_TILED) {
        if (!s->packed && !(s->packed = cpu_constant_memory(b, conv_packed_bytes(b, op, false), err)))
            return -1;
        conv_tiled_pack(b, &op->d, weights, false, s->packed);
        return 0;
    }
    for (int backward = 0; backward <= (op->d.needs_dx ? 1 : 0); backward++) {
        float **to = backward ? &s->packed_data : &s->packed;
        if (!*to && !(*to = cpu_constant_memory(b, conv_packed_bytes(b, op, backward), err))) return -1;
        if (s->algorithm == CONV_POINTWISE)
            pointwise_pack(b, &op->d, backward, weights, *to);
        else
            winograd_pack(b, &op->d, backward, weights, *to);
    }
    return 0;
}

static const float *bias_of(const struct backend_op *op, const struct op_io *io)
{
    return !op->d.has_bias ? NULL : op->d.constant_weights ? op->bias : slot_at(&io->bias);
}

/* The workspace has packed weights, unless they are constant, then what the loops need. */
static float *pointwise_weights(const struct backend *b, const struct backend_op *op, const struct op_io *io,
                                bool backward, float **workspace)
{
    const struct op_desc *d = &op->d;
    float *packed = *workspace;
    if (d->constant_weights) return backward ? op->conv.packed_data : op->conv.packed;
    pointwise_pack(b, d, backward, slot_at(&io->w), packed);
    *workspace += pointwise_bytes(b, d, backward) / sizeof(float);
    return packed;
}

static void pointwise_forward(struct backend *b, struct backend_op *op, const struct op_io *io,
                              float *workspace)
{
    float *packed = pointwise_weights(b, op, io, false, &workspace);
    pointwise_run(b, op, false, io, bias_of(op, io), packed, workspace);
}

static void pointwise_backward(struct backend *b, struct backend_op *op, const struct op_io *io,
                               float *workspace)
{
    const struct op_desc *d = &op->d;
    cpu_activation_backward(b, d, io);
    if (d->needs_dw) outer_gradient(b, d, io, workspace);
    if (d->needs_dw && d->has_bias) cpu_bias_gradient(b, d, io, workspace);
    if (!d->needs_dx) return;
    float *packed = pointwise_weights(b, op, io, true, &workspace);
    pointwise_run(b, op, true, io, NULL, packed, workspace);
}

/* The workspace has what the algorithm needs, then a sum for dbias, then packed weights. */
static const float *winograd_weights(const struct backend *b, const struct backend_op *op,
                                     const struct op_io *io, bool backward, float *workspace)
{
    const struct op_desc *d = &op->d;
    if (d->constant_weights) return backward ? op->conv.packed_data : op->conv.packed;
    unsigned char *to = (unsigned char *)workspace + page_aligned(winograd_workspace_bytes(b, d)) +
                        page_aligned((size_t)d->y.c * sizeof(float));
    winograd_pack(b, d, backward, slot_at(&io->w), (float *)to);
    return (float *)to;
}

static void winograd_backward(struct backend *b, struct backend_op *op, const struct op_io *io,
                              float *workspace)
{
    const struct op_desc *d = &op->d;
    cpu_activation_backward(b, d, io);
    if (d->needs_dw) winograd_backward_weights(b, d, io, workspace);
    if (d->needs_dw && d->has_bias) cpu_bias_gradient(b, d, io, workspace);
    if (d->needs_dx)
        winograd_backward_data(b, d, io, winograd_weights(b, op, io, true, workspace), workspace);
}

void conv_packed_forward(struct backend *b, struct backend_op *op, const struct op_io *io, float *workspace)
{
    if (op->conv.algorithm == CONV_POINTWISE)
        pointwise_forward(b, op, io, workspace);
    else if (op->conv.algorithm == CONV_TILED)
        conv_tiled_forward(b, op, io, workspace);
    else
        winograd_forward(b, &op->d, io, winograd_weights(b, op, io, false, workspace), bias_of(op, io),
                         workspace);
}

void conv_packed_backward(struct backend *b, struct backend_op *op, const struct op_io *io, float *workspace)
{
    if (op->conv.algorithm == CONV_POINTWISE)
        pointwise_backward(b, op, io, workspace);
    else
        winograd_backward(b, op, io, workspace);
}
