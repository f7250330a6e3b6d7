/* cuda_op.c: plans and runs one operation; the part that all kinds share. An operation is described once
 * (descriptors, plans, where its scratch memory is in the workspace), and then run for each GPU. */
#include <stdlib.h>

#include "tensor/cuda/cuda.h"
#include "tensor/op_host.h"

static int make_activation(struct backend_op *op, struct error *err)
{
    static const cudnnActivationMode_t modes[] = {CUDNN_ACTIVATION_IDENTITY, CUDNN_ACTIVATION_RELU,
                                                  CUDNN_ACTIVATION_CLIPPED_RELU, CUDNN_ACTIVATION_SIGMOID};
    cudnnActivationMode_t mode = modes[op->d.activation]; /* by enum op_activation */
    /* The fused call accepts only the first form. In a separate call a NaN must be seen, and
     * not hidden by max(0, NaN) = 0. */
    return outcome(
        activation_make(&op->fused_activation, op->name, mode, CUDNN_NOT_PROPAGATE_NAN, 0, err) ||
        (mode != CUDNN_ACTIVATION_IDENTITY &&
         activation_make(&op->activation, op->name, mode, CUDNN_PROPAGATE_NAN, op->d.activation_max, err)));
}

static bool cuda_writes_slice(const struct backend *b, const struct op_desc *d)
{
    switch (d->kind) {
    case OP_CONV:
    case OP_DEPTHWISE:
    case OP_BATCH_NORM: /* faster with the ReLU fused and without gaps, even with the copy that this needs */
        if (d->training && (d->kind == OP_BATCH_NORM || d->activation != OP_LINEAR)) return false;
        /* fall through */
    case OP_AFFINE:
    case OP_ADD:
        /* The gradient of the capped ReLU consists of several calls that need y and dy without gaps. */
        return d->activation != OP_RELU_CAPPED && !is_vector(&d->y);
    default: return false;
    }
}

static const struct calls *calls_of(const struct backend_op *op)
{
    switch (op->d.kind) {
    case OP_CONV:
    case OP_DEPTHWISE: return &conv_calls;
    case OP_DENSE: return &dense_calls;
    case OP_BATCH_NORM: return &norm_calls;
    case OP_AFFINE: return &affine_calls;
    case OP_MAX_POOL:
    case OP_AVERAGE_POOL:
    case OP_GLOBAL_AVERAGE_POOL: return &pool_calls;
    default: return &elementwise_calls;
    }
}

static void cuda_op_destroy(struct backend *b, struct backend_op *op)
{
    if (!op) return;
    for (int i = 0; i < OP_MAX_INPUTS; i++)
        operand_release(&op->x[i]);
    operand_release(&op->y);
    operand_release(&op->w);
    cudnnTensorDescriptor_t tensors[] = {op->bias, op->vector, op->wide, op->divisor};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        if (tensors[i]) cudnnDestroyTensorDescriptor(tensors[i]);
    plans_free(b, op->forward);
    plans_free(b, op->data);
    plans_free(b, op->filter);
    if (op->pool) cudnnDestroyPoolingDescriptor(op->pool);
    if (op->activation) cudnnDestroyActivationDescriptor(op->activation);
    if (op->fused_activation) cudnnDestroyActivationDescriptor(op->fused_activation);
    for (int k = 0; k < b->n_gpus; k++)
        gpu_free(&b->gpu[k], op->constant[k]);
    free(op->name);
    free(op);
}

