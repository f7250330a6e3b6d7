/* dense.c: dense layers: y = act(x w + bias) by oneDNN's sgemm, or, with constant weights, by the loops of
 * pointwise.h. */
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/onednn/onednn.h"
#include "tensor/onednn/pointwise.h"

/* One thread below this: a head's layer takes tens of microseconds, and a busy machine may take milliseconds
 * to wake another. */
#define SMALL_PRODUCT (64.0 * 1024 * 1024)

static void dense_threads(const struct backend *b, const struct op_desc *d)
{
    omp_set_num_threads((double)d->x[0].n * d->x[0].c * d->y.c < SMALL_PRODUCT ? 1 : b->threads);
}

/* A constant dense layer is a 1x1 convolution of a 1x1 picture: no sgemm whose code would have to be
 * generated at the first picture. */
enum conv_way dense_way_of(const struct backend *b, const struct op_desc *d)
{
    return b->k == kernels_avx512() && d->constant_weights && d->activation != OP_SIGMOID ? CONV_POINTWISE
                                                                                          : CONV_ONEDNN;
}

size_t dense_constant_bytes(const struct backend_op *op)
{
    size_t plain = (size_t)op->d.x[0].c * (size_t)op->d.y.c * sizeof(float); /* for backward */
    return plain + (op->conv.way == CONV_POINTWISE ? conv_own_constant_bytes(op) : 0);
}

int dense_load(struct backend *b, struct backend_op *op, const float *weights, struct error *err)
{
    const struct op_desc *d = &op->d;
    size_t n = (size_t)d->x[0].c * (size_t)d->y.c;
    if (!op->dense && !(op->dense = mem_aligned(4096, page_aligned(n * sizeof(float)), err))) return -1;
    memcpy(op->dense, weights, n * sizeof(float));
    return op->conv.way == CONV_POINTWISE ? conv_own_load(b, op, weights, err) : 0;
}

int dense_forward(struct backend *b, struct backend_op *op, const struct op_io *io, struct error *err)
{
    const struct op_desc *d = &op->d;
    if (op->conv.way == CONV_POINTWISE) {
        pointwise_rows(slot_at(&io->x[0]), (size_t)d->x[0].c, (size_t)d->x[0].n, op->conv.packed, d->x[0].c,
                       d->y.c, slot_at(&io->y), (size_t)d->y.c, d->has_bias ? op->bias : NULL,
                       (struct act){(int)d->activation, d->activation_max}, 0);
        return 0;
    }
    dnnl_dim_t m = d->x[0].n, k = d->x[0].c, n = d->y.c;
    const float *w = d->constant_weights ? op->dense : slot_at(&io->w),
                *bias = d->constant_weights ? op->bias : slot_at(&io->bias);
    struct act act = {(int)d->activation, d->activation_max};
    float *y = slot_at(&io->y);
    dense_threads(b, d);
    if (dnnl_failed(dnnl_sgemm('N', 'N', m, n, k, 1, slot_at(&io->x[0]), k, w, n, 0, y, n), "sgemm", err))
        return -1;
    for (dnnl_dim_t i = 0; i < m; i++)
        if (d->has_bias)
            b->k->bias_activate(y + i * n, bias, (size_t)n, act);
        else if (d->activation != OP_LINEAR)
            b->k->activate(y + i * n, y + i * n, (size_t)n, act);
    return 0;
}

int dense_backward(struct backend *b, struct backend_op *op, const struct op_io *io, float *workspace,
                   struct error *err)
{
    const struct op_desc *d = &op->d;
    dnnl_dim_t m = d->x[0].n, k = d->x[0].c, n = d->y.c;
    const float *w = d->constant_weights ? op->dense : slot_at(&io->w), *x = slot_at(&io->x[0]);
    float *dy = slot_at(&io->dy), *dx = slot_at(&io->dx[0]), *dbias = slot_at(&io->dbias);
    own_activation_backward(b, d, io);
    dense_threads(b, d);
    if (d->needs_dw) {
        if (dnnl_failed(dnnl_sgemm('T', 'N', k, n, m, 1, x, k, dy, n, 0, slot_at(&io->dw), n), "sgemm", err))
            return -1;
        if (d->has_bias) {
            memset(dbias, 0, (size_t)n * sizeof(float));
            for (dnnl_dim_t i = 0; i < m; i++)
                b->k->add(dbias, dy + i * n, (size_t)n);
        }
    }
    if (!d->needs_dx) return 0;
    return dnnl_failed(dnnl_sgemm('N', 'T', m, k, n, 1, dy, n, w, n, io->accumulate[0] ? 1.0f : 0.0f, dx, k),
                       "sgemm", err);
}
