/*
 * nccl.c: the calls of NCCL that winnow makes. A communicator has its ranks in one process or in several,
 * which share a file that is mapped into each of them. A collective is a piece of work on a rank's stream: it
 * leaves the rank's values in the file, and is done when those of all ranks are there.
 *
 * As in life, work that waits for a rank that died waits for ever, until ncclCommAbort. A communicator that
 * does not block (ncclConfig_t) says ncclInProgress, and its collectives are queued only when the caller has
 * asked ncclCommGetAsyncError until it says ncclSuccess: a program that does not ask gets its order wrong.
 */
#include "fake.h"

#include <nccl.h>

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_RANKS 8
#define MAX_VALUES ((size_t)1 << 24) /* of one collective; pages that nobody writes cost nothing */

struct shared { /* zeros in a new file */
    atomic_int attached, aborted;
    atomic_ulong arrived, finished; /* of all collectives so far, by all ranks */
    int device[MAX_RANKS];
    size_t count[MAX_RANKS];
    bool average[MAX_RANKS];
    float values[MAX_RANKS][MAX_VALUES];
};

struct local { /* the ranks of a communicator that are in this process */
    struct local *next;
    ncclUniqueId id;
    struct shared *shared;
    int members, waiting; /* waiting: collectives of the group that ends */
    uint64_t clocks[MAX_RANKS][FAKE_MAX_STREAMS];
};

struct ncclComm {
    struct local *local;
    struct shared *shared; /* NULL after an abort: what is still queued does nothing then */
    int ranks, rank, device, asked;
    unsigned long issued, collectives; /* that were queued, that have run */
    bool blocking, joined;
    struct queued *later; /* to be queued when the caller has asked for the state */
};

struct queued {
    struct queued *next;
    const void *from;
    void *to;
    ncclComm_t comm;
    cudaStream_t stream;
    size_t count;
    bool average;
    unsigned long number; /* of the communicator's collectives: their order, whatever streams they are on */
};

static struct local *locals;
static struct queued group[64];
static ncclComm_t joining[MAX_RANKS];
static int n_group, n_joining, group_depth;

#define BEGIN(call)                                                                                          \
    do {                                                                                                     \
        if (fake_call_fails(call)) return ncclInternalError;                                                 \
        if (fake_sticky() != cudaSuccess) return ncclUnhandledCudaError;                                     \
    } while (0)

FAKE_API ncclResult_t ncclGetVersion(int *version)
{
    *version = NCCL_VERSION_CODE;
    return ncclSuccess;
}

static bool supports(const char *what)
{
    const char *words = getenv("FAKECUDA_SUPPORT");
    return !words || !strstr(words, what);
}

/* --- joining --- */

FAKE_API ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    static int number;
    const char *folder = getenv("TMPDIR");
    BEGIN("ncclGetUniqueId");
    if (!supports("no-nccl")) return ncclSystemError;
    memset(id, 0, sizeof *id);
    snprintf(id->internal, sizeof id->internal, "%s/fake-nccl-%d-%d",
             folder && strlen(folder) < 90 ? folder : "/tmp", (int)getpid(), ++number);
    int fd = open(id->internal, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool made = fd >= 0 && !ftruncate(fd, sizeof(struct shared));
    if (fd >= 0) close(fd);
    return made ? ncclSuccess : ncclSystemError;
}

static struct local *attach(const ncclUniqueId *id)
{
    for (struct local *l = locals; l; l = l->next)
        if (!memcmp(&l->id, id, sizeof *id)) return l;
    int fd = open(id->internal, O_RDWR | O_CLOEXEC);
    void *p =
        fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    struct local *l = p == MAP_FAILED ? NULL : calloc(1, sizeof *l);
    if (fd >= 0) close(fd);
    if (!l) return NULL;
    l->id = *id;
    l->shared = p;
    l->next = locals;
    return locals = l;
}

/* All ranks are there. The real NCCL refuses two of them on one card. */
static ncclResult_t joined(ncclComm_t comm)
{
    struct shared *s = comm->shared;
    if (s->attached < comm->ranks) return ncclInProgress;
    comm->joined = true;
    unlink(comm->local->id.internal);
    for (int i = 0; i < comm->ranks; i++)
        for (int k = 0; k < i; k++)
            if (s->device[i] == s->device[k]) return ncclInvalidUsage;
    return ncclSuccess;
}