static int cuda_op_create(struct backend *b, const struct op_desc *d, struct backend_op **out,
                          struct error *err)
{
    *out = NULL;
    struct backend_op *op = mem_zalloc(1, sizeof *op, err);
    if (!op) return -1;
    op->d = *d;
    op->d.name = NULL;
    char name[300];
    op_host_name(d, name, sizeof name);
    if (!(op->name = mem_strdup(name, err))) goto fail;
    if (op_host_refuses(d, op->name, b->n_gpus, CUDA_MAX_CHANNELS, err)) goto fail;
    op->n = images_per_gpu(b, d->y.n);
    for (int i = 0; i < d->n_x; i++) {
        op->x[i].shape = d->x[i];
        op->x[i].shape.n = op->n;
    }
    op->y.shape = d->y;
    op->y.shape.n = op->n;
    if ((!b->described && gpu_use(&b->gpu[0], err)) || make_activation(op, err) ||
        calls_of(op)->make(b, op, err))
        goto fail;
    /* Scratch that every kind may need: two buffers for the gradient of the capped ReLU. */
    if (d->training && d->activation == OP_RELU_CAPPED) {
        size_t bytes = round_up(shape_values(&op->y.shape) * type_bytes(stored_type(b, &op->y.shape)));
        op->extra2 = op->tail;
        op->tail += bytes;
        op->workspace_bytes += bytes;
    }
    *out = op;
    return 0;
fail:
    cuda_op_destroy(b, op);
    return -1;
}

static unsigned cuda_op_backward_reads(const struct backend_op *op)
{
    return op_host_backward_reads(&op->d) |
           (op->d.kind == OP_MAX_POOL ? BACKWARD_READS_X | BACKWARD_READS_Y : 0);
}

static size_t cuda_op_saved_bytes(const struct backend_op *op)
{
    if (op->d.kind != OP_BATCH_NORM || !op->d.training) return 0;
    return round_up(2 * (size_t)op->d.y.c * sizeof(float)) + op->norm_reserve;
}

static size_t cuda_op_constant_bytes(const struct backend_op *op)
{
    bool narrow = op->forward && !op->d.constant_weights && op->type != CUDNN_DATA_FLOAT;
    if (narrow) return op->weight_bytes; /* halves of arena_narrow and arena_gather */
    return op->d.constant_weights || op->d.kind == OP_AVERAGE_POOL ? op->constant_bytes : 0;
}

static size_t cuda_op_workspace_bytes(const struct backend_op *op) { return op->workspace_bytes; }

static bool cuda_op_plan(const struct backend_op *op, int i, struct op_plan *out)
{
    const struct graph_plan *plans[] = {op->forward, op->data, op->filter}, *p = NULL;
    for (size_t k = 0; k < sizeof plans / sizeof *plans && !p; k++)
        if (plans[k] && i-- == 0) p = plans[k];
    if (!p) return false;
    *out = (struct op_plan){"", p->choice.engine, p->workspace, p->tensor_core, p->repeatable};
    graph_name(&p->graph, type_name(p->graph.type), out->what, sizeof out->what);
    return true;
}

static int cuda_op_load(struct backend *b, struct backend_op *op, const float *weights, const float *bias,
                        struct error *err)
{
    for (int k = 0; k < b->n_gpus; k++) {
        if (gpu_use(&b->gpu[k], err) ||
            (!op->constant[k] && CUDA(op->name, cudaMalloc(&op->constant[k], op->constant_bytes))))
            return -1;
    }
    if (op->d.kind == OP_CONV || op->d.kind == OP_DEPTHWISE) return conv_load(b, op, weights, bias, err);
    for (int k = 0; k < b->n_gpus; k++) {
        char *to = op->constant[k];
        if (gpu_upload(&b->gpu[k], to, weights, op->weight_bytes, err) ||
            (bias && gpu_upload(&b->gpu[k], to + round_up(op->weight_bytes), bias,
                                (size_t)op->d.y.c * sizeof(float), err)))
            return error_prefix(err, "%s", op->name);
    }
    return 0;
}

/* --- running --- */

