/*
 * attempt.c: one request after another for an entry: robots.txt first, redirects as requests of their own (so that each
 * hop passes the address check, the target host's limits and its robots.txt), and what an answer means.
 */
#include <stdlib.h>
#include <string.h>

#include "fetch.h"
#include "http/http_url.h"

#define ROBOTS_MAX_REDIRECTS 5      /* RFC 9309 section 2.3.1.2 */
#define CATCH_UP_S 0.02
#define PARTIAL_MIN_BYTES (16u << 10)   /* less is cheaper to ask for again than to continue */

/* A transfer's token: the entry's index, or a robots.txt for a host. */
struct robots_request { struct fetch *f; uint32_t host; unsigned n_redirects; char *url; };

static void *entry_token(uint32_t index) { return (void *)(((uintptr_t)index << 1) | 1); }
static bool token_is_entry(const void *token) { return ((uintptr_t)token & 1) != 0; }
static uint32_t token_entry(const void *token) { return (uint32_t)((uintptr_t)token >> 1); }

uint32_t fetch_current_host(const struct entry *e) { return e->hop && e->hop->url ? e->hop->host : e->host; }
static const char *current_url(const struct entry *e) { return e->hop && e->hop->url ? e->hop->url : e->url; }

void fetch_hop_free(struct entry *e)
{
    if (!e->hop)
        return;
    free(e->hop->url);
    free(e->hop->partial);
    free(e->hop->partial_etag);
    free(e->hop->partial_url);
    free(e->hop);
    e->hop = NULL;
}

static struct hop *need_hop(struct entry *e, struct error *err)
{
    if (!e->hop)
        e->hop = mem_zalloc(1, sizeof *e->hop, err);
    return e->hop;
}

static void drop_partial(struct hop *hop)
{
    free(hop->partial);
    free(hop->partial_etag);
    free(hop->partial_url);
    hop->partial = NULL;
    hop->partial_etag = hop->partial_url = NULL;
    hop->n_partial = 0;
}

/* --- robots.txt ------------------------------------------------------------------------------------------------ */

static int start_robots(struct fetch *f, uint32_t host, const char *url, unsigned n_redirects, struct error *err)
{
    struct robots_request *q = mem_zalloc(1, sizeof *q, err);
    struct http_transfer *t = NULL;
    if (!q || !(q->url = mem_strdup(url, err)) || !(t = http_new(f->engine, err)))
        goto fail;
    q->f = f;
    q->host = host;
    q->n_redirects = n_redirects;
    t->url = q->url;
    t->token = q;
    t->body_limit = ROBOTS_MAX_BYTES;
    if (http_start(f->engine, t, err))
        goto fail;
    f->hosts[host].robots_state = ROBOTS_ASKING;
    f->hosts[host].n_active++;
    f->counts.n_requests++;
    return 0;
fail:
    if (t)
        http_forget(f->engine, t);
    if (q)
        free(q->url);
    free(q);
    return -1;
}

static int ask_robots(struct fetch *f, uint32_t host, const char *url, struct error *err)
{
    struct http_url_parts parts;
    struct text canonical = TEXT_EMPTY, robots = TEXT_EMPTY;
    const char *why;
    int rc = http_url_canonical(url, strlen(url), &canonical, &parts, &why, err) == 1 &&
             text_add(&robots, canonical.data, parts.path, err) == 0 && text_puts(&robots, "/robots.txt", err) == 0
                 ? start_robots(f, host, robots.data, 0, err) : -1;
    text_release(&canonical);
    text_release(&robots);
    return rc;
}

static void robots_known(struct fetch *f, uint32_t host, const char *bytes, size_t n)
{
    struct host *h = &f->hosts[host];
    h->robots_state = ROBOTS_KNOWN;
    fetch_host_good(f, host);
    if (n == 0)
        return;
    if (!(h->robots = mem_zalloc(1, sizeof *h->robots, f->err)) ||
        robots_parse(h->robots, bytes, n, "winnow", f->err)) {
        fetch_broken(f);
        return;
    }
    if (h->robots->n_rules == 0 && h->robots->crawl_delay_s == 0) {
        robots_release(h->robots);
        free(h->robots);
        h->robots = NULL;
    }
}

