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
 * Returns true for a unicast address of the public Internet, and false for every other address. These are not
 * public: an address that the registries of RFC 6890 call private, shared, loopback, link-local (which
 * includes the metadata services of clouds), documentation, benchmarking, multicast or reserved; an IPv6
 * address outside 2000::/3; and an address that is neither IPv4 nor IPv6. An IPv6 address that contains an
 * IPv4 address (mapped, 6to4, NAT64) is public when that IPv4 address is.
 */
bool http_address_is_public(const struct sockaddr *address, socklen_t n_bytes);

/* A network to which a user allows connections although it is not public. */
struct http_network {
    int family;
    uint8_t address[16]; /* network byte order; IPv4 uses the first 4 bytes */
    unsigned n_bits;     /* of the prefix */
};
/* Parses "10.1.0.0/16" or "fd00::/8"; an address without a prefix length, such as "127.0.0.1", is a network
 * of this one address. Returns 0, or -1 with err set (EX_USAGE). */
int http_network_parse(struct http_network *out, const char *text, struct error *err);
/* Returns whether the address is in the network. An IPv4-mapped IPv6 address counts as the IPv4 address. */
bool http_network_has(const struct http_network *n, const struct sockaddr *address, socklen_t n_bytes);

#endif
