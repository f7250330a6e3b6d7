/*
 * http_address.h: decides to which addresses winnow may connect for a list that a stranger wrote. The check
 * comes after DNS, on the address to which a socket is about to be connected. A name whose address changes
 * between a check and the connection (DNS rebinding) therefore cannot evade it.
 */
#ifndef WINNOW_HTTP_HTTP_ADDRESS_H
#define WINNOW_HTTP_HTTP_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

/*
 * Returns true for unicast addresses of the public Internet. Returns false for everything that the registries
 * of RFC 6890 call private, shared, loopback, link-local (which includes the metadata services of clouds),
 * documentation, benchmarking, multicast or reserved; for IPv6 outside 2000::/3; for every form of IPv6 that
 * contains such an IPv4 address (mapped, 6to4, NAT64); and for other families.
 */
bool http_address_is_public(const struct sockaddr *address, socklen_t n_bytes);

/* A network that is allowed although it is not public: "10.1.0.0/16", "127.0.0.1", "fd00::/8". */
struct http_network {
    int family;
    uint8_t address[16];
    unsigned n_bits;
};
/* Returns 0, or -1 with err set (EX_USAGE). */
int http_network_parse(struct http_network *out, const char *text, struct error *err);
/* Whether the address is in the network. An IPv4-mapped IPv6 address counts as the IPv4 address. */
bool http_network_has(const struct http_network *n, const struct sockaddr *address, socklen_t n_bytes);

#endif
