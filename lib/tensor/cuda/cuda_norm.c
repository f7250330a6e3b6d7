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
    bool relu = op->d.activation == OP_RELU && !op->y.staged && !op->d.whole_batch;
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
    op->shared = used;
    if (d->whole_batch) used += round_up(2 * op->weight_bytes);
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
    float *shared[2]; /* one after the other: what the parts of the batch exchange */
    float *dgamma, *dbeta;
    void *reserve;
};

static struct norm_vectors vectors_of(const struct run *r)
{
    const struct op_io *io = r->io;
    char *saved = at(&io->saved, r->gpu), *spare = r->workspace + r->op->extra;
    size_t c = (size_t)r->op->d.y.c;
    struct norm_vectors v = {0};
    v.gamma = io->gamma.buffer ? (const float *)at(&io->gamma, r->gpu) : r->g->ones;
    v.beta = io->beta.buffer ? (const float *)at(&io->beta, r->gpu) : r->g->zeros;
    v.mean = (float *)at(&io->mean, r->gpu);
    v.variance = (float *)at(&io->variance, r->gpu);
    v.shared[0] = (float *)(r->workspace + r->op->shared);
    v.shared[1] = v.shared[0] + c;
    v.dgamma = (float *)(io->dw.buffer ? at(&io->dw, r->gpu) : spare);
    v.dbeta = (float *)(io->dbias.buffer ? at(&io->dbias, r->gpu) : spare + round_up(r->op->weight_bytes));
    if (saved) {
        v.saved_mean = (float *)saved;
        v.saved_deviation = v.saved_mean + c;
        v.reserve = saved + round_up(2 * c * sizeof(float));
    }
    return v;
}

struct norm_constants {
    const float *scale, *shift, *mean, *variance;
    double epsilon;
};

/* y = scale * (x - mean) / sqrt(variance + epsilon) + shift, or added to y */
static int normalise(const struct run *r, cudnnTensorDescriptor_t xd, const void *x,
                     cudnnTensorDescriptor_t yd, void *y, struct norm_constants c, bool add,
                     struct error *err)
{
    return DNN_RUN(cudnnBatchNormalizationForwardInference(r->g->dnn, CUDNN_BATCHNORM_SPATIAL, &one,
                                                           add ? &one : &zero, xd, x, yd, y, r->op->vector,
                                                           c.scale, c.shift, c.mean, c.variance, c.epsilon));
}

/* z = a x y + b z, of vectors */
static int times(const struct run *r, const float *a, const float *x, const float *y, const float *b,
                 float *z, struct error *err)
{
    cudnnTensorDescriptor_t vd = r->op->vector;
    return DNN_RUN(cudnnOpTensor(r->g->dnn, r->b->multiply, a, vd, x, &one, vd, y, b, vd, z));
}

static int norm_forward_rest(const struct run *r, struct error *err)
{
    struct backend_op *op = r->op;
    struct norm_vectors v = vectors_of(r);
    cudnnHandle_t dnn = r->g->dnn;
    cudnnTensorDescriptor_t vd = op->vector;
    void *y = operand_out(r, &op->y, &r->io->y);
    double n = (double)r->b->n_parts * op->n * op->d.y.h * op->d.y.w, epsilon = op->d.epsilon;
    const float minus = -1, keep = (float)r->io->momentum, take = 1 - keep,
                unbiased = (float)((1 - r->io->momentum) * n / (n - 1));
    struct norm_constants batch = {v.gamma, v.beta, v.saved_mean, v.shared[1], epsilon},
                          root = {r->g->ones, r->g->zeros, r->g->zeros, v.shared[1], epsilon};
    /* mean = d + moving; variance = the second moment - d d, which rounding may carry below 0; and
     * 1 / sqrt(variance + epsilon), which the backward pass takes */
    return outcome(
        transform(r->g, op->name, vd, v.shared[0], vd, v.saved_mean, false, err) ||
        DNN_RUN(cudnnAddTensor(dnn, &one, vd, v.mean, &one, vd, v.saved_mean)) ||
        times(r, &minus, v.shared[0], v.shared[0], &one, v.shared[1], err) ||
        DNN_RUN(cudnnActivationForward(dnn, r->b->relu, &one, vd, v.shared[1], &zero, vd, v.shared[1])) ||
        normalise(r, vd, r->g->ones, vd, v.saved_deviation, root, false, err) ||
        (keep != 1 &&
         (DNN_RUN(cudnnTransformTensor(dnn, &take, vd, v.saved_mean, &keep, vd, v.mean)) ||
          DNN_RUN(cudnnTransformTensor(dnn, &unbiased, vd, v.shared[1], &keep, vd, v.variance)))) ||
        normalise(r, op->x[0].full, at(&r->io->x[0], r->gpu), op->y.full, y, batch, false, err) ||
        op_activate(r, y, err));
}

