/* outage.c: see outage.h. */
#include "outage.h"

#include <stdlib.h>
#include <string.h>

#include "attempt.h"
#include "http/http_proxy.h"

#define DEFER_MOST 16 /* number of deferred failures after which the network is probed at once */
#define DEFER_S 2.0   /* longest time that a failure is deferred without a probe */
#define QUIET_S 5.0   /* a slow failure counts against the host if another host responded within this time */
#define PROBE_FIRST_S 1.0
#define PROBE_MOST_S 30.0

/* Adds a host to a list of the last few different hosts. */
static void remember(uint32_t list[OUTAGE_WITNESSES], unsigned *n, unsigned *oldest, uint32_t host)
{
    for (unsigned i = 0; i < *n; i++)
        if (list[i] == host) return;
    if (*n < OUTAGE_WITNESSES) {
        list[(*n)++] = host;
        return;
    }
    list[*oldest] = host;
    *oldest = (*oldest + 1) % OUTAGE_WITNESSES;
}

int outage_open(struct fetch *f, struct error *err)
{
    struct outage *o = &f->outage;
    o->fresh_at = -1;
    if (f->proxy) {
        o->proxy.witness = o->proxy.must_accept = true;
        return http_proxy_host_port(f->proxy, o->proxy.name, &o->proxy.port, err);
    }
    for (size_t i = 0; i < f->entries.n && o->n_witnesses < OUTAGE_WITNESSES; i++) {
        uint32_t host = fetch_entry(f, i)->host;
        if (!fetch_entry(f, i)->stored || host == NO_INDEX) continue;
        fetch_host(f, host)->witness = true;
        remember(o->witnesses, &o->n_witnesses, &o->oldest_witness, host);
    }
    return 0;
}

void outage_close(struct outage *o)
{
    http_probe_close(o->probe);
    free(o->deferred);
    *o = (struct outage){0};
}

static void some_host_responded(struct fetch *f, uint32_t host, double begun)
{
    struct outage *o = &f->outage;
    if (begun > o->fresh_at) o->fresh_at = begun;
    if (host == NO_INDEX || fetch_host(f, host)->witness) return;
    fetch_host(f, host)->witness = true;
    remember(o->witnesses, &o->n_witnesses, &o->oldest_witness, host);
}

bool outage_defers(struct fetch *f, uint32_t host, uint32_t entry, const struct http_transfer *t)
{
    struct outage *o = &f->outage;
    bool doubtful = t->outcome == HTTP_FAILED_DNS || t->outcome == HTTP_FAILED_CONNECT ||
                    t->outcome == HTTP_FAILED_TIMEOUT || t->outcome == HTTP_FAILED_STALLED;
    if (t->outcome == HTTP_FAILED_CROWDED || t->outcome == HTTP_FAILED_REFUSED)
        return false; /* no connection was made: this says nothing about the network */
    /* A refused connection shows that a machine responds. With a proxy it means that the proxy is not
     * running. */
    bool refused = t->outcome == HTTP_FAILED_CONNECT && !f->proxy && http_errno_shows_host(t->os_error);
    if (!doubtful || t->proxy_status || refused) {
        if (t->connected) some_host_responded(f, f->proxy ? NO_INDEX : host, f->schedule.now - t->seconds);
        return false;
    }
    double window = t->seconds < QUIET_S ? t->seconds : QUIET_S;
    if (o->fresh_at >= f->schedule.now - window) return false;
    struct error ignored = {0};
    if (mem_grow(&o->deferred, &o->capacity, o->n_deferred + 1, sizeof *o->deferred, &ignored)) return false;
    if (o->n_deferred == 0) o->deferred_since = f->schedule.now;
    struct deferred *h = &o->deferred[o->n_deferred++];
    *h = (struct deferred){f->schedule.now, host, entry, t->outcome, t->headers.status, ""};
    memcpy(h->detail, t->detail, sizeof h->detail);
    remember(o->suspects, &o->n_suspects, &o->oldest_suspect, host);
    return true;
}

