/*
 * cuda_conv.c: convolutions, depthwise ones (as groups), and dense layers.
 *
 * A convolution is planned in the first of these forms that cuDNN supports in all passes that are needed:
 * with its tensors as they are stored, where y may be a slice; with y in scratch memory; and, for 16 bits,
 * in float32 between two conversions. Bias and ReLU are part of the forward plan. Where cuDNN has no plan
 * with them, they are separate calls.
 */
#include <stdlib.h>

#include "tensor/cuda/cuda.h"
#include "tensor/op_host.h"

/* [cout][kh][kw][cin of one group], as a tensor of cout "pictures" */
static struct tensor_shape filter_shape(const struct op_desc *d)
{
    int c = d->x[0].c / conv_graph_groups(d);
    return (struct tensor_shape){d->y.c, d->kernel_h, d->kernel_w, c, c, 0, 0, 0};
}

static int describe_in(struct backend *b, struct backend_op *op, cudnnDataType_t type,
                       enum operand_staging y_staging, struct error *err)
{
    const struct op_desc *d = &op->d;
    struct tensor_shape f = filter_shape(d), xs = op->x[0].shape, add = op->x[1].shape, ys = op->y.shape;
    op->type = type;
    if (operand_make(&op->x[0], op->name, &xs, stored_type(b, &xs), type, NULL, STAGE_SLICES, err) ||
        (d->n_x > 1 &&
         operand_make(&op->x[1], op->name, &add, stored_type(b, &add), type, NULL, STAGE_SLICES, err)) ||
        operand_make(&op->y, op->name, &ys, stored_type(b, &ys), type, NULL, y_staging, err) ||
        operand_make(&op->w, op->name, &f, CUDNN_DATA_FLOAT, type, NULL, STAGE_SLICES, err))
        return -1;
    op->graph = conv_graph_of(d, (int)type, op->n, op->y.staged);
    return 0;
}

/* Makes the plans of all passes that are needed. 1 when cuDNN has none for one of them in this form. */
static int choose_plans(struct backend *b, struct backend_op *op, struct error *err)
{
    const struct op_desc *d = &op->d;
    struct conv_graph *g = &op->graph, data = *g, filter = *g;
    data.pass = PASS_DATA;
    data.accumulate = d->adds_dx && !op->x[0].staged;
    filter.pass = PASS_FILTER;
    g->relu = d->activation == OP_RELU;
    g->add = d->n_x > 1;
    g->bias = d->has_bias || g->relu || g->add; /* no plan has these without a bias: zeros are used */
    int rc = g->bias ? plan_choose(b, g, op->name, &op->forward, err) : 1;
    if (rc == 1) {
        g->bias = g->relu = g->add = 0;
        rc = plan_choose(b, g, op->name, &op->forward, err);
    }
    if (!rc && d->training && d->needs_dx) rc = plan_choose(b, &data, op->name, &op->data, err);
    if (!rc && d->training && d->needs_dw) rc = plan_choose(b, &filter, op->name, &op->filter, err);
    if (rc) {
        plans_free(b, op->forward);
        plans_free(b, op->data);
        op->forward = op->data = NULL;
    }
    return rc;
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }
static size_t plan_workspace(const struct graph_plan *p) { return p ? p->workspace : 0; }

