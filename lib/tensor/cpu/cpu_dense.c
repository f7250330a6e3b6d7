/* cpu_dense.c: computes dense layers, y = act(x w + bias), with oneDNN's sgemm, or for constant weights with
 * our own loop. */
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/cpu/cpu.h"

/* Below this one thread is used: a layer of the head takes tens of microseconds, and on a busy machine
 * waking another thread may take milliseconds. */
#define SMALL_PRODUCT (64.0 * 1024 * 1024)

static int dense_threads(const struct backend *b, const struct op_desc *d)
{
    return (double)d->x[0].n * d->x[0].c * d->y.c < SMALL_PRODUCT ? 1 : b->threads;
}

size_t dense_constant_bytes(const struct backend_op *op)
{
    return (size_t)op->d.x[0].c * (size_t)op->d.y.c * sizeof(float);
}

int dense_load(struct backend *b, struct backend_op *op, const float *weights, struct error *err)
{
    size_t bytes = dense_constant_bytes(op);
    if (!op->dense && !(op->dense = cpu_constant_memory(b, bytes, err))) return -1;
    memcpy(op->dense, weights, bytes);
    return 0;
}

/*
 * The order of sums in sgemm depends on the numbers of rows and threads. Constant weights compute the
 * features by which pictures are compared. For these, a loop is used in which each sum depends only on its
 * own row.
 */
static int multiply(const struct backend *b, const struct op_desc *d, const float *x, const float *w,
                    float *y, struct error *err)
{
    const int threads = dense_threads(b, d), columns = 64;
    dnnl_dim_t m = d->x[0].n, k = d->x[0].c, n = d->y.c;
    omp_set_num_threads(threads);
    if (!d->constant_weights)
        return dnnl_failed(dnnl_sgemm('N', 'N', m, n, k, 1, x, k, w, n, 0, y, n), "sgemm", err);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int c = 0; c < d->y.c; c += columns)
        b->k->product(x, (size_t)k, (size_t)m, w + c, (size_t)n, (size_t)k,
                      (size_t)(d->y.c - c < columns ? d->y.c - c : columns), y + c, (size_t)n);
    return 0;
}

int dense_forward(struct backend *b, struct backend_op *op, const struct op_io *io, struct error *err)
{
    const struct op_desc *d = &op->d;
    const float *w = d->constant_weights ? op->dense : slot_at(&io->w),
                *bias = d->constant_weights ? op->bias : slot_at(&io->bias);
    struct act act = act_of(d);
    size_t n = (size_t)d->y.c;
    float *y = slot_at(&io->y);
    if (multiply(b, d, slot_at(&io->x[0]), w, y, err)) return -1;
    for (int i = 0; i < d->x[0].n; i++, y += n)
        if (d->has_bias)
            b->k->bias_activate(y, bias, n, act);
        else if (d->activation != OP_LINEAR)
            b->k->activate(y, y, n, act);
    return 0;
}

int dense_backward(struct backend *b, struct backend_op *op, const struct op_io *io, float *workspace,
                   struct error *err)
{
    const struct op_desc *d = &op->d;
    dnnl_dim_t m = d->x[0].n, k = d->x[0].c, n = d->y.c;
    const float *w = d->constant_weights ? op->dense : slot_at(&io->w), *x = slot_at(&io->x[0]);
    float *dy = slot_at(&io->dy), *dx = slot_at(&io->dx[0]), *dbias = slot_at(&io->dbias);
    cpu_activation_backward(b, d, io);
    omp_set_num_threads(dense_threads(b, d));
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
