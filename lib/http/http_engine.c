/*
 * http_engine.c: libcurl's multi interface driven by epoll.
 * Thousands of sockets, of which few have news at a time: epoll costs by news, poll by sockets. Easy handles and body
 * buffers are pooled, so a 40 KB picture costs no allocation of ours once the pool is warm.
 */
#include "http/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "http/http_proxy.h"
#include "http/http_url.h"
#include "internal.h"
#include "io/io.h"

#define BODY_FIRST_BYTES (64u << 10)
#define BODY_KEEP_BYTES (1u << 20)      /* a pooled buffer larger than this is given back after its transfer */
#define EVENTS_PER_WAIT 256
#define N_SPARES 64                     /* body buffers kept for the next transfers */

struct http_transfer_state {
    CURL *easy;
    struct http_engine *engine;
    struct http_transfer *transfer;
    struct http_transfer_state *older, *newer;  /* in flight, by start; or the free list by `older` */
    struct curl_slist *headers;
    size_t capacity, n_prefix, n_drained, header_bytes;
    bool active, paused, refused, crowded, connecting, settled, mismatched, too_large, headers_too_large, two_lengths,
        no_memory;
    uint64_t limit;
    char errors[CURL_ERROR_SIZE];
    char validator[HTTP_VALIDATOR_BYTES];
};

struct http_engine {
    struct http_options options;
    http_judge *judge;
    http_admit *admit;
    http_done *done;
    void *context;
    CURLM *multi;
    int epoll_fd;
    double wake_at;             /* libcurl's timer; INFINITY when unset */
    struct http_transfer_state *oldest, *newest, *free;
    struct spare { uint8_t *body; size_t capacity; } spares[N_SPARES];
    unsigned n_spares;
    int wake_fd;
    atomic_bool waiting, woken;
    unsigned n_active;
    unsigned n_paused;
    uint64_t held_bytes;        /* capacity of all bodies of transfers in flight */
    uint64_t received_bytes;
    int64_t now_s;              /* Unix time of this step, for Retry-After dates */
    bool out_of_memory, proxy_works, idle;
};

const char *http_outcome_slug(enum http_outcome o)
{
    static const char *const slugs[HTTP_OUTCOMES] = {
        "answered", "dns", "connect", "tls", "timeout", "stalled", "reset", "truncated", "too-large",
        "headers-too-large", "refused-address", "range-mismatch", "crowded", "proxy", "stopped", "transfer-error",
    };
    return slugs[o];
}

/* --- bodies ---------------------------------------------------------------------------------------------------- */

static int body_reserve(struct http_transfer_state *s, size_t wanted, struct error *err)
{
    struct http_transfer *t = s->transfer;
    size_t capacity = s->capacity ? s->capacity : BODY_FIRST_BYTES;
    if (wanted <= s->capacity)
        return 0;
    struct http_engine *e = s->engine;
    if (s->capacity == 0 && e->n_spares && e->spares[e->n_spares - 1].capacity >= wanted) {
        struct spare spare = e->spares[--e->n_spares];
        t->body = spare.body;
        s->capacity = spare.capacity;
        if (s->active)
            e->held_bytes += s->capacity;
        return 0;
    }
    while (capacity < wanted)
        if (!size_mul(capacity, 2, &capacity))
            return error_set(err, EX_OSERR, "out of memory");
    uint8_t *body = mem_realloc(t->body, capacity, err);
    if (!body)
        return -1;
    if (s->active)
        e->held_bytes += capacity - s->capacity;
    t->body = body;
    s->capacity = capacity;
    return 0;
}

static bool is_plain_success(const struct http_headers *h) { return h->status == 200 || h->status == 206; }

static void judge_now(struct http_transfer_state *s)
{
    struct http_transfer *t = s->transfer;
    t->judged = true;
    t->wanted = s->engine->judge(s->engine->context, t);
}

/*
 * The first body bytes of an answer: does it go on where our prefix ends, or does it start again? A 206 has to be what was
 * asked for: the rest, to the end, of the version that the prefix is of. One that nobody asked for has to be the whole.
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
    t->n_body = 0;              /* another version, no ranges here, or no picture at all: from the start */
    s->n_prefix = 0;
    return true;
}

