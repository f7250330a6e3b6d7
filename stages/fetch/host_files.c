/* host_files.c: see host_files.h. */
#include "host_files.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/http_decode.h"
#include "http/http_url.h"
#include "outcome.h"

#define ROBOTS_MAX_REDIRECTS 5 /* RFC 9309 section 2.3.1.2 */

/* A transfer's token. */
struct file_request {
    uint32_t host;
    bool tdmrep; /* else robots.txt */
    unsigned n_redirects;
    char *url;
};

bool host_files_token(const void *token, uint32_t *host)
{
    const struct file_request *q = token;
    *host = q->host;
    return q->n_redirects == 0;
}

bool host_files_wanted(const struct fetch *f, const struct host *h)
{
    return !f->opt->ignore_robots &&
           (h->robots_state == ROBOTS_UNKNOWN || (f->opt->rights != RIGHTS_IGNORE && !h->tdmrep_known));
}

static int start(struct fetch *f, uint32_t host, bool tdmrep, const char *url, unsigned n_redirects,
                 struct error *err)
{
    struct file_request *q = mem_zalloc(1, sizeof *q, err);
    struct http_transfer *t = NULL;
    int rc = -1;
    if (!q || !(q->url = mem_strdup(url, err)) || !(t = http_new(f->engine, err))) goto fail;
    q->host = host;
    q->tdmrep = tdmrep;
    q->n_redirects = n_redirects;
    t->url = q->url;
    t->token = q;
    t->body_limit = tdmrep ? TDMREP_MAX_BYTES : ROBOTS_MAX_BYTES;
    t->cut_at_limit = true;
    address_enter(&f->schedule, n_redirects == 0 ? host : NO_INDEX, t);
    int started = http_start(f->engine, t, err);
    if (started < 0) goto fail;
    if (started > 0) { /* a host that must not be requested through a proxy: its entries get this reason */
        fetch_host(f, host)->robots_state = ROBOTS_KNOWN;
        fetch_host(f, host)->tdmrep_known = true;
        rc = 0;
        goto fail;
    }
    fetch_host(f, host)->robots_state = ROBOTS_ASKING;
    fetch_host(f, host)->n_active++;
    f->counts.n_requests++;
    return 0;
fail:
    if (t) {
        if (address_leave(&f->schedule, t, err)) rc = -1;
        http_forget(f->engine, t);
    }
    if (q) free(q->url);
    free(q);
    return rc;
}

int host_files_ask(struct fetch *f, uint32_t host, const char *url, struct error *err)
{
    const struct host *h = fetch_host(f, host);
    struct http_url_parts parts;
    struct text canonical = TEXT_EMPTY, file = TEXT_EMPTY;
    const char *why;
    bool tdmrep = h->robots_state == ROBOTS_KNOWN;
    if (tdmrep && h->tls && text_starts(url, "http:")) /* where its robots.txt led */
        url = text_printf(&file, err, "https%s", url + 4) ? NULL : file.data;
    int rc = url && http_url_canonical(url, strlen(url), &canonical, &parts, &why, err) == 1 ? 0 : -1;
    text_clear(&file);
    if (rc || text_add(&file, canonical.data, parts.path, err) ||
        text_puts(&file, tdmrep ? TDMREP_PATH : "/robots.txt", err) ||
        start(f, host, tdmrep, file.data, 0, err))
        rc = -1;
    text_release(&canonical);
    text_release(&file);
    return rc;
}

static void forget_robots(struct host *h)
{
    if (h->robots) robots_release(h->robots);
    free(h->robots);
    h->robots = NULL;
}

static void robots_known(struct fetch *f, uint32_t host, const char *bytes, size_t n)
{
    struct host *h = fetch_host(f, host);
    h->robots_state = ROBOTS_KNOWN;
    forget_robots(h); /* after an outage between the two requests, both files are requested again */
    fetch_host_good(f, host);
    if (n == 0) return;
    if (!(h->robots = mem_zalloc(1, sizeof *h->robots, f->err)) ||
        robots_parse(h->robots, bytes, n, "winnow", f->err)) {
        fetch_abort(f);
        return;
    }
    if (robots_is_empty(h->robots)) forget_robots(h);
}

