/*
 * cuda_multi_gpu.c: lets several GPUs work like a single one, those of this process and those of other ranks.
 * Each works on its part of every batch. Afterwards two things differ between them: the gradients, which
 * have to be summed (that of the loss is already divided by the whole batch), and the moving statistics,
 * which have to be averaged. The engine says when a range of a buffer is final (engine_ranks.c), and NCCL
 * combines it on a stream of its own, while the backward pass continues.
 *
 * NCCL is opened at run time, and only where there is more than one GPU. Between ranks its calls must not
 * block, because a rank may be gone: the communicators are made so, and after each group the engine waits
 * (b->wait) until NCCL has queued it, and watches the other ranks meanwhile.
 */
#include "tensor/cuda/cuda.h"

#include <dlfcn.h>
#include <nccl.h>
#include <stdlib.h>
#include <string.h>

/* InceptionV3's unlocked 68 MB: five calls, each large enough for the full rate of a link */
#define BUCKET_KIB 16384

#define NCCL_CALLS(X)                                                                                        \
    X(GetUniqueId)                                                                                           \
    X(CommInitRankConfig)                                                                                    \
    X(CommDestroy) X(CommAbort) X(CommGetAsyncError) X(AllReduce) X(GroupStart) X(GroupEnd) X(GetErrorString)

struct nccl {
    void *library;
#define CALL(name) __typeof__(nccl##name) *name;
    NCCL_CALLS(CALL)
};

/* ncclInProgress: of a communicator that does not block; group_end waits for the outcome. */
static int nccl_check(const struct nccl *n, struct error *err, const char *call, ncclResult_t result)
{
    if (result == ncclSuccess || result == ncclInProgress) return 0;
    return error_set(err, EX_OSERR, "cuda: %.*s: %s", (int)strcspn(call, "("), call,
                     n->GetErrorString(result));
}
#define NCCL(call) nccl_check(b->nccl, err, "nccl" #call, b->nccl->call)

static int nccl_open(struct backend *b, struct error *err)
{
    struct nccl *n = b->nccl = b->nccl ? b->nccl : mem_zalloc(1, sizeof *n, err);
    if (!n) return -1;
    if (!n->library && !(n->library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL)))
        return error_set(err, EX_NODEVICE, "cuda: several GPUs need NCCL: %s", dlerror());
