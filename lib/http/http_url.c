#include "http/http_url.h"

#include <string.h>

#include "base/number.h"

static bool is_blank(unsigned char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool is_digit(unsigned char c) { return c >= '0' && c <= '9'; }
static unsigned char lower(unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }

static bool host_byte_ok(unsigned char c)
{
    /* Bytes above 127 are an internationalised name, which libcurl turns into punycode. */
    return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '.' || c == '_' || c >= 0x80;
}

static bool literal_byte_ok(unsigned char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || c == ':' || c == '.';
}

static int add_escaped(struct text *out, const char *s, size_t n, struct error *err)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c > ' ' && c < 0x7f) continue;
        char escape[3] = {'%', hex[c >> 4], hex[c & 15]};
        if (text_add(out, s + from, i - from, err) || text_add(out, escape, 3, err)) return -1;
        from = i + 1;
    }
    return text_add(out, s + from, n - from, err);
}

/* The dots of a segment, 1 or 2, each also as %2e; 0: another segment. */
static int dots_of(const char *s, size_t n)
{
    int dots = 0;
    while (n > 0 && dots < 3) {
        size_t step = s[0] == '.' ? 1 : n >= 3 && strncasecmp(s, "%2e", 3) == 0 ? 3 : 0;
        if (step == 0) return 0;
        s += step, n -= step, dots++;
    }
    return dots < 3 ? dots : 0;
}

/* RFC 3986 5.2.4 on a path that begins with '/': what is asked for is what robots.txt is asked about. */
static size_t resolve_dots(char *path, size_t n)
{
    size_t kept = 0;
    for (size_t at = 0, end; at < n; at = end) {
        for (end = at + 1; end < n && path[end] != '/';)
            end++;
        int dots = dots_of(path + at + 1, end - at - 1);
        if (dots == 0) {
            memmove(path + kept, path + at, end - at);
            kept += end - at;
            continue;
        }
        while (dots == 2 && kept > 0 && path[--kept] != '/') {
        }
        if (end == n) path[kept++] = '/';
    }
    return kept;
}

int http_url_canonical(const char *url, size_t n, struct text *out, struct http_url_parts *parts,
                       const char **why, struct error *err)
{
    uint64_t port = 0;
    size_t at, authority, end;
    *parts = (struct http_url_parts){0};
    *why = "";
    text_clear(out);
    while (n > 0 && is_blank((unsigned char)url[0]))
        url++, n--;
    while (n > 0 && is_blank((unsigned char)url[n - 1]))
        n--;
    if (n == 0) return *why = "the address is empty", 0;
    if (n > HTTP_URL_MAX_BYTES) return *why = "the address is longer than 8 KiB", 0;
    if (memchr(url, 0, n)) return *why = "the address holds a NUL byte", 0;
    if (n > 7 && strncasecmp(url, "http://", 7) == 0)
        at = 7;
    else if (n > 8 && strncasecmp(url, "https://", 8) == 0)
        parts->https = true, at = 8;
    else
        return *why = "not an http or https address", 0;

    authority = at;
    for (end = at; end < n && url[end] != '/' && url[end] != '?' && url[end] != '#'; end++) {
        if (url[end] == '@') return *why = "the address carries credentials", 0;
    }
    size_t host_end = end;
    if (url[authority] == '[') {
        const char *close = memchr(url + authority, ']', end - authority);
        if (!close) return *why = "bad IPv6 address", 0;
        host_end = (size_t)(close - url) + 1;
        if (host_end < end && url[host_end] != ':') return *why = "bad IPv6 address", 0;
    } else {
        const char *colon = memchr(url + authority, ':', end - authority);
        if (colon) host_end = (size_t)(colon - url);
    }
    if (host_end == authority || host_end - authority > HTTP_HOST_MAX_BYTES) return *why = "bad host name", 0;
    if (host_end + 1 < end &&
        (!parse_digits(url + host_end + 1, end - host_end - 1, &port) || port == 0 || port > 65535))
        return *why = "bad port", 0;
    const unsigned usual = parts->https ? 443 : 80;
    parts->port = (uint16_t)(port ? port : usual);

    if (text_puts(out, parts->https ? "https://" : "http://", err)) return -1;
    parts->host = out->n_bytes;
    parts->host_bytes = host_end - authority;
    for (size_t i = authority; i < host_end; i++) {
        unsigned char c = lower((unsigned char)url[i]);
        bool bracket = url[authority] == '[' && (i == authority || i == host_end - 1);
        if (!bracket && !(url[authority] == '[' ? literal_byte_ok(c) : host_byte_ok(c)))
            return *why = "bad host name", 0;
        if (text_add(out, &(char){(char)c}, 1, err)) return -1;
    }
    if (parts->port != usual && text_printf(out, err, ":%u", parts->port)) return -1;
    parts->path = out->n_bytes;
    if ((end == n || url[end] != '/') && text_puts(out, "/", err)) return -1;
    const char *fragment = memchr(url + end, '#', n - end);
    if (add_escaped(out, url + end, (fragment ? (size_t)(fragment - url) : n) - end, err)) return -1;
    if (out->n_bytes > HTTP_URL_MAX_BYTES) return *why = "the address is longer than 8 KiB", 0;
    char *path = out->data + parts->path;
    size_t n_path = strcspn(path, "?"), n_rest = out->n_bytes - parts->path - n_path;
    size_t kept = resolve_dots(path, n_path);
    memmove(path + kept, path + n_path, n_rest + 1); /* with the NUL */
    out->n_bytes = parts->path + kept + n_rest;
    return 1;
}

bool http_url_is_loopback(const char *canonical, const struct http_url_parts *p)
{
    const char *host = canonical + p->host;
    if (p->host_bytes == 9 && memcmp(host, "localhost", 9) == 0) return true;
    if (p->host_bytes == 5 && memcmp(host, "[::1]", 5) == 0) return true;
    if (p->host_bytes < 7 || memcmp(host, "127.", 4) != 0) return false;
    for (size_t i = 4; i < p->host_bytes; i++) /* 127.example.org is a name, not an address */
        if (!is_digit((unsigned char)host[i]) && host[i] != '.') return false;
    return true;
}
