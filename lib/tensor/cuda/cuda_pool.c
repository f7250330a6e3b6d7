/*
 * cuda_pool.c: maximum and average over windows. cuDNN supports only equal padding on both sides. Otherwise
 * ("same" with an even window or a stride) x is padded in scratch memory: with the lowest float for a
 * maximum, and with zeros for an average, which is then corrected for the number of real values.
 *
 * Operand x[1] is dx and x[2] is dy: x, y, dx and dy may all be staged at once.
 */
#include "tensor/cuda/cuda.h"

#include <float.h>
#include <stdlib.h>

#include "tensor/op_host.h"

#define DX 1
#define DY 2

static int pool_make(struct backend *b, struct backend_op *op, struct error *err)
{
    const struct op_desc *d = &op->d;
    bool global = d->kind == OP_GLOBAL_AVERAGE_POOL, max = d->kind == OP_MAX_POOL,
         asymmetric = !global && (d->pad_top != d->pad_bottom || d->pad_left != d->pad_right);
    int kh = global ? d->x[0].h : d->kernel_h, kw = global ? d->x[0].w : d->kernel_w;
    int sh = global ? 1 : d->stride_h, sw = global ? 1 : d->stride_w;
    int pads[4] = {d->pad_top, d->pad_bottom, d->pad_left, d->pad_right};
    struct tensor_shape xs = op->x[0].shape, ys = op->y.shape;
    op->type = stored_type(b, &xs);
    for (int i = 0; i < 2; i++)
        if (operand_make(&op->x[i], op->name, &xs, op->type, op->type, asymmetric ? pads : NULL, STAGE_SLICES,
                         err))
            return -1;
    if (operand_make(&op->y, op->name, &ys, stored_type(b, &ys), op->type, NULL, STAGE_SLICES, err) ||
        operand_make(&op->x[DY], op->name, &ys, stored_type(b, &ys), op->type, NULL,
                     asymmetric && !max ? STAGE_ALWAYS : STAGE_SLICES, err))
        return -1;
    size_t used = 0;
    operand_place(&op->x[0], &used);
    operand_place(&op->x[DX], &used);
    operand_place(&op->x[DY], &used);
    operand_place(&op->y, &used);
    op->tail = op->workspace_bytes = used;
    cudnnPoolingMode_t mode = max          ? CUDNN_POOLING_MAX_DETERMINISTIC
                              : asymmetric ? CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING
                                           : CUDNN_POOLING_AVERAGE_COUNT_EXCLUDE_PADDING;
    if (DNN(op->name, cudnnCreatePoolingDescriptor(&op->pool)) ||
        DNN(op->name, cudnnSetPooling2dDescriptor(op->pool, mode, CUDNN_PROPAGATE_NAN, kh, kw,
                                                  global || asymmetric ? 0 : d->pad_top,
                                                  global || asymmetric ? 0 : d->pad_left, sh, sw)))
        return -1;
    if (max || !asymmetric || b->described) return 0;
    /* The size of the window divided by the number of real values, for each pixel
     * of y: a few numbers, made once. */
    size_t n = (size_t)ys.h * (size_t)ys.w;
    float *factors = mem_alloc(n * sizeof *factors, err);
    int rc = factors ? 0 : -1;
    if (factors) op_host_average_factors(d, factors);
    op->constant_bytes = round_up(n * sizeof *factors);
    if (!rc) rc = tensor_make(&op->divisor, op->name, op->type, 1, 1, ys.h, ys.w, err);
    for (int k = 0; !rc && k < b->n_gpus; k++) {
        struct gpu *g = &b->gpu[k];
        rc = gpu_use(g, err) || CUDA(op->name, cudaMalloc(&op->constant[k], op->constant_bytes)) ||
             shape_dense(g->shape[0], op->name, CUDNN_DATA_FLOAT, 1, 1, ys.h, ys.w, err) ||
             op_constant(g, op, factors, n, g->shape[0], op->divisor, op->constant[k], err);
    }
    free(factors);
    return rc ? -1 : 0;
}

/* Corrects an average for the padding, in place; with its gradient it is the same. */
static int weigh(const struct run *r, cudnnTensorDescriptor_t t, void *y, struct error *err)
{
    struct backend_op *op = r->op;
    return op->divisor ? DNN_RUN(cudnnOpTensor(r->g->dnn, r->b->multiply, &one, t, y, &one, op->divisor,
                                               op->constant[r->gpu], &zero, t, y))
                       : 0;
}

static int pool_forward(const struct run *r, struct error *err)
{
    struct backend_op *op = r->op;
    void *y = operand_out(r, &op->y, &r->io->y);
    const void *x;
    float fill = op->d.kind == OP_MAX_POOL ? -FLT_MAX : 0;
    return outcome(
        operand_in(r, &op->x[0], &r->io->x[0], fill, &x, err) ||
        DNN_RUN(cudnnPoolingForward(r->g->dnn, op->pool, &one, op->x[0].full, x, &zero, op->y.full, y)) ||
        weigh(r, op->y.full, y, err) || operand_out_done(r, &op->y, &r->io->y, false, err));
}

static int pool_backward(const struct run *r, struct error *err)
{
    struct backend_op *op = r->op;
    bool max = op->d.kind == OP_MAX_POOL, add = r->io->accumulate[0];
    const void *x, *y, *dy;
    if (!r->io->dx[0].buffer) return 0;
    void *dx = operand_out(r, &op->x[DX], &r->io->dx[0]);
    if (operand_in(r, &op->x[DY], &r->io->dy, 0, &dy, err)) return -1;
    x = dx; /* an average does not read x and y, but needs addresses */
    y = dy;
    if (max && (operand_in(r, &op->x[0], &r->io->x[0], -FLT_MAX, &x, err) ||
                operand_in(r, &op->y, &r->io->y, 0, &y, err)))
        return -1;
    return outcome(weigh(r, op->x[DY].full, (void *)dy, err) || /* staged by pool_make where it is changed */
                   DNN_RUN(cudnnPoolingBackward(r->g->dnn, op->pool, &one, op->y.full, y, op->x[DY].full, dy,
                                                op->x[0].full, x, add && !op->x[DX].staged ? &one : &zero,
                                                op->x[DX].full, dx)) ||
                   operand_out_done(r, &op->x[DX], &r->io->dx[0], add, err));
}

const struct calls pool_calls = {pool_make, pool_forward, pool_backward};
