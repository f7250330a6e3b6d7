/* reason.c: see reason.h. */
#include "reason.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

static const char *const slugs[REASONS] = {
    "not-asked",
    "bad-url",
    "http",
    "dns",
    "connect",
    "tls",
    "timeout",
    "stalled",
    "reset",
    "truncated",
    "too-large",
    "too-small",
    "headers-too-large",
    "refused-address",
    "transfer-error",
    "redirect-limit",
    "redirect-refused",
    "placeholder",
    "repeated-content",
    "html-page",
    "unsupported-format",
    "not-a-picture",
    "empty",
    "content-encoding",
    "robots-txt",
    "robots-unreachable",
    "x-robots-tag",
    "rights-reserved",
    "host-down",
    "retry-later",
    "blocked",
    "taken-down",
    "not-asked",
};

const char *reason_slug(enum reason r, int status, char out[24])
{
    if (r != REASON_HTTP) return slugs[r];
    snprintf(out, 24, "http-%u", (unsigned)status);
    return out;
}

enum reason reason_from_slug(const char *slug)
{
    if (text_starts(slug, "http-")) return REASON_HTTP;
    for (int r = 1; r < REASONS; r++)
        if (strcmp(slugs[r], slug) == 0) return (enum reason)r;
    return REASON_TRANSFER;
}

bool reason_is_final(enum reason r, int status)
{
    switch (r) {
    case REASON_HTTP: /* 407 is a proxy's */
        return status < 500 && status != 407 && status != 408 && status != 425 && status != 429;
    case REASON_DNS:
    case REASON_CONNECT:
    case REASON_TLS:
    case REASON_TIMEOUT:
    case REASON_STALLED:
    case REASON_RESET:
    case REASON_TRUNCATED:
    case REASON_TRANSFER:
    case REASON_ROBOTS_UNREACHABLE:
    case REASON_HOST_DOWN:
    case REASON_RETRY_LATER:
    case REASON_NOT_ASKED:
    case REASON_NONE: return false;
    default: return true;
    }
}

bool reason_is_doubtful(enum reason r, int status)
{
    return r == REASON_HTML || r == REASON_EMPTY || r == REASON_REDIRECT_LIMIT ||
           (r == REASON_HTTP && (status == 401 || status == 402 || status == 403));
}
