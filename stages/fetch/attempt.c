/* attempt.c: see attempt.h. */
#include "attempt.h"

#include <stdlib.h>
#include <string.h>

#include "http/http_decode.h"
#include "host_files.h"
#include "http/http_url.h"
#include "outcome.h"

#define CATCH_UP_S 0.02

/* A transfer's token: the entry's index, or a pointer that host_files.c has set. */
static void *entry_token(uint32_t index) { return (void *)(((uintptr_t)index << 1) | 1); }
static bool token_is_entry(const void *token) { return ((uintptr_t)token & 1) != 0; }
static uint32_t token_entry(const void *token) { return (uint32_t)((uintptr_t)token >> 1); }

bool fetch_token_entry(const struct http_transfer *t, uint32_t *entry)
{
    *entry = token_is_entry(t->token) ? token_entry(t->token) : NO_INDEX;
    return *entry != NO_INDEX;
}

/* Sets *host to the host of a transfer. Returns false when its file is on another host, to which a redirect
 * from *host led. */
static bool token_host(struct fetch *f, const struct http_transfer *t, uint32_t *host)
{
    if (!token_is_entry(t->token)) return host_files_token(t->token, host);
    *host = entry_host(fetch_entry(f, token_entry(t->token)));
    return true;
}

/* --- starting --- */

static void use_up_start(struct fetch *f, struct host *h)
{
    double spacing = f->rate_given || !h->loopback ? f->spacing_s : 0;
    if (h->robots && h->robots->crawl_delay_s > spacing) spacing = h->robots->crawl_delay_s;
    if (spacing <= 0) return;
    /* The loop sleeps for whole milliseconds. With a high rate this loses time, which the host may catch up
     * on. */
    double late = spacing > CATCH_UP_S ? spacing : CATCH_UP_S;
    h->free_at = (h->free_at > f->schedule.now - late ? h->free_at : f->schedule.now) + spacing;
}

/* Applies the rules that need no request. Returns whether they forbid the address. */
static bool forbidden(struct fetch *f, uint32_t index, const struct host *h, const char *url)
{
    char words[RIGHTS_TEXT_BYTES];
    const struct entry *e = fetch_entry(f, index);
    const char *path = strchr(strstr(url, "://") + 3, '/');
    struct outcome o = {.rights = fetch_rights(f, e, NULL)};
    if (h->robots && path && !robots_allows(h->robots, path)) {
        o.reason = REASON_ROBOTS_TXT;
    } else if (fetch_rights_refuse(f, o.rights)) {
        o.reason = REASON_RIGHTS_RESERVED;
        o.detail = rights_text(words, o.rights);
    } else {
        return false;
    }
    fetch_fail(f, index, &o, NULL);
    return true;
}

int fetch_start_one(struct fetch *f, uint32_t host, struct error *err)
{
    struct host *h = fetch_host(f, host);
    uint32_t index = h->head;
    struct entry *e = fetch_entry(f, index);
    const char *url = entry_url(e);
    if (host_files_wanted(f, h))
        return host_files_ask(f, host, url, err) || host_make_ready(&f->schedule, host, err) ? -1 : 0;
    schedule_take(&f->entries, h);
    if (forbidden(f, index, h, url)) return host_make_ready(&f->schedule, host, err);
    if (e->recheck == RECHECK_RULES) e->recheck = RECHECK_FIELDS;
    struct http_transfer *t = http_new(f->engine, err);
    if (!t) return -1;
    t->url = url;
    t->token = entry_token(index);
    if (e->hop) t->cookies = hop_cookies(e->hop, host, text_starts(url, "https:"));
    if (partial_continue(f, index, t, err)) {
        http_forget(f->engine, t);
        return -1;
    }
    if (e->stored && e->more && t->n_body == 0) {
        t->if_none_match = e->more->etag;
        t->if_modified_since = e->more->etag ? NULL : e->more->last_modified;
    }
    int started = http_start(f->engine, t, err);
    if (started) {
        http_forget(f->engine, t);
        if (started < 0) return -1;
        struct outcome o = {.reason = REASON_REFUSED_ADDRESS,
                            .error = "a private or local name or address; the proxy was not asked"};
        fetch_fail(f, index, &o, NULL);
        return host_make_ready(&f->schedule, host, err);
    }
    address_enter(&f->schedule, host, t);
    if (!e->hop || e->hop->n_redirects == 0) f->counts.n_asked += e->tries == 0;
    e->state = ENTRY_ACTIVE;
    h->n_active++;
    f->counts.n_requests++;
    use_up_start(f, h);
    /* The host left the queue. It may start another request, and so may other hosts at its address. */
    return host_make_ready(&f->schedule, host, err) || address_release(&f->schedule, h->address, err) ? -1
                                                                                                      : 0;
}

