/* hosts.h: the hosts of a run, by name and unusual port, and what is known about each. */
#ifndef WINNOW_FETCH_HOSTS_H
#define WINNOW_FETCH_HOSTS_H

#include "base/hash_index.h"
#include "base/mem.h"
#include "http/http_url.h"
#include "http/robots.h"
#include "http/tdmrep.h"

#define NO_INDEX UINT32_MAX

enum robots_state { ROBOTS_UNKNOWN, ROBOTS_ASKING, ROBOTS_KNOWN };

struct host {
    const char *name;      /* "example.org", "example.org:8080"; in the arena */
    struct robots *robots; /* NULL: everything is allowed; owned */
    struct tdmrep *tdmrep; /* NULL: no statement; owned */
    double free_at;        /* next start by the rate */
    double hold_until;     /* Retry-After, or the breaker's pause */
    int64_t due;           /* with given_up: when another run may request it; 0: by the usual rule */
    uint32_t head, tail, n_queued, n_active, next_ready;
    uint32_t address, next_waiting; /* address of its last connection: an index, or NO_INDEX; addresses.h */
    uint16_t n_bad, n_trips;        /* failures in a row; pauses in a row */
    uint16_t port;
    uint8_t robots_state, robots_tries, give_up_reason;
    bool tdmrep_known; /* asked in this run */
    bool tls;          /* it supports TLS: its robots.txt redirected there */
    bool ready;        /* it is in the schedule's queue */
    bool timed;        /* it is in the schedule's heap */
    bool waiting;      /* it waits for a place at its address */
    bool given_up, loopback;
    bool refuses; /* header fields of a picture in the store forbid its use in this run */
    bool witness; /* responded in this run, or sent a picture in an earlier one */
};

struct hosts {
    struct arena arena;
    struct host *items;
    size_t n, capacity;
    struct hash_index index;
};

/* Sets *index to the number of the host in a canonical address. A new host is added. */
int hosts_add(struct hosts *hs, const char *canonical, const struct http_url_parts *parts, uint32_t *index,
              struct error *err);
void hosts_release(struct hosts *hs);

#endif
