#include "http/http_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "base/number.h"
#include "base/text.h"

/* Returns false for the special networks of IPv4. ip is in host byte order. */
static bool ipv4_is_public(uint32_t ip)
{
    static const struct {
        uint32_t net;
        uint8_t bits;
    } special[] = {
        {0x00000000, 8},  /* this network */
        {0x0a000000, 8},  /* private */
        {0x64400000, 10}, /* carrier-grade NAT */
        {0x7f000000, 8},  /* loopback */
        {0xa9fe0000, 16}, /* link-local, metadata services */
        {0xac100000, 12}, /* private */
        {0xc0000000, 24}, /* IETF protocol assignments */
        {0xc0000200, 24}, /* documentation */
        {0xc0586300, 24}, /* 6to4 relays, withdrawn */
        {0xc0a80000, 16}, /* private */
        {0xc6120000, 15}, /* benchmarking */
        {0xc6336400, 24}, /* documentation */
        {0xcb007100, 24}, /* documentation */
        {0xe0000000, 4},  /* multicast */
        {0xf0000000, 4},  /* reserved, broadcast */
    };
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if ((ip ^ special[i].net) >> (32 - special[i].bits) == 0) return false;
    return true;
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Returns whether the address is public. When it contains an IPv4 address, that address decides. */
static bool ipv6_is_public(const uint8_t a[16])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};
    if (memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0) return ipv4_is_public(be32(a + 12));
    if (a[0] >> 5 != 1) /* no address outside 2000::/3 is assigned */
        return false;
    if (a[0] == 0x20 && a[1] == 0x01 && a[2] < 2) /* 2001::/23: Teredo, ORCHID, benchmarking */
        return false;
    if (be32(a) == 0x20010db8) /* documentation */
        return false;
    if (a[0] == 0x3f && a[1] == 0xff && a[2] >> 4 == 0) /* documentation, RFC 9637 */
        return false;
    if (a[0] == 0x20 && a[1] == 0x02) /* 6to4 carries an IPv4 address */
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

int http_network_parse(struct http_network *out, const char *text, struct error *err)
{
    char address[64];
    uint64_t n_bits;
    const char *slash = strchr(text, '/');
    size_t n = slash ? (size_t)(slash - text) : strlen(text);
    memset(out, 0, sizeof *out);
    if (n == 0 || n >= sizeof address)
        return error_set(err, EX_USAGE, "'%s' is not a network, e.g. 10.1.0.0/16 or fd00::/8", text);
    memcpy(address, text, n);
    address[n] = 0;
    out->family = strchr(address, ':') ? AF_INET6 : AF_INET;
    uint64_t all = out->family == AF_INET6 ? 128 : 32;
    if (inet_pton(out->family, address, out->address) != 1)
        return error_set(err, EX_USAGE, "'%s' is not a network, e.g. 10.1.0.0/16 or fd00::/8", text);
    if (slash && parse_u64(slash + 1, 0, all, &n_bits, "prefix length", err)) {
        err->code = EX_USAGE;
        return -1;
    }
    out->n_bits = (unsigned)(slash ? n_bits : all);
    return 0;
}

bool http_network_has(const struct http_network *n, const struct sockaddr *address, socklen_t n_bytes)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    uint8_t bytes[16];
    int family = address->sa_family;
    if (family == AF_INET && n_bytes >= sizeof(struct sockaddr_in)) {
        memcpy(bytes, (const char *)address + offsetof(struct sockaddr_in, sin_addr), 4);
    } else if (family == AF_INET6 && n_bytes >= sizeof(struct sockaddr_in6)) {
        memcpy(bytes, (const char *)address + offsetof(struct sockaddr_in6, sin6_addr), 16);
        if (memcmp(bytes, mapped, 12) == 0) {
            family = AF_INET;
            memmove(bytes, bytes + 12, 4);
        }
    } else {
        return false;
    }
    unsigned whole = n->n_bits / 8, rest = n->n_bits % 8;
    return family == n->family && memcmp(bytes, n->address, whole) == 0 &&
           (rest == 0 || (bytes[whole] ^ n->address[whole]) >> (8 - rest) == 0);
}
