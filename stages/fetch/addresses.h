/*
 * addresses.h: limits the transfers to one network address, whatever host names lead to it. A thousand names
 * may belong to one small machine, and a limit for each name would not protect it.
 *
 * The address of a name becomes known only when a connection is about to be made. A host whose address is
 * unknown therefore sends only one request at a time. The engine calls fetch_admit with the address before it
 * connects. When the address has no free place, the engine does not connect, and the host waits in the queue
 * of that address. From then on the schedule checks the address first.
 *
 * No host is forgotten in such a queue: whenever an address has a free place and waiting hosts, one of these
 * hosts is in the queue of the schedule. address_leave frees a place; a host leaves the queue of the schedule
 * when it starts a request or has to wait for something else. address_release is called after each of these.
 */
#ifndef WINNOW_FETCH_ADDRESSES_H
#define WINNOW_FETCH_ADDRESSES_H

#include <sys/socket.h>

#include "hosts.h"

struct address {
    uint8_t bytes[16];             /* IPv4 as IPv6 writes it */
    uint32_t n_active, head, tail; /* transfers in flight; the hosts that wait for a place */
};

struct addresses {
    struct address *items;
    size_t n, capacity;
    struct hash_index index;
    /* largest number of transfers in flight to one address; UINT32_MAX: no limit, because a proxy makes the
     * connections */
    uint32_t limit;
};

struct schedule;
struct http_transfer;

/* Sets *index to the number of the address, which is added when it is new. Ports are ignored, because all
 * ports are on one machine. */
int addresses_add(struct addresses *as, const struct sockaddr *address, socklen_t n_bytes, uint32_t *index,
                  struct error *err);
bool addresses_full(const struct addresses *as, const struct host *h);
void addresses_release(struct addresses *as);

/* Assigns t a place at the address of its host, if the address is known. Otherwise t gets a place when it
 * connects. */
void address_enter(struct schedule *s, uint32_t host, struct http_transfer *t);
/* Frees t's place, if it has one. */
int address_leave(struct schedule *s, struct http_transfer *t, struct error *err);
void address_wait(struct addresses *as, struct hosts *hosts, uint32_t host); /* for a place */
/* Gives free places to hosts that wait for one. */
int address_release(struct schedule *s, uint32_t address, struct error *err);

#endif
