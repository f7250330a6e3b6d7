#include "http/http_header.h"

#include <curl/curl.h>
#include <string.h>
#include <strings.h>

#include "base/number.h"

#define TEN_YEARS_S (10LL * 366 * 86400)
#define DATE_STRONG_S 60

static unsigned char lower(unsigned char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }

static void trim(const char **s, size_t *n)
{
    while (*n > 0 && ((*s)[0] == ' ' || (*s)[0] == '\t'))
        (*s)++, (*n)--;
    while (*n > 0 && ((*s)[*n - 1] == ' ' || (*s)[*n - 1] == '\t'))
        (*n)--;
}

static bool equals(const char *s, size_t n, const char *word)
{
    return strlen(word) == n && strncasecmp(s, word, n) == 0;
}

/* Copies a printable value that fits; otherwise out stays empty. */
static void copy_value(char *out, size_t room, const char *s, size_t n)
{
    out[0] = 0;
    if (n >= room) return;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < ' ' || (unsigned char)s[i] > 0x7e) return;
    memcpy(out, s, n);
    out[n] = 0;
}

/* Reads a number below 2^62 that consists of digits only; -1 otherwise. */
static int64_t number(const char *s, size_t n)
{
    uint64_t v;
    return n <= 18 && parse_digits(s, n, &v) ? (int64_t)v : -1;
}

int64_t http_retry_after(const char *value, size_t n, int64_t now)
{
    char date[64];
    trim(&value, &n);
    int64_t seconds = number(value, n);
    if (seconds < 0 && n > 0 && value[0] >= '0' && value[0] <= '9' && n > 18)
        seconds = TEN_YEARS_S; /* a number too large to matter */
    if (seconds < 0) {
        copy_value(date, sizeof date, value, n);
        time_t t = date[0] ? curl_getdate(date, NULL) : -1;
        if (t == -1) return -1;
        seconds = t > now ? t - now : 0;
    }
    return seconds < TEN_YEARS_S ? seconds : TEN_YEARS_S;
}

static void content_range(struct http_headers *h, const char *s, size_t n)
{
    h->range_first = h->range_last = h->range_total = -1;
    if (n < 6 || strncasecmp(s, "bytes ", 6) != 0) return;
    s += 6, n -= 6;
    const char *dash = memchr(s, '-', n), *slash = memchr(s, '/', n);
    if (!dash || !slash || dash > slash) return;
    int64_t first = number(s, (size_t)(dash - s)), last = number(dash + 1, (size_t)(slash - dash - 1));
    const char *total = slash + 1;
    size_t n_total = n - (size_t)(total - s);
    bool unknown = n_total == 1 && *total == '*';
    int64_t all = unknown ? -1 : number(total, n_total);
    if (first < 0 || last < first || (all < 0 && !unknown) || (all >= 0 && last >= all)) return;
    h->range_first = first, h->range_last = last, h->range_total = all;
}

/* All lines of the field form one dictionary, in which the last value of a key is used. */
static void content_usage(struct http_headers *h, const char *s, size_t n)
{
    const uint32_t no = RIGHTS_BIT(RIGHTS_USAGE_NO_HEADER), yes = RIGHTS_BIT(RIGHTS_USAGE_YES_HEADER);
    int said = rights_content_usage(s, n, "train-ai");
    if (said < 0) h->usage_broken = true;
    if (said != 0) h->rights &= ~(no | yes);
    if (!h->usage_broken) h->rights |= said == 'n' ? no : said == 'y' ? yes : 0;
}

/* The field may have several lines, or one list into which a proxy has joined them. */
static void tdm_reservation(struct http_headers *h, const char *s, size_t n)
{
    while (n > 0) {
        const char *comma = memchr(s, ',', n), *value = s;
        size_t n_value = comma ? (size_t)(comma - s) : n, step = n_value + (comma != NULL);
        trim(&value, &n_value);
        if (n_value == 1 && (*value == '0' || *value == '1'))
            h->rights |= RIGHTS_BIT(*value == '1' ? RIGHTS_TDM_1_HEADER : RIGHTS_TDM_0_HEADER);
        s += step, n -= step;
    }
}

/* Returns whether the line (it must contain a colon) is a rights field, and parses it into h if h is not
 * NULL. */
static bool parse_rights_field(struct http_headers *h, const char *line, size_t n, int64_t now,
                               const char *agent)
{
    const char *colon = memchr(line, ':', n), *value = colon + 1;
    size_t n_name = (size_t)(colon - line), n_value = n - n_name - 1;
    trim(&value, &n_value);
    if (equals(line, n_name, "content-usage")) {
        if (h) content_usage(h, value, n_value);
    } else if (equals(line, n_name, "content-signal")) {
        if (h)
            h->rights |= rights_content_signal(value, n_value) * RIGHTS_BIT(RIGHTS_CONTENT_SIGNAL_NO_HEADER);
    } else if (equals(line, n_name, "tdm-reservation")) {
        if (h) tdm_reservation(h, value, n_value);
    } else if (equals(line, n_name, "x-robots-tag")) {
        if (h) rights_robots_tag(&h->tag, value, n_value, agent, now);
    } else {
        return false;
    }
    return true;
}