#define FIND(name)                                                                                           \
    if (!(*(void **)&n->name = dlsym(n->library, "nccl" #name)))                                             \
        return error_set(err, EX_NODEVICE, "cuda: libnccl.so.2 has no nccl" #name ": it is older than 2.14");
    NCCL_CALLS(FIND)
    return 0;
}

static int cuda_ranks_id(struct backend *b, bool make, char id[RANKS_ID_BYTES], struct error *err)
{
    _Static_assert(sizeof(ncclUniqueId) <= RANKS_ID_BYTES, "NCCL's identifier fits");
    return outcome(nccl_open(b, err) || (make && NCCL(GetUniqueId((ncclUniqueId *)id))));
}

static int group_end(struct backend *b, int rc, struct error *err)
{
    struct error ignored = {0};
    if (nccl_check(b->nccl, rc ? &ignored : err, "ncclGroupEnd", b->nccl->GroupEnd()) || rc) return -1;
    return b->wait ? b->wait(b->wait_context, err) : 0;
}

static int cuda_ranks_join(struct backend *b, const char *id, int rank, int n_ranks,
                           int (*wait)(void *context, struct error *err), void *context, struct error *err)
{
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    ncclUniqueId unique;
    config.blocking = n_ranks == 1;
    memcpy(&unique, id, sizeof unique);
    b->n_parts = n_ranks * b->n_gpus;
    b->wait = wait;
    b->wait_context = context;
    if (NCCL(GroupStart())) return -1;
    int rc = 0;
    for (int k = 0; !rc && k < b->n_gpus; k++) {
        /* older NCCLs write the communicator when the group ends */
        rc = gpu_use(&b->gpu[k], err) ||
             NCCL(CommInitRankConfig(&b->gpu[k].comm, b->n_parts, unique, rank * b->n_gpus + k, &config));
    }
    return group_end(b, rc, err);
}

int multi_gpu_open(struct backend *b, struct error *err)
{
    char id[RANKS_ID_BYTES];
    b->n_parts = 1;
    if (b->n_gpus < 2 || b->described) return 0;
    return outcome(cuda_ranks_id(b, true, id, err) || cuda_ranks_join(b, id, 0, 1, NULL, NULL, err));
}

static int cuda_ranks_test(struct backend *b, bool finished, bool *done, struct error *err)
{
    *done = false;
    for (int k = 0; k < b->n_gpus; k++) {
        struct gpu *g = &b->gpu[k];
        ncclResult_t state = ncclSuccess;
        if (gpu_use(g, err) || NCCL(CommGetAsyncError(g->comm, &state))) return -1;
        if (nccl_check(b->nccl, err, "NCCL", state)) {
            err->code = EX_TEMPFAIL; /* another rank's end, as far as anybody knows */
            return -1;
        }
        if (state == ncclInProgress) return 0;
        for (int i = 0; finished && i < 3; i++) {
            cudaError_t status = cudaStreamQuery(g->streams[i]);
            if (status == cudaErrorNotReady) return cudaGetLastError(), 0;
            if (CUDA("the ranks' sums", status)) return -1;
        }
    }
    *done = true;
    return 0;
}

static void leave(struct backend *b, bool lost)
{
    for (int i = 0; b->nccl && i < b->n_gpus; i++)
        if (b->gpu[i].comm) {
            struct error ignored = {0};
            gpu_use(&b->gpu[i], &ignored);
            if (!lost) cudaStreamSynchronize(b->gpu[i].sum);
            lost ? b->nccl->CommAbort(b->gpu[i].comm) : b->nccl->CommDestroy(b->gpu[i].comm);
            b->gpu[i].comm = NULL;
        }
    b->n_parts = b->n_gpus;
}

static void cuda_ranks_leave(struct backend *b) { leave(b, true); }
void multi_gpu_close(struct backend *b)
{
    leave(b, false);
    if (b->nccl && b->nccl->library) dlclose(b->nccl->library);
    free(b->nccl);
    b->nccl = NULL;
}

static size_t cuda_sum_bytes(const struct backend *b)
{
    const char *text = getenv("WINNOW_CUDA_BUCKET_KIB");
    size_t kib = text ? strtoull(text, NULL, 10) : 0;
    return b->n_parts < 2 ? 0 : (kib ? kib : BUCKET_KIB) << 10;
}

static int all_reduce(struct backend *b, struct slot x, size_t n, bool mean, bool on_compute,
                      struct error *err)
{
    if (NCCL(GroupStart())) return -1;
    int rc = 0;
    for (int k = 0; !rc && k < b->n_gpus; k++)
        rc = NCCL(AllReduce(at(&x, k), at(&x, k), n, ncclFloat32, mean ? ncclAvg : ncclSum, b->gpu[k].comm,
                            on_compute ? b->gpu[k].compute : b->gpu[k].sum));
    return group_end(b, rc, err);
}

int multi_gpu_mean(struct backend *b, struct slot x, size_t n, struct error *err)
{
    return all_reduce(b, x, n, true, true, err);
}

/* One stream of each GPU waits for the other: the sums for the values, or what follows for the sums. */
static int order(struct backend *b, bool sums_first, struct error *err)
{
    for (int k = 0; k < b->n_gpus; k++) {
        struct gpu *g = &b->gpu[k];
        cudaEvent_t event = sums_first ? g->summed : g->written;
        if (gpu_use(g, err) || CUDA("gradients", cudaEventRecord(event, sums_first ? g->sum : g->compute)) ||
            CUDA("gradients", cudaStreamWaitEvent(sums_first ? g->compute : g->sum, event, 0)))
            return -1;
    }
    return 0;
}

static int cuda_sum_begin(struct backend *b, struct slot x, size_t n, bool mean, struct error *err)
{
    return outcome(order(b, false, err) || all_reduce(b, x, n, mean, false, err));
}

static int cuda_sum_end(struct backend *b, struct error *err) { return order(b, true, err); }

void multi_gpu_functions(struct backend_table *t)
{
    t->sum_bytes = cuda_sum_bytes;
    t->sum_begin = cuda_sum_begin;
    t->sum_end = cuda_sum_end;
    t->ranks_id = cuda_ranks_id;
    t->ranks_join = cuda_ranks_join;
    t->ranks_test = cuda_ranks_test;
    t->ranks_leave = cuda_ranks_leave;
}
