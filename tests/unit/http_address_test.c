/* needs: http */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "http/http_address.h"
#include "tap.h"

static socklen_t address_of(struct sockaddr_storage *out, const char *text)
{
    memset(out, 0, sizeof *out);
    struct sockaddr_in *in = (struct sockaddr_in *)out;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        return sizeof *in;
    }
    if (inet_pton(AF_INET6, text, &in6->sin6_addr) != 1) return 0;
    in6->sin6_family = AF_INET6;
    return sizeof *in6;
}

static const char *const public[] = {
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.99.255",
    "203.0.112.255",
    "203.0.114.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450::1",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2002:0101:0101::1",
    "64:ff9b::1.1.1.1",
    "::ffff:1.1.1.1",
    "3ffe::1",
};
static const char *const special[] = {
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:1ff::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "fc00::1",
    "fd00::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "4000::1",
};

int main(void)
{
    struct sockaddr_storage a;
    struct http_network net;
    struct error err = {0};
    for (size_t i = 0; i < sizeof public / sizeof *public; i++) {
        socklen_t n = address_of(&a, public[i]);
        CHECK_SAY(n && http_address_is_public((struct sockaddr *)&a, n), "%s is public", public[i]);
    }
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
        socklen_t n = address_of(&a, special[i]);
        CHECK_SAY(n && !http_address_is_public((struct sockaddr *)&a, n), "%s is not", special[i]);
    }
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    CHECK(!http_address_is_public((struct sockaddr *)&un, sizeof un));
    CHECK(!http_address_is_public((struct sockaddr *)&a, 4)); /* cut short */

    static const struct {
        const char *net, *address;
        bool has;
    } nets[] = {
        {"10.1.0.0/16", "10.1.255.1", true},
        {"10.1.0.0/16", "10.2.0.1", false},
        {"127.0.0.1", "127.0.0.1", true},
        {"127.0.0.1", "127.0.0.2", false},
        {"127.0.0.1", "::ffff:127.0.0.1", true},
        {"0.0.0.0/0", "9.9.9.9", true},
        {"10.0.0.0/9", "10.127.0.1", true},
        {"10.0.0.0/9", "10.128.0.1", false},
        {"fd00::/8", "fd12::1", true},
        {"fd00::/8", "fe80::1", false},
        {"0.0.0.0/0", "::1", false},
        {"::1", "::1", true},
    };
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++) {
        socklen_t n = address_of(&a, nets[i].address);
        CHECK_SAY(http_network_parse(&net, nets[i].net, &err) == 0 &&
                      http_network_has(&net, (struct sockaddr *)&a, n) == nets[i].has,
                  "%s has %s: %d", nets[i].net, nets[i].address, nets[i].has);
    }
    static const char *const bad[] = {"",         "x",      "10.0.0.0/33", "10.0.0.0/",
                                      "10.0.0/8", "::/129", "10.0.0.0/8x", "/8"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_SAY(http_network_parse(&net, bad[i], &err) == -1 && err.code == EX_USAGE, "'%s' is no network",
                  bad[i]);
    return tap_done();
}
