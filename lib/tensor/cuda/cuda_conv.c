/*
 * cuda_conv.c: convolutions, depthwise ones as groups, and dense layers.
 *
 * A convolution is tried in NHWC first, then in NCHW (staged), then, in bf16, in float32: the first form in
 * which cuDNN supports all the passes it is needed for is taken when it is planned. Bias and activation go
 * into the same call where cuDNN offers that, and become calls of their own the first time it says
 * CUDNN_STATUS_NOT_SUPPORTED.
 */
#include "tensor/cuda/cuda.h"

#include <stdlib.h>
#include <string.h>

/* [cout][kh][kw][cin of one group], as a tensor of cout "pictures" */
static struct tensor_shape filter_shape(const struct op_desc *d)
{
    int c = d->kind == OP_DEPTHWISE ? 1 : d->x[0].c;
    return (struct tensor_shape){d->y.c, d->kernel_h, d->kernel_w, c, c, 0};
}

static int describe_in(struct backend *b, struct backend_op *op, cudnnDataType_t type,
                       cudnnTensorFormat_t format, struct error *err)
{
    const struct op_desc *d = &op->d;
    struct tensor_shape f = filter_shape(d), xs = op->x[0].shape, ys = op->y.shape;
    bool symmetric = d->pad_top == d->pad_bottom && d->pad_left == d->pad_right;
    int pads[4] = {d->pad_top, d->pad_bottom, d->pad_left, d->pad_right};
    /* A part of a batch begins anywhere; tensor cores want 16 bytes. */
    bool x_odd = (size_t)xs.h * (size_t)xs.w * (size_t)xs.c * type_bytes(type) % 16,
         y_odd = (size_t)ys.h * (size_t)ys.w * (size_t)ys.c * type_bytes(type) % 16;
    operand_release(&op->x[0]);
    operand_release(&op->y);
    operand_release(&op->w);
    op->x[0].shape = xs;
    op->y.shape = ys;
    op->type = type;
    op->format = format;
    op->direct = false;
    if (operand_make(&op->x[0], op->name, &xs, stored_type(b, &xs), type, format, symmetric ? NULL : pads,
                     x_odd, err) ||
        operand_make(&op->y, op->name, &ys, stored_type(b, &ys), type, format, NULL, y_odd, err) ||
        operand_make(&op->w, op->name, &f, CUDNN_DATA_FLOAT, type, format, NULL, false, err))
        return -1;
    int stride_h = d->stride_h, stride_w = d->stride_w;
    cudnnMathType_t math = b->options.precision == PRECISION_F32 ? CUDNN_FMA_MATH
                           : type == CUDNN_DATA_BFLOAT16         ? CUDNN_TENSOR_OP_MATH
                                                                 : CUDNN_DEFAULT_MATH;
    return DNN(op->name, cudnnSetFilter4dDescriptor(op->filter, type, format, f.n, f.c, f.h, f.w)) ||
                   DNN(op->name,
                       cudnnSetConvolution2dDescriptor(op->conv, symmetric ? d->pad_top : 0,
                                                       symmetric ? d->pad_left : 0, stride_h, stride_w,
                                                       d->dilation_h ? d->dilation_h : 1,
                                                       d->dilation_w ? d->dilation_w : 1,
                                                       CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT)) ||
                   DNN(op->name,
                       cudnnSetConvolutionGroupCount(op->conv, d->kind == OP_DEPTHWISE ? d->x[0].c : 1)) ||
                   DNN(op->name, cudnnSetConvolutionMathType(op->conv, math))
               ? -1
               : 0;
}

/* 1 when cuDNN has no algorithm for one of the passes in this form. */
static int choose_passes(struct backend *b, struct backend_op *op, struct error *err)
{
    int rc = algorithm_choose(b, op, PASS_FORWARD, &op->forward, err);
    if (!rc && op->d.training && op->d.needs_dx)
        rc = algorithm_choose(b, op, PASS_DATA, &op->backward_data, err);
    if (!rc && op->d.training && op->d.needs_dw)
        rc = algorithm_choose(b, op, PASS_FILTER, &op->backward_filter, err);
    return rc;
}

