#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int reserve(struct text *t, size_t n_more, struct error *err)
{
    size_t wanted;
    if (!size_add(t->n_bytes, n_more, &wanted) || !size_add(wanted, 1, &wanted))
        return error_set(err, EX_OSERR, "a text of over %zu bytes", t->n_bytes);
    return mem_grow(&t->data, &t->capacity, wanted, 1, err);
}

int text_add(struct text *t, const void *bytes, size_t n_bytes, struct error *err)
{
    if (reserve(t, n_bytes, err)) return -1;
    if (n_bytes) memcpy(t->data + t->n_bytes, bytes, n_bytes);
    t->n_bytes += n_bytes;
    t->data[t->n_bytes] = 0;
    return 0;
}

int text_puts(struct text *t, const char *s, struct error *err) { return text_add(t, s, strlen(s), err); }

int text_vprintf(struct text *t, struct error *err, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (n < 0) return error_set(err, EX_SOFTWARE, "cannot format '%s'", format);
    if (reserve(t, (size_t)n, err)) return -1;
    vsnprintf(t->data + t->n_bytes, (size_t)n + 1, format, args);
    t->n_bytes += (size_t)n;
    return 0;
}

int text_printf(struct text *t, struct error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = text_vprintf(t, err, format, args);
    va_end(args);
    return rc;
}

void text_release(struct text *t)
{
    int saved = errno;
    free(t->data);
    *t = TEXT_EMPTY;
    errno = saved;
}

void hex_encode(char *out, const void *bytes, size_t n_bytes)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = bytes;
    for (size_t i = 0; i < n_bytes; i++) {
        *out++ = digits[p[i] >> 4];
        *out++ = digits[p[i] & 15];
    }
    *out = 0;
}

/* The value of a hexadecimal digit plus 1, and 0 for any other byte. It is a table because the digits of
 * hashes are random: mispredicted branches would take most of the time. */
static const uint8_t hex_value[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

int hex_decode(void *out, size_t n_bytes, const char *hex)
{
    uint8_t *p = out;
    for (size_t i = 0; i < n_bytes; i++) {
        unsigned high = hex_value[(unsigned char)hex[2 * i]];
        unsigned low = high ? hex_value[(unsigned char)hex[2 * i + 1]] : 0; /* not past the end */
        if (!low) return -1;
        p[i] = (uint8_t)((high - 1) << 4 | (low - 1));
    }
    return hex[2 * n_bytes] ? -1 : 0;
}

/* Returns the length of the UTF-8 sequence at p (at most n bytes), or 0 when it is not valid by table 3-7 of
 * the Unicode standard. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    unsigned char low = 0x80, high = 0xBF;
    size_t length;
    if (p[0] < 0x80) return 1;
    if (p[0] >= 0xC2 && p[0] <= 0xDF)
        length = 2;
    else if ((p[0] & 0xF0) == 0xE0)
        length = 3, low = p[0] == 0xE0 ? 0xA0 : 0x80, high = p[0] == 0xED ? 0x9F : 0xBF;
    else if (p[0] >= 0xF0 && p[0] <= 0xF4)
        length = 4, low = p[0] == 0xF0 ? 0x90 : 0x80, high = p[0] == 0xF4 ? 0x8F : 0xBF;
    else
        return 0;
    if (length > n || p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i < length; i++)
        if ((p[i] & 0xC0) != 0x80) return 0;
    return length;
}

bool text_is_utf8(const char *s, size_t n_bytes)
{
    const unsigned char *p = (const unsigned char *)s;
    for (size_t i = 0; i < n_bytes;) {
        size_t length = utf8_length(p + i, n_bytes - i);
        if (!length) return false;
        i += length;
    }
    return true;
}

const char *text_for_people(char *out, unsigned long bytes, const char *s)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t n = strlen(s), used = 0;
    for (size_t i = 0; i < n;) {
        size_t length = utf8_length(p + i, n - i);
        bool control =
            length == 1 ? p[i] < 32 || p[i] == 127 : length == 2 && p[i] == 0xC2 && p[i + 1] < 0xA0;
        size_t take = length && !control ? length : 1;
        if (used + take + 1 > bytes) break;
        if (length && !control)
            memcpy(out + used, s + i, take);
        else
            out[used] = '?';
        used += take;
        i += length ? length : 1;
    }
    out[used] = 0;
    return out;
}

bool text_starts(const char *s, const char *prefix) { return strncmp(s, prefix, strlen(prefix)) == 0; }

bool text_ends(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

const char *text_names_for_people(char *out, size_t out_bytes, const char *const *names, size_t n)
{
    static const char more[] = ", ...";
    char shown[128];
    size_t at = 0;
    snprintf(out, out_bytes, "%s", n ? "" : "none");
    for (size_t i = 0; i < n; i++) {
        text_for_people(shown, sizeof shown, names[i]);
        size_t length = strlen(shown) + (i ? 2 : 0);
        if (at + length + sizeof more > out_bytes) {
            snprintf(out + at, out_bytes - at, "%s", i ? more : more + 2);
            break;
        }
        at += (size_t)snprintf(out + at, out_bytes - at, "%s%s", i ? ", " : "", shown);
    }
    return out;
}