static int conv_make(struct backend *b, struct backend_op *op, struct error *err)
{
    const struct op_desc *d = &op->d;
    cudnnDataType_t type = b->map_type;
    size_t pixel = (size_t)d->y.parent_c * type_bytes(type), first = (size_t)d->y.first_c * type_bytes(type);
    bool slice = d->y.parent_c != d->y.c, direct = !slice || (pixel % 16 == 0 && first % 16 == 0);
    const struct {
        cudnnDataType_t type;
        enum operand_staging y;
        bool there;
    } forms[] = {{type, STAGE_OTHER_TYPES, direct},
                 {type, STAGE_SLICES, slice},
                 {CUDNN_DATA_FLOAT, STAGE_SLICES, type != CUDNN_DATA_FLOAT}};
    int rc = 1;
    for (size_t i = 0; rc == 1 && i < sizeof forms / sizeof *forms; i++)
        if (forms[i].there)
            rc = describe_in(b, op, forms[i].type, forms[i].y, err) ? -1 : choose_plans(b, op, err);
    if (rc == 1)
        error_set(err, EX_UNAVAILABLE, "cuda: %s: cuDNN has no repeatable plan for it on %s within %zu MiB",
                  op->name, b->properties.name, b->workspace_limit >> 20);
    bool wide = d->has_bias && d->needs_dw && (op->type != CUDNN_DATA_FLOAT || op->graph.y_pixel != d->y.c);
    if (rc || tensor_make(&op->bias, op->name, op->type, 1, d->y.c, 1, 1, err) ||
        tensor_make(&op->vector, op->name, CUDNN_DATA_FLOAT, 1, d->y.c, 1, 1, err) ||
        (wide && tensor_make(&op->wide, op->name, CUDNN_DATA_FLOAT, op->n, d->y.c, d->y.h, d->y.w, err)))
        return -1;
    op->weight_bytes = shape_values(&op->w.shape) * sizeof(float);
    if (d->constant_weights) {
        op->weight_bytes = shape_values(&op->w.shape) * type_bytes(op->type);
        op->constant_bytes = round_up(op->weight_bytes) + round_up((size_t)d->y.c * sizeof(float));
    }
    size_t used = 0;
    operand_place(&op->x[0], &used);
    operand_place(&op->x[1], &used);
    operand_place(&op->y, &used);
    operand_place(&op->w, &used);
    op->extra = used;
    if (op->type != CUDNN_DATA_FLOAT) op->extra_bytes = round_up((size_t)d->y.c * sizeof(float));
    if (wide) op->extra_bytes = larger(op->extra_bytes, round_up(shape_values(&op->y.shape) * sizeof(float)));
    op->tail = used + op->extra_bytes;
    op->workspace_bytes = op->tail + larger(plan_workspace(op->forward),
                                            larger(plan_workspace(op->data), plan_workspace(op->filter)));
    return 0;
}

int op_constant(struct gpu *g, const struct backend_op *op, const float *values, size_t n,
                cudnnTensorDescriptor_t wide, cudnnTensorDescriptor_t narrow, void *to, struct error *err)
{
    if (op->type == CUDNN_DATA_FLOAT) return gpu_upload(g, to, values, n * sizeof *values, err);
    return outcome(gpu_grow(g, &g->convert, &g->convert_bytes, n * sizeof *values, false, op->name, err) ||
                   gpu_upload(g, g->convert, values, n * sizeof *values, err) ||
                   transform(g, op->name, wide, g->convert, narrow, to, false, err));
}

int conv_load(struct backend *b, struct backend_op *op, const float *weights, const float *bias,
              struct error *err)
{
    const struct op_desc *d = &op->d;
    /* Depthwise [kh,kw,c,multiplier] is, flat, [taps][c * multiplier]: a convolution of one channel. */
    struct param_shape p = {PARAM_CONV, d->kernel_h, d->kernel_w, op->w.shape.c, d->y.c};
    size_t n = param_shape_values(&p);
    float *ours = mem_alloc(n * sizeof *ours, err);
    int rc = ours ? 0 : -1;
    if (ours) op_host_reorder(&p, weights, ours, false);
    for (int k = 0; !rc && k < b->n_gpus; k++) {
        char *to = op->constant[k];
        rc = gpu_use(&b->gpu[k], err) ||
             op_constant(&b->gpu[k], op, ours, n, op->w.stored, op->w.inner, to, err) ||
             (bias && op_constant(&b->gpu[k], op, bias, (size_t)d->y.c, op->vector, op->bias,
                                  to + round_up(op->weight_bytes), err));
    }
    free(ours);
    return rc ? -1 : 0;
}

static int weights_in(const struct run *r, const void **w, struct error *err)
{
    struct backend_op *op = r->op;
    *w = op->d.constant_weights ? op->constant[r->gpu] : at(&r->io->w, r->gpu);
    return op->d.constant_weights || op->type == CUDNN_DATA_FLOAT
               ? 0
               : arena_narrow(r->b, r->gpu, &r->io->w, w, err);
}