static void target_of(const struct fetch *f, uint32_t host, struct http_probe_target *out)
{
    const struct host *h = fetch_host(f, host);
    const char *colon = strrchr(h->name, ':'), *bracket = strrchr(h->name, ']');
    size_t n = colon && (!bracket || bracket < colon) ? (size_t)(colon - h->name) : strlen(h->name);
    snprintf(out->name, sizeof out->name, "%.*s", (int)n, h->name);
    out->port = h->port;
    out->witness = h->witness;
}

static int start_probe(struct fetch *f, struct error *err)
{
    struct outage *o = &f->outage;
    struct http_probe_target targets[2 * OUTAGE_WITNESSES] = {{.port = 0}};
    size_t n = 0;
    if (f->proxy) {
        targets[n++] = o->proxy;
    } else {
        for (unsigned i = 0; i < o->n_witnesses; i++)
            target_of(f, o->witnesses[i], &targets[n++]);
        for (unsigned i = 0; i < o->n_suspects; i++)
            if (!fetch_host(f, o->suspects[i])->witness) target_of(f, o->suspects[i], &targets[n++]);
    }
    o->probed_at = f->schedule.now;
    return http_probe_start(&o->probe, targets, n, &f->http, f->engine, err);
}

/* Ends the deferral of failures up to a time: with `count` they count as failures; otherwise they are
 * forgotten and queued again. */
static void let_go(struct fetch *f, double until, bool count)
{
    struct outage *o = &f->outage;
    size_t n = 0;
    /* fetch_resolve_deferred does not defer anything */
    for (; n < o->n_deferred && o->deferred[n].at <= until; n++)
        fetch_resolve_deferred(f, &o->deferred[n], count);
    o->n_deferred -= n;
    memmove(o->deferred, o->deferred + n, o->n_deferred * sizeof *o->deferred);
    if (n) o->deferred_since = o->n_deferred ? o->deferred[0].at : 0;
}

static void no_host_responds(struct fetch *f)
{
    struct outage *o = &f->outage;
    if (o->since == 0) {
        o->since = o->deferred_since;
        o->probe_wait = PROBE_FIRST_S;
        stage_warn("%s: waiting up to %.0f s; no attempt counts meanwhile",
                   f->proxy ? "the proxy cannot be reached" : "the network is down", f->opt->network_wait_s);
    }
    let_go(f, f->schedule.now, false);
    o->next_probe = f->schedule.now + o->probe_wait;
    o->probe_wait = o->probe_wait * 2 < PROBE_MOST_S ? o->probe_wait * 2 : PROBE_MOST_S;
}

static void it_is_back(struct fetch *f)
{
    struct outage *o = &f->outage;
    if (o->since > 0) stage_warn("it is back after %.0f s", f->schedule.now - o->since);
    o->since = 0;
}

int outage_turn(struct fetch *f, struct error *err)
{
    struct outage *o = &f->outage;
    if (o->probe && http_probe_result(o->probe) != HTTP_REACH_ASKING) {
        bool yes = http_probe_result(o->probe) == HTTP_REACH_YES;
        http_probe_close(o->probe);
        o->probe = NULL;
        if (yes) {
            some_host_responded(f, NO_INDEX, o->probed_at);
            it_is_back(f);
        } else if (o->fresh_at < o->probed_at) {
            no_host_responds(f);
        }
    }
    if (o->n_deferred && o->deferred_since <= o->fresh_at) let_go(f, o->fresh_at, true);
    bool ask = o->since > 0 ? f->schedule.now >= o->next_probe
                            : o->n_deferred > 0 &&
                                  (o->n_deferred >= DEFER_MOST || http_engine_active(f->engine) == 0 ||
                                   f->schedule.now - o->deferred_since >= DEFER_S);
    return ask && !o->probe && !f->stopping ? start_probe(f, err) : 0;
}

bool outage_pauses(const struct outage *o)
{
    return o->since > 0 || (o->probe && o->n_deferred >= DEFER_MOST);
}

bool outage_timed_out(const struct fetch *f)
{
    return f->outage.since > 0 && outage_seconds(f) >= f->opt->network_wait_s;
}

double outage_seconds(const struct fetch *f)
{
    return f->outage.since > 0 ? f->schedule.now - f->outage.since : 0;
}
