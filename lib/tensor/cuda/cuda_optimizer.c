/*
 * cuda_optimizer.c: arithmetic over whole arenas of parameters, in a handful of calls whatever the number of
 * layers, and the optimisers' steps made of it.
 */
#include "tensor/cuda/cuda.h"

#include <limits.h>

int arena_call(struct gpu *g, enum arena_call what, bool on_card, size_t n, float *a, const float *x,
               float *y, struct error *err)
{
    struct error ignored = {0};
    int rc = -1, count = (int)n; /* cuBLAS counts in int */
    size_t bytes = n * sizeof(float);
    if (n > INT_MAX) return error_set(err, EX_UNAVAILABLE, "cuda: a net of %zu parameters", n);
    if (on_card && BLAS("arena", cublasSetPointerMode(g->blas, CUBLAS_POINTER_MODE_DEVICE))) return -1;
    switch (what) {
    case ARENA_ZERO: rc = CUDA("arena", cudaMemsetAsync(y, 0, bytes, g->compute)); break;
    case ARENA_COPY:
        rc = CUDA("arena", cudaMemcpyAsync(y, x, bytes, cudaMemcpyDeviceToDevice, g->compute));
        break;
    case ARENA_NORM: rc = BLAS("arena", cublasSnrm2(g->blas, count, x, 1, a)); break;
    case ARENA_SCALE: rc = BLAS("arena", cublasSscal(g->blas, count, a, y, 1)); break;
    case ARENA_AXPY: rc = BLAS("arena", cublasSaxpy(g->blas, count, a, x, 1, y, 1)); break;
    }
    if (on_card && blas_check(rc ? &ignored : err, "arena", "cublasSetPointerMode",
                              cublasSetPointerMode(g->blas, CUBLAS_POINTER_MODE_HOST)))
        rc = -1;
    return rc;
}

/* a NULL: what card_rate sent */
static int change(struct backend *b, enum arena_call what, struct slot y, struct slot x, size_t n, float *a,
                  struct error *err)
{
    arena_changed(y.buffer);
    int rc = arena_settle(b, x.buffer, err) || arena_settle(b, y.buffer, err);
    for (int k = 0; !rc && k < b->n_gpus; k++) {
        struct gpu *g = &b->gpu[k];
        rc = gpu_use(g, err) ||
             arena_call(g, what, !a, n, a ? a : g->minus_rate, (float *)at(&x, k), (float *)at(&y, k), err);
    }
    return rc ? -1 : 0;
}

static int cuda_fill_zero(struct backend *b, struct slot y, size_t n, struct error *err)
{
    return change(b, ARENA_ZERO, y, (struct slot){NULL, 0}, n, (float *)&one, err);
}

static int cuda_copy(struct backend *b, struct slot y, struct slot x, size_t n, struct error *err)
{
    return change(b, ARENA_COPY, y, x, n, (float *)&one, err);
}

static int cuda_scale(struct backend *b, struct slot y, size_t n, float a, struct error *err)
{
    return change(b, ARENA_SCALE, y, (struct slot){NULL, 0}, n, &a, err);
}

static int cuda_axpy(struct backend *b, struct slot y, struct slot x, size_t n, float a, struct error *err)
{
    return change(b, ARENA_AXPY, y, x, n, &a, err);
}

/* nrm2 scales while it sums, so that no square overflows a float. It waits for its result. */
static int cuda_sum_of_squares(struct backend *b, struct slot x, size_t n, double *out, struct error *err)
{
    float norm = 0;
    int rc = arena_settle(b, x.buffer, err) || gpu_use(&b->gpu[0], err) ||
             arena_call(&b->gpu[0], ARENA_NORM, false, n, &norm, (float *)at(&x, 0), NULL, err);
    *out = (double)norm * norm;
    return rc ? -1 : 0;
}

static int cuda_sgd(struct backend *b, struct slot p, struct slot g, struct slot v, size_t n,
                    const struct sgd_step *s, struct error *err)
{
    return outcome(card_rate(b, s->rate, err) || cuda_scale(b, v, n, s->momentum, err) ||
                   change(b, ARENA_AXPY, v, g, n, NULL, err) ||
                   cuda_axpy(b, p, v, n, s->nesterov ? s->momentum : 1, err) ||
                   (s->nesterov && change(b, ARENA_AXPY, p, g, n, NULL, err)));
}