static void robots_done(struct fetch *f, struct http_transfer *t)
{
    struct robots_request *q = t->token;
    uint32_t host = q->host;
    struct host *h = &f->hosts[host];
    int status = t->headers.status;
    h->n_active--;
    h->robots_state = ROBOTS_UNKNOWN;
    if (t->outcome == HTTP_FAILED_STOPPED) {
        /* nothing is known, nothing is asked any more */
    } else if ((t->outcome == HTTP_ANSWERED || t->outcome == HTTP_FAILED_TRUNCATED) && status == 200) {
        robots_known(f, host, (const char *)t->body, t->n_body);
    } else if (t->outcome == HTTP_FAILED_TOO_LARGE && status == 200) {
        robots_known(f, host, (const char *)t->body, t->n_body);    /* the first 500 KiB count */
    } else if (t->outcome == HTTP_ANSWERED && status >= 300 && status < 400 && t->redirect_url) {
        struct text url = TEXT_EMPTY;
        struct http_url_parts parts;
        const char *why;
        int good = http_url_canonical(t->redirect_url, strlen(t->redirect_url), &url, &parts, &why, f->err);
        if (good < 0 || (good && q->n_redirects < ROBOTS_MAX_REDIRECTS &&
                         start_robots(f, host, url.data, q->n_redirects + 1, f->err)))
            fetch_broken(f);
        else if (!good || q->n_redirects >= ROBOTS_MAX_REDIRECTS)
            robots_known(f, host, NULL, 0);     /* RFC 9309: as if there were none */
        text_release(&url);
    } else if (t->outcome == HTTP_FAILED_REFUSED) {
        /* Every address of this host is refused for the same reason: let the entries say so. */
        robots_known(f, host, NULL, 0);
    } else if (t->outcome == HTTP_ANSWERED && status < 500 && status != 429) {
        robots_known(f, host, NULL, 0);
    } else {
        /* Unreachable means no permission (RFC 9309 2.3.1.4). The breaker paces the attempts and ends them. */
        if (t->outcome != HTTP_ANSWERED && (t->outcome == HTTP_FAILED_DNS || t->outcome == HTTP_FAILED_CONNECT))
            f->n_unreachable++;
        else
            f->n_answers++;
        if (++h->robots_tries >= f->opt->n_tries) {
            enum reason r = t->outcome == HTTP_FAILED_DNS       ? REASON_DNS
                            : t->outcome == HTTP_FAILED_CONNECT ? REASON_CONNECT
                            : t->outcome == HTTP_FAILED_TLS     ? REASON_TLS
                                                                : REASON_ROBOTS_UNREACHABLE;
            fetch_host_give_up(f, host, r, 0);
        } else {
            double wait = f->opt->retry_wait_s * (1 << (h->robots_tries - 1));
            if (t->headers.retry_after_s > (int64_t)wait)
                wait = (double)t->headers.retry_after_s;
            if (wait > f->opt->max_wait_s)
                fetch_host_give_up(f, host, REASON_RETRY_LATER, f->now_s + (int64_t)wait);
            else
                fetch_host_hold(f, host, wait);
        }
    }
    free(q->url);
    free(q);
    if (fetch_host_poke(f, host, f->err))
        fetch_broken(f);
}

/* --- starting -------------------------------------------------------------------------------------------------- */

static void use_up_start(struct fetch *f, struct host *h)
{
    double spacing = f->rate_given || !h->loopback ? f->spacing_s : 0;
    if (h->robots && h->robots->crawl_delay_s > spacing)
        spacing = h->robots->crawl_delay_s;
    if (spacing <= 0)
        return;
    /* The loop sleeps in whole milliseconds: what a high rate lost by that it may catch up. */
    double late = spacing > CATCH_UP_S ? spacing : CATCH_UP_S;
    h->free_at = (h->free_at > f->now - late ? h->free_at : f->now) + spacing;
}

/* The host, which fetch_next_ready gave, starts the request that it may start now. */
int fetch_start_one(struct fetch *f, uint32_t host, struct error *err)
{
    struct host *h = &f->hosts[host];
    uint32_t index = h->head;
    struct entry *e = &f->entries[index];
    const char *url = current_url(e);
    if (!f->opt->ignore_robots && h->robots_state == ROBOTS_UNKNOWN)
        return ask_robots(f, host, url, err);
    fetch_dequeue(f, h);
    if (h->robots) {
        const char *path = strchr(strstr(url, "://") + 3, '/');
        if (path && !robots_allows(h->robots, path)) {
            struct outcome o = {.reason = REASON_ROBOTS_TXT};
            fetch_fail(f, index, &o, NULL);
            return fetch_host_poke(f, host, err);
        }
    }
    struct http_transfer *t = http_new(f->engine, err);
    if (!t)
        return -1;
    t->url = url;
    t->token = entry_token(index);
    if (e->stored && e->more && !(e->hop && e->hop->n_partial)) {
        t->if_none_match = e->more->etag;
        t->if_modified_since = e->more->etag ? NULL : e->more->last_modified;
    }
    if (e->hop && e->hop->partial) {
        bool same = strcmp(e->hop->partial_url, url) == 0;
        t->if_range = e->hop->partial_etag;
        if (same && http_set_prefix(f->engine, t, e->hop->partial, e->hop->n_partial, err))
            return -1;
    }
    if (http_start(f->engine, t, err)) {
        http_forget(f->engine, t);
        return -1;
    }
    if (!e->hop || e->hop->n_redirects == 0)
        f->counts.n_asked += e->tries == 0;
    e->state = ENTRY_ACTIVE;
    h->n_active++;
    f->counts.n_requests++;
    use_up_start(f, h);
    return fetch_host_poke(f, host, err);
}

