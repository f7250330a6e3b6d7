/*
 * http_address.h: decides to which addresses a list from a stranger may make us connect. It is asked about
 * the address to which a socket is about to be connected, after DNS. A name whose address changes between a
 * check and the connection (DNS rebinding) therefore gains nothing.
 */
#ifndef WINNOW_HTTP_HTTP_ADDRESS_H
#define WINNOW_HTTP_HTTP_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

/*
 * True for unicast addresses of the public Internet. False for everything that the registries of RFC 6890
 * call private, shared, loopback, link-local (which includes the metadata services of clouds),
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
/* 0, or -1 with err set (EX_USAGE). */
int http_network_parse(struct http_network *out, const char *text, struct error *err);
/* An IPv4-mapped IPv6 address counts as the IPv4 address. */
bool http_network_has(const struct http_network *n, const struct sockaddr *address, socklen_t n_bytes);

#endif
