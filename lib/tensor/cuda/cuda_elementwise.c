/*
 * cuda_elementwise.c: activation, addition, concatenation, zero padding, reshape, dropout's product, softmax.
 */
#include "tensor/cuda/cuda.h"

int elementwise_make(struct backend *b, struct backend_op *op, struct error *err)
{
    const struct op_desc *d = &op->d;
    struct tensor_shape ys = op->y.shape;
    op->type = stored_type(b, &ys);
    if (d->kind == OP_RESHAPE) {
        /* Only between a vector and a map of 16 bits: the same values in the same order, in two types. Both
         * have the map's shape here: cuDNN takes no dimension above 65535. */
        struct tensor_shape xs = op->x[0].shape, map = is_vector(&ys) ? xs : ys;
        cudnnDataType_t from = stored_type(b, &xs);
        return operand_make(&op->x[0], op->name, &map, from, from, NULL, STAGE_SLICES, err) ||
                       operand_make(&op->y, op->name, &map, op->type, op->type, NULL, STAGE_SLICES, err)
                   ? -1
                   : 0;
    }
    for (int i = 0; i < d->n_x; i++) {
        struct tensor_shape xs = op->x[i].shape;
        if (d->kind == OP_CONCAT) { /* described as the slice of y that it becomes */
            xs.parent_c = ys.parent_c;
            xs.first_c = ys.first_c + d->first_c[i];
        }
        if (operand_make(&op->x[i], op->name, &xs, stored_type(b, &xs), stored_type(b, &xs), NULL,
                         STAGE_SLICES, err))
            return -1;
    }
    if (d->kind == OP_ZERO_PAD) {
        /* The descriptors of y: stored is the whole, inner the part of it that x becomes. */
        struct tensor_shape xs = op->x[0].shape;
        int pads[4] = {d->pad_top, d->pad_bottom, d->pad_left, d->pad_right};
        if (operand_make(&op->y, op->name, &xs, op->type, op->type, pads, STAGE_SLICES, err)) return -1;
        op->y.staged = false;
        return 0;
    }
    if (operand_make(&op->y, op->name, &ys, op->type, op->type, NULL, STAGE_SLICES, err)) return -1;
    op->y.staged = false; /* everything here reads and writes tensors with gaps */
    if (d->kind == OP_MULTIPLY && !is_vector(&ys))
        return error_set(err, EX_UNAVAILABLE, "cuda: %s: dropout needs vectors", op->name);
    for (int i = 0; i < d->n_x; i++)
        if (op->x[i].stored_type != op->type)
            return error_set(err, EX_UNAVAILABLE, "cuda: %s: its inputs mix maps and vectors", op->name);
    return 0;
}

static int concat(const struct run *r, bool forward, struct error *err)
{
    struct backend_op *op = r->op;
    for (int i = 0; i < op->d.n_x; i++) {
        /* the slice; x and dx are at the place of its copy without gaps */
        const struct operand *o = &op->x[i];
        char *x = at(forward ? &r->io->x[i] : &r->io->dx[i], r->gpu);
        const void *ignored;
        if (x && (forward ? operand_out_done(o, r->g, op->name, at(&r->io->y, r->gpu), x, false, err)
                  : r->io->accumulate[i]
                      ? transform(r->g, op->name, o->stored, operand_stored(o, at(&r->io->dy, r->gpu)),
                                  o->inner, x, true, err)
                      : operand_in(o, r->g, op->name, at(&r->io->dy, r->gpu), x, 0, &ignored, err)))
            return -1;
    }
    return 0;
}

static int product(const struct run *r, const void *a, void *c, bool add, struct error *err)
{
    struct backend_op *op = r->op;
    /* The mask is one array for the whole batch, the same on every GPU. */
    const char *mask =
        at(&r->io->mask, r->gpu) + (size_t)r->gpu * (size_t)op->n * (size_t)op->d.y.c * sizeof(float);
    return DNN(op->name, cudnnOpTensor(r->g->dnn, r->b->multiply, &one, op->x[0].full, a, &one, op->x[0].full,
                                       mask, add ? &one : &zero, op->x[0].full, c));
}

int elementwise_forward(const struct run *r, struct error *err)
{
    struct backend_op *op = r->op;
    cudnnHandle_t dnn = r->g->dnn;
    char *x = at(&r->io->x[0], r->gpu), *y = operand_stored(&op->y, at(&r->io->y, r->gpu));
    switch (op->d.kind) {
    case OP_ACTIVATION:
        if (op->d.activation == OP_LINEAR)
            return transform(r->g, op->name, op->x[0].stored, x, op->y.stored, y, false, err);
        return DNN(op->name, cudnnActivationForward(dnn, op->activation, &one, op->x[0].stored, x, &zero,
                                                    op->y.stored, y));
    case OP_ADD:
        if (transform(r->g, op->name, op->x[0].stored, x, op->y.stored, y, false, err)) return -1;
        for (int i = 1; i < op->d.n_x; i++)
            if (DNN(op->name, cudnnAddTensor(dnn, &one, op->x[i].stored, at(&r->io->x[i], r->gpu), &one,
                                             op->y.stored, y)))
                return -1;
        if (op->d.activation == OP_LINEAR) return 0;
        return DNN(op->name, cudnnActivationForward(dnn, op->activation, &one, op->y.stored, y, &zero,
                                                    op->y.stored, y));
    case OP_CONCAT: return concat(r, true, err);
    case OP_ZERO_PAD:
        if (fill_tensor(r->g, op->name, op->y.full, op->type, y, 0, err)) return -1;
        return transform(r->g, op->name, op->x[0].stored, x, op->y.inner, y + op->y.inner_offset, false, err);
    case OP_RESHAPE: return transform(r->g, op->name, op->x[0].stored, x, op->y.stored, y, false, err);
    case OP_MULTIPLY: return product(r, x, y, false, err);
    case OP_SOFTMAX:
        return DNN(op->name, cudnnSoftmaxForward(dnn, CUDNN_SOFTMAX_ACCURATE, CUDNN_SOFTMAX_MODE_CHANNEL,
                                                 &one, op->x[0].full, x, &zero, op->y.full, y));
    default: return error_set(err, EX_SOFTWARE, "cuda: %s: not an operation of cuda_elementwise.c", op->name);
    }
}

int elementwise_backward(const struct run *r, struct error *err)
{
    struct backend_op *op = r->op;
    const struct op_io *io = r->io;
    char *dy = operand_stored(&op->y, at(&io->dy, r->gpu)), *dx = at(&io->dx[0], r->gpu);
    switch (op->d.kind) {
    case OP_ACTIVATION:
    case OP_ADD:
        if (op_activation_backward(r, err)) return -1;
        for (int i = 0; i < op->d.n_x; i++)
            if (io->dx[i].buffer && transform(r->g, op->name, op->y.stored, dy, op->x[i].stored,
                                              at(&io->dx[i], r->gpu), io->accumulate[i], err))
                return -1;
        return 0;
    case OP_CONCAT: return concat(r, false, err);
    case OP_ZERO_PAD:
        return dx ? transform(r->g, op->name, op->y.inner, dy + op->y.inner_offset, op->x[0].stored, dx,
                              io->accumulate[0], err)
                  : 0;
    case OP_RESHAPE:
        return dx ? transform(r->g, op->name, op->y.stored, dy, op->x[0].stored, dx, io->accumulate[0], err)
                  : 0;
    case OP_MULTIPLY: return dx ? product(r, dy, dx, io->accumulate[0], err) : 0;
    default: return error_set(err, EX_SOFTWARE, "cuda: %s: no gradient", op->name);
    }
}
