/*
 * outage.h: finds out whether the network is down. When it is, all hosts fail at once, and a run that
 * counted these failures would use up the attempts for its whole list within seconds. So a failure that the
 * network may have caused (no name, no connection, silence) is deferred until there is evidence. Evidence is
 * an answer on a connection that was begun later; answers on older connections prove nothing, because these
 * still work for a moment after name lookup fails.
 *   - Somebody answers: the network works, and what was deferred counts.
 *   - Nobody answers: the network is probed (http_probe.h: hosts that answered before, and those that
 *     failed). If somebody answers the probe, the network works. If not, it is down: what was deferred is
 *     forgotten and queued again, nothing is started, and the probe is repeated until the network is back
 *     or --network-wait is over.
 * A list that ends in dead hosts costs a probe and not a pause: a name server's "no such name" is an answer,
 * and the silence of a host that has never answered counts as one, too, if its name resolves.
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
    double fresh_at;       /* start of the latest connection over which a host answered */
    struct http_probe *probe;
    double probed_at, next_probe, probe_wait;
    /* the network is down since then; 0: it is up */
    double since;
    uint32_t witnesses[OUTAGE_WITNESSES], suspects[OUTAGE_WITNESSES]; /* hosts */
    unsigned n_witnesses, n_suspects, oldest_witness, oldest_suspect;
    struct http_probe_target proxy;
};

int outage_open(struct fetch *f, struct error *err);
void outage_close(struct outage *o); /* before the engine, which its probe wakes */
/* Called at the end of every transfer. True: t's failure is deferred, and its entry, or the robots.txt of
 * its host (entry NO_INDEX), comes back through fetch_resolve_deferred. */
bool outage_defers(struct fetch *f, uint32_t host, uint32_t entry, const struct http_transfer *t);
int outage_turn(struct fetch *f, struct error *err); /* once a turn of the loop */
bool outage_pauses(const struct outage *o);          /* nothing is to be started now */
bool outage_timed_out(const struct fetch *f);        /* longer than --network-wait: the run ends with 75 */
double outage_seconds(const struct fetch *f);        /* seconds since the network went down; 0: it is up */

#endif
