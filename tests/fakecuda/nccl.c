/*
 * nccl.c: the calls of NCCL that winnow makes: one process, a communicator over several devices, sums in a
 * group. A collective queues one piece of work on each rank's stream; the first that runs brings the other
 * ranks' streams up to theirs.
 */
#include "fake.h"

#include <nccl.h>

#include <stdlib.h>
#include <string.h>

#define MAX_RANKS 8

struct clique {
    int ranks, alive;
};
struct ncclComm {
    struct clique *clique;
    int rank, device;
};

struct collective {
    int ranks, arrived, left;
    size_t count;
    bool average, taken[MAX_RANKS];
    float *in[MAX_RANKS];
    cudaStream_t streams[MAX_RANKS];
    uint64_t clocks[MAX_RANKS][FAKE_MAX_STREAMS];
};

struct queued {
    struct collective *c;
    int rank;
    const void *from;
    void *to;
    ncclComm_t comm;
    cudaStream_t stream;
    size_t count;
    bool average;
};

static struct queued group[64];
static int n_group, group_depth;

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

FAKE_API ncclResult_t ncclCommInitAll(ncclComm_t *comms, int n, const int *devices)
{
    BEGIN("ncclCommInitAll");
    if (n < 1 || n > MAX_RANKS) return ncclInvalidArgument;
    struct clique *clique = calloc(1, sizeof *clique);
    if (!clique) return ncclSystemError;
    clique->ranks = clique->alive = n;
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < i; j++)
            if (devices && devices[i] == devices[j]) {
                fake_complain("ncclCommInitAll", "device %d twice", devices[i]);
                return ncclInvalidUsage;
            }
        comms[i] = fake_object_new("nccl communicator", sizeof *comms[i]);
        if (!comms[i]) return ncclSystemError;
        *comms[i] = (struct ncclComm){clique, i, devices ? devices[i] : i};
    }
    return ncclSuccess;
}

FAKE_API ncclResult_t ncclCommDestroy(ncclComm_t comm)
{
    if (!fake_object_is(comm, "nccl communicator")) return ncclInvalidArgument;
    if (--comm->clique->alive == 0) free(comm->clique);
    fake_object_free(comm);
    return ncclSuccess;
}

FAKE_API const char *ncclGetErrorString(ncclResult_t result)
{
    return result == ncclSuccess         ? "no error"
           : result == ncclInternalError ? "internal error"
                                         : "invalid usage";
}

FAKE_API const char *ncclGetLastError(ncclComm_t comm) { return ""; }

static void reduce_run(const void *args)
{
    const struct queued *q = args;
    struct collective *c = q->c;
    size_t bytes = c->count * sizeof(float);
    const float *from = fake_access(q->from, bytes, FAKE_READ, "the rank's part");
    c->in[q->rank] = malloc(bytes + 1);
    if (!c->in[q->rank]) abort();
    if (from)
        memcpy(c->in[q->rank], from, bytes);
    else
        fake_scratch_poison(c->in[q->rank], bytes);
    fake_clock_save(c->clocks[q->rank]);
    c->arrived++;
    c->taken[q->rank] = true;
    for (int r = 0; r < c->ranks; r++)
        while (!c->taken[r] && fake_stream_step(c->streams[r]))
            ;
    if (c->arrived < c->ranks) {
        fake_break("ncclAllReduce", "the other ranks never come: their streams wait for this one");
        return;
    }
    for (int r = 0; r < c->ranks; r++)
        fake_clock_join(c->clocks[r]);
    float *to = fake_access(q->to, bytes, FAKE_WRITE, "the sum");
    for (size_t i = 0; to && i < c->count; i++) {
        float sum = 0;
        for (int r = 0; r < c->ranks; r++)
            sum += c->in[r][i];
        to[i] = c->average ? sum / (float)c->ranks : sum;
    }
    if (++c->left == c->ranks) {
        for (int r = 0; r < c->ranks; r++)
            free(c->in[r]);
        free(c);
    }
}

FAKE_API ncclResult_t ncclAllReduce(const void *from, void *to, size_t count, ncclDataType_t type,
                                    ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream)
{
    BEGIN("ncclAllReduce");
    if (!fake_object_is(comm, "nccl communicator") || !fake_stream_is_live(stream) || type != ncclFloat32 ||
        (op != ncclSum && op != ncclAvg) || fake_stream_device(stream) != comm->device ||
        !fake_is_device(from) || !fake_is_device(to)) {
        fake_complain("ncclAllReduce",
                      "a dead communicator or stream, another device's stream, or no device memory");
        return ncclInvalidArgument;
    }
    if (!group_depth) {
        fake_complain("ncclAllReduce",
                      "one thread drives every rank: outside a group the first call would wait for ever");
        return ncclInvalidUsage;
    }
    if (n_group == 64) return ncclInternalError;
    group[n_group++] = (struct queued){NULL, comm->rank, from, to, comm, stream, count, op == ncclAvg};
    return ncclSuccess;
}

FAKE_API ncclResult_t ncclGroupStart(void)
{
    BEGIN("ncclGroupStart");
    group_depth++;
    return ncclSuccess;
}

FAKE_API ncclResult_t ncclGroupEnd(void)
{
    bool fails = fake_call_fails("ncclGroupEnd");
    if (!group_depth || --group_depth) return group_depth ? ncclSuccess : ncclInvalidUsage;
    int n = n_group;
    n_group = 0;
    if (fails) return ncclInternalError;
    bool used[64] = {false};
    for (int i = 0; i < n; i++) {
        if (used[i]) continue;
        struct collective *c = calloc(1, sizeof *c);
        if (!c) return ncclSystemError;
        c->ranks = group[i].comm->clique->ranks;
        c->count = group[i].count;
        c->average = group[i].average;
        int members[MAX_RANKS], found = 0;
        for (int r = 0; r < c->ranks; r++)
            for (int j = i; j < n; j++)
                if (!used[j] && group[j].comm->clique == group[i].comm->clique && group[j].rank == r) {
                    if (group[j].count != c->count)
                        fake_complain("ncclGroupEnd", "rank %d sums %zu values, rank %d %zu", group[i].rank,
                                      c->count, r, group[j].count);
                    members[found++] = j;
                    used[j] = true;
                    break;
                }
        if (found != c->ranks) {
            fake_complain("ncclGroupEnd", "%d of %d ranks take part: the real one would hang", found,
                          c->ranks);
            free(c);
            return ncclInvalidUsage;
        }
        for (int r = 0; r < found; r++) {
            group[members[r]].c = c;
            c->streams[group[members[r]].rank] = group[members[r]].stream;
        }
        for (int r = 0; r < found; r++)
            if (fake_queue(group[members[r]].stream, "ncclAllReduce", reduce_run, &group[members[r]],
                           sizeof group[0]) != cudaSuccess)
                return ncclInternalError;
    }
    return ncclSuccess;
}
