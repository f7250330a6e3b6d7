/* schedule.c: see schedule.h. */
#include "schedule.h"

#include <math.h>
#include <stdlib.h>

static int push_timer(struct schedule *s, double at, uint32_t id, bool is_host, struct error *err)
{
    if (mem_grow(&s->timers, &s->timers_capacity, s->n_timers + 1, sizeof *s->timers, err)) return -1;
    size_t i = s->n_timers++;
    for (; i > 0 && s->timers[(i - 1) / 2].at > at; i = (i - 1) / 2)
        s->timers[i] = s->timers[(i - 1) / 2];
    s->timers[i] = (struct timer){at, id, is_host};
    return 0;
}

static struct timer pop_timer(struct schedule *s)
{
    struct timer top = s->timers[0], last = s->timers[--s->n_timers];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= s->n_timers) break;
        if (child + 1 < s->n_timers && s->timers[child + 1].at < s->timers[child].at) child++;
        if (s->timers[child].at >= last.at) break;
        s->timers[i] = s->timers[child];
        i = child;
    }
    s->timers[i] = last;
    return top;
}

/* Returns how many requests at a time a host may get. After its breaker tripped, it is one until a request
 * succeeds. It is also one for a host whose address is not known yet, because the host may have to wait for
 * that address (addresses.h). */
static unsigned host_limit(const struct schedule *s, const struct host *h)
{
    bool alone = h->n_trips || (h->address == NO_INDEX && s->addresses.limit != UINT32_MAX);
    return alone ? 1 : s->n_per_host;
}

static bool has_work(const struct schedule *s, const struct host *h)
{
    return h->n_queued > 0 && h->n_active < host_limit(s, h) && h->robots_state != ROBOTS_ASKING;
}

int host_make_ready(struct schedule *s, uint32_t index, struct error *err)
{
    struct host *h = &s->hosts.items[index];
    if (h->ready || h->timed || h->waiting || !has_work(s, h)) return 0;
    double at = h->free_at > h->hold_until ? h->free_at : h->hold_until;
    if (at > s->now) {
        h->timed = true;
        return push_timer(s, at, index, true, err);
    }
    if (addresses_full(&s->addresses, h)) {
        address_wait(&s->addresses, &s->hosts, index);
        return 0;
    }
    h->ready = true;
    h->next_ready = NO_INDEX;
    if (s->ready_tail == NO_INDEX)
        s->ready_head = index;
    else
        s->hosts.items[s->ready_tail].next_ready = index;
    s->ready_tail = index;
    return 0;
}

int schedule_next(struct schedule *s, uint32_t *index, struct error *err)
{
    while (s->ready_head != NO_INDEX) {
        uint32_t at = s->ready_head;
        struct host *h = &s->hosts.items[at];
        s->ready_head = h->next_ready;
        if (s->ready_head == NO_INDEX) s->ready_tail = NO_INDEX;
        h->ready = false;
        if (!has_work(s, h) || h->free_at > s->now || h->hold_until > s->now ||
            addresses_full(&s->addresses, h)) {
            /* The host left the queue without a request. Another host at its address may be waiting for this
             * place. */
            if (host_make_ready(s, at, err) || address_release(s, h->address, err)) return -1;
            continue;
        }
        *index = at;
        return 1;
    }
    return 0;
}

int schedule_add(struct schedule *s, struct entries *es, uint32_t index, bool front, struct error *err)
{
    struct entry *e = &es->items[index];
    uint32_t host = entry_host(e);
    struct host *h = &s->hosts.items[host];
    e->state = ENTRY_QUEUED;
    e->next = NO_INDEX;
    if (h->n_queued == 0) {
        h->head = h->tail = index;
    } else if (front) {
        e->next = h->head;
        h->head = index;
    } else {
        es->items[h->tail].next = index;
        h->tail = index;
    }
    h->n_queued++;
    return host_make_ready(s, host, err);
}

uint32_t schedule_take(struct entries *es, struct host *h)
{
    uint32_t index = h->head;
    h->head = es->items[index].next;
    if (--h->n_queued == 0) h->head = h->tail = NO_INDEX;
    es->items[index].next = NO_INDEX;
    return index;
}

int schedule_add_later(struct schedule *s, struct entries *es, uint32_t index, double at, struct error *err)
{
    es->items[index].state = ENTRY_WAITING;
    return push_timer(s, at, index, false, err);
}

int schedule_due(struct schedule *s, uint32_t *entry, struct error *err)
{
    while (s->n_timers > 0 && s->timers[0].at <= s->now) {
        struct timer t = pop_timer(s);
        if (!t.is_host) {
            *entry = t.id;
            return 1;
        }
        s->hosts.items[t.id].timed = false;
        if (host_make_ready(s, t.id, err)) return -1;
    }
    return 0;
}

double schedule_next_time(const struct schedule *s) { return s->n_timers ? s->timers[0].at : INFINITY; }

void schedule_release(struct schedule *s)
{
    hosts_release(&s->hosts);
    addresses_release(&s->addresses);
    free(s->timers);
}