/* A batch norm over all parts of the batch runs in two halves, between which they exchange two vectors. */
static int run_all(struct backend *b, struct backend_op *op, const struct op_io *io, struct slot workspace,
                   int (*run)(const struct run *r, struct error *err), struct error *err)
{
    struct slot shared = {workspace.buffer, workspace.offset + op->shared};
    if (op->workspace_bytes &&
        (!workspace.buffer || workspace.buffer->bytes - workspace.offset < op->workspace_bytes))
        return error_set(err, EX_SOFTWARE, "cuda: %s: the workspace is smaller than the operation asked for",
                         op->name);
    for (int half = 0; half < (op_shares(b, op, io) ? 2 : 1); half++) {
        if (half && multi_gpu_mean(b, shared, 2 * (size_t)op->d.y.c, err)) return -1;
        for (int k = 0; k < b->n_gpus; k++) {
            struct run r = {b, op, &b->gpu[k], k, io, at(&workspace, k), half > 0};
            if (gpu_use(&b->gpu[k], err) || run(&r, err)) return -1;
        }
    }
    return 0;
}

static int cuda_op_forward(struct backend *b, struct backend_op *op, const struct op_io *io,
                           struct slot workspace, struct error *err)
{
    return run_all(b, op, io, workspace, calls_of(op)->forward, err);
}

static int cuda_op_backward(struct backend *b, struct backend_op *op, const struct op_io *io,
                            struct slot workspace, struct error *err)
{
    return run_all(b, op, io, workspace, calls_of(op)->backward, err);
}

/* --- activation --- */

int op_activate(const struct run *r, void *full, struct error *err)
{
    struct backend_op *op = r->op;
    /* the copy into the slice and the activation are one call, where the type stays */
    bool copies = op->y.staged && op->y.type == op->y.stored_type && op->d.activation != OP_LINEAR;
    void *to = copies ? operand_stored(&op->y, at(&r->io->y, r->gpu)) : full;
    if (op->d.activation != OP_LINEAR &&
        DNN_RUN(cudnnActivationForward(r->g->dnn, op->activation, &one, op->y.full, full, &zero,
                                       copies ? op->y.stored : op->y.full, to)))
        return -1;
    return copies ? 0 : operand_out_done(r, &op->y, &r->io->y, false, err);
}

/*
 * Only y is kept. The derivatives of ReLU and sigmoid can be computed from y, which is passed in place of x.
 * For the capped ReLU the derivative is 1 where y > 0 and cap - y > 0. It is computed as the derivatives of
 * two plain ReLUs, one of y and one of cap - y.
 */
int op_activation_backward(const struct run *r, struct error *err)
{
    struct backend_op *op = r->op;
    cudnnHandle_t dnn = r->g->dnn;
    if (op->d.activation == OP_LINEAR) return 0;
    void *y = operand_stored(&op->y, at(&r->io->y, r->gpu)),
         *dy = operand_stored(&op->y, at(&r->io->dy, r->gpu));
    cudnnTensorDescriptor_t t = op->y.stored;
    if (op->d.activation != OP_RELU_CAPPED)
        return DNN_RUN(cudnnActivationBackward(dnn, op->activation, &one, t, y, t, dy, t, y, &zero, t, dy));
    void *room = r->workspace + op->extra2;
    const float minus = -1;
    cudnnActivationDescriptor_t relu = r->b->relu;
    return outcome(fill_tensor(r->g, op->name, t, op->y.stored_type, room, op->d.activation_max, err) ||
                   DNN_RUN(cudnnAddTensor(dnn, &minus, t, y, &one, t, room)) ||
                   DNN_RUN(cudnnActivationBackward(dnn, relu, &one, t, room, t, dy, t, room, &zero, t, dy)) ||
                   DNN_RUN(cudnnActivationBackward(dnn, relu, &one, t, y, t, dy, t, y, &zero, t, dy)));
}

void op_functions(struct backend_table *t)
{
    t->writes_slice = cuda_writes_slice;
    t->op_create = cuda_op_create;
    t->op_destroy = cuda_op_destroy;
    t->op_backward_reads = cuda_op_backward_reads;
    t->op_saved_bytes = cuda_op_saved_bytes;
    t->op_constant_bytes = cuda_op_constant_bytes;
    t->op_workspace_bytes = cuda_op_workspace_bytes;
    t->op_load = cuda_op_load;
    t->op_plan = cuda_op_plan;
    t->op_forward = cuda_op_forward;
    t->op_backward = cuda_op_backward;
}
