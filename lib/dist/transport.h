/*
 * transport.h: what lib/dist needs from a way to communicate between processes. Operations are started and
 * then tested; dist_wait.c waits for them, and watches for lost ranks and signals. A plug-in exports `const
 * struct dist_transport *winnow_dist(void)`.
 */
#ifndef WINNOW_DIST_TRANSPORT_H
#define WINNOW_DIST_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define DIST_ABI 2

struct dist_group;   /* the ranks, as the transport sees them */
struct dist_request; /* something started; belongs to the transport until test says done, or close */

enum dist_kind { DIST_SUM_F32, DIST_SUM_F64, DIST_BROADCAST, DIST_GATHER, DIST_SEND, DIST_RECEIVE };

struct dist_transport {
    int abi;
    const char *name;
    int (*open)(struct dist_group **out, int *rank, int *size, struct error *err);
    /* lost: a rank is gone, and the library would wait for it. Our memory is freed, and the library
     * is left as it is. g may be NULL. */
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