/*
 * With whole_batch and several parts this makes the moments of this part; y is computed anew when the parts
 * have exchanged them (norm_forward_rest).
 */
static int norm_forward(const struct run *r, struct error *err)
{
    if (r->rest) return norm_forward_rest(r, err);
    struct backend_op *op = r->op;
    const struct op_io *io = r->io;
    cudnnHandle_t dnn = r->g->dnn;
    struct norm_vectors v = vectors_of(r);
    cudnnTensorDescriptor_t xd = op->x[0].full, yd = op->y.full, vd = op->vector;
    void *x = at(&io->x[0], r->gpu), *y = operand_out(r, &op->y, &io->y);
    bool shares = op_shares(r->b, op, io), moves = io->momentum != 1;
    double epsilon = op->d.epsilon, factor = shares ? 1 : 1 - io->momentum;
    float *mean = shares  ? v.shared[0]
                  : moves ? v.mean
                          : NULL,
          *variance = shares  ? v.shared[1]
                      : moves ? v.variance
                              : NULL;
    cudnnActivationDescriptor_t act = op->fused_norm ? op->fused_activation : NULL;
    if (io->use_moving) {
        struct norm_constants moving = {v.gamma, v.beta, v.mean, v.variance, epsilon};
        return outcome(normalise(r, xd, x, yd, y, moving, false, err) || op_activate(r, y, err));
    }
    if (op->persistent && v.saved_mean
            ? DNN_RUN(cudnnBatchNormalizationForwardTrainingEx(dnn, CUDNN_BATCHNORM_SPATIAL_PERSISTENT,
                                                               op->norm_ops, &one, &zero, xd, x, NULL, NULL,
                                                               yd, y, vd, v.gamma, v.beta, factor, mean,
                                                               variance, epsilon, v.saved_mean,
                                                               v.saved_deviation, act,
                                                               r->workspace + op->tail,
                                                               op->workspace_bytes - op->tail, v.reserve,
                                                               op->norm_reserve))
            : DNN_RUN(cudnnBatchNormalizationForwardTraining(dnn, CUDNN_BATCHNORM_SPATIAL, &one, &zero, xd, x,
                                                             yd, y, vd, v.gamma, v.beta, factor, mean,
                                                             variance, epsilon, v.saved_mean,
                                                             v.saved_deviation)))
        return -1;
    if (!shares) return op->fused_norm ? 0 : op_activate(r, y, err);
    /* About the moving mean, which all have: d = mean - moving, and variance + d d, without n / (n - 1) */
    const float minus = -1, biased = 1 - 1 / (float)(op->n * op->d.y.h * op->d.y.w);
    return outcome(DNN_RUN(cudnnAddTensor(dnn, &minus, vd, v.mean, &one, vd, mean)) ||
                   times(r, &one, mean, mean, &biased, variance, err));
}

/*
 * dx was made with the sums s of this part's m values, and ought to have those of all: what is missing is
 * gamma / deviation * ((s_dy - mean s_dy) / m + (x - mean) / deviation * (s_dyx - mean s_dyx) / m), itself a
 * batch norm, which is added.
 */