/* --- answers --------------------------------------------------------------------------------------------------- */

bool fetch_judge(void *context, const struct http_transfer *t)
{
    const struct fetch *f = context;
    if (!token_is_entry(t->token))
        return t->headers.status == 200;
    if (t->headers.status != 200 && t->headers.status != 206)
        return false;
    if (t->headers.encoded || (t->headers.no_ai && !f->opt->ignore_robots))
        return false;
    return picture_kind_kept(picture_kind_of(t->body, t->n_body));
}

/* The first part of a broken transfer is kept in memory for the next try if the server named its version strongly. */
static void keep_partial(struct entry *e, struct http_transfer *t)
{
    struct error ignored = {0};
    struct hop *hop = e->hop;
    bool good = (t->outcome == HTTP_FAILED_TRUNCATED || t->outcome == HTTP_FAILED_RESET ||
                 t->outcome == HTTP_FAILED_STALLED || t->outcome == HTTP_FAILED_TIMEOUT) &&
                t->judged && t->wanted && t->n_body >= PARTIAL_MIN_BYTES &&
                (t->headers.status == 200 || t->headers.status == 206);
    if (hop && hop->partial && !(good && t->resumed))
        drop_partial(hop);
    if (!good)
        return;
    const char *etag = http_headers_strong_etag(&t->headers);
    if (!*etag || !(hop = need_hop(e, &ignored)))
        return;
    drop_partial(hop);
    hop->partial = mem_dup(t->body, t->n_body, &ignored);
    hop->partial_etag = mem_strdup(etag, &ignored);
    hop->partial_url = mem_strdup(t->url, &ignored);
    hop->n_partial = t->n_body;
    if (!hop->partial || !hop->partial_etag || !hop->partial_url)
        drop_partial(hop);
}

static void follow(struct fetch *f, uint32_t index, struct http_transfer *t)
{
    struct entry *e = &f->entries[index];
    struct text url = TEXT_EMPTY;
    struct http_url_parts parts;
    const char *why;
    uint32_t host;
    struct hop *hop;
    struct outcome o = {.status = t->headers.status};
    int good = http_url_canonical(t->redirect_url, strlen(t->redirect_url), &url, &parts, &why, f->err);
    if (good < 0)
        goto broken;
    if (!good) {
        o.reason = REASON_REDIRECT_REFUSED;
        o.detail = why;
        fetch_fail(f, index, &o, t);
    } else if (placeholder_redirect(f, url.data)) {
        o.reason = REASON_PLACEHOLDER;
        o.detail = url.data;
        fetch_fail(f, index, &o, t);
    } else if (e->hop && e->hop->n_redirects >= f->opt->n_redirects) {
        o.reason = REASON_REDIRECT_LIMIT;
        fetch_fail(f, index, &o, t);
    } else if (fetch_taken_down_url(f, url.data)) {
        o.reason = REASON_TAKEN_DOWN;
        fetch_fail(f, index, &o, t);
    } else {
        if (fetch_host_of(f, url.data, &parts, &host, f->err) || !(hop = need_hop(e, f->err)))
            goto broken;
        char *kept = mem_strdup(url.data, f->err);
        if (!kept)
            goto broken;
        free(hop->url);
        hop->url = kept;
        hop->host = host;
        hop->n_redirects++;
        if (f->hosts[host].given_up) {
            o.reason = (enum reason)f->hosts[host].give_up_reason;
            fetch_fail(f, index, &o, t);
        } else if (fetch_enqueue(f, index, true, f->err)) {
            goto broken;
        }
    }
    text_release(&url);
    return;
broken:
    text_release(&url);
    fetch_broken(f);
}

