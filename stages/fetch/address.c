/*
 * address.c: how many transfers one address of the network has, whatever names lead to it. A thousand names
 * may be one small machine, and a limit for each name would be none for it.
 *
 * Which address a name leads to is known only when a connection is about to be made. So a host whose address
 * is not known yet asks alone; the engine shows us the address before it connects (fetch_admit); where all
 * places are taken it does not connect, nothing has been sent, and the host waits in line at that address.
 * From then on the schedule looks first.
 *
 * What keeps hosts from being forgotten in that line: whenever an address has a free place and hosts in line,
 * one of them is in the schedule's line. A place comes free by fetch_address_leave; a host leaves the
 * schedule's line by a start or because it has to wait for something else; after each of these the address
 * serves whoever is next.
 *
 * A proxy makes the connections itself: then there is no limit here.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "fetch.h"

/* The 16 bytes of an address: IPv4 as IPv6 writes it. Ports do not count: one machine. */
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

static int find_address(struct fetch *f, const uint8_t bytes[16], uint32_t *index, struct error *err)
{
    struct xxh128 key;
    uint64_t hash;
    xxh128_of(&key, bytes, 16);
    memcpy(&hash, key.bytes, sizeof hash);
    if (fetch_grow_table(&f->address_keys, &f->address_keys_capacity, f->n_addresses, err)) return -1;
    size_t at = (size_t)hash & (f->address_keys_capacity - 1);
    for (; f->address_keys[at].entry != NO_INDEX; at = (at + 1) & (f->address_keys_capacity - 1)) {
        *index = f->address_keys[at].entry;
        if (memcmp(f->addresses[*index].bytes, bytes, 16) == 0) return 0;
    }
    if (mem_grow(&f->addresses, &f->addresses_capacity, f->n_addresses + 1, sizeof *f->addresses, err))
        return -1;
    *index = (uint32_t)f->n_addresses++;
    f->addresses[*index] = (struct address){.head = NO_INDEX, .tail = NO_INDEX};
    memcpy(f->addresses[*index].bytes, bytes, 16);
    f->address_keys[at] = (struct key_slot){hash, *index};
    return 0;
}

bool fetch_address_full(const struct fetch *f, const struct host *h)
{
    return h->address != NO_INDEX && f->addresses[h->address].n_active >= f->per_address;
}

void fetch_address_enter(struct fetch *f, uint32_t host, struct http_transfer *t)
{
    uint32_t address = host == NO_INDEX ? NO_INDEX : f->hosts[host].address;
    if (address == NO_INDEX) return; /* fetch_admit will see to it */
    f->addresses[address].n_active++;
    t->slot = address + 1;
}

int fetch_address_leave(struct fetch *f, struct http_transfer *t, struct error *err)
{
    if (t->slot == 0) return 0;
    uint32_t address = t->slot - 1;
    t->slot = 0;
    f->addresses[address].n_active--;
    return fetch_address_serve(f, address, err);
}

void fetch_address_park(struct fetch *f, uint32_t host)
{
    struct host *h = &f->hosts[host];
    struct address *a = &f->addresses[h->address];
    h->parked = true;
    h->next_parked = NO_INDEX;
    if (a->tail == NO_INDEX)
        a->head = host;
    else
        f->hosts[a->tail].next_parked = host;
    a->tail = host;
}

int fetch_address_serve(struct fetch *f, uint32_t address, struct error *err)
{
    if (address == NO_INDEX) return 0;
    struct address *a = &f->addresses[address];
    uint32_t n_free = a->n_active < f->per_address ? f->per_address - a->n_active : 0;
    while (n_free > 0 && a->head != NO_INDEX) {
        uint32_t host = a->head;
        struct host *h = &f->hosts[host];
        a->head = h->next_parked;
        if (a->head == NO_INDEX) a->tail = NO_INDEX;
        h->parked = false;
        if (fetch_host_poke(f, host, err)) return -1;
        n_free -= h->listed; /* else it has nothing to ask, or waits for a time: the next one */
    }
    return 0;
}

/* The engine is about to connect: from here on the host's address is known. */
bool fetch_admit(void *context, struct http_transfer *t, const struct sockaddr *address, socklen_t n)
{
    struct fetch *f = context;
    uint8_t bytes[16];
    uint32_t index, host;
    if (f->per_address == UINT32_MAX) return true;
    bytes_of(bytes, address, n);
    if (find_address(f, bytes, &index, f->err)) {
        fetch_broken(f);
        return false;
    }
    if (fetch_token_host(f, t, &host) && f->hosts[host].address != index) {
        f->hosts[host].address = index;
        if (fetch_host_poke(f, host, f->err)) /* it may ask for more than one thing at a time now */
            fetch_broken(f);
    }
    if (t->slot == index + 1) return true;
    if (f->addresses[index].n_active >= f->per_address) return false;
    if (fetch_address_leave(f, t, f->err)) /* it had a place where the name led before */
        fetch_broken(f);
    f->addresses[index].n_active++;
    t->slot = index + 1;
    return true;
}
