/* needs: http */
#include <string.h>

#include "http/http_proxy.h"
#include "tap.h"

static bool may(const struct http_options *o, const char *url)
{
    struct text canonical = TEXT_EMPTY;
    struct http_url_parts parts;
    struct error err = {0};
    const char *why;
    bool rc = http_url_canonical(url, strlen(url), &canonical, &parts, &why, &err) == 1 &&
              http_proxy_may_ask(o, canonical.data, &parts);
    text_release(&canonical);
    return rc;
}

int main(void)
{
    static const char *const yes[] = {
        "http://example.org/",
        "https://a.b.example.org:8080/x",
        "http://8.8.8.8/",
        "http://[2600::1]/",
        "http://8.8.8.8./",
        "http://xn--bcher-kva.example.org/",
        "http://notlocalhost.org/",
        "http://localhost.example.org/",
        "http://1.2.3.4.example.org/",
    };
    static const char *const no[] = {
        "http://127.0.0.1/",
        "http://127.1/",
        "http://0x7f.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://017700000001/",
        "http://127.0.0.1./",
        "http://0/",
        "http://10.0.0.1/",
        "http://192.168.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://0xa9fea9fe/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[fd00::1]/",
        "http://[fe80::1]/",
        "http://[64:ff9b::a00:1]/",
        "http://localhost/",
        "http://LOCALHOST:80/",
        "http://localhost./",
        "http://a.localhost/",
        "http://intranet/",
        "http://metadata/",
        "http://metadata.google.internal/",
        "http://printer.local/",
        "http://router.home.arpa/",
        "http://x.lan/",
        "http://x.corp./",
        "http://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1/",
        "http://b\xc3\xbc"
        "cher.example.org/",
    };
    struct http_options o = {.proxy = "http://proxy.example.org:3128"};
    struct http_network net;
    struct error err = {0};
    char host[HTTP_HOST_MAX_BYTES + 3], *taken;
    uint16_t port;
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        CHECK_SAY(may(&o, yes[i]), "the proxy may be asked for %s", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        CHECK_SAY(!may(&o, no[i]), "the proxy is not asked for %s", no[i]);
    CHECK(http_network_parse(&net, "10.0.0.0/8", &err) == 0);
    o.allowed = &net;
    o.n_allowed = 1;
    CHECK(may(&o, "http://10.0.0.1/") && !may(&o, "http://192.168.0.1/") && !may(&o, "http://intranet/"));
    o.allow_private = true;
    CHECK(may(&o, "http://192.168.0.1/") && may(&o, "http://intranet/"));
    static const struct {
        const char *proxy, *host;
        uint16_t port;
    } places[] = {
        {"http://proxy.example.org:3128", "proxy.example.org", 3128},
        {"proxy.example.org:8080", "proxy.example.org", 8080},
        {"proxy.example.org", "proxy.example.org", 1080},
        {"http://me:geheim@10.0.0.1:1", "10.0.0.1", 1},
        {"socks5h://[::1]:9050", "[::1]", 9050},
        {"https://p.example.org", "p.example.org", 1080},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        /* before CHECK_SAY reads host and port for its message */
        bool found = http_proxy_host_port(places[i].proxy, host, &port, &err) == 0;
        CHECK_SAY(found && strcmp(host, places[i].host) == 0 && port == places[i].port, "%s is a proxy",
                  places[i].proxy);
    }
    CHECK(http_proxy_from_option(&taken, "gopher://me:geheim@h", &err) != 0 && !strstr(err.text, "geheim"));
    return tap_done();
}
