#include "http/http_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static bool ipv4_is_public(uint32_t ip)     /* host byte order */
{
    static const struct { uint32_t net; uint8_t bits; } special[] = {
        {0x00000000, 8},        /* this network */
        {0x0a000000, 8},        /* private */
        {0x64400000, 10},       /* carrier-grade NAT */
        {0x7f000000, 8},        /* loopback */
        {0xa9fe0000, 16},       /* link-local, metadata services */
        {0xac100000, 12},       /* private */
        {0xc0000000, 24},       /* IETF protocol assignments */
        {0xc0000200, 24},       /* documentation */
        {0xc0586300, 24},       /* 6to4 relays, withdrawn */
        {0xc0a80000, 16},       /* private */
        {0xc6120000, 15},       /* benchmarking */
        {0xc6336400, 24},       /* documentation */
        {0xcb007100, 24},       /* documentation */
        {0xe0000000, 4},        /* multicast */
        {0xf0000000, 4},        /* reserved, broadcast */
    };
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if ((ip ^ special[i].net) >> (32 - special[i].bits) == 0)
            return false;
    return true;
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool ipv6_is_public(const uint8_t a[16])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};
    if (memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0)
        return ipv4_is_public(be32(a + 12));
    if (a[0] >> 5 != 1)                                     /* 2000::/3 is all that is given out */
        return false;
    if (a[0] == 0x20 && a[1] == 0x01 && a[2] < 2)           /* 2001::/23: Teredo, ORCHID, benchmarking */
        return false;
    if (be32(a) == 0x20010db8)                              /* documentation */
        return false;
    if (a[0] == 0x3f && a[1] == 0xff && a[2] >> 4 == 0)     /* documentation, RFC 9637 */
        return false;
    if (a[0] == 0x20 && a[1] == 0x02)                       /* 6to4 carries an IPv4 address */
        return ipv4_is_public(be32(a + 2));
    return true;
}

bool http_address_is_public(const struct sockaddr *address, socklen_t n_bytes)
{
    if (address->sa_family == AF_INET && n_bytes >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        return ipv4_is_public(ntohl(in.sin_addr.s_addr));
    }
    if (address->sa_family == AF_INET6 && n_bytes >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof in6);
        return ipv6_is_public(in6.sin6_addr.s6_addr);
    }
    return false;
}
