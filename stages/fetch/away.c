/*
 * away.c: is the network there? When a cable is out, every host fails at once, and a run that counts these as
 * failures uses up the tries of its whole list within seconds. So a failure that could be the network's own
 * (no name, no connection, silence) is held back until somebody to whom a connection was begun later has
 * answered. (What is still on its way over older connections proves nothing: that ends a moment after the
 * names do.)
 *   - somebody answers: the network is there, what was held counts;
 *   - nobody does: the network is probed (http_probe.h: hosts that answered before, and those that failed).
 *     Somebody answers there: the same. Nobody: the network is away. What was held is forgotten and queued
 *     again, nothing is started, and the probe is repeated until the network is back or --network-wait is
 *     over.
 * A list that ends in dead hosts costs a probe, not a pause: a name server's "no such name" is an answer, and
 * so is the silence of a host that never said anything while its name is known.
 */
#include <stdlib.h>
#include <string.h>

#include "fetch.h"
#include "http/http_proxy.h"

#define HOLD_MOST 16 /* held failures that make us ask at once */
#define HOLD_S 2.0   /* and the longest that one is held without asking */
#define QUIET_S 5.0  /* a slow failure is the host's own if anybody answered this lately */
#define PROBE_FIRST_S 1.0
#define PROBE_MOST_S 30.0
#define WITNESSES 4

struct held {
    double at;
    uint32_t host, entry;
    enum http_outcome outcome;
    int status;
    char detail[160];
};

struct away {
    struct held *held;
    size_t n_held, capacity;
    double held_since; /* the oldest */
    double fresh_at;   /* when that connection was begun over which somebody answered: the latest */
    struct http_probe *probe;
    double probed_at, next_probe, probe_wait;
    double since; /* away since then; 0: it is there */
    uint32_t witnesses[WITNESSES], suspects[WITNESSES];
    unsigned n_witnesses, n_suspects, oldest_witness, oldest_suspect;
    struct http_probe_target proxy;
};

/* Keeps the last few different hosts. */
static void remember(uint32_t list[WITNESSES], unsigned *n, unsigned *oldest, uint32_t host)
{
    for (unsigned i = 0; i < *n; i++)
        if (list[i] == host) return;
    if (*n < WITNESSES) {
        list[(*n)++] = host;
        return;
    }
    list[*oldest] = host;
    *oldest = (*oldest + 1) % WITNESSES;
}

int away_open(struct fetch *f, struct error *err)
{
    struct away *a = f->away = mem_zalloc(1, sizeof *a, err);
    if (!a) return -1;
    a->fresh_at = -1;
    if (f->proxy) {
        a->proxy.witness = a->proxy.must_accept = true;
        return http_proxy_place(f->proxy, a->proxy.name, &a->proxy.port, err);
    }
    for (size_t i = 0; i < f->n_entries && a->n_witnesses < WITNESSES; i++) {
        uint32_t host = f->entries[i].host;
        if (!f->entries[i].stored || host == NO_INDEX) continue;
        f->hosts[host].witness = true;
        remember(a->witnesses, &a->n_witnesses, &a->oldest_witness, host);
    }
    return 0;
}

void away_close(struct fetch *f)
{
    if (!f->away) return;
    http_probe_close(f->away->probe);
    free(f->away->held);
    free(f->away);
    f->away = NULL;
}

static void somebody_answered(struct fetch *f, uint32_t host, double begun)
{
    struct away *a = f->away;
    if (begun > a->fresh_at) a->fresh_at = begun;
    if (host == NO_INDEX || f->hosts[host].witness) return;
    f->hosts[host].witness = true;
    remember(a->witnesses, &a->n_witnesses, &a->oldest_witness, host);
}

bool away_holds(struct fetch *f, uint32_t host, uint32_t entry, const struct http_transfer *t)
{
    struct away *a = f->away;
    bool doubtful = t->outcome == HTTP_FAILED_DNS || t->outcome == HTTP_FAILED_CONNECT ||
                    t->outcome == HTTP_FAILED_TIMEOUT || t->outcome == HTTP_FAILED_STALLED;
    if (t->outcome == HTTP_FAILED_CROWDED || t->outcome == HTTP_FAILED_REFUSED)
        return false; /* nothing was sent, nothing is learned */
    /* A connection that was refused was refused by somebody; by a proxy, it means that there is no proxy. */
    bool refused = t->outcome == HTTP_FAILED_CONNECT && !f->proxy && http_errno_is_an_answer(t->os_error);
    if (!doubtful || t->proxy_status || refused) {
        if (t->connected) somebody_answered(f, f->proxy ? NO_INDEX : host, f->now - t->seconds);
        return false;
    }
    double window = t->seconds < QUIET_S ? t->seconds : QUIET_S;
    if (a->fresh_at >= f->now - window) return false;
    struct error ignored = {0};
    if (mem_grow(&a->held, &a->capacity, a->n_held + 1, sizeof *a->held, &ignored)) return false;
    if (a->n_held == 0) a->held_since = f->now;
    struct held *h = &a->held[a->n_held++];
    *h = (struct held){f->now, host, entry, t->outcome, t->headers.status, ""};
    memcpy(h->detail, t->detail, sizeof h->detail);
    remember(a->suspects, &a->n_suspects, &a->oldest_suspect, host);
    return true;
}