static size_t largest(size_t a, size_t b) { return a > b ? a : b; }

/* Can y be written where it belongs, between the channels of its neighbours? Asked by the call that knows for
 * certain.
 */
static void try_direct(struct backend *b, struct backend_op *op)
{
    size_t need = 0, pixel = (size_t)op->d.y.parent_c * type_bytes(op->type);
    if (!op->y.staged || op->y.type != op->y.stored_type || op->format != CUDNN_TENSOR_NHWC ||
        op->y.first_offset % 16 || pixel % 16)
        return;
    if (cudnnGetConvolutionForwardWorkspaceSize(b->gpu[0].dnn, op->x[0].full, op->filter, op->conv,
                                                op->y.stored,
                                                (cudnnConvolutionFwdAlgo_t)op->forward.algorithm,
                                                &need) != CUDNN_STATUS_SUCCESS)
        return;
    op->direct = true;
    op->forward.workspace = largest(op->forward.workspace, need);
}

int conv_make(struct backend *b, struct backend_op *op, struct error *err)
{
    const struct op_desc *d = &op->d;
    bool bf16 = b->options.precision == PRECISION_BF16;
    const struct {
        cudnnDataType_t type;
        cudnnTensorFormat_t format;
    } forms[] = {
        {bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT, CUDNN_TENSOR_NHWC},
        {bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW},
        {CUDNN_DATA_FLOAT, CUDNN_TENSOR_NCHW},
    };
    int rc = 1;
    if (DNN(op->name, cudnnCreateFilterDescriptor(&op->filter)) ||
        DNN(op->name, cudnnCreateConvolutionDescriptor(&op->conv)))
        return -1;
    for (size_t i = 0; rc == 1 && i < (bf16 ? 3u : 2u); i++)
        rc = describe_in(b, op, forms[i].type, forms[i].format, err) ? -1 : choose_passes(b, op, err);
    if (rc == 1)
        error_set(err, EX_UNAVAILABLE, "cuda: %s: cuDNN has no repeatable algorithm for it on %s", op->name,
                  b->properties.name);
    if (rc || tensor_make(&op->bias, op->name, op->type, CUDNN_TENSOR_NHWC, 1, d->y.c, 1, 1, err) ||
        tensor_make(&op->vector, op->name, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NHWC, 1, d->y.c, 1, 1, err))
        return -1;
    try_direct(b, op);
    op->fused = d->activation == OP_RELU ||
                (d->activation == OP_LINEAR && d->has_bias &&
                 op->forward.algorithm == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM);
    op->weight_bytes = shape_values(&op->w.shape) * sizeof(float);
    if (d->constant_weights) {
        op->weight_bytes = shape_values(&op->w.shape) * type_bytes(op->type);
        op->constant_bytes = round_up(op->weight_bytes) + round_up((size_t)d->y.c * sizeof(float));
    }
    size_t used = 0;
    operand_place(&op->x[0], &used);
    operand_place(&op->y, &used);
    operand_place(&op->w, &used);
    op->extra = used;
    op->extra_bytes = op->type == CUDNN_DATA_BFLOAT16 ? round_up((size_t)d->y.c * sizeof(float)) : 0;
    op->tail = used + op->extra_bytes;
    op->workspace_bytes = op->tail + largest(op->forward.workspace, largest(op->backward_data.workspace,
                                                                            op->backward_filter.workspace));
    return 0;
}

/* Weights come in Keras' order; they go up as float [cout][kh][kw][cin] and are brought into the form that
 * the call wants on the GPU. */
