/*
 * outage.h: finds out whether the network is down. When it is, all hosts fail at once, and a run that
 * counted these failures would use up the attempts for its whole list within seconds. So a failure that the
 * network may have caused (no name, no connection, silence) is deferred until there is evidence. Evidence is
 * a response on a connection that was begun later. Responses on older connections prove nothing, because
 * these connections still work for a moment after name lookup fails.
 *   - If a host responds, the network works, and the deferred failures count.
 *   - If no host responds, the network is probed (http_probe.h: hosts that responded before, and those that
 *     failed). If a host responds to the probe, the network works. If not, it is down: deferred failures are
 *     forgotten, their entries are queued again, and the probe is repeated until the network is back
 *     or --network-wait is over. No request is started meanwhile.
 * When only dead hosts are left in a list, the run probes and does not pause: a name server's "no such name"
 * counts as a response. So does the silence of a host that has never responded, if its name resolves.
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
    double deferred_since; /* time of the oldest */
    double fresh_at;       /* start of the latest connection over which a host responded */
    struct http_probe *probe;
    double probed_at, next_probe, probe_wait;
    /* when the network went down; 0: it is up */
    double since;
    uint32_t witnesses[OUTAGE_WITNESSES], suspects[OUTAGE_WITNESSES]; /* hosts */
    unsigned n_witnesses, n_suspects, oldest_witness, oldest_suspect;
    struct http_probe_target proxy;
};

int outage_open(struct fetch *f, struct error *err);
/* to be called before the engine is closed, because a probe wakes the engine */
void outage_close(struct outage *o);
/* Called at the end of every transfer. entry: NO_INDEX for the host's robots.txt. Returns true when t's
 * failure is deferred: fetch_resolve_deferred is then called for it later. */
bool outage_defers(struct fetch *f, uint32_t host, uint32_t entry, const struct http_transfer *t);
int outage_turn(struct fetch *f, struct error *err); /* called once in each turn of the event loop */
bool outage_pauses(const struct outage *o);          /* whether no request may be started now */
/* whether the network was down for longer than --network-wait; the run then ends with status 75 */
bool outage_timed_out(const struct fetch *f);
double outage_seconds(const struct fetch *f); /* time since the network went down; 0: it is up */

#endif
