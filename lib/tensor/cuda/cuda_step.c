/*
 * cuda_step.c: a training step that the host does not wait for. The gradient of the loss is computed on the
 * card. The results of a step (logits, norms) are copied to pinned memory while the next step is queued.
 *
 * On one GPU the second step with the same settings is recorded as a CUDA graph, which is launched for later
 * steps. Values that differ from step to step are sent before: pictures, masks, targets, the rate. The
 * recording contains all addresses, so no buffer may move; the first step has allocated all of them.
 */
#include "tensor/cuda/cuda.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- one graph a step --- */

void step_forget(struct backend *b)
{
    if (b->graph) cudaStreamSynchronize(b->gpu[0].compute);
    if (b->graph) cudaGraphExecDestroy(b->graph);
    b->graph = NULL;
}

static int record(struct backend *b, int (*body)(void *, struct error *), void *context, struct error *err)
{
    cudaStream_t stream = b->gpu[0].compute;
    struct error ignored = {0};
    cudaGraph_t graph = NULL;
    if (CUDA("a step", cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal))) return -1;
    b->gpu[0].recording = true;
    int rc = body(context, err);
    b->gpu[0].recording = false;
    cudaError_t ended = cudaStreamEndCapture(stream, &graph);
    if (cuda_check(rc ? &ignored : err, "a step", "cudaStreamEndCapture", ended)) rc = -1;
    if (!rc) rc = CUDA("a step", cudaGraphInstantiate(&b->graph, graph, 0));
    if (graph) cudaGraphDestroy(graph);
    if (rc) b->graph = NULL;
    return rc;
}

static int cuda_run_step(struct backend *b, const double *key, size_t n_key,
                         int (*body)(void *, struct error *), void *context, struct error *err)
{
    struct error why = {0};
    if (n_key > STEP_MAX_KEY) return error_set(err, EX_SOFTWARE, "cuda: a step has %zu settings", n_key);
    bool known = b->n_key == n_key && !memcmp(b->key, key, n_key * sizeof *key);
    if (!known) {
        step_forget(b);
        memcpy(b->key, key, n_key * sizeof *key);
        b->n_key = n_key;
    }
    arenas_changed(b); /* a recording makes the copies of weights, whatever ran before it */
    if (gpu_use(&b->gpu[0], err)) return -1;
    if (b->records && known && !b->graph && record(b, body, context, &why)) {
        size_t used = strlen(b->description);
        snprintf(b->description + used, sizeof b->description - used, ", no CUDA graph (%s)", why.text);
        b->records = false;
        arenas_changed(b); /* the copies that were marked as made were not made */
    }
    if (!b->graph) return body(context, err);
    int rc = CUDA("a step", cudaGraphLaunch(b->graph, b->gpu[0].compute));
    arenas_changed(b);
    return rc;
}

/* --- its loss --- */

int card_rate(struct backend *b, float rate, struct error *err)
{
    float minus = -rate;
    for (int k = 0; k < b->n_gpus; k++) {
        struct gpu *g = &b->gpu[k];
        if (g->minus_rate && g->sent_rate == rate) continue;
        if (gpu_use(g, err) ||
            (!g->minus_rate && CUDA("the rate", cudaMalloc((void **)&g->minus_rate, sizeof minus))) ||
            gpu_upload(g, g->minus_rate, &minus, sizeof minus, err))
            return -1;
        g->sent_rate = rate;
    }
    return 0;
}

/* The number of bytes that each GPU has of the batch's vectors of s. */
static size_t part_bytes(const struct backend *b, const struct tensor_shape *s)
{
    return (size_t)images_per_gpu(b, s->n) * (size_t)s->c * sizeof(float);
}

static int cuda_step_values(struct backend *b, struct slot dz, const struct tensor_shape *s,
                            const float *values, float rate, struct error *err)
{
    size_t bytes = part_bytes(b, s), all = shape_values(s);
    for (int k = 0; k < b->n_gpus; k++) {
        struct gpu *g = &b->gpu[k];
        const float *mine = values + (bytes == all * sizeof(float) ? 0 : (size_t)k * bytes / sizeof(float));
        if (gpu_use(g, err) || gpu_grow(g, &g->loss, &g->loss_bytes, 2 * bytes, false, "the loss", err) ||
            gpu_upload(g, g->loss, mine, bytes, err) || gpu_upload(g, at(&dz, k), mine + all, bytes, err))
            return -1;
    }
    return card_rate(b, rate, err);
}

static int cuda_loss_gradient(struct backend *b, struct slot z, struct slot dz, const struct tensor_shape *s,
                              struct error *err)
{
    const char *who = "the loss";
    size_t bytes = part_bytes(b, s);
    int rc = 0;
    for (int k = 0; !rc && k < b->n_gpus; k++) {
        struct gpu *g = &b->gpu[k];
        cudnnTensorDescriptor_t t = g->shape[0];
        void *probabilities = (char *)g->loss + bytes;
        rc = gpu_use(g, err) ||
             shape_dense(t, who, CUDNN_DATA_FLOAT, images_per_gpu(b, s->n), s->c, 1, 1, err) ||
             DNN(who, cudnnSoftmaxForward(g->dnn, CUDNN_SOFTMAX_ACCURATE, CUDNN_SOFTMAX_MODE_CHANNEL, &one, t,
                                          at(&z, k), &zero, t, probabilities)) ||
             DNN(who, cudnnOpTensor(g->dnn, b->multiply, &one, t, probabilities, &one, t, g->loss, &one, t,
                                    at(&dz, k)));
    }
    return rc ? -1 : 0;
}