/* The bias in the type of y, or zeros, because a fused plan needs a bias. */
static int bias_in(const struct run *r, const void **bias, struct error *err)
{
    struct backend_op *op = r->op;
    const void *wide = at(&r->io->bias, r->gpu);
    void *narrow = r->workspace + op->extra;
    bool converts = op->type != CUDNN_DATA_FLOAT && op->d.has_bias && !op->d.constant_weights;
    *bias = !op->d.has_bias          ? r->g->zeros
            : op->d.constant_weights ? (char *)op->constant[r->gpu] + round_up(op->weight_bytes)
            : converts               ? narrow
                                     : wide;
    return converts ? transform(r->g, op->name, op->vector, wide, op->bias, narrow, false, err) : 0;
}

static int run_plan(const struct run *r, struct graph_plan *plans, const void *x, const void *w,
                    const void *y, const void *bias, const void *add, struct error *err)
{
    /* by enum graph_tensor */
    void *const addresses[GRAPH_MAX_TENSORS] = {(void *)x, (void *)w, (void *)y, (void *)bias, (void *)add};
    return graph_run(&plans[r->gpu], r->g->dnn, r->op->name, addresses, r->workspace + r->op->tail, err);
}

static int conv_forward(const struct run *r, struct error *err)
{
    struct backend_op *op = r->op;
    const void *x, *w, *bias, *add = NULL;
    void *y = operand_out(r, &op->y, &r->io->y);
    if (operand_in(r, &op->x[0], &r->io->x[0], 0, &x, err) ||
        (op->d.n_x > 1 && operand_in(r, &op->x[1], &r->io->x[1], 0, &add, err)) || weights_in(r, &w, err) ||
        bias_in(r, &bias, err))
        return -1;
    if (run_plan(r, op->forward, x, w, y, op->graph.bias ? bias : NULL, op->graph.add ? add : NULL, err) ||
        (op->d.has_bias && !op->graph.bias &&
         DNN_RUN(cudnnAddTensor(r->g->dnn, &one, op->bias, bias, &one, op->y.full, y))) ||
        (add && !op->graph.add &&
         DNN_RUN(cudnnAddTensor(r->g->dnn, &one, op->x[1].full, add, &one, op->y.full, y))))
        return -1;
    return op->graph.relu ? operand_out_done(r, &op->y, &r->io->y, false, err) : op_activate(r, y, err);
}

/* db = the sum of dy over pictures and pixels, in float: cuDNN has no sum of bfloat16,
 * and one of fp16 would overflow where its terms did not. */
static int bias_gradient(const struct run *r, const void *dy, struct error *err)
{
    struct backend_op *op = r->op;
    void *db = at(&r->io->dbias, r->gpu), *wide = r->workspace + op->extra;
    if (!db) return 0;
    if (op->wide && transform(r->g, op->name, op->y.full, dy, op->wide, wide, false, err)) return -1;
    return DNN_RUN(cudnnConvolutionBackwardBias(r->g->dnn, &one, op->wide ? op->wide : op->y.full,
                                                op->wide ? wide : dy, &zero, op->vector, db));
}

static int conv_backward(const struct run *r, struct error *err)
{
    struct backend_op *op = r->op;
    const void *x, *w, *dy;
    if (op_activation_backward(r, err) || operand_in(r, &op->y, &r->io->dy, 0, &dy, err) ||
        bias_gradient(r, dy, err))
        return -1;
    if (r->io->dw.buffer) {
        bool gather = op->type != CUDNN_DATA_FLOAT && r->b->n_parts == 1;
        void *dw = operand_out(r, &op->w, &r->io->dw);
        if ((gather && arena_gather(r->g, &r->io->dw, &dw, err)) ||
            operand_in(r, &op->x[0], &r->io->x[0], 0, &x, err) ||
            run_plan(r, op->filter, x, dw, dy, NULL, NULL, err) ||
            (!gather && operand_out_done(r, &op->w, &r->io->dw, false, err)))
            return -1;
    }
    if (!r->io->dx[0].buffer) return 0;
    if (r->io->accumulate[0] != op->d.adds_dx)
        return error_set(err, EX_SOFTWARE, "cuda: %s: dx is %s, planned otherwise", op->name,
                         op->d.adds_dx ? "overwritten" : "added to");
    void *dx = operand_out(r, &op->x[0], &r->io->dx[0]);
    return outcome(weights_in(r, &w, err) || run_plan(r, op->data, dx, w, dy, NULL, NULL, err) ||
                   operand_out_done(r, &op->x[0], &r->io->dx[0], op->d.adds_dx, err));
}