static int norm_backward_rest(const struct run *r, struct error *err)
{
    struct backend_op *op = r->op;
    struct norm_vectors v = vectors_of(r);
    cudnnTensorDescriptor_t vd = op->vector;
    struct norm_constants c = {v.shared[1], v.shared[0], v.saved_mean, r->g->ones, 0};
    const float *mine[] = {v.dbeta, v.dgamma};
    const float plus = 1 / (float)(op->n * op->d.y.h * op->d.y.w), minus = -plus;
    for (int i = 0; i < 2; i++)
        if (DNN_RUN(cudnnAddTensor(r->g->dnn, &plus, vd, mine[i], &minus, vd, v.shared[i])) ||
            times(r, &one, v.shared[i], v.saved_deviation, &zero, v.shared[i], err) ||
            times(r, &one, v.shared[i], v.gamma, &zero, v.shared[i], err) ||
            (i && times(r, &one, v.shared[i], v.saved_deviation, &zero, v.shared[i], err)))
            return -1;
    return normalise(r, op->x[0].full, at(&r->io->x[0], r->gpu), op->x[0].full, at(&r->io->dx[0], r->gpu), c,
                     true, err);
}

static int norm_backward(const struct run *r, struct error *err)
{
    if (r->rest) return norm_backward_rest(r, err);
    struct backend_op *op = r->op;
    const struct op_io *io = r->io;
    cudnnHandle_t dnn = r->g->dnn;
    struct norm_vectors v = vectors_of(r);
    cudnnTensorDescriptor_t xd = op->x[0].full, yd = op->y.full, vd = op->vector;
    void *x = at(&io->x[0], r->gpu), *dx = at(&io->dx[0], r->gpu);
    const float *beta = io->accumulate[0] && dx ? &one : &zero;
    const void *dy;
    if (!dx) dx = r->workspace + op->extra + 2 * round_up(op->weight_bytes);
    if ((!op->fused_norm && op_activation_backward(r, err)) || operand_in(r, &op->y, &io->dy, 0, &dy, err))
        return -1;
    if (op->persistent
            ? DNN_RUN(
                  cudnnBatchNormalizationBackwardEx(dnn, CUDNN_BATCHNORM_SPATIAL_PERSISTENT, op->norm_ops,
                                                    &one, beta, &one, &zero, xd, x, yd, at(&io->y, r->gpu),
                                                    yd, dy, NULL, NULL, xd, dx, vd, v.gamma, v.beta, v.dgamma,
                                                    v.dbeta, op->d.epsilon, v.saved_mean, v.saved_deviation,
                                                    op->fused_norm ? op->fused_activation : NULL,
                                                    r->workspace + op->tail, op->workspace_bytes - op->tail,
                                                    v.reserve, op->norm_reserve))
            : DNN_RUN(cudnnBatchNormalizationBackward(dnn, CUDNN_BATCHNORM_SPATIAL, &one, beta, &one, &zero,
                                                      xd, x, yd, dy, xd, dx, vd, v.gamma, v.dgamma, v.dbeta,
                                                      op->d.epsilon, v.saved_mean, v.saved_deviation)))
        return -1;
    return outcome(op_shares(r->b, op, io) &&
                   (transform(r->g, op->name, vd, v.dbeta, vd, v.shared[0], false, err) ||
                    transform(r->g, op->name, vd, v.dgamma, vd, v.shared[1], false, err)));
}

/* --- a constant scale and shift --- */

/* With mean 0, variance 1 and epsilon 0: x * scale + shift, dividing by an exact 1. */
static int affine_forward(const struct run *r, struct error *err)
{
    struct backend_op *op = r->op;
    const char *scale = op->constant[r->gpu], *shift = scale + round_up(op->weight_bytes);
    struct norm_constants c = {(const float *)scale, (const float *)shift, r->g->zeros, r->g->ones, 0};
    void *y = operand_out(r, &op->y, &r->io->y);
    return outcome(normalise(r, op->x[0].full, at(&r->io->x[0], r->gpu), op->y.full, y, c, false, err) ||
                   op_activate(r, y, err));
}

static int affine_backward(const struct run *r, struct error *err)
{
    struct backend_op *op = r->op;
    struct norm_constants c = {op->constant[r->gpu], r->g->zeros, r->g->zeros, r->g->ones, 0};
    const void *dy;
    void *dx = at(&r->io->dx[0], r->gpu);
    if (!dx) return 0;
    if (op_activation_backward(r, err) || operand_in(r, &op->y, &r->io->dy, 0, &dy, err)) return -1;
    return normalise(r, op->y.full, dy, op->x[0].full, dx, c, r->io->accumulate[0], err);
}

const struct calls norm_calls = {norm_make, norm_forward, norm_backward};
const struct calls affine_calls = {norm_make, affine_forward, affine_backward};
