/* http_proxy.c: checks the address of a proxy, which may contain a password, before libcurl gets it.
 * libcurl's own error messages quote the whole address, which would then be in a journal and a manifest. */
#include "base/number.h"
#include "http/http_proxy.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "http_internal.h"
#include "io/io.h"

#define FILE_MAX_BYTES 8192u
#define PROXY_SCHEMES "http, https, socks4, socks4a, socks5 or socks5h"

static bool understood(const char *address)
{
    static const char *const schemes[] = {"http", "https", "socks4", "socks4a", "socks5", "socks5h"};
    CURLU *u = curl_url();
    char *scheme = NULL, *host = NULL;
    bool good = false;
    if (u &&
        curl_url_set(u, CURLUPART_URL, address, CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK && host[0])
        for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
            good |= strcmp(scheme, schemes[i]) == 0;
    /* An address without a scheme is accepted: libcurl guesses the scheme from the host name
     * ("ftp.example.org:3128") and otherwise assumes http. */
    good |= host && host[0] && !strstr(address, "://");
    curl_free(scheme);
    curl_free(host);
    curl_url_cleanup(u);
    return good;
}

int http_proxy_from_option(char **out, const char *text, struct error *err)
{
    char shown[256];
    size_t n_bytes;
    *out = NULL;
    if (text[0] != '@') {
        if (!understood(text))
            return error_set(err, EX_USAGE,
                             "--proxy: expected [SCHEME://]HOST[:PORT] with scheme " PROXY_SCHEMES
                             " (the value is not shown here: it may hold a password)");
        return (*out = mem_strdup(text, err)) ? 0 : -1;
    }
    if (io_read_file(text + 1, FILE_MAX_BYTES, out, &n_bytes, err)) return -1;
    (*out)[strcspn(*out, "\r\n")] = 0;
    if (understood(*out)) return 0;
    free(*out);
    *out = NULL;
    return error_set(err, EX_DATAERR,
                     "'%s': the first line must be [SCHEME://]HOST[:PORT] with scheme " PROXY_SCHEMES,
                     text_for_people(shown, sizeof shown, text + 1));
}

int http_proxy_host_port(const char *proxy, char host[HTTP_HOST_MAX_BYTES + 3], uint16_t *port,
                         struct error *err)
{
    CURLU *u = curl_url();
    char *name = NULL, *number = NULL;
    uint64_t n = 1080;
    int rc = -1;
    if (!u || curl_url_set(u, CURLUPART_URL, proxy, CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME) ||
        curl_url_get(u, CURLUPART_HOST, &name, 0) || !*name || strlen(name) >= HTTP_HOST_MAX_BYTES + 3) {
        error_set(err, EX_USAGE,
                  "--proxy: its address has no host (the value is not shown here: it may hold a password)");
        goto out;
    }
    if (curl_url_get(u, CURLUPART_PORT, &number, 0) == CURLUE_OK &&
        parse_u64(number, 1, 65535, &n, "--proxy: port", err))
        goto out;
    memcpy(host, name, strlen(name) + 1);
    *port = (uint16_t)n;
    rc = 0;
out:
    curl_free(name);
    curl_free(number);
    curl_url_cleanup(u);
    return rc;
}

static bool has_ending(const char *name, const char *ending)
{
    size_t n = strlen(name), m = strlen(ending);
    return n >= m && strcmp(name + n - m, ending) == 0 && (n == m || name[n - m - 1] == '.');
}

static bool name_is_private(const char *name)
{
    /* The names of RFC 6761, 6762 and 8375, and names that ICANN has reserved, or that private networks use
     * without a reservation. */
    static const char *const endings[] = {"localhost", "localdomain", "local", "internal", "intranet",
                                          "private",   "corp",        "home",  "lan",      "home.arpa",
                                          "test",      "invalid",     "onion"};
    if (!strchr(name, '.')) return true;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (has_ending(name, endings[i])) return true;
    return false;
}

bool http_proxy_may_ask(const struct http_options *o, const char *canonical,
                        const struct http_url_parts *parts)
{
    char name[HTTP_HOST_MAX_BYTES + 3];
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    struct http_options bare = *o;
    size_t n = parts->host_bytes;
    bare.proxy = NULL; /* http_may_connect is asked about the target, not about the proxy */
    if (o->allow_private) return true;
    if (n == 0 || n >= sizeof name) return false;
    memcpy(name, canonical + parts->host, n);
    name[n] = 0;
    if (name[0] == '[') {
        name[n - 1] = 0;
        return inet_pton(AF_INET6, name + 1, &in6.sin6_addr) == 1 &&
               http_may_connect(&bare, (const struct sockaddr *)&in6, sizeof in6);
    }
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] >= 0x80) return false;
    if (name[n - 1] == '.') name[n - 1] = 0; /* "localhost." is localhost */
    if (inet_aton(name, &in.sin_addr))
        return http_may_connect(&bare, (const struct sockaddr *)&in, sizeof in);
    return !name_is_private(name);
}
