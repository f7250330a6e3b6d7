/* http_response.c: reads a server's response. It decides whether the body is wanted, whether the body
 * continues a part that was kept, and whether it is within the limits and complete. It then sets the
 * transfer's outcome. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "http/http_cookie.h"
#include "http_engine.h"

static bool is_plain_success(const struct http_headers *h)
{
    return h->status == 200 || h->status == 203 || h->status == 206;
}

static void ask_caller(struct http_transfer_state *s)
{
    struct http_transfer *t = s->transfer;
    t->decided = true;
    t->wanted = s->engine->accept(s->engine->context, t);
}

/*
 * Decides, when the first bytes of a body arrive, whether the body continues the part that we have, or is the
 * whole file again. A 206 must be the requested rest of the file, up to the end, and of the same version as
 * the part. A 206 that was not requested must be the whole file. False: the range is not the one we need.
 */
static bool settle_range(struct http_transfer_state *s)
{
    struct http_transfer *t = s->transfer;
    const struct http_headers *h = &t->headers;
    if (h->status == 206) {
        int64_t total = h->range_total >= 0 ? h->range_total : (int64_t)t->whole_bytes;
        if (h->range_first != (int64_t)s->n_prefix || h->range_last + 1 != total ||
            (t->whole_bytes && total != (int64_t)t->whole_bytes) ||
            (t->ranged && !http_headers_same_version(h, t->if_range))) {
            s->mismatched = true;
            return false;
        }
        t->resumed = t->ranged;
        return true;
    }
    t->n_body = 0; /* another version, a server without ranges, or not a picture: the body begins at byte 0 */
    s->n_prefix = 0;
    return true;
}

size_t http_response_body(char *bytes, size_t each, size_t n, void *user)
{
    struct http_transfer_state *s = user;
    struct http_transfer *t = s->transfer;
    struct http_engine *e = s->engine;
    struct error err = {0};
    n *= each;
    if (!s->settled && !(s->settled = settle_range(s))) return CURL_WRITEFUNC_ERROR;
    if (t->decided && !t->wanted) {
        s->n_drained += n;
        return s->n_drained > HTTP_DRAIN_BYTES ? CURL_WRITEFUNC_ERROR : n;
    }
    size_t n_given = n;
    if (n > s->limit || t->n_body > s->limit - n) {
        s->too_large = true;
        if (!t->cut_at_limit) return CURL_WRITEFUNC_ERROR;
        n = s->limit - t->n_body;
    }
    if (t->n_body + n > s->capacity) {
        /* The oldest transfer is never paused, so that it can end and release its memory. */
        if (e->held_bytes > e->options.limits.memory_bytes && s != e->oldest) {
            if (!s->paused) e->n_paused++;
            s->paused = true;
            return CURL_WRITEFUNC_PAUSE;
        }
        size_t wanted = t->n_body + n;
        if (t->n_body == s->n_prefix && is_plain_success(&t->headers) && t->headers.content_bytes > 0 &&
            (uint64_t)t->headers.content_bytes + t->n_body <= s->limit &&
            t->headers.content_bytes < (1 << 20))
            wanted = t->n_body + (size_t)t->headers.content_bytes;
        if (wanted < t->n_body + n) wanted = t->n_body + n;
        if (http_body_reserve(s, wanted, &err)) {
            s->no_memory = true;
            return CURL_WRITEFUNC_ERROR;
        }
    }
    memcpy(t->body + t->n_body, bytes, n);
    t->n_body += n;
    if (!t->decided && t->n_body >= HTTP_PREFIX_BYTES) {
        ask_caller(s);
        if (!t->wanted) s->n_drained = t->n_body;
    }
    return n < n_given ? CURL_WRITEFUNC_ERROR : n;
}

