/*
 * cpu_conv_packed.c: the convolutions that do not use oneDNN's primitives: 1x1 over NHWC (pointwise.h; the
 * gradient of the weights is one sgemm), and those that are suitable for minimal filtering (winograd.h).
 * Constant weights are packed once, and those that learn before each use.
 */
#include <omp.h>

#include "base/mem.h"
#include "tensor/cpu/cpu.h"
#include "tensor/cpu/pointwise.h"
#include "tensor/cpu/winograd.h"

static bool is_pointwise(const struct backend *b, const struct op_desc *d)
{
    return d->kind == OP_CONV && conv_groups(d) == 1 && b->k == kernels_avx512() && !b->block &&
           d->kernel_h == 1 && d->kernel_w == 1 && d->stride_h == 1 && d->stride_w == 1 &&
           d->y.h == d->x[0].h && d->y.w == d->x[0].w && d->activation != OP_SIGMOID && d->x[0].c >= 16 &&
           d->y.c >= 16;
}

enum conv_algorithm conv_algorithm_of(const struct backend *b, const struct op_desc *d)
{
    return winograd_suits(b, d)     ? CONV_WINOGRAD
           : conv_tiled_suits(b, d) ? CONV_TILED
           : is_pointwise(b, d)     ? CONV_POINTWISE
                                    : CONV_ONEDNN;
}

static size_t pointwise_bytes(const struct op_desc *d, bool backward)
{
    int from = backward ? d->y.c : d->x[0].c, to = backward ? d->x[0].c : d->y.c;
    return page_aligned(pointwise_packed_floats(from, to) * sizeof(float));
}

/* Keras' [cin,cout] as the right-hand side of y = x w, and of dx = dy w^T */
static void pointwise_pack_for(const struct op_desc *d, bool backward, const float *keras, float *packed)
{
    size_t n = (size_t)d->y.c;
    if (backward)
        pointwise_pack(packed, keras, 1, n, d->y.c, d->x[0].c);
    else
        pointwise_pack(packed, keras, n, 1, d->x[0].c, d->y.c);
}

/* Bytes of packed weights for one direction. */
static size_t packed_bytes(const struct op_desc *d, enum conv_algorithm algorithm, bool backward)
{
    return algorithm == CONV_POINTWISE ? pointwise_bytes(d, backward)
                                       : page_aligned(winograd_packed_bytes(d));
}

size_t conv_packed_workspace_bytes(const struct backend *b, const struct backend_op *op)
{
    const struct op_desc *d = &op->d;
    if (op->conv.algorithm == CONV_TILED) return conv_tiled_workspace_bytes(b, d);
    size_t bias_sums = page_aligned((size_t)d->y.c * sizeof(float)), packed = 0;
    for (int backward = 0; backward <= 1 && !d->constant_weights; backward++) {
        size_t bytes = packed_bytes(d, op->conv.algorithm, backward);
        packed = bytes > packed ? bytes : packed;
    }
    if (op->conv.algorithm == CONV_POINTWISE) return bias_sums > packed ? bias_sums : packed;
    return page_aligned(winograd_workspace_bytes(b, d)) + bias_sums + packed;
}

size_t conv_packed_constant_bytes(const struct backend_op *op)
{
    const struct op_desc *d = &op->d;
    if (op->conv.algorithm == CONV_TILED) return op->conv.forward_bytes;
    return packed_bytes(d, op->conv.algorithm, false) +
           (d->needs_dx ? packed_bytes(d, op->conv.algorithm, true) : 0);
}

int conv_packed_load(struct backend *b, struct backend_op *op, const float *weights, struct error *err)
{
    struct conv_state *s = &op->conv;
    if (s->algorithm == CONV_TILED) {
        if (!s->packed && !(s->packed = cpu_constant_memory(b, s->forward_bytes, err))) return -1;
        conv_tiled_pack(b, &op->d, weights, s->packed);
        return 0;
    }
    for (int backward = 0; backward <= (op->d.needs_dx ? 1 : 0); backward++) {
        float **to = backward ? &s->packed_data : &s->packed;
        if (!*to && !(*to = cpu_constant_memory(b, packed_bytes(&op->d, s->algorithm, backward), err)))
            return -1;
        if (s->algorithm == CONV_POINTWISE)
            pointwise_pack_for(&op->d, backward, weights, *to);
        else
            winograd_pack(b, &op->d, backward, weights, *to);
    }
    return 0;
}

