/*
 * schedule.h: decides which host may send a request next. Hosts that can send a request now wait in one
 * queue, and each gets one request in turn, so that a host with many addresses does not delay the others.
 * Hosts and entries that must wait are in one heap, ordered by time.
 */
#ifndef WINNOW_FETCH_SCHEDULE_H
#define WINNOW_FETCH_SCHEDULE_H

#include "addresses.h"
#include "entries.h"
#include "hosts.h"

struct timer {
    double at;
    uint32_t id;
    bool is_host;
};

struct schedule {
    struct hosts hosts;
    struct addresses addresses;
    uint32_t ready_head, ready_tail; /* the queue, of hosts */
    struct timer *timers;            /* binary heap */
    size_t n_timers, timers_capacity;
    unsigned n_per_host;
    double now; /* monotonic, of this turn */
};
#define SCHEDULE_EMPTY ((struct schedule){.ready_head = NO_INDEX, .ready_tail = NO_INDEX})

/* Adds an entry at the end of its host's queue, or at the front. */
int schedule_add(struct schedule *s, struct entries *es, uint32_t entry, bool front, struct error *err);
int schedule_add_later(struct schedule *s, struct entries *es, uint32_t entry, double at, struct error *err);
/* Removes the first entry from the host's queue, which must not be empty, and returns it. */
uint32_t schedule_take(struct entries *es, struct host *h);
/* Puts the host into the queue, or into the heap, if it has work that can start now, or later. */
int host_make_ready(struct schedule *s, uint32_t host, struct error *err);
/* Sets *host to a host that may start a request now, removes it from the queue, and returns 1. Returns 0 when
 * no host may, or -1 with err set. */
int schedule_next(struct schedule *s, uint32_t *host, struct error *err);
/* Removes an entry that is due from the heap, sets *entry to it, and returns 1. Returns 0 when there is none,
 * or -1 with err set. Hosts that are due are put into the queue. */
int schedule_due(struct schedule *s, uint32_t *entry, struct error *err);
double schedule_next_time(const struct schedule *s); /* on the monotonic clock; INFINITY when nothing waits */
void schedule_release(struct schedule *s);

#endif
