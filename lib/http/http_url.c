#include "http/http_url.h"

#include <string.h>

#include "base/number.h"

static bool is_blank(unsigned char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool is_digit(unsigned char c) { return c >= '0' && c <= '9'; }
static unsigned char lower(unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }

static bool host_byte_ok(unsigned char c)
{
    /* Bytes above 127 belong to an internationalised name, which libcurl turns into punycode. */
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

/* Returns the number of dots, 1 or 2, when the segment consists only of dots, which may be written as %2e,
 * and otherwise 0. */
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

/* Resolves dot segments as RFC 3986 5.2.4 says, in a path that begins with '/', because robots.txt must be
 * checked for the path that is requested. Returns the new length. */
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

/* --- comparison --- */

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The next character of UTF-8, which was checked before. */
static uint32_t next_character(const char **s)
{
    const unsigned char *b = (const unsigned char *)*s;
    int n = b[0] < 0x80 ? 1 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
    uint32_t c = n == 1 ? b[0] : b[0] & (0xffu >> (n + 1));
    for (int i = 1; i < n; i++)
        c = c << 6 | (b[i] & 0x3f);
    *s += n;
    return c;
}

/* Appends one label that is not ASCII as punycode (RFC 3492). Its letters are not changed otherwise. */
static int add_punycode(struct text *out, const char *label, size_t n_label, struct error *err)
{
    const char *end = label + n_label;
    uint32_t n_basic = 0, n_all = 0, code = 128, delta = 0, bias = 72, n_done, c;
    if (text_puts(out, "xn--", err)) return -1;
    for (const char *s = label; s < end; n_all++) {
        const char *at = s;
        if (next_character(&s) >= 128) continue;
        n_basic++;
        if (text_add(out, at, 1, err)) return -1;
    }
    if (n_basic && text_puts(out, "-", err)) return -1;
    for (n_done = n_basic; n_done < n_all; delta++, code++) {
        uint32_t least = UINT32_MAX;
        for (const char *s = label; s < end;)
            if ((c = next_character(&s)) >= code && c < least) least = c;
        delta += (least - code) * (n_done + 1); /* at most 2^21 * 254 */
        code = least;
        for (const char *s = label; s < end;) {
            c = next_character(&s);
            delta += c < code;
            if (c != code) continue;
            uint32_t q = delta;
            for (uint32_t k = 36;; k += 36) {
                uint32_t t = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias;
                uint32_t digit = q < t ? q : t + (q - t) % (36 - t);
                if (text_add(out, &"abcdefghijklmnopqrstuvwxyz0123456789"[digit], 1, err)) return -1;
                if (q < t) break;
                q = (q - t) / (36 - t);
            }
            delta = n_done == n_basic ? delta / 700 : delta / 2;
            delta += delta / ++n_done;
            uint32_t k = 0;
            for (; delta > 455; k += 36)
                delta /= 35;
            bias = k + 36 * delta / (delta + 38);
            delta = 0;
        }
    }
    return 0;
}

static int add_host(struct text *out, const char *host, size_t n, struct error *err)
{
    if (n > 1 && host[n - 1] == '.') n--;
    bool utf8 = text_is_utf8(host, n);
    for (size_t from = 0, at = 0; at <= n; at++) {
        if (at < n && host[at] != '.') continue;
        bool ascii = true;
        for (size_t i = from; i < at; i++)
            ascii &= (unsigned char)host[i] < 0x80;
        if (ascii || !utf8 ? text_add(out, host + from, at - from, err)
                           : add_punycode(out, host + from, at - from, err))
            return -1;
        if (at < n && text_puts(out, ".", err)) return -1;
        from = at + 1;
    }
    return 0;
}

int http_url_comparable(const char *url, size_t n, struct text *out, struct error *err)
{
    struct text canonical = TEXT_EMPTY;
    struct http_url_parts parts;
    const char *why;
    text_clear(out);
    int rc = http_url_canonical(url, n, &canonical, &parts, &why, err);
    if (rc != 1) goto done;
    rc = -1;
    if (add_host(out, canonical.data + parts.host, parts.host_bytes, err) ||
        (parts.port != 80 && parts.port != 443 && text_printf(out, err, ":%u", parts.port)))
        goto done;
    for (const char *s = canonical.data + parts.path; *s;) {
        int high = *s == '%' ? hex_value(s[1]) : -1, low = high < 0 ? -1 : hex_value(s[2]),
            c = high * 16 + low;
        if (low < 0) {
            if (text_add(out, s++, 1, err)) goto done;
        } else {
            char byte = (char)c;
            bool plain = c > ' ' && c < 0x7f && !strchr("%/?#&=+;", c);
            if (plain ? text_add(out, &byte, 1, err) : text_printf(out, err, "%%%02X", (unsigned)c))
                goto done;
            s += 3;
        }
    }
    rc = 1;
done:
    text_release(&canonical);
    return rc;
}