static const float *bias_of(const struct backend_op *op, const struct op_io *io)
{
    return !op->d.has_bias ? NULL : op->d.constant_weights ? op->bias : slot_at(&io->bias);
}

/* Divides all pixels among the threads in whole tiles. The result for a pixel
 * does not depend on the division. */
static void pointwise_all(const struct backend *b, const float *a, size_t a_stride, size_t n_rows,
                          const float *packed, int n_k, int n_columns, float *c, size_t c_stride,
                          const float *bias, struct act act, bool accumulate)
{
    size_t tiles = (n_rows + 23) / 24;
#pragma omp parallel num_threads(b->threads)
    {
        size_t t = (size_t)omp_get_thread_num(), n = (size_t)omp_get_num_threads();
        size_t first = tiles * t / n * 24, last = tiles * (t + 1) / n * 24;
        last = last < n_rows ? last : n_rows;
        if (first < last)
            pointwise_rows(a + first * a_stride, a_stride, last - first, packed, n_k, n_columns,
                           c + first * c_stride, c_stride, bias, act, accumulate);
    }
}

static size_t pixels_of(const struct tensor_shape *s) { return (size_t)s->n * (size_t)s->h * (size_t)s->w; }

static void pointwise_forward(struct backend *b, struct backend_op *op, const struct op_io *io,
                              float *workspace)
{
    const struct op_desc *d = &op->d;
    const float *packed = op->conv.packed;
    if (!d->constant_weights) {
        pointwise_pack_for(d, false, slot_at(&io->w), workspace);
        packed = workspace;
    }
    pointwise_all(b, slot_at(&io->x[0]), (size_t)d->x[0].c, pixels_of(&d->y), packed, d->x[0].c, d->y.c,
                  slot_at(&io->y) + d->y.first_c, (size_t)d->y.parent_c, bias_of(op, io), act_of(d), false);
}

static int pointwise_backward(struct backend *b, struct backend_op *op, const struct op_io *io,
                              float *workspace, struct error *err)
{
    const struct op_desc *d = &op->d;
    const float *dy = slot_at(&io->dy) + d->y.first_c, *packed = op->conv.packed_data;
    dnnl_dim_t rows = (dnnl_dim_t)pixels_of(&d->y), k = d->x[0].c, n = d->y.c;
    cpu_activation_backward(b, d, io);
    if (d->needs_dw && dnnl_failed(dnnl_sgemm('T', 'N', k, n, rows, 1, slot_at(&io->x[0]), k, dy,
                                              d->y.parent_c, 0, slot_at(&io->dw), n),
                                   "sgemm", err))
        return -1;
    if (d->needs_dw && d->has_bias) cpu_bias_gradient(b, d, io, workspace);
    if (!d->needs_dx) return 0;
    if (!d->constant_weights) {
        pointwise_pack_for(d, true, slot_at(&io->w), workspace);
        packed = workspace;
    }
    pointwise_all(b, dy, (size_t)d->y.parent_c, (size_t)rows, packed, (int)n, (int)k, slot_at(&io->dx[0]),
                  (size_t)k, NULL, (struct act){OP_LINEAR, 0}, io->accumulate[0]);
    return 0;
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

static int winograd_backward(struct backend *b, struct backend_op *op, const struct op_io *io,
                             float *workspace, struct error *err)
{
    const struct op_desc *d = &op->d;
    cpu_activation_backward(b, d, io);
    if (d->needs_dw && winograd_backward_weights(b, d, io, workspace, err)) return -1;
    if (d->needs_dw && d->has_bias) cpu_bias_gradient(b, d, io, workspace);
    if (d->needs_dx)
        winograd_backward_data(b, d, io, winograd_weights(b, op, io, true, workspace), workspace);
    return 0;
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

int conv_packed_backward(struct backend *b, struct backend_op *op, const struct op_io *io, float *workspace,
                         struct error *err)
{
    return op->conv.algorithm == CONV_POINTWISE ? pointwise_backward(b, op, io, workspace, err)
                                                : winograd_backward(b, op, io, workspace, err);
}