static size_t on_body(char *bytes, size_t each, size_t n, void *user)
{
    struct http_transfer_state *s = user;
    struct http_transfer *t = s->transfer;
    struct http_engine *e = s->engine;
    struct error err = {0};
    n *= each;
    if (!s->settled && !(s->settled = settle_range(s)))
        return CURL_WRITEFUNC_ERROR;
    if (t->judged && !t->wanted) {
        s->n_drained += n;
        return s->n_drained > HTTP_DRAIN_BYTES ? CURL_WRITEFUNC_ERROR : n;
    }
    if (n > s->limit || t->n_body > s->limit - n) {
        s->too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    if (t->n_body + n > s->capacity) {
        /* The oldest transfer is never paused: it can always end and give its memory back. */
        if (e->held_bytes > e->options.limits.memory_bytes && s != e->oldest) {
            if (!s->paused)
                e->n_paused++;
            s->paused = true;
            return CURL_WRITEFUNC_PAUSE;
        }
        size_t wanted = t->n_body + n;
        if (t->n_body == s->n_prefix && is_plain_success(&t->headers) && t->headers.content_bytes > 0 &&
            (uint64_t)t->headers.content_bytes + t->n_body <= s->limit && t->headers.content_bytes < (1 << 20))
            wanted = t->n_body + (size_t)t->headers.content_bytes;
        if (wanted < t->n_body + n)
            wanted = t->n_body + n;
        if (body_reserve(s, wanted, &err)) {
            s->no_memory = true;
            return CURL_WRITEFUNC_ERROR;
        }
    }
    memcpy(t->body + t->n_body, bytes, n);
    t->n_body += n;
    e->received_bytes += n;
    if (!t->judged && t->n_body >= HTTP_PREFIX_BYTES) {
        judge_now(s);
        if (!t->wanted)
            s->n_drained = t->n_body;
    }
    return n;
}

static size_t on_header(char *line, size_t each, size_t n, void *user)
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
    if (t->headers.ended && t->headers.content_bytes == -2 && !t->headers.chunked) {
        s->two_lengths = true;              /* which one is right? RFC 9112 6.3: an error that cannot be mended */
        return CURL_WRITEFUNC_ERROR;
    }
    if (t->headers.ended && is_plain_success(&t->headers) && t->headers.content_bytes > 0 &&
        (uint64_t)t->headers.content_bytes > s->limit) {
        s->too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    return n;
}

/* --- sockets --------------------------------------------------------------------------------------------------- */

bool http_errno_is_an_answer(int os_error) { return os_error == ECONNREFUSED || os_error == ECONNRESET; }

bool http_may_connect(const struct http_options *o, const struct sockaddr *address, socklen_t n_bytes)
{
    bool allowed = o->allow_private || o->proxy || http_address_is_public(address, n_bytes);
    for (size_t i = 0; !allowed && i < o->n_allowed; i++)
        allowed = http_network_has(&o->allowed[i], address, n_bytes);
    return allowed;
}

static curl_socket_t on_open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct http_transfer_state *s = user;
    (void)purpose;
    if (!http_may_connect(&s->engine->options, &address->addr, address->addrlen)) {
        s->refused = true;
        return CURL_SOCKET_BAD;
    }
    if (s->engine->admit && !s->engine->admit(s->engine->context, s->transfer, &address->addr, address->addrlen)) {
        s->crowded = true;
        return CURL_SOCKET_BAD;
    }
    s->connecting = true;
    return socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *known)
{
    struct http_engine *e = user;
    struct epoll_event event = {.data.fd = fd};
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(e->epoll_fd, EPOLL_CTL_DEL, fd, &event);
        return 0;
    }
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    if (epoll_ctl(e->epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event)) {
        /* A descriptor number that was closed and opened again while libcurl kept its mark, or the other way round. */
        if (epoll_ctl(e->epoll_fd, errno == ENOENT ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event))
            return -1;
    }
    if (!known)
        curl_multi_assign(e->multi, fd, e);
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *user)
{
    struct http_engine *e = user;
    (void)multi;
    e->wake_at = timeout_ms < 0 ? INFINITY : clock_seconds() + (double)timeout_ms / 1000;
    return 0;
}