void host_files_failed(struct fetch *f, uint32_t host, enum http_outcome outcome, int64_t retry_after_s)
{
    struct host *h = fetch_host(f, host);
    if (outcome == HTTP_FAILED_DNS || outcome == HTTP_FAILED_CONNECT)
        f->counts.n_unreachable++;
    else
        f->counts.n_responses++;
    if (++h->robots_tries >= f->opt->n_tries) {
        enum reason r = outcome == HTTP_FAILED_DNS       ? REASON_DNS
                        : outcome == HTTP_FAILED_CONNECT ? REASON_CONNECT
                        : outcome == HTTP_FAILED_TLS     ? REASON_TLS
                                                         : REASON_ROBOTS_UNREACHABLE;
        fetch_host_give_up(f, host, r, 0);
        return;
    }
    double wait = f->opt->retry_wait_s * (1 << (h->robots_tries - 1));
    if (retry_after_s > (int64_t)wait) wait = (double)retry_after_s;
    if (wait > FETCH_MAX_WAIT_S)
        fetch_host_give_up(f, host, REASON_RETRY_LATER, f->now_s + (int64_t)wait);
    else
        fetch_host_hold(f, host, wait);
}

/* An encoding whose result could be any bytes, and which http_decode does not support. */
static bool coding_is_opaque(const char *encoding)
{
    static const char *const names[] = {"br", "zstd", "compress", "x-compress", "dcb", "dcz", "exi"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(encoding, names[i]) == 0) return true;
    return strchr(encoding, ',') != NULL;
}

/* Decodes the body, or at least its beginning. Returns 1, 0 when it cannot be decoded, or -1 when the run
 * ends. The caller frees *plain. */
static int readable(struct fetch *f, const struct http_transfer *t, uint8_t **plain, const char **bytes,
                    size_t *n)
{
    const struct http_headers *h = &t->headers;
    size_t capacity;
    *plain = NULL;
    *bytes = (const char *)t->body;
    *n = t->n_body;
    /* Some servers store the file as robots.txt.gz and send it without Content-Encoding. */
    if (http_can_decode("gzip", t->body, t->n_body) ||
        (h->encoded && http_can_decode(h->encoding, t->body, t->n_body))) {
        enum http_decoded d = http_decode(t->body, t->n_body, ROBOTS_MAX_BYTES, plain, n, &capacity, f->err);
        if (d == HTTP_DECODE_FAILED) fetch_abort(f);
        *bytes = (const char *)*plain;
        return d == HTTP_DECODE_FAILED ? -1 : d != HTTP_DECODE_DAMAGED || t->outcome != HTTP_RESPONDED;
    }
    return !h->encoded || !coding_is_opaque(h->encoding);
}

static void robots_responded(struct fetch *f, uint32_t host, const struct http_transfer *t)
{
    const char *bytes;
    uint8_t *plain;
    size_t n;
    int got = readable(f, t, &plain, &bytes, &n);
    if (got > 0)
        robots_known(f, host, bytes, n);
    else if (got == 0) /* no permission */
        host_files_failed(f, host, HTTP_FAILED_OTHER, -1);
    free(plain);
}

/* The TDMRep specification gives no meaning to a missing file, no response, a redirect, or a file that is not
 * JSON. */
static void tdmrep_done(struct fetch *f, uint32_t host, struct http_transfer *t)
{
    struct host *h = fetch_host(f, host);
    struct tdmrep *rules;
    const char *bytes;
    uint8_t *plain;
    size_t n;
    h->robots_state = ROBOTS_KNOWN;
    if (t->outcome == HTTP_FAILED_CROWDED || t->outcome == HTTP_FAILED_PROXY) return;
    if ((t->outcome == HTTP_FAILED_DNS || t->outcome == HTTP_FAILED_CONNECT) &&
        outage_defers(f, host, NO_INDEX, t)) {
        h->robots_state = ROBOTS_ASKING;
        return;
    }
    h->tdmrep_known = true;
    if (t->outcome != HTTP_RESPONDED || (t->headers.status != 200 && t->headers.status != 203)) return;
    fetch_host_good(f, host);
    if (readable(f, t, &plain, &bytes, &n) > 0 && n > 0) {
        if (!(rules = mem_zalloc(1, sizeof *rules, f->err)) || tdmrep_parse(rules, bytes, n, f->err) < 0)
            fetch_abort(f);
        if (rules && rules->n_rules > 0) {
            h->tdmrep = rules;
        } else {
            if (rules) tdmrep_release(rules);
            free(rules);
        }
    }
    free(plain);
}