void http_headers_start(struct http_headers *h)
{
    memset(h, 0, sizeof *h);
    h->content_bytes = h->retry_after_s = h->range_first = h->range_last = h->range_total = -1;
}

static void status_line(struct http_headers *h, const char *line, size_t n)
{
    http_headers_start(h);
    const char *space = memchr(line, ' ', n);
    if (n >= 8 && line[5] >= '0' && line[5] <= '9')
        h->version =
            (line[5] - '0') * 10 + (line[6] == '.' && line[7] >= '0' && line[7] <= '9' ? line[7] - '0' : 0);
    else if (n >= 6 && line[5] >= '0' && line[5] <= '9')
        h->version = (line[5] - '0') * 10;
    if (space && n - (size_t)(space - line) > 3) {
        int64_t status = number(space + 1, 3);
        h->status = status >= 100 ? (int)status : 0;
    }
}

void http_headers_line(struct http_headers *h, const char *line, size_t n, int64_t now, const char *agent)
{
    while (n > 0 && (line[n - 1] == '\r' || line[n - 1] == '\n'))
        n--;
    if (n > 0 && (line[0] == ' ' || line[0] == '\t')) {
        if (h->n_field > 0 && n <= sizeof h->field - h->n_field) {
            memcpy(h->field + h->n_field, line, n);
            h->field[h->n_field] = ' ';
            h->n_field += n;
        }
        return;
    }
    if (h->n_field > 0) parse_rights_field(h, h->field, h->n_field, now, agent);
    h->n_field = 0;
    if (n == 0) {
        h->ended = true;
        return;
    }
    if (n >= 5 && strncasecmp(line, "HTTP/", 5) == 0) {
        status_line(h, line, n);
        return;
    }
    const char *colon = memchr(line, ':', n);
    if (!colon || colon == line) return;
    if (parse_rights_field(NULL, line, n, now, agent)) {
        if (n > sizeof h->field) {
            parse_rights_field(h, line, n, now, agent);
        } else {
            memcpy(h->field, line, n);
            h->n_field = n;
        }
        return;
    }
    const char *value = colon + 1;
    size_t n_name = (size_t)(colon - line), n_value = n - n_name - 1;
    trim(&value, &n_value);
    switch (lower((unsigned char)line[0])) {
    case 'c':
        if (equals(line, n_name, "content-length")) {
            int64_t bytes = number(value, n_value);
            h->content_bytes =
                bytes < 0 || (h->content_bytes != -1 && h->content_bytes != bytes) ? -2 : bytes;
        } else if (equals(line, n_name, "content-type")) {
            const char *semicolon = memchr(value, ';', n_value);
            size_t n_type = semicolon ? (size_t)(semicolon - value) : n_value;
            trim(&value, &n_type);
            copy_value(h->content_type, sizeof h->content_type, value, n_type);
            for (char *c = h->content_type; *c; c++)
                *c = (char)lower((unsigned char)*c);
        } else if (equals(line, n_name, "content-encoding")) {
            if (!equals(value, n_value, "identity") && n_value > 0) {
                h->encoded = true;
                copy_value(h->encoding, sizeof h->encoding, value, n_value);
            }
        } else if (equals(line, n_name, "content-range")) {
            content_range(h, value, n_value);
        }
        break;
    case 'd':
        if (equals(line, n_name, "date")) copy_value(h->date, sizeof h->date, value, n_value);
        break;
    case 'e':
        if (equals(line, n_name, "etag")) copy_value(h->etag, sizeof h->etag, value, n_value);
        break;
    case 'l':
        if (equals(line, n_name, "last-modified"))
            copy_value(h->last_modified, sizeof h->last_modified, value, n_value);
        else if (equals(line, n_name, "location"))
            h->has_location = n_value > 0;
        break;
    case 'r':
        if (equals(line, n_name, "retry-after")) h->retry_after_s = http_retry_after(value, n_value, now);
        break;
    case 't':
        if (equals(line, n_name, "transfer-encoding") && n_value >= 7 &&
            strncasecmp(value + n_value - 7, "chunked", 7) == 0)
            h->chunked = true;
        break;
    default: break;
    }
}

const char *http_headers_strong_validator(const struct http_headers *h)
{
    if (h->etag[0] == '"' && h->etag[1]) return h->etag;
    if (h->etag[0] || !h->last_modified[0] || !h->date[0])
        return ""; /* a weak ETag means that there may be several versions, also with the same date */
    time_t modified = curl_getdate(h->last_modified, NULL), date = curl_getdate(h->date, NULL);
    return modified != -1 && date != -1 && date - modified >= DATE_STRONG_S ? h->last_modified : "";
}

bool http_headers_same_version(const struct http_headers *h, const char *validator)
{
    /* The response must repeat a date, too. Otherwise nothing would show that a server ignores If-Range. */
    return *validator && strcmp(validator[0] == '"' ? h->etag : h->last_modified, validator) == 0;
}