/* --- transfers ------------------------------------------------------------------------------------------------- */

static void state_free(struct http_transfer_state *s)
{
    if (!s)
        return;
    if (s->easy)
        curl_easy_cleanup(s->easy);
    curl_slist_free_all(s->headers);
    free(s->transfer->body);
    free(s->transfer->redirect_url);
    free(s->transfer);
    free(s);
}

static int easy_prepare(struct http_transfer_state *s, struct error *err)
{
    const struct http_options *o = &s->engine->options;
    const struct http_limits *l = &o->limits;
    CURL *c = s->easy = curl_easy_init();
    CURLcode rc = CURLE_OK;
    if (!c)
        return error_set(err, EX_OSERR, "cannot start libcurl");
#define SET(option, value) do { if (rc == CURLE_OK) rc = curl_easy_setopt(c, option, value); } while (0)
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_ERRORBUFFER, s->errors);
    SET(CURLOPT_PRIVATE, s);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, s);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, s);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    SET(CURLOPT_OPENSOCKETDATA, s);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);        /* every hop comes back to the caller, who checks it */
    SET(CURLOPT_USERAGENT, o->user_agent);
    SET(CURLOPT_PROXY, o->proxy ? o->proxy : "");
    SET(CURLOPT_NOPROXY, "");               /* no_proxy of the environment would lead past proxy and address check */
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(l->connect_s * 1000));
    SET(CURLOPT_TIMEOUT_MS, (long)(l->total_s * 1000));
    SET(CURLOPT_LOW_SPEED_LIMIT, (long)l->min_bytes_per_s);
    SET(CURLOPT_LOW_SPEED_TIME, (long)ceil(l->min_speed_s));
    /* A larger buffer takes a usual picture in one read; with thousands in flight they would add up. */
    SET(CURLOPT_BUFFERSIZE, l->n_parallel > 256 ? 16384L : 65536L);
    SET(CURLOPT_DNS_CACHE_TIMEOUT, 300L);
    SET(CURLOPT_TCP_KEEPALIVE, 0L);
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_SSL_VERIFYPEER, o->insecure ? 0L : 1L);
    SET(CURLOPT_SSL_VERIFYHOST, o->insecure ? 0L : 2L);
    if (o->ca_file) {
        SET(CURLOPT_CAINFO, o->ca_file);
        SET(CURLOPT_PROXY_CAINFO, o->ca_file);
    }
#undef SET
    if (rc != CURLE_OK)
        return error_set(err, EX_SOFTWARE, "cannot set up libcurl: %s", curl_easy_strerror(rc));
    return 0;
}

struct http_transfer *http_new(struct http_engine *e, struct error *err)
{
    struct http_transfer_state *s = e->free;
    if (s) {
        e->free = s->older;
    } else {
        struct http_transfer *t = mem_zalloc(1, sizeof *t, err);
        s = t ? mem_zalloc(1, sizeof *s, err) : NULL;
        if (!s) {
            free(t);
            return NULL;
        }
        s->transfer = t;
        s->engine = e;
        t->state = s;
        if (easy_prepare(s, err)) {
            state_free(s);
            return NULL;
        }
    }
    struct http_transfer *t = s->transfer;
    uint8_t *body = t->body;
    *t = (struct http_transfer){.body = body, .state = s};
    http_headers_start(&t->headers);
    s->older = s->newer = NULL;
    s->n_prefix = s->n_drained = s->header_bytes = 0;
    s->active = s->paused = s->refused = s->crowded = s->connecting = s->settled = s->mismatched = s->too_large =
        s->headers_too_large = s->two_lengths = s->no_memory = false;
    s->errors[0] = 0;
    return t;
}

