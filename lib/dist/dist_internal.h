/* dist_internal.h: declarations that dist.c and dist_wait.c share. */
#ifndef WINNOW_DIST_DIST_INTERNAL_H
#define WINNOW_DIST_DIST_INTERNAL_H

#include "dist/dist.h"
#include "dist/transport.h"

#define PLACE_BYTES 240
#define MAX_PENDING 64

struct place {                 /* the machine and the process of a rank; sent to all ranks once */
    char host[PLACE_BYTES];    /* for people */
    char machine[PLACE_BYTES]; /* two ranks with equal `machine` share the process numbers of one machine */
    int64_t pid;
};

struct dist {
    const struct dist_transport *table;
    struct dist_group *group;
    struct place *places; /* [size] */
    int rank, size, local_rank, local_size;
    double timeout_s;
    bool lost, agreed;
    int gone;              /* rank, -1 */
    double told_to_end_at; /* when a wait first noticed the launcher's signal */
    struct dist_request *pending[MAX_PENDING];
    size_t n_pending;
};

/* Waits until r is done. Returns 0, or -1 when a rank is lost (d->lost). */
int dist_wait(struct dist *d, struct dist_request *r, struct error *err);
/* Sets *p to the machine on which this process runs. */
void dist_place(struct place *p);

#endif
