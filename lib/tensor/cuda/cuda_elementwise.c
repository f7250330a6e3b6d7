/*
 * cuda_elementwise.c: activation, addition, concatenation, zero padding, reshape, products, softmax.
 */
#include "tensor/cuda/cuda.h"

/* y = x[0] * x[1], where x[1] may be a vector: then in y's type, and its gradient is a sum over pixels, made
 * as an average of the product times their number. */
static int product_make(struct backend_op *op, struct error *err)
{
    const struct tensor_shape *y = &op->y.shape;
    operand_place(&op->x[1], &op->workspace_bytes);
    if (!is_vector(&op->x[1].shape) || is_vector(y)) return 0;
    op->extra = op->workspace_bytes;
    if (op->d.training) op->workspace_bytes += round_up(shape_values(y) * type_bytes(op->type));
    return outcome(
        DNN(op->name, cudnnCreatePoolingDescriptor(&op->pool)) ||
        DNN(op->name, cudnnSetPooling2dDescriptor(op->pool, CUDNN_POOLING_AVERAGE_COUNT_EXCLUDE_PADDING,
                                                  CUDNN_PROPAGATE_NAN, y->h, y->w, 0, 0, 1, 1)));
}

static int elementwise_make(struct backend *b, struct backend_op *op, struct error *err)
{
    const struct op_desc *d = &op->d;
    struct tensor_shape ys = op->y.shape;
    op->type = stored_type(b, &ys);
    if (d->kind == OP_RESHAPE) {
        /* Only between a vector and a map of 16 bits: the same values in the same order, in two types. Both
         * have the map's shape here: cuDNN takes no dimension above 65535. */
        struct tensor_shape xs = op->x[0].shape, map = is_vector(&ys) ? xs : ys;
        cudnnDataType_t from = stored_type(b, &xs);
        return outcome(operand_make(&op->x[0], op->name, &map, from, from, NULL, STAGE_SLICES, err) ||
                       operand_make(&op->y, op->name, &map, op->type, op->type, NULL, STAGE_SLICES, err));
    }
    for (int i = 0; i < d->n_x; i++) {
        struct tensor_shape xs = op->x[i].shape;
        if (d->kind == OP_CONCAT) { /* described as the slice of y that it becomes */
            xs.parent_c = ys.parent_c;
            xs.first_c = ys.first_c + d->first_c[i];
        }
        cudnnDataType_t stored = stored_type(b, &xs);
        if (operand_make(&op->x[i], op->name, &xs, stored, d->kind == OP_PRODUCT ? op->type : stored, NULL,
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
    if (d->kind == OP_PRODUCT) return product_make(op, err);
    for (int i = 0; i < d->n_x; i++)
        if (op->x[i].stored_type != op->type)
            return error_set(err, EX_UNAVAILABLE, "cuda: %s: its inputs mix maps and vectors", op->name);
    return 0;
}

static int concat(const struct run *r, bool forward, struct error *err)
{
    struct backend_op *op = r->op;
    for (int i = 0; i < op->d.n_x; i++) {
        const struct operand *o = &op->x[i]; /* the slice; x and dx are where its dense copy would be */
        struct run with_x = *r;
        char *x = with_x.workspace = at(forward ? &r->io->x[i] : &r->io->dx[i], r->gpu);
        const void *ignored;
        if (x && (forward ? operand_out_done(&with_x, o, &r->io->y, false, err)
                  : r->io->accumulate[i]
                      ? transform(r->g, op->name, o->stored, operand_stored(o, at(&r->io->dy, r->gpu)),
                                  o->inner, x, true, err)
                      : operand_in(&with_x, o, &r->io->dy, 0, &ignored, err)))
            return -1;
    }
    return 0;
}

/* c = a * b, or added to c; a and c have the form of x[0], b that of `of`. */
static int times(const struct run *r, const void *a, const struct operand *of, const void *b, void *c,
                 bool add, struct error *err)
{
    cudnnTensorDescriptor_t t = r->op->x[0].full;
    return DNN_RUN(
        cudnnOpTensor(r->g->dnn, r->b->multiply, &one, t, a, &one, of->full, b, add ? &one : &zero, t, c));
}

static int drop(const struct run *r, const void *a, void *c, bool add, struct error *err)
{
    struct backend_op *op = r->op;
    /* The mask is one array for the whole batch, the same on every GPU. */
    const char *mask =
        at(&r->io->mask, r->gpu) + (size_t)r->gpu * (size_t)op->n * (size_t)op->d.y.c * sizeof(float);
    return times(r, a, &op->x[0], mask, c, add, err);
}

static int product(const struct run *r, void *y, struct error *err)
{
    const struct operand *gate = &r->op->x[1];
    const void *b;
    return outcome(operand_in(r, gate, &r->io->x[1], 0, &b, err) ||
                   times(r, at(&r->io->x[0], r->gpu), gate, b, y, false, err));
}

static int product_backward(const struct run *r, const void *dy, struct error *err)
{
    struct backend_op *op = r->op;
    const struct op_io *io = r->io;
    char *x = at(&io->x[0], r->gpu), *slot = at(&io->dx[1], r->gpu);
    const void *gate;
    float pixels = (float)(op->y.shape.h * op->y.shape.w);
    if (io->dx[0].buffer && (operand_in(r, &op->x[1], &io->x[1], 0, &gate, err) ||
                             times(r, dy, &op->x[1], gate, at(&io->dx[0], r->gpu), io->accumulate[0], err)))
        return -1;
    if (!slot) return 0;
    if (!op->pool) return times(r, dy, &op->x[0], x, slot, io->accumulate[1], err);
    void *whole = r->workspace + op->extra, *sum = operand_out(r, &op->x[1], &io->dx[1]);
    return times(r, dy, &op->x[0], x, whole, false, err) ||
                   DNN_RUN(cudnnPoolingForward(r->g->dnn, op->pool, &pixels, op->x[0].full, whole,
                                               io->accumulate[1] && !op->x[1].staged ? &one : &zero,
                                               op->x[1].full, sum)) ||
                   operand_out_done(r, &op->x[1], &io->dx[1], io->accumulate[1], err)
               ? -1
               : 0;
}

static int elementwise_forward(const struct run *r, struct error *err)
{
    struct backend_op *op = r->op;
    cudnnHandle_t dnn = r->g->dnn;
    char *x = at(&r->io->x[0], r->gpu), *y = operand_stored(&op->y, at(&r->io->y, r->gpu));
    switch (op->d.kind) {
    case OP_ACTIVATION:
        return DNN_RUN(
            cudnnActivationForward(dnn, op->activation, &one, op->x[0].stored, x, &zero, op->y.stored, y));
    case OP_RESHAPE: /* a sum of one */
    case OP_ADD:
        if (transform(r->g, op->name, op->x[0].stored, x, op->y.stored, y, false, err)) return -1;
        for (int i = 1; i < op->d.n_x; i++)
            if (DNN_RUN(cudnnAddTensor(dnn, &one, op->x[i].stored, at(&r->io->x[i], r->gpu), &one,
                                       op->y.stored, y)))
                return -1;
        if (op->d.activation == OP_LINEAR) return 0;
        return DNN_RUN(
            cudnnActivationForward(dnn, op->activation, &one, op->y.stored, y, &zero, op->y.stored, y));
    case OP_CONCAT: return concat(r, true, err);
    case OP_ZERO_PAD:
        if (fill_tensor(r->g, op->name, op->y.full, op->type, y, 0, err)) return -1;
        return transform(r->g, op->name, op->x[0].stored, x, op->y.inner, y + op->y.inner_offset, false, err);
    case OP_MULTIPLY: return drop(r, x, y, false, err);
    case OP_PRODUCT: return product(r, y, err);
    case OP_SOFTMAX:
        return DNN_RUN(cudnnSoftmaxForward(dnn, CUDNN_SOFTMAX_ACCURATE, CUDNN_SOFTMAX_MODE_CHANNEL, &one,
                                           op->x[0].full, x, &zero, op->y.full, y));
    default: return error_set(err, EX_SOFTWARE, "cuda: %s: not an operation of cuda_elementwise.c", op->name);
    }
}

static int elementwise_backward(const struct run *r, struct error *err)
{
    struct backend_op *op = r->op;
    const struct op_io *io = r->io;
    char *dy = operand_stored(&op->y, at(&io->dy, r->gpu)), *dx = at(&io->dx[0], r->gpu);
    switch (op->d.kind) {
    case OP_ACTIVATION:
    case OP_RESHAPE:
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
    case OP_MULTIPLY: return dx ? drop(r, dy, dx, io->accumulate[0], err) : 0;
    case OP_PRODUCT: return product_backward(r, dy, err);
    default: return error_set(err, EX_SOFTWARE, "cuda: %s: no gradient", op->name);
    }
}

const struct calls elementwise_calls = {elementwise_make, elementwise_forward, elementwise_backward};
