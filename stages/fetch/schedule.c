/*
 * schedule.c: which host may be asked next. Hosts that could start now stand in one line and are served in
 * turn, a request each, so a large host does not starve small ones; hosts and entries that have to wait sit
 * in one heap by time.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fetch.h"

static int push_timer(struct fetch *f, double at, uint32_t id, bool is_host, struct error *err)
{
    if (mem_grow(&f->timers, &f->timers_capacity, f->n_timers + 1, sizeof *f->timers, err)) return -1;
    size_t i = f->n_timers++;
    for (; i > 0 && f->timers[(i - 1) / 2].at > at; i = (i - 1) / 2)
        f->timers[i] = f->timers[(i - 1) / 2];
    f->timers[i] = (struct timer){at, id, is_host};
    return 0;
}

static struct timer pop_timer(struct fetch *f)
{
    struct timer top = f->timers[0], last = f->timers[--f->n_timers];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= f->n_timers) break;
        if (child + 1 < f->n_timers && f->timers[child + 1].at < f->timers[child].at) child++;
        if (f->timers[child].at >= last.at) break;
        f->timers[i] = f->timers[child];
        i = child;
    }
    f->timers[i] = last;
    return top;
}

/*
 * After its breaker tripped a host gets one request at a time until one succeeds; so does one whose address
 * is not known yet, as it may have to wait there (address.c).
 */
static unsigned host_limit(const struct fetch *f, const struct host *h)
{
    bool alone = h->n_trips || (h->address == NO_INDEX && f->per_address != UINT32_MAX);
    return alone ? 1 : (unsigned)f->opt->n_per_host;
}

/* Puts the host into the line or the heap if it has work that could start, now or later. */
int fetch_host_poke(struct fetch *f, uint32_t index, struct error *err)
{
    struct host *h = &f->hosts[index];
    if (h->listed || h->timed || h->parked || h->n_queued == 0 || h->n_active >= host_limit(f, h) ||
        h->robots_state == ROBOTS_ASKING)
        return 0;
    double at = h->free_at > h->hold_until ? h->free_at : h->hold_until;
    if (at > f->now) {
        h->timed = true;
        return push_timer(f, at, index, true, err);
    }
    if (fetch_address_full(f, h)) {
        fetch_address_park(f, index);
        return 0;
    }
    h->listed = true;
    h->next_ready = NO_INDEX;
    if (f->ready_tail == NO_INDEX)
        f->ready_head = index;
    else
        f->hosts[f->ready_tail].next_ready = index;
    f->ready_tail = index;
    return 0;
}

int fetch_next_ready(struct fetch *f, uint32_t *index, struct error *err)
{
    while (f->ready_head != NO_INDEX) {
        uint32_t at = f->ready_head;
        struct host *h = &f->hosts[at];
        f->ready_head = h->next_ready;
        if (f->ready_head == NO_INDEX) f->ready_tail = NO_INDEX;
        h->listed = false;
        if (h->n_queued == 0 || h->n_active >= host_limit(f, h) || h->robots_state == ROBOTS_ASKING ||
            h->free_at > f->now || h->hold_until > f->now || fetch_address_full(f, h)) {
            /* Out of the line without a start: another host of its address may be waiting for this turn. */
            if (fetch_host_poke(f, at, err) || fetch_address_serve(f, h->address, err)) return -1;
            continue;
        }
        *index = at;
        return 1;
    }
    return 0;
}

int fetch_enqueue(struct fetch *f, uint32_t index, bool front, struct error *err)
{
    struct entry *e = &f->entries[index];
    uint32_t host = fetch_current_host(e);
    struct host *h = &f->hosts[host];
    e->state = ENTRY_QUEUED;
    e->next = NO_INDEX;
    if (h->n_queued == 0) {
        h->head = h->tail = index;
    } else if (front) {
        e->next = h->head;
        h->head = index;
    } else {
        f->entries[h->tail].next = index;
        h->tail = index;
    }
    h->n_queued++;
    return fetch_host_poke(f, host, err);
}

uint32_t fetch_dequeue(struct fetch *f, struct host *h)
{
    uint32_t index = h->head;
    h->head = f->entries[index].next;
    if (--h->n_queued == 0) h->head = h->tail = NO_INDEX;
    f->entries[index].next = NO_INDEX;
    return index;
}

int fetch_enqueue_later(struct fetch *f, uint32_t index, double at, struct error *err)
{
    f->entries[index].state = ENTRY_WAITING;
    return push_timer(f, at, index, false, err);
}

int fetch_timers_due(struct fetch *f, struct error *err)
{
    while (f->n_timers > 0 && f->timers[0].at <= f->now) {
        struct timer t = pop_timer(f);
        if (t.is_host) {
            f->hosts[t.id].timed = false;
            if (fetch_host_poke(f, t.id, err)) return -1;
            continue;
        }
        uint32_t host = fetch_current_host(&f->entries[t.id]);
        if (f->hosts[host].given_up) {
            struct outcome o = {.reason = (enum reason)f->hosts[host].give_up_reason};
            f->entries[t.id].tries = (uint8_t)f->opt->n_tries;
            fetch_fail(f, t.id, &o, NULL);
        } else if (fetch_enqueue(f, t.id, true, err)) {
            return -1;
        }
    }
    return 0;
}

double fetch_next_time(const struct fetch *f) { return f->n_timers ? f->timers[0].at : INFINITY; }
