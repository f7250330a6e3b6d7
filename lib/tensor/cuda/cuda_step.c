/*
 * cuda_step.c: a training step that the host does not wait for. The loss's gradient is made on the card; what
 * the host wants to know of a step (logits, norms) comes to pinned memory while the next one is queued.
 */
#include "tensor/cuda/cuda.h"

#include <string.h>

int cuda_loss_gradient(struct backend *b, struct slot z, struct slot dz, const struct tensor_shape *s,
                       const float *values, struct error *err)
{
    const char *who = "the loss";
    cudnnTensorDescriptor_t t = NULL;
    cudnnOpTensorDescriptor_t multiply = NULL;
    int each = images_per_gpu(b, s->n);
    size_t n = (size_t)each * (size_t)s->c, bytes = n * sizeof(float);
    int rc = tensor_make(&t, who, CUDNN_DATA_FLOAT, each, s->c, 1, 1, err) ||
             DNN(who, cudnnCreateOpTensorDescriptor(&multiply)) ||
             DNN(who, cudnnSetOpTensorDescriptor(multiply, CUDNN_OP_TENSOR_MUL, CUDNN_DATA_FLOAT,
                                                 CUDNN_PROPAGATE_NAN));
    for (int k = 0; !rc && k < b->n_gpus; k++) {
        struct gpu *g = &b->gpu[k];
        const float *mine = values + (each == s->n ? 0 : (size_t)k * n);
        char *dp = at(&dz, k);
        rc = gpu_use(g, err) || gpu_grow(g, &g->loss, &g->loss_bytes, 2 * bytes, who, err) ||
             gpu_upload(g, g->loss, mine, bytes, err) ||
             gpu_upload(g, dp, mine + shape_values(s), bytes, err) ||
             DNN(who, cudnnSoftmaxForward(g->dnn, CUDNN_SOFTMAX_ACCURATE, CUDNN_SOFTMAX_MODE_CHANNEL, &one, t,
                                          at(&z, k), &zero, t, (char *)g->loss + bytes)) ||
             DNN(who, cudnnOpTensor(g->dnn, multiply, &one, t, (char *)g->loss + bytes, &one, t, g->loss,
                                    &one, t, dp));
    }
    if (t) cudnnDestroyTensorDescriptor(t);
    if (multiply) cudnnDestroyOpTensorDescriptor(multiply);
    return rc ? -1 : 0;
}

/* To the device's g->norms: cuBLAS waits for an answer that goes to the host. */
static int queue_norm(struct gpu *g, const struct step_norm *x, int which, struct error *err)
{
    struct error ignored = {0};
    if (x->n > CUDA_PIECE) return error_set(err, EX_UNAVAILABLE, "cuda: the norm of %zu values", x->n);
    if (BLAS("norm", cublasSetPointerMode(g->blas, CUBLAS_POINTER_MODE_DEVICE))) return -1;
    int rc =
        BLAS("norm", cublasSnrm2(g->blas, (int)x->n, (float *)at(&x->x, 0), 1, (float *)g->norms + which));
    return blas_check(rc ? &ignored : err, "norm", "cublasSetPointerMode",
                      cublasSetPointerMode(g->blas, CUBLAS_POINTER_MODE_HOST)) ||
                   rc
               ? -1
               : 0;
}

int cuda_queue_results(struct backend *b, struct slot z, const struct tensor_shape *s,
                       const struct step_norm *norms, int n_norms, struct error *err)
{
    const char *what = "a step's results";
    int each = images_per_gpu(b, s->n), n_parts = each == s->n ? 1 : b->n_gpus;
    size_t bytes = (size_t)each * (size_t)s->c * sizeof(float), first = STEP_MAX_NORMS * sizeof(float);
    for (int i = 0; i < n_norms; i++)
        if (arena_settle(b, norms[i].x.buffer, err)) return -1;
    for (int k = 0; k < n_parts; k++) {
        struct gpu *g = &b->gpu[k];
        struct step_results *r = &g->results[b->next_results];
        if (gpu_use(g, err) || (!g->norms && CUDA(what, cudaMalloc(&g->norms, first))) ||
            pinned_grow(g, &r->pinned, &r->bytes, first + bytes, what, err))
            return -1;
        for (int i = 0; k == 0 && i < n_norms; i++)
            if (queue_norm(g, &norms[i], i, err)) return -1;
        if ((k == 0 && n_norms &&
             CUDA(what, cudaMemcpyAsync(r->pinned, g->norms, (size_t)n_norms * sizeof(float),
                                        cudaMemcpyDeviceToHost, g->compute))) ||
            CUDA(what, cudaMemcpyAsync((char *)r->pinned + first, at(&z, k), bytes, cudaMemcpyDeviceToHost,
                                       g->compute)) ||
            CUDA(what, cudaEventRecord(r->there, g->compute)))
            return -1;
        r->n_norms = (size_t)n_norms;
        r->part = bytes;
    }
    b->next_results ^= 1;
    b->results_under_way++;
    return 0;
}

int cuda_take_results(struct backend *b, float *z, float *norms, struct error *err)
{
    int which = b->next_results ^ (b->results_under_way & 1);
    if (!b->results_under_way) return error_set(err, EX_SOFTWARE, "cuda: no step is under way");
    b->results_under_way--;
    for (int k = 0; k < b->n_gpus; k++) {
        struct step_results *r = &b->gpu[k].results[which];
        if (!r->part) continue;
        if (gpu_use(&b->gpu[k], err) || CUDA("a step's results", cudaEventSynchronize(r->there))) return -1;
        if (k == 0) memcpy(norms, r->pinned, r->n_norms * sizeof *norms);
        memcpy((char *)z + (size_t)k * r->part, (float *)r->pinned + STEP_MAX_NORMS, r->part);
        r->part = 0;
    }
    return 0;
}