/* --- responses --- */

bool fetch_accept_headers(void *context, const struct http_transfer *t)
{
    const struct fetch *f = context;
    const struct http_headers *h = &t->headers;
    bool whole = h->status == 200 || h->status == 203;
    if (!token_is_entry(t->token)) return whole;
    if (fetch_entry(f, token_entry(t->token))->recheck) return false; /* the picture is there */
    if ((!whole && h->status != 206) || (h->tag.set && !f->opt->ignore_robots) ||
        fetch_rights_refuse(f, h->rights))
        return false;
    /* Object stores send names that are not encodings, such as "aws-chunked": the bytes decide. */
    return image_kind_kept(image_kind_of(t->body, t->n_body)) ||
           (whole && h->encoded && http_can_decode(h->encoding, t->body, t->n_body));
}

static void follow(struct fetch *f, uint32_t index, struct http_transfer *t)
{
    struct entry *e = fetch_entry(f, index);
    struct text url = TEXT_EMPTY;
    struct http_url_parts parts;
    const char *why;
    uint32_t host;
    struct hop *hop;
    struct outcome o = {.status = t->headers.status};
    int good = http_url_canonical(t->redirect_url, strlen(t->redirect_url), &url, &parts, &why, f->err);
    if (good < 0) goto broken;
    if (!good) {
        o.reason = REASON_REDIRECT_REFUSED;
        o.detail = why;
        fetch_fail(f, index, &o, t);
    } else if (policy_placeholder_redirect(&f->policy, url.data)) {
        o.reason = REASON_PLACEHOLDER;
        o.detail = url.data;
        fetch_fail(f, index, &o, t);
    } else if (e->hop && e->hop->n_redirects >= FETCH_MAX_REDIRECTS) {
        o.reason = REASON_REDIRECT_LIMIT;
        fetch_fail(f, index, &o, t);
    } else if ((good = policy_taken_down(&f->policy, url.data, f->err)) != 0) {
        if (good < 0) goto broken;
        o.reason = REASON_TAKEN_DOWN;
        fetch_fail(f, index, &o, t);
    } else {
        if (hosts_add(&f->schedule.hosts, url.data, &parts, &host, f->err) ||
            !(hop = entry_need_hop(e, f->err)))
            goto broken;
        if (t->set_cookies.n_bytes &&
            hop_keep_cookies(hop, entry_host(e), text_starts(t->url, "https:"), t->set_cookies.data, f->err))
            goto broken;
        char *kept = mem_strdup(url.data, f->err);
        if (!kept) goto broken;
        hop->rights = fetch_rights(f, e, &t->headers);
        free(hop->url);
        hop->url = kept;
        hop->host = host;
        hop->n_redirects++;
        if (fetch_host(f, host)->given_up) {
            o.reason = (enum reason)fetch_host(f, host)->give_up_reason;
            fetch_fail(f, index, &o, t);
        } else if (schedule_add(&f->schedule, &f->entries, index, true, f->err)) {
            goto broken;
        }
    }
    text_release(&url);
    return;
broken:
    text_release(&url);
    fetch_abort(f);
}

/* Decompresses a body that the server compressed although this was not requested. Returns false when it could
 * not be decompressed (*o is set), or when the run ends. */
static bool decode_body(struct fetch *f, struct http_transfer *t, struct outcome *o)
{
    uint8_t *plain;
    size_t n, capacity;
    enum http_decoded d = http_decode(t->body, t->n_body, f->opt->max_bytes, &plain, &n, &capacity, f->err);
    if (d == HTTP_DECODED) {
        http_replace_body(t, plain, n, capacity);
        return true;
    }
    if (d == HTTP_DECODE_FAILED) fetch_abort(f);
    free(plain);
    o->reason = d == HTTP_DECODE_TOO_LARGE ? REASON_TOO_LARGE : REASON_ENCODED;
    o->detail = d == HTTP_DECODE_TOO_LARGE ? "" : t->headers.encoding;
    return false;
}

/* Whether the response with the picture, or the 304, has header fields that forbid the picture's use. */
static bool refused_by_headers(struct fetch *f, uint32_t index, const struct http_transfer *t)
{
    char words[RIGHTS_TEXT_BYTES];
    struct outcome o = {.status = t->headers.status,
                        .rights = fetch_rights(f, fetch_entry(f, index), &t->headers)};
    if (t->headers.tag.set && !f->opt->ignore_robots) {
        o.reason = REASON_X_ROBOTS_TAG;
        o.detail = t->headers.tag.directive;
    } else if (fetch_rights_refuse(f, o.rights)) {
        o.reason = REASON_RIGHTS_RESERVED;
        o.detail = rights_text(words, o.rights);
    } else {
        return false;
    }
    fetch_fail(f, index, &o, t);
    return true;
}