int http_set_prefix(struct http_engine *e, struct http_transfer *t, const void *bytes, size_t n, const char *validator,
                    uint64_t whole_bytes, struct error *err)
{
    struct http_transfer_state *s = t->state;
    (void)e;
    if (strlen(validator) >= sizeof s->validator)
        return 0;
    if (body_reserve(s, n, err))
        return -1;
    memcpy(t->body, bytes, n);
    t->n_body = s->n_prefix = n;
    memcpy(s->validator, validator, strlen(validator) + 1);
    t->if_range = s->validator;
    t->whole_bytes = whole_bytes;
    return 0;
}

void http_forget(struct http_engine *e, struct http_transfer *t)
{
    struct http_transfer_state *s = t->state;
    curl_slist_free_all(s->headers);
    s->headers = NULL;
    free(t->redirect_url);
    t->redirect_url = NULL;
    if (s->capacity > BODY_KEEP_BYTES) {
        free(t->body);
        t->body = NULL;
        s->capacity = 0;
    }
    s->older = e->free;
    e->free = s;
}

uint8_t *http_take_body(struct http_transfer *t, size_t *capacity)
{
    uint8_t *body = t->body;
    *capacity = t->state->capacity;
    t->body = NULL;
    t->n_body = t->state->capacity = 0;
    return body;
}

void http_give_body(struct http_engine *e, uint8_t *body, size_t capacity)
{
    if (body && capacity <= BODY_KEEP_BYTES && e->n_spares < N_SPARES)
        e->spares[e->n_spares++] = (struct spare){body, capacity};
    else
        free(body);
}

void http_engine_wake(struct http_engine *e)
{
    uint64_t one = 1;
    atomic_store(&e->woken, true);
    if (atomic_load(&e->waiting) && write(e->wake_fd, &one, sizeof one) < 0)
        return;                 /* the counter is full: it is awake anyway */
}

static int add_header(struct http_transfer_state *s, const char *name, const char *value, struct error *err)
{
    struct text line = TEXT_EMPTY;
    struct curl_slist *list = NULL;
    if (text_printf(&line, err, "%s: %s", name, value) == 0 && !(list = curl_slist_append(s->headers, line.data)))
        error_set(err, EX_OSERR, "out of memory");
    text_release(&line);
    if (!list)
        return -1;
    s->headers = list;
    return 0;
}

static bool proxy_may_ask(struct http_engine *e, const struct http_transfer *t, struct error *err)
{
    struct text canonical = TEXT_EMPTY;
    struct http_url_parts parts;
    const char *why;
    bool may = http_url_canonical(t->url, strlen(t->url), &canonical, &parts, &why, err) == 1 &&
               http_proxy_may_ask(&e->options, canonical.data, &parts);
    text_release(&canonical);
    return may;
}

int http_start(struct http_engine *e, struct http_transfer *t, struct error *err)
{
    struct http_transfer_state *s = t->state;
    CURL *c = s->easy;
    bool https = strncmp(t->url, "https:", 6) == 0;
    char range[32];
    if (e->options.proxy && !proxy_may_ask(e, t, err))
        return err->code ? -1 : 1;
    s->limit = t->body_limit ? t->body_limit : e->options.limits.body_bytes;
    if ((t->if_none_match && add_header(s, "If-None-Match", t->if_none_match, err)) ||
        (t->if_modified_since && add_header(s, "If-Modified-Since", t->if_modified_since, err)) ||
        (s->n_prefix && add_header(s, "If-Range", t->if_range, err)) ||
        add_header(s, "Accept", "image/jpeg, image/png, image/webp, image/gif, image/*;q=0.5, */*;q=0.1", err))
        return -1;
    snprintf(range, sizeof range, "%zu-", s->n_prefix);
    t->ranged = s->n_prefix > 0;
    if (curl_easy_setopt(c, CURLOPT_URL, t->url) || curl_easy_setopt(c, CURLOPT_HTTPHEADER, s->headers) ||
        curl_easy_setopt(c, CURLOPT_RANGE, s->n_prefix ? range : NULL) ||
        curl_easy_setopt(c, CURLOPT_HTTP_VERSION,
                         (long)(https && !e->options.no_http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1)) ||
        curl_easy_setopt(c, CURLOPT_PIPEWAIT, https && !e->options.no_http2 ? 1L : 0L))
        return error_set(err, EX_OSERR, "cannot set up the request for '%s'", t->url);
    CURLMcode rc = curl_multi_add_handle(e->multi, c);
    if (rc != CURLM_OK)
        return error_set(err, EX_SOFTWARE, "cannot start a transfer: %s", curl_multi_strerror(rc));
    s->active = true;
    s->older = e->newest;
    s->newer = NULL;
    *(e->newest ? &e->newest->newer : &e->oldest) = s;
    e->newest = s;
    e->n_active++;
    e->held_bytes += s->capacity;
    return 0;
}

