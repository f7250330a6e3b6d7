#include "base/number.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- parsing --- */

bool parse_digits(const char *s, size_t n_bytes, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n_bytes; i++)
        if (s[i] < '0' || s[i] > '9' || __builtin_mul_overflow(v, (uint64_t)10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s[i] - '0'), &v))
            return false;
    *out = v;
    return n_bytes > 0;
}

/* Reads the number at the start of s. Returns its end, or NULL when there is none. */
static const char *number_at(const char *s, double *out)
{
    static const double ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const char *p = s + (*s == '-' || *s == '+');
    uint64_t mantissa = 0;
    int digits = 0, exponent = 0;
    if (!strncmp(p, "inf", 3)) {
        *out = *s == '-' ? -INFINITY : INFINITY;
        return p + 3;
    }
    for (; *p >= '0' && *p <= '9'; p++, digits++)
        mantissa = mantissa * 10 + (uint64_t)(*p - '0');
    if (*p == '.')
        for (p++; *p >= '0' && *p <= '9'; p++, digits++, exponent--)
            mantissa = mantissa * 10 + (uint64_t)(*p - '0');
    if (digits == 0) return NULL;
    const char *q = p + 1 + (*p && (p[1] == '-' || p[1] == '+'));
    if ((*p == 'e' || *p == 'E') && *q >= '0' && *q <= '9') {
        int e = 0;
        bool down = p[1] == '-';
        for (p = q; *p >= '0' && *p <= '9'; p++)
            e = e < 10000 ? e * 10 + (*p - '0') : e;
        exponent += down ? -e : e;
    }
    /*
     * The mantissa is below 2^53 and the power of ten is a double, so one operation gives the correctly
     * rounded result (Clinger 1990). A text that begins with 0x has the mantissa 0 and ends here, so that
     * strtod sees decimal numbers only.
     */
    if (digits <= 19 && mantissa < UINT64_C(1) << 53 && exponent >= -22 && exponent <= 22) {
        double value = (double)mantissa;
        value = exponent < 0 ? value / ten[-exponent] : value * ten[exponent];
        *out = *s == '-' ? -value : value;
    } else {
        *out = strtod(s, NULL);
    }
    return p;
}

bool parse_number(const char *s, double *out)
{
    const char *end = number_at(s, out);
    return end && !*end;
}

/* An untrusted field may contain anything; the message shows a readable part of it. */
static int bad_number(struct error *err, const char *what, const char *s, const char *wanted)
{
    char shown[80];
    return error_set(err, EX_USAGE, "%s: '%s' is not %s", what, text_for_people(shown, sizeof shown, s),
                     wanted);
}

int parse_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out, const char *what, struct error *err)
{
    char wanted[96];
    uint64_t v;
    if (!parse_digits(s, strlen(s), &v) || v < min || v > max) {
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
    bool minus = *s == '-';
    uint64_t v, limit = (uint64_t)INT64_MAX + minus;
    bool good = parse_digits(s + minus, strlen(s + minus), &v) && v <= limit;
    int64_t value = good ? (int64_t)(minus ? -v : v) : 0;
    if (!good || value < min || value > max) {
        snprintf(wanted, sizeof wanted, "a whole number from %lld to %lld", (long long)min, (long long)max);
        return bad_number(err, what, s, wanted);
    }
    *out = value;
    return 0;
}

int parse_double(const char *s, double min, double max, double *out, const char *what, struct error *err)
{
    char wanted[96];
    double v;
    if (!parse_number(s, &v) || v < min || v > max) {
        if (min <= -DBL_MAX && max >= DBL_MAX) return bad_number(err, what, s, "a number");
        snprintf(wanted, sizeof wanted, "a number from %g to %g", min, max);
        return bad_number(err, what, s, wanted);
    }
    *out = v;
    return 0;
}

/* Reads a number followed by one of the letters in suffixes; scales[i] belongs to suffixes[i]. */
static bool scaled_at(const char *s, const char *suffixes, const double *scales, double *v)
{
    const char *end = number_at(s, v), *found;
    if (!end || *v < 0) return false;
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

/* --- formatting --- */

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

char *format_real(char *out, double value)
{
    double back;
    if (isnan(value)) /* printf may say -nan */
        return memcpy(out, "nan", 4);
    snprintf(out, 32, "%.15g", value);
    if (!parse_number(out, &back) || back != value) snprintf(out, 32, "%.17g", value);
    return out;
}

/* --- time --- */

/* Days since 1970-01-01 of a date. Years are counted from March, so that the leap day comes last. */
static int64_t days_of(int64_t y, unsigned m, unsigned d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    unsigned yoe = (unsigned)(y - era * 400), doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    return era * 146097 + (int64_t)(yoe * 365 + yoe / 4 - yoe / 100 + doy) - 719468;
}

char *format_time(char *out, int64_t t)
{
    int64_t days = t / 86400, rest = t % 86400;
    if (rest < 0) rest += 86400, days--;
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    unsigned doe = (unsigned)(z - era * 146097), yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    unsigned d = doy - (153 * mp + 2) / 5 + 1, m = mp < 10 ? mp + 3 : mp - 9;
    int64_t y = (int64_t)yoe + era * 400 + (m <= 2);
    unsigned s = (unsigned)rest, year = (unsigned)(y % 10000);
    const unsigned part[7] = {year / 100, year % 100, m, d, s / 3600, s / 60 % 60, s % 60};
    memcpy(out, "0000-00-00T00:00:00Z", 21);
    for (unsigned i = 0, at = 0; i<7; i++, at += i> 1 ? 3 : 2) {
        out[at] = (char)('0' + part[i] / 10 % 10);
        out[at + 1] = (char)('0' + part[i] % 10);
    }
    return out;
}

int parse_time(const char *s, int64_t *t)
{
    uint64_t y, mo, d, h, mi, se;
    if (strlen(s) != 20 || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' ||
        s[19] != 'Z' || !parse_digits(s, 4, &y) || !parse_digits(s + 5, 2, &mo) ||
        !parse_digits(s + 8, 2, &d) || !parse_digits(s + 11, 2, &h) || !parse_digits(s + 14, 2, &mi) ||
        !parse_digits(s + 17, 2, &se) || mo < 1 || mo > 12 || d < 1 || d > 31 || h > 23 || mi > 59 || se > 60)
        return -1;
    *t = days_of((int64_t)y, (unsigned)mo, (unsigned)d) * 86400 + (int64_t)(h * 3600 + mi * 60 + se);
    return 0;
}
