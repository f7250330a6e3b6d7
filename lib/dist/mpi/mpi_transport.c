/* mpi_transport.c: lib/dist over MPI-3 (OpenMPI). It uses non-blocking calls only. A waiting rank can
 * therefore notice that another rank is lost, and does not hang in a library call that never returns. */
#include <mpi.h>
#include <stdlib.h>

#include "base/mem.h"
#include "dist/transport.h"

struct dist_request {
    MPI_Request r;
    struct dist_request *next, **from; /* from: what points here */
};
struct dist_group {
    MPI_Comm comm;
    struct dist_request *started;
};

#define TAG 1

static int failed(int status, const char *what, struct error *err)
{
    char text[MPI_MAX_ERROR_STRING + 1] = "";
    int n = 0;
    if (status == MPI_SUCCESS) return 0;
    MPI_Error_string(status, text, &n);
    return error_set(err, EX_TEMPFAIL, "MPI: %s: %s", what, text);
}

static int mpi_open(struct dist_group **out, int *rank, int *size, struct error *err)
{
    int level, there = 0;
    struct dist_group *g = mem_zalloc(1, sizeof *g, err);
    *out = NULL;
    if (!g) return -1;
    /* FUNNELED: loaders and OpenMP start threads, but only the thread that opened MPI calls it. */
    if (failed(MPI_Initialized(&there), "MPI_Initialized", err) ||
        (!there &&
         failed(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level), "MPI_Init_thread", err)) ||
        failed(MPI_Comm_dup(MPI_COMM_WORLD, &g->comm), "MPI_Comm_dup", err) ||
        failed(MPI_Comm_set_errhandler(g->comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler", err) ||
        failed(MPI_Comm_rank(g->comm, rank), "MPI_Comm_rank", err) ||
        failed(MPI_Comm_size(g->comm, size), "MPI_Comm_size", err)) {
        free(g);
        return -1;
    }
    *out = g;
    return 0;
}

/* MPI refers only to its own memory and to the caller's, so our memory can be freed while a request is in
 * progress. */
static void forget(struct dist_request *q)
{
    if ((*q->from = q->next)) q->next->from = q->from;
    free(q);
}

static void mpi_close(struct dist_group *g, bool lost)
{
    if (!g) return;
    if (!lost) {
        MPI_Comm_free(&g->comm);
        MPI_Finalize();
    }
    for (struct dist_request *q = g->started, *next; q; q = next) {
        next = q->next;
        free(q);
    }
    free(g);
}

static void mpi_abort(struct dist_group *g, int code) { MPI_Abort(g->comm, code); }

static int mpi_start(struct dist_group *g, enum dist_kind kind, void *data, size_t n, int peer,
                     struct dist_request **out, struct error *err)
{
    struct dist_request *q = mem_zalloc(1, sizeof *q, err);
    int rc = -1;
    *out = NULL;
    if (!q) return -1;
    switch (kind) {
    case DIST_SUM_F32:
    case DIST_SUM_F64:
        rc = failed(MPI_Iallreduce(MPI_IN_PLACE, data, (int)n, kind == DIST_SUM_F32 ? MPI_FLOAT : MPI_DOUBLE,
                                   MPI_SUM, g->comm, &q->r),
                    "MPI_Iallreduce", err);
        break;
    case DIST_BROADCAST:
        rc = failed(MPI_Ibcast(data, (int)n, MPI_BYTE, 0, g->comm, &q->r), "MPI_Ibcast", err);
        break;
    case DIST_GATHER:
        rc =
            failed(MPI_Iallgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, data, (int)n, MPI_BYTE, g->comm, &q->r),
                   "MPI_Iallgather", err);
        break;
    case DIST_SEND:
        rc = failed(MPI_Isend(data, (int)n, MPI_BYTE, peer, TAG, g->comm, &q->r), "MPI_Isend", err);
        break;
    case DIST_RECEIVE:
        rc = failed(MPI_Irecv(data, (int)n, MPI_BYTE, peer, TAG, g->comm, &q->r), "MPI_Irecv", err);
        break;
    }
    if (rc) {
        free(q);
        return -1;
    }
    q->from = &g->started;
    if ((q->next = g->started)) q->next->from = &q->next;
    g->started = q;
    *out = q;
    return 0;
}

static int mpi_test(struct dist_group *g, struct dist_request *q, bool *done, struct error *err)
{
    int flag = 0;
    (void)g;
    if (failed(MPI_Test(&q->r, &flag, MPI_STATUS_IGNORE), "MPI_Test", err)) return -1;
    if ((*done = flag)) forget(q);
    return 0;
}

static const struct dist_transport transport = {
    .abi = DIST_ABI,
    .name = "mpi",
    .open = mpi_open,
    .close = mpi_close,
    .abort = mpi_abort,
    .start = mpi_start,
    .test = mpi_test,
};

__attribute__((visibility("default"))) const struct dist_transport *winnow_dist(void);
const struct dist_transport *winnow_dist(void) { return &transport; }