static void unlink_active(struct http_engine *e, struct http_transfer_state *s)
{
    *(s->older ? &s->older->newer : &e->oldest) = s->newer;
    *(s->newer ? &s->newer->older : &e->newest) = s->older;
    s->older = s->newer = NULL;
    s->active = false;
    e->n_active--;
    e->held_bytes -= s->capacity;
    if (s->paused)
        e->n_paused--;
    s->paused = false;
}

static enum http_outcome outcome_of(struct http_transfer_state *s, CURLcode rc)
{
    struct http_transfer *t = s->transfer;
    double connected = 0;
    if (rc != CURLE_OK && t->proxy_status >= 300)
        return HTTP_FAILED_CONNECT;         /* the proxy could not, or would not, connect */
    switch (rc) {
    case CURLE_OK:
        return HTTP_ANSWERED;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return HTTP_FAILED_DNS;
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED:
        if (s->crowded)
            return HTTP_FAILED_CROWDED;
        /* A host with several addresses is refused when none of them may be asked. */
        return s->refused && !s->connecting ? HTTP_FAILED_REFUSED : HTTP_FAILED_CONNECT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_ISSUER_ERROR:
        return HTTP_FAILED_TLS;
    case CURLE_OPERATION_TIMEDOUT:
        /* libcurl uses one code for the deadline and for the speed limit; the words differ. */
        curl_easy_getinfo(s->easy, CURLINFO_TOTAL_TIME, &connected);
        return strstr(s->errors, "too slow") ? HTTP_FAILED_STALLED : HTTP_FAILED_TIMEOUT;
    case CURLE_PARTIAL_FILE:
        return HTTP_FAILED_TRUNCATED;
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2_STREAM:
    case CURLE_HTTP2:
        return t->headers.status == 200 || t->headers.status == 206 ? HTTP_FAILED_TRUNCATED : HTTP_FAILED_RESET;
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_UNSUPPORTED_PROTOCOL:        /* HTTP/0.9, or no HTTP at all */
    case CURLE_WEIRD_SERVER_REPLY:
        return HTTP_FAILED_RESET;
    case CURLE_FILESIZE_EXCEEDED:
        return HTTP_FAILED_TOO_LARGE;
    default:
        return HTTP_FAILED_OTHER;
    }
}