static void response_200(struct fetch *f, uint32_t index, struct http_transfer *t)
{
    struct outcome o = {.status = t->headers.status};
    enum image_kind kind = t->n_body ? image_kind_of(t->body, t->n_body) : IMAGE_UNKNOWN;
    char detail[80];
    if (refused_by_headers(f, index, t)) return;
    if (t->wanted && t->headers.encoded && !image_kind_kept(kind)) {
        if (!decode_body(f, t, &o)) {
            fetch_fail(f, index, &o, t);
            return;
        }
        t->headers.encoded = false;
        kind = t->n_body ? image_kind_of(t->body, t->n_body) : IMAGE_UNKNOWN;
    }
    o.detail = image_kind_name(kind);
    if (t->headers.encoded && !image_kind_kept(kind)) {
        o.reason = REASON_ENCODED;
        o.detail = t->headers.encoding;
    } else if (t->n_body == 0) {
        o.reason = REASON_EMPTY;
        o.detail = "";
    } else if (kind == IMAGE_HTML || kind == IMAGE_XML) {
        o.reason = REASON_HTML;
        o.detail = "";
    } else if (!image_kind_kept(kind)) {
        o.reason = kind >= IMAGE_BMP && kind <= IMAGE_SVG ? REASON_FORMAT : REASON_NOT_AN_IMAGE;
        o.doubtful = kind == IMAGE_JSON || kind == IMAGE_TEXT; /* "quota exceeded" with a 200 */
    } else if (!t->length_known && !image_kind_complete(kind, t->body, t->n_body)) {
        /* The length was not announced, and the end mark of the picture is missing: it was truncated. */
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

/* Handles the response to a request of --recheck-rights. A response that is not a picture may be a login
 * page, whose header fields are not the picture's. */
static void rechecked(struct fetch *f, uint32_t index, struct http_transfer *t)
{
    struct outcome o = {.reason = REASON_NOT_AN_IMAGE, .status = t->headers.status};
    enum image_kind kind = t->n_body ? image_kind_of(t->body, t->n_body) : IMAGE_UNKNOWN;
    o.detail = image_kind_name(kind);
    if (!image_kind_kept(kind) &&
        !(t->headers.encoded && http_can_decode(t->headers.encoding, t->body, t->n_body)))
        fetch_fail(f, index, &o, t);
    else if (!refused_by_headers(f, index, t))
        fetch_unchanged(f, index, t);
}

static void responded(struct fetch *f, uint32_t index, struct http_transfer *t)
{
    struct entry *e = fetch_entry(f, index);
    uint32_t host = entry_host(e);
    int status = t->headers.status;
    bool busy = status == 429 || status >= 500;
    f->counts.n_responses++;
    if (!busy) fetch_host_good(f, host);
    if ((status == 200 || status == 203) && e->recheck) {
        rechecked(f, index, t);
    } else if (status == 200 || status == 203 || status == 206) {
        response_200(f, index, t);
    } else if (status == 304 && e->stored) {
        if (!refused_by_headers(f, index, t)) fetch_unchanged(f, index, t);
    } else if ((status == 301 || status == 302 || status == 303 || status == 307 || status == 308) &&
               t->redirect_url) {
        follow(f, index, t);
    } else {
        struct outcome o = {.reason = REASON_HTTP, .status = status, .host_bad = status >= 500};
        o.retry_after_s = (double)t->headers.retry_after_s;
        /* A 429 without a Retry-After also concerns the whole host: wait at least as long as after a
         * failure. */
        o.slow_down = status == 429 || (busy && t->headers.retry_after_s >= 0);
        fetch_fail(f, index, &o, t);
    }
}

static enum reason reason_of(enum http_outcome outcome)
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
        [HTTP_FAILED_PROXY] = REASON_NOT_ASKED,
        [HTTP_FAILED_OTHER] = REASON_TRANSFER,
    };
    return reasons[outcome];
}

static bool is_unreachable(enum http_outcome o) { return o == HTTP_FAILED_DNS || o == HTTP_FAILED_CONNECT; }

static struct outcome outcome_of_failure(struct fetch *f, enum http_outcome outcome, int status,
                                         const char *detail)
{
    struct outcome o = {.reason = reason_of(outcome), .error = detail, .status = status};
    o.host_bad = is_unreachable(outcome) || outcome == HTTP_FAILED_TLS || outcome == HTTP_FAILED_TIMEOUT ||
                 outcome == HTTP_FAILED_STALLED || (outcome == HTTP_FAILED_RESET && status == 0);
    if (is_unreachable(outcome))
        f->counts.n_unreachable++;
    else if (outcome != HTTP_FAILED_PROXY)
        f->counts.n_responses++;
    return o;
}

