/*
 * cuda_norm.c: batch norm with the batch's statistics, with the moving ones, and as a constant scale and
 * shift. Its vectors are float32 in every precision, as cuDNN requires.
 */
#include "tensor/cuda/cuda.h"

/*
 * The "Ex" calls in persistent mode have kernels made for NHWC, while the plain ones read 2 or 4 bytes of
 * each 32. They include the ReLU when y goes directly to its place. They are not used where dx is added to,
 * which is not documented for them. When cuDNN gives no sizes for them, the plain calls are used.
 */
static void try_persistent(struct backend *b, struct backend_op *op)
{
    cudnnHandle_t dnn = b->gpu[0].dnn;
    cudnnBatchNormMode_t mode = CUDNN_BATCHNORM_SPATIAL_PERSISTENT;
    bool relu = op->d.activation == OP_RELU && !op->y.staged;
    cudnnBatchNormOps_t ops = relu ? CUDNN_BATCHNORM_OPS_BN_ACTIVATION : CUDNN_BATCHNORM_OPS_BN;
    cudnnActivationDescriptor_t act = relu ? op->fused_activation : NULL;
    cudnnTensorDescriptor_t x = op->x[0].full, y = op->y.full;
    size_t forward = 0, backward = 0, reserve = 0;
    if (!op->d.training || op->d.adds_dx || b->described) return;
    if (cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(dnn, mode, ops, x, NULL, y, op->vector, act,
                                                                 &forward) ||
        cudnnGetBatchNormalizationBackwardExWorkspaceSize(dnn, mode, ops, x, y, y, NULL, x, op->vector, act,
                                                          &backward) ||
        cudnnGetBatchNormalizationTrainingExReserveSpaceSize(dnn, mode, ops, act, x, &reserve))
        return;
    op->persistent = true;
    op->fused_norm = relu;
    op->norm_ops = ops;
    op->norm_reserve = reserve;
    op->workspace_bytes += forward > backward ? forward : backward;
}

static int norm_make(struct backend *b, struct backend_op *op, struct error *err)
{
    const struct op_desc *d = &op->d;
    struct tensor_shape xs = op->x[0].shape, ys = op->y.shape;
    op->type = stored_type(b, &xs);
    if (operand_make(&op->x[0], op->name, &xs, op->type, op->type, NULL, STAGE_SLICES, err) ||
        operand_make(&op->y, op->name, &ys, op->type, op->type, NULL, STAGE_SLICES, err) ||
        tensor_make(&op->vector, op->name, CUDNN_DATA_FLOAT, 1, d->y.c, 1, 1, err))
        return -1;
    op->weight_bytes = (size_t)d->y.c * sizeof(float);
    op->constant_bytes = 2 * round_up(op->weight_bytes);
    size_t used = 0;
    operand_place(&op->y, &used);
    op->extra = used;
    if (d->kind == OP_BATCH_NORM && d->training) {
        /* The gradients of a gamma and a beta that do not exist. */
        op->extra_bytes = 2 * round_up(op->weight_bytes);
        if (!d->needs_dx) op->extra_bytes += round_up(op->x[0].full_bytes); /* cuDNN computes dx anyway */
    }
    op->tail = op->workspace_bytes = used + op->extra_bytes;
    if (d->kind == OP_BATCH_NORM) try_persistent(b, op);
    return 0;
}

struct norm_vectors {
    const float *gamma, *beta;
    float *mean, *variance, *saved_mean, *saved_deviation;
    void *reserve;
};

static struct norm_vectors vectors_of(const struct run *r)
{
    const struct op_io *io = r->io;
    char *saved = at(&io->saved, r->gpu);
    size_t c = (size_t)r->op->d.y.c;
    struct norm_vectors v = {0};
    v.gamma = io->gamma.buffer ? (const float *)at(&io->gamma, r->gpu) : r->g->ones;
    v.beta = io->beta.buffer ? (const float *)at(&io->beta, r->gpu) : r->g->zeros;
    v.mean = (float *)at(&io->mean, r->gpu);
    v.variance = (float *)at(&io->variance, r->gpu);
    if (saved) {
        v.saved_mean = (float *)saved;
        v.saved_deviation = v.saved_mean + c;
        v.reserve = saved + round_up(2 * c * sizeof(float));
    }
    return v;
}