/* What the proxy said to CONNECT, and the system to a connection that failed. */
static void look_behind_proxy(struct http_engine *e, struct http_transfer_state *s)
{
    long os_error = 0, proxy_status = 0;
    curl_easy_getinfo(s->easy, CURLINFO_OS_ERRNO, &os_error);
    if (e->options.proxy)
        curl_easy_getinfo(s->easy, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
    s->transfer->os_error = (int)os_error;
    s->transfer->connected = s->connecting;
    s->transfer->proxy_status = (int)proxy_status;
}

/*
 * 407 to CONNECT is the proxy's own. In clear HTTP an origin could send it, too, to make us give up: it counts only as long
 * as nothing else has come through the proxy.
 */
static bool proxy_wants_password(struct http_engine *e, const struct http_transfer *t)
{
    bool refused = t->proxy_status == 407 || (t->headers.status == 407 && !e->proxy_works);
    if (!refused && t->headers.status && t->headers.status != 407)
        e->proxy_works = true;
    return refused;
}

static void finish(struct http_engine *e, struct http_transfer_state *s, CURLcode rc)
{
    struct http_transfer *t = s->transfer;
    const char *redirect = NULL;
    double seconds = 0;
    look_behind_proxy(e, s);
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
        snprintf(t->detail, sizeof t->detail, "no single Content-Length");
    } else if (s->no_memory) {
        t->outcome = HTTP_FAILED_OTHER;
        snprintf(t->detail, sizeof t->detail, "out of memory");
    } else if (t->judged && !t->wanted) {
        t->outcome = HTTP_ANSWERED;         /* cut short or drained: what matters was seen */
    } else {
        t->outcome = outcome_of(s, rc);
        if (rc != CURLE_OK)
            snprintf(t->detail, sizeof t->detail, "%.150s", s->errors[0] ? s->errors : curl_easy_strerror(rc));
        if (t->outcome == HTTP_FAILED_REFUSED)
            snprintf(t->detail, sizeof t->detail, "the host's address is private, loopback or reserved");
    }
    if (t->outcome == HTTP_ANSWERED && !t->judged) {
        if (!s->settled)
            settle_range(s);                /* an answer without any body */
        if (s->mismatched)
            t->outcome = HTTP_FAILED_RANGE;
        else
            judge_now(s);
    }
    if (t->outcome == HTTP_ANSWERED && t->wanted && t->headers.status == 206 &&
        t->n_body != (uint64_t)t->headers.range_last + 1)
        t->outcome = HTTP_FAILED_RANGE;     /* Content-Length and Content-Range did not agree */
    if (t->outcome == HTTP_FAILED_RANGE)
        snprintf(t->detail, sizeof t->detail, "%s", t->ranged ? "what was sent does not continue the first part"
                                                              : "a part was sent that nobody had asked for");
    if (e->options.proxy && proxy_wants_password(e, t))
        t->outcome = HTTP_FAILED_PROXY;
    t->length_known = t->headers.content_bytes >= 0 || t->headers.chunked || t->headers.version >= 20;
    if (curl_easy_getinfo(s->easy, CURLINFO_REDIRECT_URL, &redirect) == CURLE_OK && redirect)
        t->redirect_url = strdup(redirect);
    curl_easy_getinfo(s->easy, CURLINFO_TOTAL_TIME, &seconds);
    t->seconds = seconds;
    curl_multi_remove_handle(e->multi, s->easy);
    unlink_active(e, s);
    e->done(e->context, t);
    http_forget(e, t);
}

/* Memory came free: the paused go on, oldest first, as long as the budget lasts. */
static void resume_paused(struct http_engine *e)
{
    struct http_transfer_state *next;
    if (e->n_paused == 0)
        return;
    for (struct http_transfer_state *s = e->oldest; s; s = next) {
        next = s->newer;
        if (!s->paused)
            continue;
        if (s != e->oldest && e->held_bytes > e->options.limits.memory_bytes)
            return;
        s->paused = false;
        e->n_paused--;
        curl_easy_pause(s->easy, CURLPAUSE_CONT);       /* may call on_body, which may pause again */
    }
}

static void collect(struct http_engine *e)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(e->multi, &left))) {
        struct http_transfer_state *s = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode rc = m->data.result;       /* m dies with the handle's removal */
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &s);
        finish(e, s, rc);
    }
    resume_paused(e);
}

