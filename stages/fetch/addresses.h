/*
 * addresses.h: how many transfers one address of the network has, whatever names lead to it. A thousand names
 * may be one small machine, and a limit for each name would be none for it.
 *
 * Which address a name leads to is known only when a connection is about to be made. So a host whose address
 * is not known yet asks alone; the engine shows us the address before it connects (fetch_admit); where all
 * places are taken it does not connect, nothing has been sent, and the host waits in line at that address.
 * From then on the schedule looks first.
 *
 * No host is forgotten in that line: whenever an address has a free place and hosts in line, one of them is
 * in the schedule's line. A place comes free by address_leave; a host leaves the schedule's line by a start
 * or because it has to wait for something else; address_release follows each of these.
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
    uint32_t limit; /* of transfers in flight to one; UINT32_MAX: none, as a proxy makes the connections */
};

struct schedule;
struct http_transfer;

/* The address, new or known. Ports do not count: it is one machine. */
int addresses_add(struct addresses *as, const struct sockaddr *address, socklen_t n_bytes, uint32_t *index,
                  struct error *err);
bool addresses_full(const struct addresses *as, const struct host *h);
void addresses_release(struct addresses *as);

/* t takes a place at the host's address, if that is known; else when it connects. */
void address_enter(struct schedule *s, uint32_t host, struct http_transfer *t);
/* t's place, if it has one, comes free. */
int address_leave(struct schedule *s, struct http_transfer *t, struct error *err);
void address_wait(struct addresses *as, struct hosts *hosts, uint32_t host); /* for a place */
/* Free places go to the hosts that wait for one. */
int address_release(struct schedule *s, uint32_t address, struct error *err);

#endif