static void target_of(const struct fetch *f, uint32_t host, struct http_probe_target *out)
{
    const struct host *h = &f->hosts[host];
    const char *colon = strrchr(h->name, ':'), *bracket = strrchr(h->name, ']');
    size_t n = colon && (!bracket || bracket < colon) ? (size_t)(colon - h->name) : strlen(h->name);
    snprintf(out->name, sizeof out->name, "%.*s", (int)n, h->name);
    out->port = h->port;
    out->witness = h->witness;
}

static int start_probe(struct fetch *f, struct error *err)
{
    struct away *a = f->away;
    struct http_probe_target targets[2 * WITNESSES] = {{.port = 0}};
    size_t n = 0;
    if (f->proxy) {
        targets[n++] = a->proxy;
    } else {
        for (unsigned i = 0; i < a->n_witnesses; i++)
            target_of(f, a->witnesses[i], &targets[n++]);
        for (unsigned i = 0; i < a->n_suspects; i++)
            if (!f->hosts[a->suspects[i]].witness) target_of(f, a->suspects[i], &targets[n++]);
    }
    a->probed_at = f->now;
    return http_probe_start(&a->probe, targets, n, &f->http, f->engine, err);
}

/* What was held until then counts, or is forgotten and queued again. They lie in the order of their times. */
static void let_go(struct fetch *f, double until, bool count)
{
    struct away *a = f->away;
    size_t n = 0;
    for (; n < a->n_held && a->held[n].at <= until; n++) /* fetch_unheld holds nothing new */
        fetch_unheld(f, a->held[n].host, a->held[n].entry, count, a->held[n].outcome, a->held[n].status,
                     a->held[n].detail);
    a->n_held -= n;
    memmove(a->held, a->held + n, a->n_held * sizeof *a->held);
    if (n) a->held_since = a->n_held ? a->held[0].at : 0;
}

static void nobody_answers(struct fetch *f)
{
    struct away *a = f->away;
    if (a->since == 0) {
        a->since = a->held_since;
        a->probe_wait = PROBE_FIRST_S;
        stage_warn("%s: waiting for it, up to %.0f s; nothing counts as tried",
                   f->proxy ? "the proxy cannot be reached" : "the network is away", f->opt->network_wait_s);
    }
    let_go(f, f->now, false);
    a->next_probe = f->now + a->probe_wait;
    a->probe_wait = a->probe_wait * 2 < PROBE_MOST_S ? a->probe_wait * 2 : PROBE_MOST_S;
}

static void it_is_back(struct fetch *f)
{
    struct away *a = f->away;
    if (a->since > 0) stage_warn("it is back after %.0f s", f->now - a->since);
    a->since = 0;
}

int away_turn(struct fetch *f, struct error *err)
{
    struct away *a = f->away;
    if (a->probe && http_probe_result(a->probe) != HTTP_REACH_ASKING) {
        bool yes = http_probe_result(a->probe) == HTTP_REACH_YES;
        http_probe_close(a->probe);
        a->probe = NULL;
        if (yes) {
            somebody_answered(f, NO_INDEX, a->probed_at);
            it_is_back(f);
        } else if (a->fresh_at < a->probed_at) {
            nobody_answers(f);
        }
    }
    if (a->n_held && a->held_since <= a->fresh_at) let_go(f, a->fresh_at, true);
    bool ask = a->since > 0
                   ? f->now >= a->next_probe
                   : a->n_held > 0 && (a->n_held >= HOLD_MOST || http_engine_active(f->engine) == 0 ||
                                       f->now - a->held_since >= HOLD_S);
    return ask && !a->probe && !f->stopping ? start_probe(f, err) : 0;
}

bool away_pauses(const struct fetch *f)
{
    const struct away *a = f->away;
    return a->since > 0 || (a->probe && a->n_held >= HOLD_MOST);
}

bool away_gone(const struct fetch *f)
{
    return f->away->since > 0 && away_seconds(f) >= f->opt->network_wait_s;
}
double away_seconds(const struct fetch *f) { return f->away->since > 0 ? f->now - f->away->since : 0; }