/* --- its norms --- */

/*
 * x *= min(1, most / norm), computed on the card. The division is a batch norm: (sqrt(most) / sqrt(norm))^2,
 * followed by a ReLU capped at 1. A norm of 0 gives infinity, and therefore 1. The roots are taken first so
 * that no square overflows.
 */
static int clip_to(struct gpu *g, struct backend *b, float *x, size_t n, float most, struct error *err)
{
    const char *who = "clipping";
    float *norm = g->norms, *factor = norm + STEP_MAX_NORMS, root = sqrtf(most);
    cudnnTensorDescriptor_t t = g->shape[0];
    return outcome(
        shape_dense(t, who, CUDNN_DATA_FLOAT, 1, 1, 1, 1, err) ||
        DNN(who,
            cudnnBatchNormalizationForwardInference(g->dnn, CUDNN_BATCHNORM_SPATIAL, &root, &zero, t, g->ones,
                                                    t, factor, t, g->ones, g->zeros, g->zeros, norm, 0)) ||
        DNN(who, cudnnOpTensor(g->dnn, b->multiply, &one, t, factor, &one, t, factor, &zero, t, factor)) ||
        DNN(who, cudnnActivationForward(g->dnn, b->cap_1, &one, t, factor, &zero, t, factor)) ||
        arena_call(g, ARENA_SCALE, true, n, factor, NULL, x, err));
}

static int cuda_keep_norms(struct backend *b, const struct step_norm *norms, int n_norms, float clip,
                           struct error *err)
{
    for (int i = 0; i < n_norms; i++)
        if (arena_settle(b, norms[i].x.buffer, err)) return -1;
    for (int k = 0; k < b->n_gpus; k++) { /* each has the same sums, and scales its own */
        struct gpu *g = &b->gpu[k];
        size_t bytes = (STEP_MAX_NORMS + 1) * sizeof(float);
        if (gpu_use(g, err) || (!g->norms && CUDA("norms", cudaMalloc((void **)&g->norms, bytes)))) return -1;
        for (int i = 0; i < (k == 0 ? n_norms : clip > 0); i++)
            if (arena_call(g, ARENA_NORM, true, norms[i].n, g->norms + i, (float *)at(&norms[i].x, k), NULL,
                           err))
                return -1;
        if (clip > 0 && clip_to(g, b, (float *)at(&norms[0].x, k), norms[0].n, clip, err)) return -1;
    }
    return 0;
}

/* --- its results --- */

static int cuda_queue_results(struct backend *b, struct slot z, const struct tensor_shape *s, int n_norms,
                              struct error *err)
{
    const char *what = "a step's results";
    size_t bytes = part_bytes(b, s), first = STEP_MAX_NORMS * sizeof(float);
    int n_parts = bytes == shape_values(s) * sizeof(float) ? 1 : b->n_gpus;
    for (int k = 0; k < n_parts; k++) {
        struct gpu *g = &b->gpu[k];
        struct step_results *r = &g->results[b->next_results];
        if (gpu_use(g, err) || gpu_grow(g, &r->pinned, &r->bytes, first + bytes, true, what, err) ||
            (k == 0 && n_norms &&
             CUDA(what, cudaMemcpyAsync(r->pinned, g->norms, (size_t)n_norms * sizeof(float),
                                        cudaMemcpyDeviceToHost, g->compute))) ||
            CUDA(what, cudaMemcpyAsync((char *)r->pinned + first, at(&z, k), bytes, cudaMemcpyDeviceToHost,
                                       g->compute)) ||
            CUDA(what, cudaEventRecord(g->there[b->next_results], g->compute)))
            return -1;
        r->n_norms = (size_t)n_norms;
        r->part = bytes;
    }
    b->next_results ^= 1;
    b->results_under_way++;
    return 0;
}

static int cuda_take_results(struct backend *b, float *z, float *norms, struct error *err)
{
    int which = b->next_results ^ (b->results_under_way & 1);
    if (!b->results_under_way) return error_set(err, EX_SOFTWARE, "cuda: no step is in progress");
    b->results_under_way--;
    for (int k = 0; k < b->n_gpus; k++) {
        struct step_results *r = &b->gpu[k].results[which];
        if (!r->part) continue;
        if (gpu_use(&b->gpu[k], err) ||
            CUDA("a step's results", cudaEventSynchronize(b->gpu[k].there[which])))
            return -1;
        if (k == 0) memcpy(norms, r->pinned, r->n_norms * sizeof *norms);
        memcpy((char *)z + (size_t)k * r->part, (float *)r->pinned + STEP_MAX_NORMS, r->part);
        r->part = 0;
    }
    return 0;
}

void step_functions(struct backend_table *t)
{
    t->step_values = cuda_step_values;
    t->run_step = cuda_run_step;
    t->loss_gradient = cuda_loss_gradient;
    t->keep_norms = cuda_keep_norms;
    t->queue_results = cuda_queue_results;
    t->take_results = cuda_take_results;
}