int conv_load(struct backend *b, struct backend_op *op, const float *weights, const float *bias,
              struct error *err)
{
    const struct op_desc *d = &op->d;
    size_t taps = (size_t)d->kernel_h * (size_t)d->kernel_w, cout = (size_t)d->y.c,
           cin = d->kind == OP_DEPTHWISE ? 1 : (size_t)d->x[0].c;
    size_t n = taps * cin * cout;
    float *ours = mem_alloc((n > cout ? n : cout) * sizeof *ours, err);
    int rc = ours ? 0 : -1;
    /* Depthwise [kh,kw,c,multiplier] is, flat, [taps][c * multiplier]: the same as a convolution with one
     * input channel. */
    for (size_t t = 0; ours && t < taps; t++)
        for (size_t i = 0; i < cin; i++)
            for (size_t o = 0; o < cout; o++)
                ours[(o * taps + t) * cin + i] = weights[(t * cin + i) * cout + o];
    for (int k = 0; !rc && k < b->n_gpus; k++) {
        struct gpu *g = &b->gpu[k];
        char *to = op->constant[k];
        if (gpu_use(g, err))
            rc = -1;
        else if (!op->w.staged)
            rc = gpu_upload(g, to, ours, n * sizeof *ours, err);
        else
            rc = gpu_grow(g, &g->convert, &g->convert_bytes, n * sizeof *ours, op->name, err) ||
                 gpu_upload(g, g->convert, ours, n * sizeof *ours, err) ||
                 transform(g, op->name, op->w.stored, g->convert, op->w.inner, to, false, err);
        if (rc || !bias) continue;
        char *bias_at = to + round_up(op->weight_bytes);
        if (op->type == CUDNN_DATA_FLOAT)
            rc = gpu_upload(g, bias_at, bias, cout * sizeof *bias, err);
        else
            rc = gpu_grow(g, &g->convert, &g->convert_bytes, cout * sizeof *bias, op->name, err) ||
                 gpu_upload(g, g->convert, bias, cout * sizeof *bias, err) ||
                 transform(g, op->name, op->vector, g->convert, op->bias, bias_at, false, err);
    }
    free(ours);
    return rc ? -1 : 0;
}

static int weights_in(const struct run *r, const void **w, struct error *err)
{
    struct backend_op *op = r->op;
    *w = op->constant[r->gpu];
    return op->d.constant_weights
               ? 0
               : operand_in(&op->w, r->g, op->name, at(&r->io->w, r->gpu), r->workspace, 0, w, err);
}

/* The bias in the type of y, or zeros: the fused call has no form without one. */
static int bias_in(const struct run *r, const void **bias, struct error *err)
{
    struct backend_op *op = r->op;
    bool half = op->type == CUDNN_DATA_BFLOAT16;
    if (!op->d.has_bias)
        *bias = half ? (const void *)r->g->zeros_bf16 : (const void *)r->g->zeros;
    else if (op->d.constant_weights)
        *bias = (char *)op->constant[r->gpu] + round_up(op->weight_bytes);
    else
        *bias = at(&r->io->bias, r->gpu);
    if (!half || !op->d.has_bias || op->d.constant_weights) return 0;
    void *narrow = r->workspace + op->extra;
    if (transform(r->g, op->name, op->vector, *bias, op->bias, narrow, false, err)) return -1;
    *bias = narrow;
    return 0;
}

static bool not_supported(cudnnStatus_t status) { return status / 1000 == CUDNN_STATUS_NOT_SUPPORTED / 1000; }