size_t http_response_header(char *line, size_t each, size_t n, void *user)
{
    struct http_transfer_state *s = user;
    struct http_transfer *t = s->transfer;
    n *= each;
    s->header_bytes += n;
    if (s->header_bytes > s->engine->options.limits.header_bytes) {
        s->headers_too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    http_headers_line(&t->headers, line, n, s->engine->now_s, s->engine->options.agent_token);
    if (n > 11 && strncasecmp(line, "set-cookie:", 11) == 0) {
        struct error err = {0};
        size_t n_line = n;
        while (n_line > 11 && (line[n_line - 1] == '\r' || line[n_line - 1] == '\n'))
            n_line--;
        if (http_cookie_add(&t->set_cookies, line + 11, n_line - 11, &err)) {
            s->no_memory = true;
            return CURL_WRITEFUNC_ERROR;
        }
    }
    if (t->headers.ended && t->headers.content_bytes == -2 && !t->headers.chunked) {
        /* The response has two different lengths, and nobody can tell which one is right. RFC 9112 6.3 calls
         * this an error. */
        s->two_lengths = true;
        return CURL_WRITEFUNC_ERROR;
    }
    if (t->headers.ended && is_plain_success(&t->headers) && t->headers.content_bytes > 0 &&
        (uint64_t)t->headers.content_bytes > s->limit && !t->cut_at_limit) {
        s->too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    return n;
}

static enum http_outcome outcome_of(struct http_transfer_state *s, CURLcode rc)
{
    struct http_transfer *t = s->transfer;
    double connected = 0;
    if (rc != CURLE_OK && t->proxy_status >= 300)
        return HTTP_FAILED_CONNECT; /* the proxy could not, or would not, connect */
    switch (rc) {
    case CURLE_OK: return HTTP_RESPONDED;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return HTTP_FAILED_DNS;
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED:
        if (s->crowded) return HTTP_FAILED_CROWDED;
        /* A host with several addresses is refused when none of them may be connected to. */
        return s->refused && !s->connecting ? HTTP_FAILED_REFUSED : HTTP_FAILED_CONNECT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_ISSUER_ERROR: return HTTP_FAILED_TLS;
    case CURLE_OPERATION_TIMEDOUT:
        /* libcurl has one code for the deadline and for the speed limit; its messages differ. */
        curl_easy_getinfo(s->easy, CURLINFO_TOTAL_TIME, &connected);
        return strstr(s->errors, "too slow") ? HTTP_FAILED_STALLED : HTTP_FAILED_TIMEOUT;
    case CURLE_PARTIAL_FILE: return HTTP_FAILED_TRUNCATED;
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2_STREAM:
    case CURLE_HTTP2: return is_plain_success(&t->headers) ? HTTP_FAILED_TRUNCATED : HTTP_FAILED_RESET;
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9, or no HTTP at all */
    case CURLE_WEIRD_SERVER_REPLY: return HTTP_FAILED_RESET;
    case CURLE_FILESIZE_EXCEEDED: return HTTP_FAILED_TOO_LARGE;
    default: return HTTP_FAILED_OTHER;
    }
}

/* Stores the status of the proxy's response to CONNECT, and the system's error for a connection that
 * failed. */
static void settle_proxy_status(struct http_engine *e, struct http_transfer_state *s)
{
    long os_error = 0, proxy_status = 0;
    curl_easy_getinfo(s->easy, CURLINFO_OS_ERRNO, &os_error);
    if (e->options.proxy) curl_easy_getinfo(s->easy, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
    s->transfer->os_error = (int)os_error;
    s->transfer->connected = s->connecting;
    s->transfer->proxy_status = (int)proxy_status;
}

/* Whether the proxy requires a password. A 407 to CONNECT comes from the proxy itself. Over plain HTTP a
 * server could send a 407 as well, to make us give up. So a 407 counts only as long as no other response has
 * come through the proxy. */
static bool proxy_wants_password(struct http_engine *e, const struct http_transfer *t)
{
    bool refused = t->proxy_status == 407 || (t->headers.status == 407 && !e->proxy_works);
    if (!refused && t->headers.status && t->headers.status != 407) e->proxy_works = true;
    return refused;
}

/* Sets the outcome of a transfer that libcurl has finished. */
void http_response_settle(struct http_engine *e, struct http_transfer_state *s, CURLcode rc)
{
    struct http_transfer *t = s->transfer;
    settle_proxy_status(e, s);
    if (s->too_large) {
        t->outcome = HTTP_FAILED_TOO_LARGE;
        snprintf(t->detail, sizeof t->detail, "more than %llu bytes", (unsigned long long)s->limit);
    } else if (s->headers_too_large) {
        t->outcome = HTTP_FAILED_HEADERS;
        snprintf(t->detail, sizeof t->detail, "more than %llu header bytes",
                 (unsigned long long)e->options.limits.header_bytes);
    } else if (s->mismatched) {
        t->outcome = HTTP_FAILED_RANGE;
    } else if (s->two_lengths) {
        t->outcome = HTTP_FAILED_RESET;
        snprintf(t->detail, sizeof t->detail, "contradictory or malformed Content-Length");
    } else if (s->no_memory) {
        t->outcome = HTTP_FAILED_OTHER;
        snprintf(t->detail, sizeof t->detail, "out of memory");
    } else if (t->decided && !t->wanted) {
        /* the unwanted body was cut or dropped, but status and headers are complete */
        t->outcome = HTTP_RESPONDED;
    } else {
        t->outcome = outcome_of(s, rc);
        if (rc != CURLE_OK)
            snprintf(t->detail, sizeof t->detail, "%.150s",
                     s->errors[0] ? s->errors : curl_easy_strerror(rc));
        if (t->outcome == HTTP_FAILED_REFUSED)
            snprintf(t->detail, sizeof t->detail, "the host's address is private, loopback or reserved");
    }
    if (t->outcome == HTTP_RESPONDED && !t->decided) {
        if (!s->settled) settle_range(s); /* a response without any body */
        if (s->mismatched)
            t->outcome = HTTP_FAILED_RANGE;
        else
            ask_caller(s);
    }
    if (t->outcome == HTTP_RESPONDED && t->wanted && t->headers.status == 206 &&
        t->n_body != (uint64_t)t->headers.range_last + 1)
        t->outcome = HTTP_FAILED_RANGE; /* Content-Length and Content-Range did not agree */
    if (t->outcome == HTTP_FAILED_RANGE)
        snprintf(t->detail, sizeof t->detail, "%s",
                 t->ranged ? "the response does not continue the first part"
                           : "the server sent a part without being asked for one");
    if (e->options.proxy && proxy_wants_password(e, t)) t->outcome = HTTP_FAILED_PROXY;
    t->length_known = t->headers.content_bytes >= 0 || t->headers.chunked || t->headers.version >= 20;
}