static void answer_200(struct fetch *f, uint32_t index, struct http_transfer *t)
{
    struct outcome o = {.status = 200};
    enum picture_kind kind = t->n_body ? picture_kind_of(t->body, t->n_body) : PICTURE_UNKNOWN;
    char detail[80];
    o.detail = picture_kind_name(kind);
    if (t->headers.no_ai && !f->opt->ignore_robots) {
        o.reason = REASON_X_ROBOTS_TAG;
        o.detail = t->headers.no_ai_directive;
    } else if (t->headers.encoded) {
        o.reason = REASON_ENCODED;
        o.detail = t->headers.encoding;
    } else if (t->n_body == 0) {
        o.reason = REASON_EMPTY;
        o.detail = "";
    } else if (kind == PICTURE_HTML) {
        o.reason = REASON_HTML;
        o.detail = "";
    } else if (!picture_kind_kept(kind)) {
        o.reason = kind >= PICTURE_AVIF && kind <= PICTURE_SVG ? REASON_FORMAT : REASON_NOT_A_PICTURE;
    } else if (!t->length_known && !picture_kind_complete(kind, t->body, t->n_body)) {
        /* Nothing but the picture's own end could have told a whole body from a cut one. */
        o.reason = REASON_TRUNCATED;
        o.detail = "no length was announced and the picture has no end";
    } else if (t->n_body < f->opt->min_bytes) {
        o.reason = REASON_TOO_SMALL;
        snprintf(detail, sizeof detail, "%zu bytes", t->n_body);
        o.detail = detail;
    } else {
        fetch_succeed(f, index, t, kind);
        return;
    }
    fetch_fail(f, index, &o, t);
}

static void answered(struct fetch *f, uint32_t index, struct http_transfer *t)
{
    struct entry *e = &f->entries[index];
    uint32_t host = fetch_current_host(e);
    int status = t->headers.status;
    bool busy = status == 429 || status >= 500;
    f->n_answers++;
    if (!busy)
        fetch_host_good(f, host);
    if (status == 200 || status == 206) {
        answer_200(f, index, t);
    } else if (status == 304 && e->stored) {
        fetch_unchanged(f, index, t);
    } else if ((status == 301 || status == 302 || status == 303 || status == 307 || status == 308) && t->redirect_url) {
        follow(f, index, t);
    } else {
        struct outcome o = {.reason = REASON_HTTP, .status = status, .host_bad = status >= 500};
        o.retry_after_s = (double)t->headers.retry_after_s;
        /* A 429 without a time still means the whole host: at least the usual back-off. */
        o.slow_down = status == 429 || (busy && t->headers.retry_after_s >= 0);
        fetch_fail(f, index, &o, t);
    }
}

static void entry_done(struct fetch *f, struct http_transfer *t)
{
    static const enum reason reasons[HTTP_OUTCOMES] = {
        [HTTP_FAILED_DNS] = REASON_DNS,
        [HTTP_FAILED_CONNECT] = REASON_CONNECT,
        [HTTP_FAILED_TLS] = REASON_TLS,
        [HTTP_FAILED_TIMEOUT] = REASON_TIMEOUT,
        [HTTP_FAILED_STALLED] = REASON_STALLED,
        [HTTP_FAILED_RESET] = REASON_RESET,
        [HTTP_FAILED_TRUNCATED] = REASON_TRUNCATED,
        [HTTP_FAILED_TOO_LARGE] = REASON_TOO_LARGE,
        [HTTP_FAILED_HEADERS] = REASON_HEADERS_TOO_LARGE,
        [HTTP_FAILED_REFUSED] = REASON_REFUSED_ADDRESS,
        [HTTP_FAILED_RANGE] = REASON_TRUNCATED,
        [HTTP_FAILED_STOPPED] = REASON_NOT_ASKED,
        [HTTP_FAILED_OTHER] = REASON_TRANSFER,
    };
    uint32_t index = token_entry(t->token);
    struct entry *e = &f->entries[index];
    uint32_t host = fetch_current_host(e);
    f->hosts[host].n_active--;
    keep_partial(e, t);
    if (t->outcome == HTTP_ANSWERED) {
        answered(f, index, t);
    } else {
        bool unreachable = t->outcome == HTTP_FAILED_DNS || t->outcome == HTTP_FAILED_CONNECT;
        struct outcome o = {.reason = reasons[t->outcome], .error = t->detail, .status = t->headers.status};
        o.host_bad = unreachable || t->outcome == HTTP_FAILED_TLS || t->outcome == HTTP_FAILED_TIMEOUT ||
                     t->outcome == HTTP_FAILED_STALLED || (t->outcome == HTTP_FAILED_RESET && t->headers.status == 0);
        if (unreachable)
            f->n_unreachable++;
        else if (t->outcome != HTTP_FAILED_STOPPED)
            f->n_answers++;
        fetch_fail(f, index, &o, t);
    }
    if (fetch_host_poke(f, host, f->err))
        fetch_broken(f);
}

void fetch_done(void *context, struct http_transfer *t)
{
    struct fetch *f = context;
    if (token_is_entry(t->token))
        entry_done(f, t);
    else
        robots_done(f, t);
}
