/* addresses.c: see addresses.h. */
#include "addresses.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "http/http.h"
#include "schedule.h"

static void bytes_of(uint8_t out[16], const struct sockaddr *address, socklen_t n)
{
    memset(out, 0, 16);
    if (address->sa_family == AF_INET6 && n >= sizeof(struct sockaddr_in6)) {
        memcpy(out, (const char *)address + offsetof(struct sockaddr_in6, sin6_addr), 16);
    } else if (address->sa_family == AF_INET && n >= sizeof(struct sockaddr_in)) {
        out[10] = out[11] = 0xff;
        memcpy(out + 12, (const char *)address + offsetof(struct sockaddr_in, sin_addr), 4);
    }
}

int addresses_add(struct addresses *as, const struct sockaddr *address, socklen_t n_bytes, uint32_t *index,
                  struct error *err)
{
    uint8_t bytes[16];
    bytes_of(bytes, address, n_bytes);
    uint64_t hash = random_key(bytes, sizeof bytes);
    for (struct hash_walk w = hash_walk(&as->index, hash); hash_walk_next(&as->index, &w, index);)
        if (memcmp(as->items[*index].bytes, bytes, 16) == 0) return 0;
    if (mem_grow(&as->items, &as->capacity, as->n + 1, sizeof *as->items, err) ||
        hash_index_add(&as->index, hash, as->n, err))
        return -1;
    *index = (uint32_t)as->n++;
    as->items[*index] = (struct address){.head = NO_INDEX, .tail = NO_INDEX};
    memcpy(as->items[*index].bytes, bytes, 16);
    return 0;
}

bool addresses_full(const struct addresses *as, const struct host *h)
{
    return h->address != NO_INDEX && as->items[h->address].n_active >= as->limit;
}

void addresses_release(struct addresses *as)
{
    free(as->items);
    hash_index_release(&as->index);
}

void address_enter(struct schedule *s, uint32_t host, struct http_transfer *t)
{
    uint32_t address = host == NO_INDEX ? NO_INDEX : s->hosts.items[host].address;
    if (address == NO_INDEX) return; /* fetch_admit handles it when the address is known */
    s->addresses.items[address].n_active++;
    t->slot = address + 1;
}

int address_leave(struct schedule *s, struct http_transfer *t, struct error *err)
{
    if (t->slot == 0) return 0;
    uint32_t address = t->slot - 1;
    t->slot = 0;
    s->addresses.items[address].n_active--;
    return address_release(s, address, err);
}

void address_wait(struct addresses *as, struct hosts *hosts, uint32_t host)
{
    struct host *h = &hosts->items[host];
    struct address *a = &as->items[h->address];
    h->waiting = true;
    h->next_waiting = NO_INDEX;
    if (a->tail == NO_INDEX)
        a->head = host;
    else
        hosts->items[a->tail].next_waiting = host;
    a->tail = host;
}

int address_release(struct schedule *s, uint32_t address, struct error *err)
{
    if (address == NO_INDEX) return 0;
    struct address *a = &s->addresses.items[address];
    uint32_t limit = s->addresses.limit, n_free = a->n_active < limit ? limit - a->n_active : 0;
    while (n_free > 0 && a->head != NO_INDEX) {
        uint32_t host = a->head;
        struct host *h = &s->hosts.items[host];
        a->head = h->next_waiting;
        if (a->head == NO_INDEX) a->tail = NO_INDEX;
        h->waiting = false;
        if (host_make_ready(s, host, err)) return -1;
        /* if the host is not ready, it has no request to send or must wait; try the next host */
        n_free -= h->ready;
    }
    return 0;
}
