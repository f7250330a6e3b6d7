/*
 * cuda_multi_gpu.c: lets several GPUs work like a single one. Each works on its part of every batch.
 * Afterwards two things differ between them: the gradients, which have to be summed (the gradient of the loss
 * is already divided by the whole batch), and the moving statistics, which have to be averaged. They are
 * marked when they are written, and combined by one flat ncclAllReduce before anything else reads their
 * buffer.
 *
 * The backward pass writes gradients from the end of their arena to its beginning. While it keeps to that
 * order, every part that has reached the size of a bucket (16 MiB; WINNOW_CUDA_BUCKET_KIB) is summed on a
 * stream of its own while the backward pass continues. The rest is summed at the end.
 *
 * NCCL is opened at run time, and only for more than one GPU: a machine with one does not need it.
 */
#include "tensor/cuda/cuda.h"

#include <dlfcn.h>
#include <nccl.h>
#include <stdlib.h>

/* InceptionV3's unlocked 68 MB: five calls, each large enough for the full rate of a link */
#define BUCKET_KIB 16384

struct nccl {
    void *library;
    ncclResult_t (*init_all)(ncclComm_t *, int, const int *);
    ncclResult_t (*destroy)(ncclComm_t);
    ncclResult_t (*all_reduce)(const void *, void *, size_t, ncclDataType_t, ncclRedOp_t, ncclComm_t,
                               cudaStream_t);
    ncclResult_t (*group_start)(void);
    ncclResult_t (*group_end)(void);
    const char *(*error_string)(ncclResult_t);
};

static int nccl_check(const struct nccl *n, struct error *err, const char *call, ncclResult_t result)
{
    return result == ncclSuccess ? 0
                                 : error_set(err, EX_OSERR, "cuda: %s: %s", call, n->error_string(result));
}

int multi_gpu_open(struct backend *b, struct error *err)
{
    ncclComm_t comms[CUDA_MAX_GPUS];
    int devices[CUDA_MAX_GPUS];
    if (b->n_gpus < 2) return 0;
    struct nccl *n = b->nccl = mem_zalloc(1, sizeof *n, err);
    if (!n) return -1;
    const char *bucket = getenv("WINNOW_CUDA_BUCKET_KIB");
    b->bucket_bytes = (bucket && *bucket ? strtoull(bucket, NULL, 10) : BUCKET_KIB) << 10;
    if (!(n->library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL)))
        return error_set(err, EX_NODEVICE, "cuda: several GPUs need NCCL: %s", dlerror());
    const struct {
        const char *name;
        void *to;
    } symbols[] = {
        {"ncclCommInitAll", &n->init_all}, {"ncclCommDestroy", &n->destroy},
        {"ncclAllReduce", &n->all_reduce}, {"ncclGroupStart", &n->group_start},
        {"ncclGroupEnd", &n->group_end},   {"ncclGetErrorString", &n->error_string},
    };
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
        if (!(*(void **)symbols[i].to = dlsym(n->library, symbols[i].name)))
            return error_set(err, EX_NODEVICE, "cuda: libnccl.so.2 has no %s", symbols[i].name);
    for (int i = 0; i < b->n_gpus; i++)
        devices[i] = b->gpu[i].device;
    if (nccl_check(n, err, "ncclCommInitAll", n->init_all(comms, b->n_gpus, devices))) return -1;
    for (int i = 0; i < b->n_gpus; i++)
        b->gpu[i].comm = comms[i];
    return 0;
}

void multi_gpu_close(struct backend *b)
{
    if (!b->nccl) return;
    for (int i = 0; i < b->n_gpus; i++)
        if (b->gpu[i].comm) {
            struct error ignored = {0};
            gpu_use(&b->gpu[i], &ignored);
            cudaStreamSynchronize(b->gpu[i].sum);
            b->nccl->destroy(b->gpu[i].comm);
        }
    if (b->nccl->library) dlclose(b->nccl->library);
    free(b->nccl);
    b->nccl = NULL;
}

/* Sums (or averages) [begin, end) of the buffer over the GPUs, on their sum streams, after what the compute
 * streams have queued so far. */