/* --- dense --- */

/*
 * Vectors are float in every precision: the head is small, and the loss is computed from its outputs. A
 * row-major matrix that is read as column-major is its transpose, and row-major y = x w is column-major y' =
 * w' x'. So no operand has to be transposed.
 */
static int dense_make(struct backend *b, struct backend_op *op, struct error *err)
{
    const struct op_desc *d = &op->d;
    op->type = CUDNN_DATA_FLOAT;
    op->weight_bytes = (size_t)d->x[0].c * (size_t)d->y.c * sizeof(float);
    op->constant_bytes = round_up(op->weight_bytes) + round_up((size_t)d->y.c * sizeof(float));
    struct tensor_shape xs = op->x[0].shape, ys = op->y.shape;
    if (!is_vector(&xs) || !is_vector(&ys))
        return error_set(err, EX_UNAVAILABLE, "cuda: %s: a dense layer needs vectors", op->name);
    return outcome(
        operand_make(&op->y, op->name, &ys, CUDNN_DATA_FLOAT, CUDNN_DATA_FLOAT, NULL, STAGE_SLICES, err) ||
        tensor_make(&op->bias, op->name, CUDNN_DATA_FLOAT, 1, d->y.c, 1, 1, err));
}

static int gemm(const struct run *r, cublasOperation_t ta, cublasOperation_t tb, int m, int n, int k,
                const void *a, int lda, const void *bb, int ldb, const float *beta, void *c, int ldc,
                struct error *err)
{
    cublasComputeType_t compute = r->b->options.precision == PRECISION_F32 || r->b->properties.major < 8
                                      ? CUBLAS_COMPUTE_32F
                                      : CUBLAS_COMPUTE_32F_FAST_TF32;
    return BLAS(r->op->name,
                cublasGemmEx(r->g->blas, ta, tb, m, n, k, &one, a, CUDA_R_32F, lda, bb, CUDA_R_32F, ldb, beta,
                             c, CUDA_R_32F, ldc, compute, CUBLAS_GEMM_DEFAULT));
}

static int dense_forward(const struct run *r, struct error *err)
{
    struct backend_op *op = r->op;
    int in = op->d.x[0].c, out = op->d.y.c;
    void *y = at(&r->io->y, r->gpu);
    const char *constant = op->constant[r->gpu], *w = constant ? constant : at(&r->io->w, r->gpu),
               *bias = constant ? constant + round_up(op->weight_bytes) : at(&r->io->bias, r->gpu);
    return outcome(
        gemm(r, CUBLAS_OP_N, CUBLAS_OP_N, out, op->n, in, w, out, at(&r->io->x[0], r->gpu), in, &zero, y, out,
             err) ||
        (op->d.has_bias && DNN_RUN(cudnnAddTensor(r->g->dnn, &one, op->bias, bias, &one, op->y.full, y))) ||
        op_activate(r, y, err));
}

static int dense_backward(const struct run *r, struct error *err)
{
    struct backend_op *op = r->op;
    int in = op->d.x[0].c, out = op->d.y.c;
    char *w = at(&r->io->w, r->gpu), *dw = at(&r->io->dw, r->gpu), *db = at(&r->io->dbias, r->gpu),
         *dx = at(&r->io->dx[0], r->gpu), *dy = at(&r->io->dy, r->gpu);
    return outcome(
        op_activation_backward(r, err) ||
        (db && DNN_RUN(cudnnConvolutionBackwardBias(r->g->dnn, &one, op->y.full, dy, &zero, op->bias, db))) ||
        (dw && gemm(r, CUBLAS_OP_N, CUBLAS_OP_T, out, in, op->n, dy, out, at(&r->io->x[0], r->gpu), in, &zero,
                    dw, out, err)) ||
        (dx &&
         gemm(r, CUBLAS_OP_T, CUBLAS_OP_N, in, op->n, out, op->d.constant_weights ? op->constant[r->gpu] : w,
              out, dy, out, r->io->accumulate[0] ? &one : &zero, dx, in, err)));
}

const struct calls conv_calls = {conv_make, conv_forward, conv_backward};
const struct calls dense_calls = {dense_make, dense_forward, dense_backward};
