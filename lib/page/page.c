/* page.c: escapes text for HTML, JSON and URLs in a page, and computes SHA-256 (FIPS 180-4) for the
 * policy. */
#include "page/page.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Returns the length of the valid UTF-8 character at s, or 0 when there is none. */
static size_t utf8_length(const unsigned char *s)
{
    size_t n = s[0] < 0x80                   ? 1
               : s[0] >= 0xC2 && s[0] < 0xE0 ? 2
               : s[0] >= 0xE0 && s[0] < 0xF0 ? 3
               : s[0] >= 0xF0 && s[0] < 0xF5 ? 4
                                             : 0;
    for (size_t i = 1; i < n; i++)
        if (s[i] == 0) return 0;
    return n && text_is_utf8((const char *)s, n) ? n : 0;
}

static const char replacement[] = "\xEF\xBF\xBD";

int page_escape(struct text *out, const char *s, struct error *err)
{
    const unsigned char *p = (const unsigned char *)s;
    while (*p) {
        size_t n = utf8_length(p);
        const char *as = n == 0 || (*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7f ? replacement
                         : *p == '&'                                                     ? "&amp;"
                         : *p == '<'                                                     ? "&lt;"
                         : *p == '>'                                                     ? "&gt;"
                         : *p == '"'                                                     ? "&quot;"
                         : *p == '\''                                                    ? "&#39;"
                                                                                         : NULL;
        if (as ? text_puts(out, as, err) : text_add(out, p, n, err)) return -1;
        p += n ? n : 1;
    }
    return 0;
}

int page_json(struct text *out, const char *s, struct error *err)
{
    const unsigned char *p = (const unsigned char *)s;
    if (text_puts(out, "\"", err)) return -1;
    while (*p) {
        size_t n = utf8_length(p);
        int rc;
        if (n == 0)
            rc = text_puts(out, replacement, err);
        else if (*p < 0x20 || *p == 0x7f || *p == '<' || *p == '>' || *p == '&' || *p == '\'')
            rc = text_printf(out, err, "\\u%04x", *p);
        else if (*p == '"' || *p == '\\')
            rc = text_printf(out, err, "\\%c", *p);
        else if (n == 3 && p[0] == 0xE2 && p[1] == 0x80 && (p[2] == 0xA8 || p[2] == 0xA9))
            rc = text_puts(out, p[2] == 0xA8 ? "\\u2028" : "\\u2029", err);
        else
            rc = text_add(out, p, n, err);
        if (rc) return -1;
        p += n ? n : 1;
    }
    return text_puts(out, "\"", err);
}

int page_url(struct text *out, const char *path, struct error *err)
{
    for (const unsigned char *p = (const unsigned char *)path; *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                     strchr("-._~/", *p);
        if (plain ? text_add(out, p, 1, err) : text_printf(out, err, "%%%02X", *p)) return -1;
    }
    return 0;
}

int page_base64(struct text *out, const void *bytes, size_t n_bytes, struct error *err)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = bytes;
    char piece[1024];
    size_t at = 0;
    for (size_t i = 0; i < n_bytes; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n_bytes ? (uint32_t)p[i + 1] << 8 : 0) |
                     (i + 2 < n_bytes ? p[i + 2] : 0);
        piece[at++] = digits[v >> 18];
        piece[at++] = digits[v >> 12 & 63];
        piece[at++] = i + 1 < n_bytes ? digits[v >> 6 & 63] : '=';
        piece[at++] = i + 2 < n_bytes ? digits[v & 63] : '=';
        if (at + 4 > sizeof piece) {
            if (text_add(out, piece, at, err)) return -1;
            at = 0;
        }
    }
    return text_add(out, piece, at, err);
}

/* --- SHA-256 --- */

static uint32_t turn(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void sha256_block(uint32_t h[8], const uint8_t *block)
{
    static const uint32_t k[64] = {0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
                                   0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
                                   0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
                                   0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
                                   0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
                                   0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
                                   0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
                                   0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
                                   0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
                                   0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
                                   0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3,
                 s1 = turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    memcpy(v, h, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t s1 = turn(v[4], 6) ^ turn(v[4], 11) ^ turn(v[4], 25),
                 choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        uint32_t t1 = v[7] + s1 + choice + k[i] + w[i];
        uint32_t s0 = turn(v[0], 2) ^ turn(v[0], 13) ^ turn(v[0], 22),
                 majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += t1;
        v[0] = t1 + s0 + majority;
    }
    for (int i = 0; i < 8; i++)
        h[i] += v[i];
}

void sha256_of(uint8_t out[SHA256_BYTES], const void *bytes, size_t n_bytes)
{
    uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                     0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    const uint8_t *p = bytes;
    uint8_t last[128] = {0};
    size_t rest = n_bytes % 64, padded = rest < 56 ? 64 : 128;
    uint64_t bits = (uint64_t)n_bytes * 8;
    for (size_t i = 0; i + 64 <= n_bytes; i += 64)
        sha256_block(h, p + i);
    if (rest) memcpy(last, p + (n_bytes - rest), rest);
    last[rest] = 0x80;
    for (int i = 0; i < 8; i++)
        last[padded - 1 - (size_t)i] = (uint8_t)(bits >> (8 * i));
    for (size_t i = 0; i < padded; i += 64)
        sha256_block(h, last + i);
    for (int i = 0; i < 32; i++)
        out[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

int page_csp_hash(struct text *out, const char *bytes, size_t n_bytes, struct error *err)
{
    uint8_t digest[SHA256_BYTES];
    sha256_of(digest, bytes, n_bytes);
    return text_puts(out, "'sha256-", err) || page_base64(out, digest, sizeof digest, err) ||
                   text_puts(out, "'", err)
               ? -1
               : 0;
}

int page_way_to_root(struct text *out, const char *page, const char *root, struct error *err)
{
    char from[PATH_MAX], to[PATH_MAX], folder[PATH_MAX];
    const char *slash = strrchr(page, '/');
    size_t same = 0;
    if (snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - page + (slash == page)) : 1,
                 slash ? page : ".") >= (int)sizeof folder ||
        !realpath(folder, from) || !realpath(root, to))
        return error_errno(err, EX_CANTCREAT, "cannot find the way from '%s' to the folder '%s'", page, root);
    for (size_t i = 0;; i++) {
        bool a = !from[i] || from[i] == '/', b = !to[i] || to[i] == '/';
        if (a && b) same = i;
        if (from[i] != to[i] || !from[i]) break;
    }
    for (const char *p = from + same; *p; p++)
        if (*p == '/' && p[1] && text_puts(out, "../", err)) return -1;
    const char *rest = to + same + (to[same] == '/');
    return *rest && (text_puts(out, rest, err) || text_puts(out, "/", err)) ? -1 : 0;
}