static int reduce(struct backend *b, struct backend_buffer *buffer, size_t begin, size_t end, bool average,
                  struct error *err)
{
    struct nccl *n = b->nccl;
    size_t count = (end - begin) / sizeof(float);
    for (int k = 0; k < b->n_gpus; k++) {
        struct gpu *g = &b->gpu[k];
        if (gpu_use(g, err) || CUDA("gradients", cudaEventRecord(g->written, g->compute)) ||
            CUDA("gradients", cudaStreamWaitEvent(g->sum, g->written, 0)))
            return -1;
    }
    if (nccl_check(n, err, "ncclGroupStart", n->group_start())) return -1;
    int rc = 0;
    for (int k = 0; k < b->n_gpus; k++) {
        struct gpu *g = &b->gpu[k];
        char *p = (char *)buffer->p[k] + begin;
        if (!rc)
            rc = nccl_check(n, err, "ncclAllReduce",
                            n->all_reduce(p, p, count, ncclFloat32, average ? ncclAvg : ncclSum, g->comm,
                                          g->sum));
    }
    struct error ignored = {0};
    if (nccl_check(n, rc ? &ignored : err, "ncclGroupEnd", n->group_end())) rc = -1;
    return rc;
}

int multi_gpu_before_write(struct backend *b, const struct slot *s, size_t bytes, struct error *err)
{
    struct backend_buffer *buffer = s->buffer;
    if (b->n_gpus < 2 || !buffer || s->offset >= buffer->flying_end ||
        s->offset + bytes <= buffer->flying_begin)
        return 0;
    return multi_gpu_settle(b, buffer, err);
}

/*
 * The marked part is complete as long as each piece ends where the previous one began (except for alignment
 * gaps). A full bucket can then be summed while the backward pass continues below it.
 */
int multi_gpu_mark(struct backend *b, const struct slot *s, size_t bytes, bool average, struct error *err)
{
    struct backend_buffer *buffer = s->buffer;
    size_t begin = s->offset, end = s->offset + bytes;
    if (b->n_gpus < 2 || !buffer) return 0;
    size_t below =
        buffer->partial_begin != buffer->partial_end ? buffer->partial_begin : buffer->flying_begin;
    bool first = buffer->partial_begin == buffer->partial_end && buffer->flying_begin == buffer->flying_end;
    buffer->average = average;
    if (average || (!first && round_up(end) != below)) buffer->unordered = true;
    if (buffer->partial_begin == buffer->partial_end) {
        buffer->partial_begin = begin;
        buffer->partial_end = first || round_up(end) != below ? end : below;
    } else {
        buffer->partial_begin = begin < buffer->partial_begin ? begin : buffer->partial_begin;
        buffer->partial_end = end > buffer->partial_end ? end : buffer->partial_end;
    }
    if (buffer->unordered || buffer->partial_end - buffer->partial_begin < b->bucket_bytes) return 0;
    if (reduce(b, buffer, buffer->partial_begin, buffer->partial_end, false, err)) return -1;
    buffer->flying_end =
        buffer->flying_begin == buffer->flying_end ? buffer->partial_end : buffer->flying_end;
    buffer->flying_begin = buffer->partial_begin;
    buffer->partial_begin = buffer->partial_end = 0;
    return 0;
}

int multi_gpu_settle(struct backend *b, struct backend_buffer *buffer, struct error *err)
{
    if (b->n_gpus < 2 || !buffer ||
        (buffer->partial_begin == buffer->partial_end && buffer->flying_begin == buffer->flying_end))
        return 0;
    if (buffer->partial_begin != buffer->partial_end &&
        reduce(b, buffer, buffer->partial_begin, buffer->partial_end, buffer->average, err))
        return -1;
    buffer->partial_begin = buffer->partial_end = buffer->flying_begin = buffer->flying_end = 0;
    buffer->unordered = false;
    for (int k = 0; k < b->n_gpus; k++) {
        struct gpu *g = &b->gpu[k];
        if (gpu_use(g, err) || CUDA("gradients", cudaEventRecord(g->summed, g->sum)) ||
            CUDA("gradients", cudaStreamWaitEvent(g->compute, g->summed, 0)))
            return -1;
    }
    return 0;
}