FAKE_API ncclResult_t ncclCommInitRankConfig(ncclComm_t *out, int ranks, ncclUniqueId id, int rank,
                                             ncclConfig_t *config)
{
    const char *call = "ncclCommInitRankConfig";
    BEGIN(call);
    if (ranks < 1 || ranks > MAX_RANKS || rank < 0 || rank >= ranks || n_joining == MAX_RANKS)
        return ncclInvalidArgument;
    struct local *l = attach(&id);
    ncclComm_t comm = l ? fake_object_new("nccl communicator", sizeof *comm) : NULL;
    if (!comm) return ncclSystemError;
    *comm = (struct ncclComm){.local = l,
                              .shared = l->shared,
                              .ranks = ranks,
                              .rank = rank,
                              .device = fake_current_device(),
                              .blocking = !config || config->blocking != 0};
    l->members++;
    l->shared->device[rank] = comm->device;
    l->shared->attached++;
    *out = comm;
    if (!comm->blocking) return ncclInProgress;
    if (!group_depth && ranks > 1) {
        fake_complain(call, "one thread joins every rank: outside a group the first would wait for ever");
        return ncclInvalidUsage;
    }
    joining[n_joining++] = comm;
    return ncclSuccess;
}

static void leave(ncclComm_t comm)
{
    struct local *l = comm->local, **at = &locals;
    while (comm->later) {
        struct queued *q = comm->later;
        comm->later = q->next;
        free(q);
    }
    comm->shared = NULL;
    fake_object_free(comm); /* its bytes stay, for work that is still queued */
    if (--l->members) return;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    munmap(l->shared, sizeof *l->shared);
    free(l);
}

FAKE_API ncclResult_t ncclCommDestroy(ncclComm_t comm)
{
    if (!fake_object_is(comm, "nccl communicator")) return ncclInvalidArgument;
    leave(comm);
    return ncclSuccess;
}

FAKE_API ncclResult_t ncclCommAbort(ncclComm_t comm)
{
    if (!fake_object_is(comm, "nccl communicator")) return ncclInvalidArgument;
    comm->shared->aborted = 1;
    if (!comm->joined) unlink(comm->local->id.internal);
    leave(comm);
    return ncclSuccess;
}

FAKE_API const char *ncclGetErrorString(ncclResult_t result)
{
    switch (result) {
    case ncclSuccess: return "no error";
    case ncclInternalError: return "internal error";
    case ncclSystemError: return "unhandled system error (run with NCCL_DEBUG=INFO for details)";
    case ncclRemoteError: return "remote process exited or there was a network error";
    default: return "invalid usage";
    }
}

/* --- collectives --- */

static void reduce_run(const void *args)
{
    const struct queued *q = args;
    ncclComm_t comm = q->comm;
    struct shared *s = comm->shared;
    unsigned long ranks = (unsigned long)comm->ranks, before = ranks * comm->collectives;
    size_t bytes = q->count * sizeof(float);
    if (!s) return; /* aborted: the values are nobody's */
    bool others = comm->local->members < comm->ranks;
    if (q->number != comm->collectives) { /* an earlier one is on another stream */
        fake_not_yet(false);
        return;
    }
    if (!s->count[comm->rank]) {
        if (s->finished < before) { /* somebody still reads the values of the last one */
            fake_not_yet(others);
            return;
        }
        const float *from = fake_access(q->from, bytes, FAKE_READ, "the rank's part");
        if (from)
            memcpy(s->values[comm->rank], from, bytes);
        else
            fake_scratch_poison(s->values[comm->rank], bytes);
        s->average[comm->rank] = q->average;
        s->count[comm->rank] = q->count;
        fake_clock_save(comm->local->clocks[comm->rank]);
        s->arrived++;
    }
    if (s->arrived < before + ranks) {
        fake_not_yet(others);
        return;
    }
    for (unsigned long r = 0; r < ranks; r++) {
        if (s->count[r] && (s->count[r] != q->count || s->average[r] != q->average))
            fake_break("ncclAllReduce", "the ranks sum different numbers of values");
        fake_clock_join(comm->local->clocks[r]); /* zeros for those of other processes */
    }
    float *to = fake_access(q->to, bytes, FAKE_WRITE, "the sum");
    for (size_t i = 0; to && i < q->count; i++) {
        float sum = 0;
        for (unsigned long r = 0; r < ranks; r++)
            sum += s->values[r][i];
        to[i] = q->average ? sum / (float)ranks : sum;
    }
    comm->collectives++;
    s->count[comm->rank] = 0;
    s->finished++;
}