/* Called when robots.txt was requested without TLS and redirected to TLS. The other file is then requested
 * with TLS. */
static void note_tls(struct fetch *f, uint32_t host, const char *url)
{
    struct http_url_parts parts;
    struct text canonical = TEXT_EMPTY;
    const char *why;
    uint32_t found;
    if (!text_starts(url, "https:")) return;
    if (http_url_canonical(url, strlen(url), &canonical, &parts, &why, f->err) != 1 ||
        hosts_add(&f->schedule.hosts, canonical.data, &parts, &found, f->err))
        fetch_abort(f);
    else if (found == host)
        fetch_host(f, host)->tls = true;
    text_release(&canonical);
}

void host_files_done(struct fetch *f, struct http_transfer *t)
{
    struct file_request *q = t->token;
    uint32_t host = q->host;
    struct host *h = fetch_host(f, host);
    int status = t->headers.status;
    h->n_active--;
    h->robots_state = ROBOTS_UNKNOWN;
    if (q->tdmrep)
        tdmrep_done(f, host, t);
    else if (t->outcome == HTTP_FAILED_CROWDED || t->outcome == HTTP_FAILED_PROXY) {
        /* The rules are still unknown. They are requested again before the next request to this host. */
    } else if (outage_defers(f, host, NO_INDEX, t)) {
        h->robots_state = ROBOTS_ASKING; /* until it is known whether the host or the network failed */
    } else if ((t->outcome == HTTP_RESPONDED || t->outcome == HTTP_FAILED_TRUNCATED ||
                t->outcome == HTTP_FAILED_TOO_LARGE) &&
               (status == 200 || status == 203)) {
        note_tls(f, host, q->url);
        robots_responded(f, host, t);
    } else if (t->outcome == HTTP_RESPONDED && status >= 300 && status < 400 && t->redirect_url) {
        struct text url = TEXT_EMPTY;
        struct http_url_parts parts;
        const char *why;
        int good = http_url_canonical(t->redirect_url, strlen(t->redirect_url), &url, &parts, &why, f->err);
        if (good < 0 || (good && q->n_redirects < ROBOTS_MAX_REDIRECTS &&
                         start(f, host, false, url.data, q->n_redirects + 1, f->err)))
            fetch_abort(f);
        else if (!good || q->n_redirects >= ROBOTS_MAX_REDIRECTS)
            robots_known(f, host, NULL, 0); /* RFC 9309: as if there were none */
        text_release(&url);
    } else if (t->outcome == HTTP_FAILED_REFUSED) {
        /* Every address of this host is refused for the same reason, which its entries will report. */
        robots_known(f, host, NULL, 0);
    } else if (t->outcome == HTTP_RESPONDED && status < 500 && status != 429) {
        robots_known(f, host, NULL, 0);
    } else {
        host_files_failed(f, host, t->outcome, t->headers.retry_after_s);
    }
    free(q->url);
    free(q);
    if (host_make_ready(&f->schedule, host, f->err)) fetch_abort(f);
}

/* --- rights --- */

uint32_t host_files_rights(const struct fetch *f, const struct host *h, const char *url)
{
    const char *path = strchr(strstr(url, "://") + 3, '/');
    if (!path || f->opt->rights == RIGHTS_IGNORE) return 0;
    return (h->robots ? robots_rights(h->robots, path) : 0) | (h->tdmrep ? tdmrep_match(h->tdmrep, path) : 0);
}

uint32_t fetch_rights(const struct fetch *f, const struct entry *e, const struct http_headers *h)
{
    if (f->opt->rights == RIGHTS_IGNORE) return 0;
    return (e->hop ? e->hop->rights : 0) | host_files_rights(f, fetch_host(f, entry_host(e)), entry_url(e)) |
           (h ? h->rights | h->tag.set : 0);
}

bool fetch_rights_refuse(const struct fetch *f, uint32_t set)
{
    return f->opt->rights == RIGHTS_OBEY && rights_reserving(set);
}
