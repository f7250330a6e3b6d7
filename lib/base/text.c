#include "base/text.h"

#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
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

/* A number from a stranger's field may hold anything: show it as people can read it, and not all of it. */
static int bad_number(struct error *err, const char *what, const char *s, const char *wanted)
{
    char shown[80];
    return error_set(err, EX_USAGE, "%s: '%s' is not %s", what, text_for_people(shown, sizeof shown, s),
                     wanted);
}

int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out, const char *what, struct error *err)
{
    char wanted[96];
    uint64_t v = 0;
    bool good = *s != 0;
    for (const char *p = s; *p && good; p++)
        good = *p >= '0' && *p <= '9' && !__builtin_mul_overflow(v, (uint64_t)10, &v) &&
               !__builtin_add_overflow(v, (uint64_t)(*p - '0'), &v);
    if (!good || v < min || v > max) {
        snprintf(wanted, sizeof wanted, "a whole number from %llu to %llu", (unsigned long long)min,
                 (unsigned long long)max);
        return bad_number(err, what, s, wanted);
    }
    *out = v;
    return 0;
}

int parse_i64(const char *s, int64_t min, int64_t max, int64_t *out, const char *what, struct error *err)
{
    char wanted[96];
    bool minus = *s == '-', good;
    const char *p = s + minus;
    int64_t v = 0;
    good = *p != 0;
    for (; *p && good; p++) {
        int digit = *p - '0';
        good = digit >= 0 && digit <= 9 && !__builtin_mul_overflow(v, (int64_t)10, &v) &&
               !__builtin_add_overflow(v, (int64_t)(minus ? -digit : digit), &v);
    }
    if (!good || v < min || v > max) {
        snprintf(wanted, sizeof wanted, "a whole number from %lld to %lld", (long long)min, (long long)max);
        return bad_number(err, what, s, wanted);
    }
    *out = v;
    return 0;
}

/* The number at the start of s in the C locale; *end behind it. False when there is none. */
static bool number_at(const char *s, double *v, char **end)
{
    if (*s == ' ' || (*s >= '\t' && *s <= '\r')) return false;
    *v = strtod(s, end);
    return *end != s && !isnan(*v);
}

int parse_double(const char *s, double min, double max, double *out, const char *what, struct error *err)
{
    char wanted[96], *end;
    double v;
    if (!number_at(s, &v, &end) || *end || v < min || v > max) {
        if (min <= -DBL_MAX && max >= DBL_MAX) return bad_number(err, what, s, "a number");
        snprintf(wanted, sizeof wanted, "a number from %g to %g", min, max);
        return bad_number(err, what, s, wanted);
    }
    *out = v;
    return 0;
}

/* A number with one of the suffix letters; scales[i] belongs to suffixes[i]. */
static bool scaled_at(const char *s, const char *suffixes, const double *scales, double *v)
{
    char *end;
    const char *found;
    if (!number_at(s, v, &end) || *v < 0) return false;
    if (!*end) return true;
    if (end[1] || !(found = strchr(suffixes, *end))) return false;
    *v *= scales[found - suffixes];
    return true;
}

int parse_bytes(const char *s, uint64_t min, uint64_t max, uint64_t *out, const char *what, struct error *err)
{
    static const double scales[] = {1024.0,       1024.0,       1048576.0,      1048576.0,
                                    1073741824.0, 1073741824.0, 1099511627776.0};
    char wanted[128];
    double v;
    if (!scaled_at(s, "kKmMgGT", scales, &v) || v < (double)min || v > (double)max ||
        v >= 18446744073709549568.0) {
        snprintf(wanted, sizeof wanted, "a size in bytes (10, 10k, 10M, 10G) from %llu to %llu",
                 (unsigned long long)min, (unsigned long long)max);
        return bad_number(err, what, s, wanted);
    }
    *out = (uint64_t)v;
    return 0;
}

int parse_seconds(const char *s, double min, double max, double *out, const char *what, struct error *err)
{
    static const double scales[] = {1, 60, 3600, 86400};
    char wanted[128];
    double v;
    if (!scaled_at(s, "smhd", scales, &v) || v < min || v > max) {
        snprintf(wanted, sizeof wanted, "a time (90, 90s, 15m, 2h, 7d) from %g to %g seconds", min, max);
        return bad_number(err, what, s, wanted);
    }
    *out = v;
    return 0;
}

char *format_f32(char *out, float value)
{
    snprintf(out, 32, "%.9g", (double)value);
    return out;
}

char *format_f64(char *out, double value)
{
    snprintf(out, 32, "%.17g", value);
    return out;
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

/* Value + 1 of a digit, 0 for what is none. A table: the digits of hashes are noise, and branches on noise
 * cost most of the time. */
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
        unsigned low = high ? hex_value[(unsigned char)hex[2 * i + 1]] : 0; /* not behind the end */
        if (!low) return -1;
        p[i] = (uint8_t)((high - 1) << 4 | (low - 1));
    }
    return hex[2 * n_bytes] ? -1 : 0;
}

/* Bytes of the UTF-8 sequence at p (at most n bytes), or 0 when it is not one. Table 3-7 of the Unicode
 * standard. */
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