/* --- a copy in 16 bits --- */

/* Values as rows of 1024, and one row for the rest: cuDNN takes no dimension above 65535. */
static void piece_of(size_t left, int *rows, int *columns)
{
    *rows = left >= 1024 ? (int)(left / 1024 < 65535 ? left / 1024 : 65535) : 1;
    *columns = left >= 1024 ? 1024 : (int)left;
}

void arena_changed(struct backend_buffer *buffer)
{
    for (int k = 0; k < CUDA_MAX_GPUS; k++)
        buffer->narrow_made[k] = 0;
}

/* Makes the copy again from the buffer, or (widen) adds it to the buffer. */
static int convert(struct backend *b, int gpu, struct backend_buffer *buffer, bool widen, struct error *err)
{
    struct gpu *g = &b->gpu[gpu];
    size_t n = buffer->bytes / sizeof(float);
    int rc = 0, rows, columns;
    for (size_t first = 0; !rc && first < n; first += (size_t)rows * (size_t)columns) {
        cudnnTensorDescriptor_t wide = g->shape[0], narrow = g->shape[1];
        float *w = (float *)buffer->p[gpu] + first;
        uint16_t *h = (uint16_t *)buffer->narrow[gpu] + first;
        piece_of(n - first, &rows, &columns);
        rc = shape_flat(wide, CUDNN_DATA_FLOAT, rows, columns, err) ||
             shape_flat(narrow, b->map_type, rows, columns, err) ||
             (widen ? transform(g, "arena", narrow, h, wide, w, true, err)
                    : transform(g, "arena", wide, w, narrow, h, false, err));
    }
    return rc ? -1 : 0;
}

static int make_narrow(struct gpu *g, int gpu, struct backend_buffer *buffer, struct error *err)
{
    const char *what = "a copy in 16 bits";
    if (buffer->narrow[gpu]) return 0;
    return outcome(CUDA(what, cudaMalloc(&buffer->narrow[gpu], buffer->bytes / 2)) ||
                   CUDA(what, cudaMemsetAsync(buffer->narrow[gpu], 0, buffer->bytes / 2, g->compute)));
}

int arena_narrow(struct backend *b, int gpu, const struct slot *s, const void **out, struct error *err)
{
    struct backend_buffer *buffer = s->buffer;
    if (make_narrow(&b->gpu[gpu], gpu, buffer, err) ||
        (buffer->narrow_made[gpu] != b->arenas && convert(b, gpu, buffer, false, err)))
        return -1;
    buffer->narrow_made[gpu] = b->arenas;
    *out = (char *)buffer->narrow[gpu] + s->offset / 2;
    return 0;
}

int arena_gather(struct gpu *g, const struct slot *s, void **out, struct error *err)
{
    if (make_narrow(g, 0, s->buffer, err)) return -1;
    s->buffer->gathered = true;
    *out = (char *)s->buffer->narrow[0] + s->offset / 2;
    return 0;
}

int arena_settle(struct backend *b, struct backend_buffer *buffer, struct error *err)
{
    struct gpu *g = &b->gpu[0];
    if (!buffer || !buffer->gathered) return 0;
    if (convert(b, 0, buffer, true, err) ||
        CUDA("gradients in 16 bits", cudaMemsetAsync(buffer->narrow[0], 0, buffer->bytes / 2, g->compute)))
        return -1;
    buffer->gathered = false;
    return 0;
}

/* --- Adam --- */

/* Neither library can divide, but batch norm in inference mode does: scale * (x - mean) / sqrt(variance +
 * epsilon) + bias, element by element. g->adam has ones, zeros, a root and a quotient. */
