/*
 * schedule.h: decides which host may send a request next. Hosts that could start now wait in one queue and
 * get one request each in turn, so that a large host does not hold up small ones. Hosts and entries that have
 * to wait are in one heap, by time.
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
/* Takes the first entry of a host that has one in its queue. */
uint32_t schedule_take(struct entries *es, struct host *h);
/* Puts the host into the queue or the heap if it has work that could start, now or later. */
int host_make_ready(struct schedule *s, uint32_t host, struct error *err);
/* 1: *host may start a request now, and has left the queue. 0: no host may. -1: error. */
int schedule_next(struct schedule *s, uint32_t *host, struct error *err);
/* 1: an entry whose time has come, removed from the heap. 0: none. -1: error.
 * Hosts that are due are made ready. */
int schedule_due(struct schedule *s, uint32_t *entry, struct error *err);
double schedule_next_time(const struct schedule *s); /* monotonic, INFINITY for none */
void schedule_release(struct schedule *s);

#endif