int conv_forward(const struct run *r, struct error *err)
{
    struct backend_op *op = r->op;
    cudnnHandle_t dnn = r->g->dnn;
    const void *x, *w, *bias;
    char *slot = at(&r->io->y, r->gpu), *tail = r->workspace + op->tail;
    cudnnConvolutionFwdAlgo_t algorithm = (cudnnConvolutionFwdAlgo_t)op->forward.algorithm;
    if (operand_in(&op->x[0], r->g, op->name, at(&r->io->x[0], r->gpu), r->workspace, 0, &x, err) ||
        weights_in(r, &w, err) || bias_in(r, &bias, err))
        return -1;
    for (;;) {
        cudnnTensorDescriptor_t yd = op->direct ? op->y.stored : op->y.full;
        void *y = op->direct ? operand_stored(&op->y, slot) : operand_out(&op->y, slot, r->workspace);
        cudnnStatus_t status;
        if (op->fused) {
            status =
                cudnnConvolutionBiasActivationForward(dnn, &one, op->x[0].full, x, op->filter, w, op->conv,
                                                      algorithm, tail, op->forward.workspace, &zero, yd, y,
                                                      op->bias, bias, op->fused_activation, yd, y);
            if (status == CUDNN_STATUS_SUCCESS)
                return op->direct ? 0
                                  : operand_out_done(&op->y, r->g, op->name, slot, r->workspace, false, err);
            if (!not_supported(status))
                return dnn_check(err, op->name, "cudnnConvolutionBiasActivationForward", status);
            op->fused = false;
            continue;
        }
        status = cudnnConvolutionForward(dnn, &one, op->x[0].full, x, op->filter, w, op->conv, algorithm,
                                         tail, op->forward.workspace, &zero, yd, y);
        if (op->direct && not_supported(status)) {
            op->direct = false;
            continue;
        }
        if (dnn_check(err, op->name, "cudnnConvolutionForward", status)) return -1;
        if (op->d.has_bias && DNN(op->name, cudnnAddTensor(dnn, &one, op->bias, bias, &one, yd, y)))
            return -1;
        return op_activate(r, y, err);
    }
}

/* db = sum of dy over pictures and pixels, float whatever dy is. */
static int bias_gradient(const struct run *r, const void *dy, struct error *err)
{
    struct backend_op *op = r->op;
    void *db = at(&r->io->dbias, r->gpu), *narrow = r->workspace + op->extra;
    bool half = op->type == CUDNN_DATA_BFLOAT16;
    if (!db) return 0;
    if (DNN(op->name, cudnnConvolutionBackwardBias(r->g->dnn, &one, op->y.full, dy, &zero, op->bias,
                                                   half ? narrow : db)))
        return -1;
    return half ? transform(r->g, op->name, op->bias, narrow, op->vector, db, false, err) : 0;
}

int conv_backward(const struct run *r, struct error *err)
{
    struct backend_op *op = r->op;
    cudnnHandle_t dnn = r->g->dnn;
    char *tail = r->workspace + op->tail, *dw_slot = at(&r->io->dw, r->gpu),
         *dx_slot = at(&r->io->dx[0], r->gpu);
    const void *x, *w, *dy;
    if (op_activation_backward(r, err) ||
        operand_in(&op->y, r->g, op->name, at(&r->io->dy, r->gpu), r->workspace, 0, &dy, err) ||
        bias_gradient(r, dy, err))
        return -1;
    if (dw_slot) {
        void *dw = operand_out(&op->w, dw_slot, r->workspace);
        if (operand_in(&op->x[0], r->g, op->name, at(&r->io->x[0], r->gpu), r->workspace, 0, &x, err) ||
            DNN(op->name,
                cudnnConvolutionBackwardFilter(dnn, &one, op->x[0].full, x, op->y.full, dy, op->conv,
                                               (cudnnConvolutionBwdFilterAlgo_t)op->backward_filter.algorithm,
                                               tail, op->backward_filter.workspace, &zero, op->filter, dw)) ||
            operand_out_done(&op->w, r->g, op->name, dw_slot, r->workspace, false, err))
            return -1;
    }
    if (!dx_slot) return 0;
    bool add = r->io->accumulate[0];
    void *dx = operand_out(&op->x[0], dx_slot, r->workspace);
    if (weights_in(r, &w, err) ||
        DNN(op->name,
            cudnnConvolutionBackwardData(dnn, &one, op->filter, w, op->y.full, dy, op->conv,
                                         (cudnnConvolutionBwdDataAlgo_t)op->backward_data.algorithm, tail,
                                         op->backward_data.workspace, add && !op->x[0].staged ? &one : &zero,
                                         op->x[0].full, dx)))
        return -1;
    return operand_out_done(&op->x[0], r->g, op->name, dx_slot, r->workspace, add, err);
}

