/* reason.h: the reasons why there is no picture for an address, in rejects and in the journal. fetch.1
 * explains each. */
#ifndef WINNOW_FETCH_REASON_H
#define WINNOW_FETCH_REASON_H

#include <stdbool.h>

enum reason {
    REASON_NONE,
    REASON_BAD_URL,
    REASON_HTTP, /* "http-404": slug made from the status */
    REASON_DNS,
    REASON_CONNECT,
    REASON_TLS,
    REASON_TIMEOUT,
    REASON_STALLED,
    REASON_RESET,
    REASON_TRUNCATED,
    REASON_TOO_LARGE,
    REASON_TOO_SMALL,
    REASON_HEADERS_TOO_LARGE,
    REASON_REFUSED_ADDRESS,
    REASON_TRANSFER,
    REASON_REDIRECT_LIMIT,
    REASON_REDIRECT_REFUSED,
    REASON_PLACEHOLDER,
    REASON_REPEATED,
    REASON_HTML,
    REASON_FORMAT,
    REASON_NOT_AN_IMAGE,
    REASON_EMPTY,
    REASON_ENCODED,
    REASON_ROBOTS_TXT,
    REASON_ROBOTS_UNREACHABLE,
    REASON_X_ROBOTS_TAG,
    REASON_RIGHTS_RESERVED,
    REASON_HOST_DOWN,
    REASON_RETRY_LATER,
    REASON_BLOCKED,
    REASON_TAKEN_DOWN,
    REASON_NOT_ASKED,
    REASONS
};

/* Returns the word for a reason: a constant, or for REASON_HTTP "http-" and the status, written to `out`. */
const char *reason_slug(enum reason r, int status, char out[24]);
/* Returns the reason for a word, or REASON_TRANSFER for a word that no version of fetch wrote. */
enum reason reason_from_slug(const char *slug);
/* Whether the reason is final: another request soon would have the same result. For other reasons another
 * attempt is worthwhile. */
bool reason_is_final(enum reason r, int status);
/* Whether the reason is final, but may also be the response of a login page or of a host in trouble to every
 * request (outcome.h). */
bool reason_is_doubtful(enum reason r, int status);

#endif
