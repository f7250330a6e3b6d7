/*
 * transport.h: the functions that lib/dist needs from a library for communication between processes.
 * An operation is started and later tested. dist_wait.c waits for operations, and watches for lost ranks and
 * signals meanwhile. A plug-in exports `const struct dist_transport *winnow_dist(void)`.
 */
#ifndef WINNOW_DIST_TRANSPORT_H
#define WINNOW_DIST_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define DIST_ABI 2

struct dist_group; /* the ranks, as the transport sees them */
/* an operation in progress; it belongs to the transport until `test` reports that it is done, or until
 * `close` */
struct dist_request;

enum dist_kind { DIST_SUM_F32, DIST_SUM_F64, DIST_BROADCAST, DIST_GATHER, DIST_SEND, DIST_RECEIVE };

struct dist_transport {
    int abi;
    const char *name;
    int (*open)(struct dist_group **out, int *rank, int *size, struct error *err);
    /* lost: a rank is lost, and the library would wait for it while it shuts down. In this case only our own
     * memory is freed. g may be NULL. */
    void (*close)(struct dist_group *g, bool lost);
    void (*abort)(struct dist_group *g, int code);
    /*
     * Starts an operation, in place. n counts values for sums, and bytes otherwise (for GATHER: of one
     * piece); at most 2^30 bytes in all. Only SEND and RECEIVE use peer. data belongs to the transport until
     * the operation is done.
     */
    int (*start)(struct dist_group *g, enum dist_kind kind, void *data, size_t n, int peer,
                 struct dist_request **out, struct error *err);
    int (*test)(struct dist_group *g, struct dist_request *r, bool *done, struct error *err);
};

#endif