/* --- dense --- */

/*
 * Vectors are float in every precision: the head is small, and its outputs are what the loss is made of.
 * Row-major y = x w is column-major y' = w' x', and a row-major matrix read as column-major is its transpose:
 * so no operand is ever transposed by hand.
 */
int dense_make(struct backend *b, struct backend_op *op, struct error *err)
{
    const struct op_desc *d = &op->d;
    op->type = CUDNN_DATA_FLOAT;
    op->weight_bytes = (size_t)d->x[0].c * (size_t)d->y.c * sizeof(float);
    op->constant_bytes = round_up(op->weight_bytes) + round_up((size_t)d->y.c * sizeof(float));
    struct tensor_shape xs = op->x[0].shape, ys = op->y.shape;
    if (!is_vector(&xs) || !is_vector(&ys))
        return error_set(err, EX_UNAVAILABLE, "cuda: %s: a dense layer needs vectors", op->name);
    return operand_make(&op->x[0], op->name, &xs, CUDNN_DATA_FLOAT, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NHWC, NULL,
                        false, err) ||
                   operand_make(&op->y, op->name, &ys, CUDNN_DATA_FLOAT, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NHWC,
                                NULL, false, err) ||
                   tensor_make(&op->bias, op->name, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NHWC, 1, d->y.c, 1, 1, err)
               ? -1
               : 0;
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

static const void *dense_weights(const struct run *r)
{
    return r->op->d.constant_weights ? r->op->constant[r->gpu] : at(&r->io->w, r->gpu);
}

int dense_forward(const struct run *r, struct error *err)
{
    struct backend_op *op = r->op;
    int in = op->d.x[0].c, out = op->d.y.c;
    void *y = at(&r->io->y, r->gpu);
    const void *bias = op->d.constant_weights ? (char *)op->constant[r->gpu] + round_up(op->weight_bytes)
                                              : at(&r->io->bias, r->gpu);
    if (gemm(r, CUBLAS_OP_N, CUBLAS_OP_N, out, op->n, in, dense_weights(r), out, at(&r->io->x[0], r->gpu), in,
             &zero, y, out, err))
        return -1;
    if (op->d.has_bias && DNN(op->name, cudnnAddTensor(r->g->dnn, &one, op->bias, bias, &one, op->y.full, y)))
        return -1;
    return op_activate(r, y, err);
}

int dense_backward(const struct run *r, struct error *err)
{
    struct backend_op *op = r->op;
    int in = op->d.x[0].c, out = op->d.y.c;
    char *dw = at(&r->io->dw, r->gpu), *db = at(&r->io->dbias, r->gpu), *dx = at(&r->io->dx[0], r->gpu),
         *dy = at(&r->io->dy, r->gpu);
    if (op_activation_backward(r, err)) return -1;
    if (db &&
        DNN(op->name, cudnnConvolutionBackwardBias(r->g->dnn, &one, op->y.full, dy, &zero, op->bias, db)))
        return -1;
    if (dw && gemm(r, CUBLAS_OP_N, CUBLAS_OP_T, out, in, op->n, dy, out, at(&r->io->x[0], r->gpu), in, &zero,
                   dw, out, err))
        return -1;
    if (dx && gemm(r, CUBLAS_OP_T, CUBLAS_OP_N, in, op->n, out, dense_weights(r), out, dy, out,
                   r->io->accumulate[0] ? &one : &zero, dx, in, err))
        return -1;
    return 0;
}
