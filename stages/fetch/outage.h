/*
 * outage.h: is the network there? When a cable is out, every host fails at once, and a run that counts these
 * as failures uses up the tries of its whole list within seconds. So a failure that could be the network's
 * own (no name, no connection, silence) is deferred until somebody to whom a connection was begun later has
 * answered. (What is still on its way over older connections proves nothing: that ends a moment after the
 * names do.)
 *   - somebody answers: the network is there, what was deferred counts;
 *   - nobody does: the network is probed (http_probe.h: hosts that answered before, and those that failed).
 *     Somebody answers there: the same. Nobody: the network is away. What was deferred is forgotten and
 *     queued again, nothing is started, and the probe is repeated until the network is back or --network-wait
 *     is over.
 * A list that ends in dead hosts costs a probe, not a pause: a name server's "no such name" is an answer, and
 * so is the silence of a host that never said anything while its name is known.
 */
#ifndef WINNOW_FETCH_OUTAGE_H
#define WINNOW_FETCH_OUTAGE_H

#include "http/http.h"
#include "http/http_probe.h"

#define OUTAGE_WITNESSES 4

struct fetch;

struct deferred {
    double at;
    uint32_t host, entry;
    enum http_outcome outcome;
    int status;
    char detail[160];
};

struct outage {
    struct deferred *deferred; /* in the order of their times */
    size_t n_deferred, capacity;
    double deferred_since; /* the oldest */
    double fresh_at;       /* when that connection was begun over which somebody answered: the latest */
    struct http_probe *probe;
    double probed_at, next_probe, probe_wait;
    double since;                                                     /* away since then; 0: it is there */
    uint32_t witnesses[OUTAGE_WITNESSES], suspects[OUTAGE_WITNESSES]; /* hosts */
    unsigned n_witnesses, n_suspects, oldest_witness, oldest_suspect;
    struct http_probe_target proxy;
};

int outage_open(struct fetch *f, struct error *err);
void outage_close(struct outage *o); /* before the engine, which its probe wakes */
/*
 * At every end of a transfer. true: t's failure is deferred; its entry, or its host's robots.txt (entry
 * NO_INDEX), comes back by fetch_resolve_deferred.
 */
bool outage_defers(struct fetch *f, uint32_t host, uint32_t entry, const struct http_transfer *t);
int outage_turn(struct fetch *f, struct error *err); /* once a turn of the loop */
bool outage_pauses(const struct outage *o);          /* nothing is to be started now */
bool outage_timed_out(const struct fetch *f);        /* longer than --network-wait: the run ends with 75 */
double outage_seconds(const struct fetch *f);        /* since the network went away; 0: it is there */

#endif