/* Of work that a graph queues again, too. */
static void renew(void *args)
{
    struct queued *q = args;
    q->number = q->comm->issued++;
}

static ncclResult_t queue(const struct queued *q)
{
    cudaError_t rc = fake_queue_renewed(q->stream, "ncclAllReduce", reduce_run, renew, q, sizeof *q);
    return rc == cudaSuccess ? ncclSuccess : ncclInternalError;
}

FAKE_API ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *state)
{
    BEGIN("ncclCommGetAsyncError");
    if (!fake_object_is(comm, "nccl communicator")) return ncclInvalidArgument;
    *state = comm->joined ? ncclSuccess : joined(comm);
    if (*state == ncclSuccess && comm->shared->aborted) *state = ncclRemoteError;
    if (*state == ncclSuccess && comm->later && !comm->asked++) *state = ncclInProgress;
    while (*state == ncclSuccess && comm->later) {
        struct queued *q = comm->later;
        comm->later = q->next;
        *state = queue(q);
        free(q);
    }
    return ncclSuccess;
}

FAKE_API ncclResult_t ncclAllReduce(const void *from, void *to, size_t count, ncclDataType_t type,
                                    ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream)
{
    BEGIN("ncclAllReduce");
    if (!fake_object_is(comm, "nccl communicator") || !fake_stream_is_live(stream) || type != ncclFloat32 ||
        (op != ncclSum && op != ncclAvg) || fake_stream_device(stream) != comm->device || !count ||
        count > MAX_VALUES || !fake_is_device(from) || !fake_is_device(to)) {
        fake_complain("ncclAllReduce",
                      "a dead communicator or stream, another device's stream, or no device memory");
        return ncclInvalidArgument;
    }
    if (!group_depth && comm->local->members > 1) {
        fake_complain("ncclAllReduce",
                      "one thread drives every rank: outside a group the first call would wait for ever");
        return ncclInvalidUsage;
    }
    if (!comm->joined || comm->later) {
        fake_complain("ncclAllReduce", "the communicator still works on the last call");
        return ncclInvalidUsage;
    }
    struct queued q = {NULL, from, to, comm, stream, count, op == ncclAvg, 0};
    if (!group_depth && comm->blocking) return queue(&q);
    if (n_group == 64) return ncclInternalError;
    group[n_group++] = q;
    return group_depth ? ncclSuccess : ncclInvalidUsage;
}

FAKE_API ncclResult_t ncclGroupStart(void)
{
    BEGIN("ncclGroupStart");
    group_depth++;
    return ncclSuccess;
}

static ncclResult_t later(const struct queued *q)
{
    struct queued *copy = malloc(sizeof *copy), **at = &q->comm->later;
    if (!copy) return ncclSystemError;
    *copy = *q;
    while (*at)
        at = &(*at)->next;
    *at = copy;
    q->comm->asked = 0;
    return ncclInProgress;
}

FAKE_API ncclResult_t ncclGroupEnd(void)
{
    bool fails = fake_call_fails("ncclGroupEnd");
    if (!group_depth || --group_depth) return group_depth ? ncclSuccess : ncclInvalidUsage;
    int n = n_group, joins = n_joining;
    ncclResult_t rc = ncclSuccess;
    n_group = n_joining = 0;
    if (fails) return ncclInternalError;
    for (int i = 0; i < joins && rc == ncclSuccess; i++)
        rc = joined(joining[i]);
    if (rc == ncclInProgress) {
        fake_complain("ncclGroupEnd", "ranks are missing: the real one would hang");
        return ncclInvalidUsage;
    }
    for (int i = 0; i < n; i++)
        group[i].comm->local->waiting++;
    for (int i = 0; i < n; i++)
        if (group[i].comm->local->waiting % group[i].comm->local->members) {
            fake_complain("ncclGroupEnd", "%d of %d ranks take part: the real one would hang",
                          group[i].comm->local->waiting, group[i].comm->local->members);
            rc = ncclInvalidUsage;
        }
    for (int i = 0; i < n; i++)
        group[i].comm->local->waiting = 0;
    for (int i = 0; i < n && (rc == ncclSuccess || rc == ncclInProgress); i++)
        rc = group[i].comm->blocking ? queue(&group[i]) : later(&group[i]);
    return rc;
}
