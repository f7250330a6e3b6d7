/*
 * transport.h: the functions that lib/dist needs from a library for communication between processes.
 * Operations are started and then tested; dist_wait.c waits for them, and watches for lost ranks and signals.
 * A plug-in exports `const struct dist_transport *winnow_dist(void)`.
 */
#ifndef WINNOW_DIST_TRANSPORT_H
#define WINNOW_DIST_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define DIST_ABI 2

struct dist_group; /* the ranks, as the transport sees them */
/* an operation in progress; belongs to the transport until test reports that it is done, or until close */
struct dist_request;

enum dist_kind { DIST_SUM_F32, DIST_SUM_F64, DIST_BROADCAST, DIST_GATHER, DIST_SEND, DIST_RECEIVE };

struct dist_transport {
    int abi;
    const char *name;
    int (*open)(struct dist_group **out, int *rank, int *size, struct error *err);
    /* lost: a rank is gone, and shutting the library down would wait for it. Then only our memory is
     * freed. g may be NULL. */
    void (*close)(struct dist_group *g, bool lost);
    void (*abort)(struct dist_group *g, int code);
    /*
     * n is the number of values for sums, and of bytes otherwise (GATHER: of one piece), at most 2^30 bytes
     * in all. peer is used by SEND and RECEIVE. The operation is in place, and the memory belongs to the
     * transport until it is done.
     */
    int (*start)(struct dist_group *g, enum dist_kind kind, void *data, size_t n, int peer,
                 struct dist_request **out, struct error *err);
    int (*test)(struct dist_group *g, struct dist_request *r, bool *done, struct error *err);
};

#endif