int http_engine_step(struct http_engine *e, double timeout_s, struct error *err)
{
    struct epoll_event events[EVENTS_PER_WAIT];
    int running, n;
    double now = clock_seconds(), wait = e->wake_at - now;
    if (wait > timeout_s)
        wait = timeout_s;
    /* First the flag, then the look: whoever wakes in between sees the flag, or was seen. */
    atomic_store(&e->waiting, true);
    if (atomic_exchange(&e->woken, false))
        wait = 0;
    n = epoll_wait(e->epoll_fd, events, EVENTS_PER_WAIT, wait <= 0 ? 0 : (int)ceil(wait * 1000));
    atomic_store(&e->waiting, false);
    if (n < 0 && errno != EINTR)
        return error_errno(err, EX_OSERR, "cannot wait for the network");
    e->now_s = (int64_t)time(NULL);
    e->idle = n <= 0;
    for (int i = 0; i < n; i++) {
        uint64_t count;
        if (events[i].data.fd == e->wake_fd) {
            if (read(e->wake_fd, &count, sizeof count) == sizeof count)
                atomic_store(&e->woken, false);
            continue;
        }
        int ready = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                    (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                    (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        curl_multi_socket_action(e->multi, events[i].data.fd, ready, &running);
    }
    if (clock_seconds() >= e->wake_at) {
        e->wake_at = INFINITY;
        e->idle = false;
        curl_multi_socket_action(e->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    collect(e);
    return 0;
}

bool http_engine_idle(const struct http_engine *e) { return e->idle; }

void http_engine_each(struct http_engine *e, void (*each)(void *context, struct http_transfer *t), void *context)
{
    for (struct http_transfer_state *s = e->oldest; s; s = s->newer)
        each(context, s->transfer);
}

unsigned http_engine_active(const struct http_engine *e) { return e->n_active; }
bool http_engine_has_memory(const struct http_engine *e) { return e->held_bytes <= e->options.limits.memory_bytes; }
uint64_t http_engine_bytes(const struct http_engine *e) { return e->received_bytes; }

void http_engine_drop(struct http_engine *e)
{
    while (e->oldest) {
        struct http_transfer_state *s = e->oldest;
        struct http_transfer *t = s->transfer;
        curl_multi_remove_handle(e->multi, s->easy);
        unlink_active(e, s);
        t->outcome = HTTP_FAILED_STOPPED;
        e->done(e->context, t);
        http_forget(e, t);
    }
}

int http_engine_open(struct http_engine **out, const struct http_options *o, http_judge *judge, http_admit *admit,
                     http_done *done, void *context, struct error *err)
{
    struct http_engine *e = mem_zalloc(1, sizeof *e, err);
    *out = NULL;
    if (!e)
        return -1;
    e->options = *o;
    e->judge = judge, e->admit = admit, e->done = done, e->context = context;
    e->wake_at = INFINITY;
    e->now_s = (int64_t)time(NULL);
    e->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event wake = {.events = EPOLLIN, .data.fd = e->wake_fd};
    if (e->epoll_fd < 0 || e->wake_fd < 0 || epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, e->wake_fd, &wake)) {
        error_errno(err, EX_OSERR, "cannot make an epoll descriptor");
        http_engine_close(e);
        return -1;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) || !(e->multi = curl_multi_init())) {
        error_set(err, EX_SOFTWARE, "cannot start libcurl");
        http_engine_close(e);
        return -1;
    }
    curl_multi_setopt(e->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(e->multi, CURLMOPT_SOCKETDATA, e);
    curl_multi_setopt(e->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(e->multi, CURLMOPT_TIMERDATA, e);
    curl_multi_setopt(e->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    /* libcurl counts a clear-text proxy as the one host of all: our caller counts hosts anyway. */
    curl_multi_setopt(e->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                      (long)(o->proxy ? o->limits.n_parallel : o->limits.n_per_host));
    curl_multi_setopt(e->multi, CURLMOPT_MAXCONNECTS, (long)o->limits.n_parallel);
    curl_multi_setopt(e->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, 128L);
    *out = e;
    return 0;
}

void http_engine_close(struct http_engine *e)
{
    if (!e)
        return;
    while (e->oldest) {
        struct http_transfer_state *s = e->oldest;
        curl_multi_remove_handle(e->multi, s->easy);
        unlink_active(e, s);
        http_forget(e, s->transfer);
    }
    while (e->free) {
        struct http_transfer_state *s = e->free;
        e->free = s->older;
        state_free(s);
    }
    if (e->multi)
        curl_multi_cleanup(e->multi);
    while (e->n_spares > 0)
        free(e->spares[--e->n_spares].body);
    if (e->epoll_fd >= 0)
        close(e->epoll_fd);
    if (e->wake_fd >= 0)
        close(e->wake_fd);
    free(e);
}
