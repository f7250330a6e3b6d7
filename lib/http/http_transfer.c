/* http_transfer.c: the pool of transfers and bodies, and the settings of a request. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "http_engine.h"
#include "http/http_proxy.h"
#include "http/http_url.h"

int http_body_reserve(struct http_transfer_state *s, size_t wanted, struct error *err)
{
    struct http_transfer *t = s->transfer;
    size_t capacity = s->capacity ? s->capacity : BODY_FIRST_BYTES;
    if (wanted <= s->capacity) return 0;
    struct http_engine *e = s->engine;
    if (s->capacity == 0 && e->n_spares && e->spares[e->n_spares - 1].capacity >= wanted) {
        struct spare spare = e->spares[--e->n_spares];
        t->body = spare.body;
        s->capacity = spare.capacity;
        if (s->active) e->held_bytes += s->capacity;
        return 0;
    }
    while (capacity < wanted)
        if (!size_mul(capacity, 2, &capacity)) return error_set(err, EX_OSERR, "out of memory");
    uint8_t *body = mem_realloc(t->body, capacity, err);
    if (!body) return -1;
    if (s->active) e->held_bytes += capacity - s->capacity;
    t->body = body;
    s->capacity = capacity;
    return 0;
}

/* --- transfers --- */

void http_state_free(struct http_transfer_state *s)
{
    if (!s) return;
    if (s->easy) curl_easy_cleanup(s->easy);
    curl_slist_free_all(s->headers);
    free(s->transfer->body);
    free(s->transfer->redirect_url);
    text_release(&s->transfer->set_cookies);
    free(s->transfer);
    free(s);
}

static int easy_prepare(struct http_transfer_state *s, struct error *err)
{
    const struct http_options *o = &s->engine->options;
    const struct http_limits *l = &o->limits;
    CURL *c = s->easy = curl_easy_init();
    CURLcode rc = CURLE_OK;
    if (!c) return error_set(err, EX_OSERR, "cannot start libcurl");
#define SET(option, value)                                                                                   \
    do {                                                                                                     \
        if (rc == CURLE_OK) rc = curl_easy_setopt(c, option, value);                                         \
    } while (0)
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_ERRORBUFFER, s->errors);
    SET(CURLOPT_PRIVATE, s);
    SET(CURLOPT_WRITEFUNCTION, http_response_body);
    SET(CURLOPT_WRITEDATA, s);
    SET(CURLOPT_HEADERFUNCTION, http_response_header);
    SET(CURLOPT_HEADERDATA, s);
    SET(CURLOPT_OPENSOCKETFUNCTION, http_open_socket);
    SET(CURLOPT_OPENSOCKETDATA, s);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    /* the path is already canonical, and robots.txt was checked for this form */
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_FOLLOWLOCATION, 0L); /* every hop comes back to the caller, who checks it */
    SET(CURLOPT_USERAGENT, o->user_agent);
    SET(CURLOPT_PROXY, o->proxy ? o->proxy : "");
    /* no_proxy in the environment would bypass the proxy and the address check. */
    SET(CURLOPT_NOPROXY, "");
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(l->connect_s * 1000));
    SET(CURLOPT_TIMEOUT_MS, (long)(l->total_s * 1000));
    SET(CURLOPT_LOW_SPEED_LIMIT, (long)l->min_bytes_per_s);
    SET(CURLOPT_LOW_SPEED_TIME, (long)ceil(l->min_speed_s));
    /* A large buffer takes a usual picture in one read. With thousands of transfers, large
     * buffers would take too much memory. */
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
            http_state_free(s);
            return NULL;
        }
    }
    struct http_transfer *t = s->transfer;
    uint8_t *body = t->body;
    *t = (struct http_transfer){.body = body, .state = s};
    http_headers_start(&t->headers);
    s->older = s->newer = NULL;
    s->n_prefix = s->n_drained = s->header_bytes = 0;
    s->active = s->paused = s->refused = s->crowded = s->connecting = s->settled = s->mismatched =
        s->too_large = s->headers_too_large = s->two_lengths = s->no_memory = false;
    s->errors[0] = 0;
    return t;
}

int http_set_prefix(struct http_engine *e, struct http_transfer *t, const void *bytes, size_t n,
                    const char *validator, uint64_t whole_bytes, struct error *err)
{
    struct http_transfer_state *s = t->state;
    (void)e;
    if (strlen(validator) >= sizeof s->validator) return 0;
    if (http_body_reserve(s, n, err)) return -1;
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
    text_release(&t->set_cookies);
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

void http_replace_body(struct http_transfer *t, uint8_t *body, size_t n, size_t capacity)
{
    free(t->body);
    t->body = body;
    t->n_body = n;
    t->state->capacity = capacity; /* no longer in flight, so not in held_bytes */
}

void http_give_body(struct http_engine *e, uint8_t *body, size_t capacity)
{
    if (body && capacity <= BODY_KEEP_BYTES && e->n_spares < N_SPARES)
        e->spares[e->n_spares++] = (struct spare){body, capacity};
    else
        free(body);
}

static int add_header(struct http_transfer_state *s, const char *name, const char *value, struct error *err)
{
    struct text line = TEXT_EMPTY;
    struct curl_slist *list = NULL;
    if (text_printf(&line, err, "%s: %s", name, value) == 0 &&
        !(list = curl_slist_append(s->headers, line.data)))
        error_set(err, EX_OSERR, "out of memory");
    text_release(&line);
    if (!list) return -1;
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
    if (e->options.proxy && !proxy_may_ask(e, t, err)) return err->code ? -1 : 1;
    s->limit = t->body_limit ? t->body_limit : e->options.limits.body_bytes;
    if ((t->if_none_match && add_header(s, "If-None-Match", t->if_none_match, err)) ||
        (t->if_modified_since && add_header(s, "If-Modified-Since", t->if_modified_since, err)) ||
        (t->cookies && add_header(s, "Cookie", t->cookies, err)) ||
        (s->n_prefix && add_header(s, "If-Range", t->if_range, err)) ||
        add_header(s, "Accept", "image/jpeg, image/png, image/webp, image/gif, image/*;q=0.5, */*;q=0.1",
                   err))
        return -1;
    snprintf(range, sizeof range, "%zu-", s->n_prefix);
    t->ranged = s->n_prefix > 0;
    if (curl_easy_setopt(c, CURLOPT_URL, t->url) || curl_easy_setopt(c, CURLOPT_HTTPHEADER, s->headers) ||
        curl_easy_setopt(c, CURLOPT_RANGE, s->n_prefix ? range : NULL) ||
        curl_easy_setopt(c, CURLOPT_HTTP_VERSION,
                         (long)(https && !e->options.no_http2 ? CURL_HTTP_VERSION_2TLS
                                                              : CURL_HTTP_VERSION_1_1)) ||
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