static int norm_forward(const struct run *r, struct error *err)
{
    struct backend_op *op = r->op;
    const struct op_io *io = r->io;
    cudnnHandle_t dnn = r->g->dnn;
    struct norm_vectors v = vectors_of(r);
    void *x = at(&io->x[0], r->gpu), *y = operand_out(&op->y, at(&io->y, r->gpu), r->workspace);
    double epsilon = op->d.epsilon, factor = 1 - io->momentum;
    if (io->use_moving) {
        if (DNN(op->name,
                cudnnBatchNormalizationForwardInference(dnn, CUDNN_BATCHNORM_SPATIAL, &one, &zero,
                                                        op->x[0].full, x, op->y.full, y, op->vector, v.gamma,
                                                        v.beta, v.mean, v.variance, epsilon)))
            return -1;
        return op_activate(r, y, err);
    }
    float *mean = io->momentum == 1 ? NULL : v.mean, *variance = io->momentum == 1 ? NULL : v.variance;
    cudnnActivationDescriptor_t act = op->fused_norm ? op->fused_activation : NULL;
    if (op->persistent && v.saved_mean) {
        if (DNN(op->name,
                cudnnBatchNormalizationForwardTrainingEx(dnn, CUDNN_BATCHNORM_SPATIAL_PERSISTENT,
                                                         op->norm_ops, &one, &zero, op->x[0].full, x, NULL,
                                                         NULL, op->y.full, y, op->vector, v.gamma, v.beta,
                                                         factor, mean, variance, epsilon, v.saved_mean,
                                                         v.saved_deviation, act, r->workspace + op->tail,
                                                         op->workspace_bytes - op->tail, v.reserve,
                                                         op->norm_reserve)))
            return -1;
        return op->fused_norm ? 0 : op_activate(r, y, err);
    }
    if (DNN(op->name,
            cudnnBatchNormalizationForwardTraining(dnn, CUDNN_BATCHNORM_SPATIAL, &one, &zero, op->x[0].full,
                                                   x, op->y.full, y, op->vector, v.gamma, v.beta, factor,
                                                   mean, variance, epsilon, v.saved_mean, v.saved_deviation)))
        return -1;
    return op_activate(r, y, err);
}

static int norm_backward(const struct run *r, struct error *err)
{
    struct backend_op *op = r->op;
    const struct op_io *io = r->io;
    cudnnHandle_t dnn = r->g->dnn;
    struct norm_vectors v = vectors_of(r);
    void *x = at(&io->x[0], r->gpu), *dx = at(&io->dx[0], r->gpu);
    char *spare = r->workspace + op->extra;
    void *dgamma = io->dw.buffer ? at(&io->dw, r->gpu) : spare;
    void *dbeta = io->dbias.buffer ? at(&io->dbias, r->gpu) : spare + round_up(op->weight_bytes);
    const float *beta = io->accumulate[0] && dx ? &one : &zero;
    const void *dy;
    if (!dx) dx = spare + 2 * round_up(op->weight_bytes);
    if (!op->fused_norm && op_activation_backward(r, err)) return -1;
    if (operand_in(&op->y, r->g, op->name, at(&io->dy, r->gpu), r->workspace, 0, &dy, err)) return -1;
    if (op->persistent)
        return DNN(op->name,
                   cudnnBatchNormalizationBackwardEx(dnn, CUDNN_BATCHNORM_SPATIAL_PERSISTENT, op->norm_ops,
                                                     &one, beta, &one, &zero, op->x[0].full, x, op->y.full,
                                                     at(&io->y, r->gpu), op->y.full, dy, NULL, NULL,
                                                     op->x[0].full, dx, op->vector, v.gamma, v.beta, dgamma,
                                                     dbeta, op->d.epsilon, v.saved_mean, v.saved_deviation,
                                                     op->fused_norm ? op->fused_activation : NULL,
                                                     r->workspace + op->tail, op->workspace_bytes - op->tail,
                                                     v.reserve, op->norm_reserve));
    return DNN(op->name,
               cudnnBatchNormalizationBackward(dnn, CUDNN_BATCHNORM_SPATIAL, &one, beta, &one, &zero,
                                               op->x[0].full, x, op->y.full, dy, op->x[0].full, dx,
                                               op->vector, v.gamma, dgamma, dbeta, op->d.epsilon,
                                               v.saved_mean, v.saved_deviation));
}

/* --- a constant scale and shift --- */

/* Inference with mean 0, variance 1 and epsilon 0: x * scale + shift, dividing by an exact 1. */
static int scale_and_shift(const struct run *r, cudnnTensorDescriptor_t from, const void *x,
                           cudnnTensorDescriptor_t to, void *y, const float *shift, const float *beta,
                           struct error *err)
{
    struct backend_op *op = r->op;
    const float *scale = op->constant[r->gpu];
    return DNN(op->name, cudnnBatchNormalizationForwardInference(r->g->dnn, CUDNN_BATCHNORM_SPATIAL, &one,
                                                                 beta, from, x, to, y, op->vector, scale,
                                                                 shift, r->g->zeros, r->g->ones, 0));
}

static int affine_forward(const struct run *r, struct error *err)
{
    struct backend_op *op = r->op;
    void *y = operand_out(&op->y, at(&r->io->y, r->gpu), r->workspace);
    const float *shift = (const float *)((char *)op->constant[r->gpu] + round_up(op->weight_bytes));
    return scale_and_shift(r, op->x[0].full, at(&r->io->x[0], r->gpu), op->y.full, y, shift, &zero, err) ||
                   op_activate(r, y, err)
               ? -1
               : 0;
}

static int affine_backward(const struct run *r, struct error *err)
{
    struct backend_op *op = r->op;
    const void *dy;
    void *dx = at(&r->io->dx[0], r->gpu);
    if (!dx) return 0;
    if (op_activation_backward(r, err) ||
        operand_in(&op->y, r->g, op->name, at(&r->io->dy, r->gpu), r->workspace, 0, &dy, err))
        return -1;
    return scale_and_shift(r, op->y.full, dy, op->x[0].full, dx, r->g->zeros,
                           r->io->accumulate[0] ? &one : &zero, err);
}

const struct calls norm_calls = {norm_make, norm_forward, norm_backward};
const struct calls affine_calls = {norm_make, affine_forward, affine_backward};