static int adam_open(struct gpu *g, struct error *err)
{
    size_t bytes = CUDA_ADAM_CHUNK * sizeof(float);
    cudnnTensorDescriptor_t t = g->shape[0];
    if (g->adam) return 0;
    if (CUDA("Adam", cudaMalloc(&g->adam, 4 * bytes))) return -1;
    int rc = shape_flat(t, CUDNN_DATA_FLOAT, (int)(CUDA_ADAM_CHUNK / 1024), 1024, err) ||
             fill_tensor(g, "Adam", t, CUDNN_DATA_FLOAT, g->adam, 1, err) ||
             fill_tensor(g, "Adam", t, CUDNN_DATA_FLOAT, (char *)g->adam + bytes, 0, err);
    if (rc) {
        gpu_free(g, g->adam);
        g->adam = NULL;
    }
    return rc ? -1 : 0;
}

/* n values as one tensor that is not too long in any direction: rows of 1024, and one row for the rest. */
static int adam_piece(struct backend *b, int gpu, float *p, float *grad, float *m, float *v, int rows,
                      int columns, const struct adam_step *s, struct error *err)
{
    struct gpu *g = &b->gpu[gpu];
    cudnnTensorDescriptor_t t = g->shape[0], single = g->shape[1];
    cudnnHandle_t dnn = g->dnn;
    cudnnOpTensorDescriptor_t multiply = b->multiply;
    const char *who = "Adam";
    float *ones = g->adam, *zeros = ones + CUDA_ADAM_CHUNK, *root = zeros + CUDA_ADAM_CHUNK,
          *quotient = root + CUDA_ADAM_CHUNK;
    float keep1 = s->beta1, take1 = 1 - s->beta1, keep2 = s->beta2, take2 = 1 - s->beta2;
    int rc =
        shape_flat(t, CUDNN_DATA_FLOAT, rows, columns, err) ||
        shape_flat(single, CUDNN_DATA_FLOAT, 1, 1, err) ||
        /* m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g g */
        DNN(who, cudnnAddTensor(dnn, &take1, t, grad, &keep1, t, m)) ||
        DNN(who, cudnnOpTensor(dnn, multiply, &take2, t, grad, &one, t, grad, &keep2, t, v)) ||
        /* root = sqrt(v) + epsilon, squared, so that batch norm takes its root again */
        DNN(who, cudnnOpTensor(dnn, b->root, &one, t, v, &one, t, v, &zero, t, root)) ||
        DNN(who, cudnnAddTensor(dnn, &s->epsilon, single, ones, &one, t, root)) ||
        DNN(who, cudnnOpTensor(dnn, multiply, &one, t, root, &one, t, root, &zero, t, root)) ||
        /* p = p - rate * m / root */
        DNN(who, cudnnBatchNormalizationForwardInference(dnn, CUDNN_BATCHNORM_PER_ACTIVATION, &one, &zero, t,
                                                         m, t, quotient, t, ones, zeros, zeros, root, 0)) ||
        arena_call(g, ARENA_AXPY, true, (size_t)rows * (size_t)columns, g->minus_rate, quotient, p, err);
    return rc ? -1 : 0;
}

static int cuda_adam(struct backend *b, struct slot p, struct slot g, struct slot m, struct slot v, size_t n,
                     const struct adam_step *s, struct error *err)
{
    arena_changed(p.buffer);
    int rc = card_rate(b, adam_rate(s), err) || arena_settle(b, g.buffer, err);
    for (int k = 0; !rc && k < b->n_gpus; k++) {
        struct gpu *gpu = &b->gpu[k];
        rc = gpu_use(gpu, err) || adam_open(gpu, err);
        float *pp = (float *)at(&p, k), *pg = (float *)at(&g, k), *pm = (float *)at(&m, k),
              *pv = (float *)at(&v, k);
        for (size_t first = 0; !rc && first < n;) {
            size_t left = n - first < CUDA_ADAM_CHUNK ? n - first : CUDA_ADAM_CHUNK;
            int rows, columns;
            piece_of(left, &rows, &columns);
            rc = adam_piece(b, k, pp + first, pg + first, pm + first, pv + first, rows, columns, s, err);
            first += (size_t)rows * (size_t)columns;
        }
    }
    return rc ? -1 : 0;
}

void arena_functions(struct backend_table *t)
{
    t->fill_zero = cuda_fill_zero;
    t->copy = cuda_copy;
    t->scale = cuda_scale;
    t->axpy = cuda_axpy;
    t->sum_of_squares = cuda_sum_of_squares;
    t->sgd = cuda_sgd;
    t->adam = cuda_adam;
}
