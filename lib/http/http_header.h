/*
 * http_header.h: parses the few response header fields that a downloader uses, line by line. Values from a
 * server are copied into fields of fixed size. A value that is too long or malformed is treated as absent.
 */
#ifndef WINNOW_HTTP_HTTP_HEADER_H
#define WINNOW_HTTP_HTTP_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/rights.h"

#define HTTP_VALIDATOR_BYTES 256
#define HTTP_TYPE_BYTES 96

/* A rights field whose line is longer is parsed at once, without continuation lines. */
#define HTTP_FIELD_BYTES 2048

struct http_headers {
    int status;  /* of the last status line; 0 before the first one */
    int version; /* 10, 11, 20, 30 */
    bool ended;  /* the empty line was received */
    /* Content-Length. -1 when absent, -2 when there are two different ones or it is not a number. */
    int64_t content_bytes;
    bool chunked;
    char content_type[HTTP_TYPE_BYTES]; /* "image/jpeg": lower case, without parameters */
    char etag[HTTP_VALIDATOR_BYTES];    /* as sent: "\"abc\"" or "W/\"abc\"" */
    char last_modified[64];
    char date[64]; /* of the response; "" when absent */
    bool has_location;
    bool encoded;          /* a Content-Encoding other than identity */
    char encoding[32];     /* its name, for messages */
    int64_t retry_after_s; /* -1 when absent; a date in the past is 0 */
    int64_t range_first, range_last,
        range_total;       /* Content-Range of a 206; -1 when absent, total -1 for "*" */
    struct rights_tag tag; /* X-Robots-Tag */
    uint32_t rights;       /* Content-Usage, Content-Signal, tdm-reservation: a set, rights.h */
    bool usage_broken;     /* a line of Content-Usage is not a dictionary, so the whole field is ignored */
    /* The last rights field received. It is parsed only when the next line shows that it is complete. */
    size_t n_field;
    char field[HTTP_FIELD_BYTES];
};

void http_headers_start(struct http_headers *h);

/*
 * Reads one line as it was received; CR and LF at its end are allowed. A status line clears all fields,
 * because interim responses and redirects have headers of their own. A line that begins with a blank
 * continues the line before it (RFC 9112 5.2). This is supported only for rights fields, up to
 * HTTP_FIELD_BYTES in total. Rights fields are therefore complete only when ended is set. now is the Unix
 * time, for Retry-After and unavailable_after. agent is our product token in lower case, for "X-Robots-Tag:
 * token: noai".
 */
void http_headers_line(struct http_headers *h, const char *line, size_t n_bytes, int64_t now,
                       const char *agent);

/* Returns a strong validator for If-Range, or "" when there is none. It is a strong ETag, or a Last-Modified
 * that is at least a minute older than the response's own Date. Within that minute the file could have
 * changed twice (RFC 9110 8.8.2.2). */
const char *http_headers_strong_validator(const struct http_headers *h);
/* Whether the response has the version that validator names. validator comes from
 * http_headers_strong_validator. */
bool http_headers_same_version(const struct http_headers *h, const char *validator);

/* Returns the value of Retry-After in seconds from now, at most ten years, or -1 when it is not valid. */
int64_t http_retry_after(const char *value, size_t n_bytes, int64_t now);

#endif