void fetch_queue_again(struct fetch *f, uint32_t index)
{
    uint32_t host = entry_host(fetch_entry(f, index));
    if (fetch_host(f, host)->given_up) {
        struct outcome o = {.reason = (enum reason)fetch_host(f, host)->give_up_reason};
        fetch_entry(f, index)->tries = (uint8_t)f->opt->n_tries;
        fetch_fail(f, index, &o, NULL);
    } else if (schedule_add(&f->schedule, &f->entries, index, true, f->err)) {
        fetch_abort(f);
    }
}

void fetch_resolve_deferred(struct fetch *f, const struct deferred *d, bool count)
{
    if (d->entry == NO_INDEX) {
        fetch_host(f, d->host)->robots_state = ROBOTS_UNKNOWN;
        if (count) host_files_failed(f, d->host, d->outcome, -1);
    } else if (count) {
        struct outcome o = outcome_of_failure(f, d->outcome, d->status, d->detail);
        fetch_fail(f, d->entry, &o, NULL);
    } else {
        fetch_queue_again(f, d->entry);
        return;
    }
    if (host_make_ready(&f->schedule, d->host, f->err)) fetch_abort(f);
}

static bool is_literal(const char *host) { return *host == '[' || !host[strspn(host, "0123456789.:")]; }

static void entry_done(struct fetch *f, struct http_transfer *t)
{
    uint32_t index = token_entry(t->token);
    struct entry *e = fetch_entry(f, index);
    uint32_t host = entry_host(e);
    fetch_host(f, host)->n_active--;
    partial_after(f, index, t);
    if (t->outcome == HTTP_FAILED_CROWDED) {
        f->counts.n_requests--; /* nothing was sent */
        fetch_queue_again(f, index);
    } else if (outage_defers(f, host, index, t)) {
        e->state = ENTRY_WAITING;
    } else if (partial_refused(t)) {
        struct outcome o = {.reason = REASON_TRUNCATED,
                            .status = t->headers.status,
                            .free_try = true,
                            .error =
                                t->outcome == HTTP_RESPONDED ? "the server has no such range" : t->detail};
        f->counts.n_responses++;
        fetch_fail(f, index, &o, t);
    } else if (t->outcome == HTTP_RESPONDED) {
        responded(f, index, t);
    } else {
        struct outcome o = outcome_of_failure(f, t->outcome, t->headers.status, t->detail);
        /* Many networks lead to their login page by redirects, or by names, to a private address. */
        o.doubtful = o.reason == REASON_REFUSED_ADDRESS &&
                     ((e->hop && e->hop->n_redirects > 0) || !is_literal(fetch_host(f, host)->name));
        fetch_fail(f, index, &o, t);
    }
    if (host_make_ready(&f->schedule, host, f->err)) fetch_abort(f);
}

void fetch_done(void *context, struct http_transfer *t)
{
    struct fetch *f = context;
    if (address_leave(&f->schedule, t, f->err)) fetch_abort(f);
    if (t->outcome == HTTP_FAILED_PROXY && !f->failed) {
        error_set(f->err, EX_TEMPFAIL,
                  "the proxy asks for a user name and password, or rejects those given (407): see --proxy");
        fetch_abort(f);
    }
    if (token_is_entry(t->token))
        entry_done(f, t);
    else
        host_files_done(f, t);
}

/* Called when the engine is about to connect. From now on the address of the host is known. */
bool fetch_admit(void *context, struct http_transfer *t, const struct sockaddr *address, socklen_t n)
{
    struct fetch *f = context;
    struct addresses *as = &f->schedule.addresses;
    uint32_t index, host;
    if (as->limit == UINT32_MAX) return true;
    if (addresses_add(as, address, n, &index, f->err)) {
        fetch_abort(f);
        return false;
    }
    if (token_host(f, t, &host) && fetch_host(f, host)->address != index) {
        fetch_host(f, host)->address = index;
        /* The host may send more than one request at a time now. */
        if (host_make_ready(&f->schedule, host, f->err)) fetch_abort(f);
    }
    if (t->slot == index + 1) return true;
    if (as->items[index].n_active >= as->limit) return false;
    if (address_leave(&f->schedule, t, f->err)) /* it had a place at the previous address of the name */
        fetch_abort(f);
    as->items[index].n_active++;
    t->slot = index + 1;
    return true;
}
