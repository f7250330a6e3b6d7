/* outcome.c: see outcome.h. */
#include "outcome.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "host_files.h"

#define PENDING_BYTES (256u << 10)
#define HOST_TRIPS 3     /* pauses of a failing host before this run gives it up */
#define BREAKER_PAUSE 10 /* times --retry-wait: the breaker's first pause */

static void write_down(struct fetch *f, const struct journal_record *r)
{
    /* Usually the loop writes all pending records once a turn. When a host is given up, a million addresses
     * may fail in one turn. */
    if (!f->failed && (journal_append(&f->journal, r, f->err) ||
                       (f->journal.pending.n_bytes > PENDING_BYTES && journal_flush(&f->journal, f->err))))
        fetch_abort(f);
}

static void end_entry(struct fetch *f, struct entry *e)
{
    e->state = ENTRY_DONE;
    hop_free(&f->partials, e);
    f->n_open--;
}

static const char *set_detail(struct fetch *f, struct entry *e, const char *detail)
{
    if (!detail || !*detail) {
        if (e->more) e->more->detail = NULL;
        return "";
    }
    struct entry_more *more = entry_need_more(&f->entries, e, f->err);
    if (!more || !(more->detail = arena_strdup(&f->entries.arena, detail, f->err))) fetch_abort(f);
    return detail;
}

void fetch_host_good(struct fetch *f, uint32_t host)
{
    struct host *h = fetch_host(f, host);
    h->n_bad = h->n_trips = h->robots_tries = 0;
}

void fetch_host_hold(struct fetch *f, uint32_t host, double seconds)
{
    struct host *h = fetch_host(f, host);
    if (f->schedule.now + seconds > h->hold_until) h->hold_until = f->schedule.now + seconds;
}

void fetch_host_give_up(struct fetch *f, uint32_t host, enum reason reason, int64_t due)
{
    struct host *h = fetch_host(f, host);
    h->given_up = true;
    h->give_up_reason = (uint8_t)reason;
    h->due = due;
    while (fetch_host(f, host)->n_queued > 0) {
        uint32_t index = schedule_take(&f->entries, fetch_host(f, host));
        struct outcome o = {.reason = reason};
        fetch_entry(f, index)->tries = (uint8_t)f->opt->n_tries;
        fetch_fail(f, index, &o, NULL);
    }
}

/* One more failure in a row. Enough of these pause the host, each time for twice as long, and finally the run
 * gives it up. */
static void fetch_host_bad(struct fetch *f, uint32_t host)
{
    struct host *h = fetch_host(f, host);
    if (h->given_up || ++h->n_bad < f->opt->n_breaker) return;
    if (h->hold_until > f->schedule.now) return; /* the request was in flight when the breaker tripped */
    if (++h->n_trips >= HOST_TRIPS) {
        fetch_host_give_up(f, host, REASON_HOST_DOWN, 0);
        return;
    }
    fetch_host_hold(f, host, f->opt->retry_wait_s * BREAKER_PAUSE * (1 << (h->n_trips - 1)));
}

/* Returns the wait before the next attempt. Its random part depends on the address and not on the clock, so
 * it is the same in every run. */
static double back_off(const struct fetch *f, const struct entry *e)
{
    struct random r =
        random_start((uint64_t)f->opt->common.seed, random_key(e->url, strlen(e->url)), e->tries);
    return f->opt->retry_wait_s * pow(2, e->tries - 1) * (0.5 + 0.5 * random_unit(&r));
}

static void fill(struct journal_record *r, struct fetch *f, const struct entry *e, uint32_t rights,
                 const struct http_headers *h, const char *url, size_t n_body)
{
    *r = (struct journal_record){.time = f->now_s,
                                 .url = e->url,
                                 .rights = rights_text(f->rights_words, rights),
                                 .tries = e->tries,
                                 .failed_runs = e->failed_runs};
    if (!h) return;
    r->status = h->status;
    r->final_url = strcmp(url, e->url) == 0 ? "" : url;
    r->etag = h->etag;
    r->last_modified = h->last_modified;
    r->content_type = h->content_type;
    r->bytes = n_body;
}

void fetch_fail(struct fetch *f, uint32_t index, const struct outcome *o, const struct http_transfer *t)
{
    struct entry *e = fetch_entry(f, index);
    uint32_t host = entry_host(e);
    struct journal_record r;
    char slug[24];
    bool final = reason_is_final(o->reason, o->status), dead = final;
    if (o->reason == REASON_NOT_ASKED) { /* the run was stopped: the entry counts as not requested */
        if (!e->stored) e->reason = REASON_NOT_ASKED;
        end_entry(f, e);
        return;
    }
    if (e->recheck == RECHECK_RULES) { /* no request was made: rights_settle checks the files of the host */
        end_entry(f, e);
        return;
    }
    if (!o->free_try && e->tries < 255 && e->tries < f->opt->n_tries) e->tries++;
    if (o->slow_down && !final) {
        double wait = o->retry_after_s > f->opt->retry_wait_s ? o->retry_after_s : f->opt->retry_wait_s;
        if (wait > FETCH_MAX_WAIT_S) {
            int64_t due = f->now_s + (int64_t)wait;
            e->tries = (uint8_t)f->opt->n_tries;
            e->due = due;
            if (!fetch_host(f, host)->given_up) fetch_host_give_up(f, host, REASON_RETRY_LATER, due);
        } else {
            fetch_host_hold(f, host, wait);
        }
    }
    if (o->host_bad) fetch_host_bad(f, host);
    bool retry = !final && e->tries < f->opt->n_tries && !fetch_host(f, host)->given_up && !e->recheck;

    fill(&r, f, e, o->rights, t ? &t->headers : NULL, t ? t->url : NULL, t ? t->n_body : 0);
    r.status = o->status;
    r.reason = reason_slug(o->reason, o->status, slug);
    r.detail = o->detail;
    r.error = o->error;
    r.event = JOURNAL_RETRY;
    if (retry) {
        write_down(f, &r);
        if (f->stopping) { /* the next run continues here */
            if (!e->stored) e->reason = REASON_NOT_ASKED;
            end_entry(f, e);
            return;
        }
        /* Another attempt begins at the entry's own address. The received part of a body is kept. */
        if (e->hop) {
            e->hop->n_redirects = 0;
            e->hop->rights = 0;
            hop_forget_cookies(e->hop);
            free(e->hop->url);
            e->hop->url = NULL;
        }
        if (o->free_try ? schedule_add(&f->schedule, &f->entries, index, true, f->err)
                        : schedule_add_later(&f->schedule, &f->entries, index,
                                             f->schedule.now + back_off(f, e), f->err))
            fetch_abort(f);
        return;
    }
    if (final) partial_drop(f, index);
    bool doubtful = o->doubtful || reason_is_doubtful(o->reason, o->status);
    if (!final || doubtful) {
        e->failed_runs += e->failed_runs < 255;
        double wait = f->opt->retry_failed_s * pow(2, e->failed_runs - 1);
        dead = doubtful && wait >= FAIL_WAIT_MAX_S;
        if (wait > FAIL_WAIT_MAX_S) wait = FAIL_WAIT_MAX_S;
        int64_t usual = f->now_s + (int64_t)wait;
        int64_t told =
            fetch_host(f, host)->given_up && fetch_host(f, host)->due ? fetch_host(f, host)->due : 0;
        int64_t latest = f->now_s + (int64_t)FAIL_WAIT_MAX_S;
        r.due = dead ? 0 : !told ? usual : told < latest ? told : latest;
        r.failed_runs = e->failed_runs;
        f->counts.n_doubtful += doubtful;
    }
    r.event = dead ? JOURNAL_DEAD : JOURNAL_FAIL;
    const char *kept = o->detail;
    e->refused_now = e->stored && (o->reason == REASON_RIGHTS_RESERVED || o->reason == REASON_X_ROBOTS_TAG);
    if (e->refused_now && t) fetch_host(f, e->host)->refuses = true;
    if (!e->stored) {
        e->reason = (uint8_t)o->reason;
        e->status = (uint16_t)o->status;
        e->dead = dead;
        e->due = r.due;
        kept = set_detail(f, e, o->detail);
    }
    r.detail = kept;
    write_down(f, &r);
    end_entry(f, e);
}

static void blocked(struct fetch *f, struct write_job *job)
{
    struct entry *e = fetch_entry(f, job->entry);
    struct journal_record r;
    struct xxh128 key;
    char name[2 + XXH128_HEX_BYTES];
    bool listed = job->verdict == VERDICT_BLOCKED;
    f->counts.n_matches++;
    if (!listed) takedown_request_match_digest(&f->policy.request, job->digest);
    if (policy_audit(&f->policy, f->now_s, "not-kept", listed ? "blocklist" : "takedown",
                     hash_kind_name(job->by), job->digest, e->url, f->err)) {
        fetch_abort(f);
        return;
    }
    journal_key(&key, e->url);
    name[0] = '#';
    xxh128_hex(name + 1, &key);
    fill(&r, f, e, job->rights, NULL, NULL, 0);
    r.url = name;
    r.status = job->headers.status;
    r.event = JOURNAL_BLOCKED;
    e->stored = false;
    e->dead = true;
    e->reason = (uint8_t)(listed ? REASON_BLOCKED : REASON_TAKEN_DOWN);
    r.reason = listed ? "blocked" : "taken-down";
    e->status = (uint16_t)job->headers.status;
    set_detail(f, e, NULL);
    write_down(f, &r);
    end_entry(f, e);
    if (f->opt->stop_on_match) f->stopping = true;
}

void fetch_succeed(struct fetch *f, uint32_t index, struct http_transfer *t, enum image_kind kind)
{
    struct write_job *job = mem_zalloc(1, sizeof *job, f->err);
    if (!job) {
        fetch_abort(f);
        return;
    }
    job->what = JOB_IMAGE;
    job->entry = index;
    job->had_part = fetch_entry(f, index)->has_part;
    fetch_entry(f, index)->has_part = false;
    journal_key(&job->key, fetch_entry(f, index)->url);
    job->kind = kind;
    job->headers = t->headers;
    job->rights = fetch_rights(f, fetch_entry(f, index), &t->headers);
    job->url = t->url;
    job->n_body = t->n_body;
    job->body = http_take_body(t, &job->capacity);
    store_writer_submit(f->writer, job);
}

static void stored(struct fetch *f, struct write_job *job)
{
    struct entry *e = fetch_entry(f, job->entry);
    struct journal_record r;
    bool same = e->stored && memcmp(&e->hash, &job->hash, sizeof job->hash) == 0;
    if (!same) e->fetched_at = f->now_s;
    e->stored = true;
    e->recheck = RECHECK_FIELDS;
    e->dead = false;
    e->reason = REASON_NONE;
    e->failed_runs = 0;
    e->tries += e->tries < 255;
    e->hash = job->hash;
    e->bytes = (uint32_t)job->n_body;
    e->kind = (uint8_t)job->kind;
    e->rights = job->rights;
    /* a 206 means a whole picture that was received in two parts */
    e->status = job->headers.status == 203 ? 203 : 200;
    fill(&r, f, e, e->rights, &job->headers, job->url, job->n_body);
    r.event = same ? JOURNAL_SAME : JOURNAL_OK;
    r.status = e->status;
    r.hash = job->hash;
    r.kind = job->kind;
    r.fetched_at = e->fetched_at;
    write_down(f, &r);
    if (e->more) *e->more = (struct entry_more){0};
    if (*r.final_url) {
        struct entry_more *more = entry_need_more(&f->entries, e, f->err);
        if (!more || !(more->final_url = arena_strdup(&f->entries.arena, r.final_url, f->err)))
            fetch_abort(f);
    }
    f->counts.n_stored++;
    f->counts.n_bytes += job->n_body;
    end_entry(f, e);
}

void fetch_written(struct fetch *f, struct write_job *job)
{
    struct outcome gone = {.reason = REASON_PLACEHOLDER,
                           .status = 200,
                           .detail = "a known placeholder picture"};
    if (job->what != JOB_IMAGE) {
        partial_written(f, job);
        free(job);
        return;
    }
    switch (job->verdict) {
    case VERDICT_STORED: stored(f, job); break;
    case VERDICT_BLOCKED:
    case VERDICT_TAKEN_DOWN: blocked(f, job); break;
    case VERDICT_PLACEHOLDER: fetch_fail(f, job->entry, &gone, NULL); break;
    case VERDICT_FAILED:
        *f->err = job->error;
        fetch_abort(f);
        break;
    }
    http_give_body(f->engine, job->body, job->capacity);
    free(job);
}

void fetch_unchanged(struct fetch *f, uint32_t index, struct http_transfer *t)
{
    struct entry *e = fetch_entry(f, index);
    struct journal_record r;
    e->failed_runs = 0;
    e->rights = fetch_rights(f, e, &t->headers);
    fill(&r, f, e, e->rights, &t->headers, t->url, 0);
    r.event = JOURNAL_SAME;
    r.status = e->status;
    r.bytes = e->bytes;
    r.hash = e->hash;
    r.kind = (enum image_kind)e->kind;
    r.fetched_at = e->fetched_at;
    r.final_url = e->more && e->more->final_url ? e->more->final_url : "";
    /* A 304 need not repeat the validators. */
    bool same = t->headers.status == 304; /* otherwise the picture itself was not requested */
    if (!same) r.etag = r.last_modified = "";
    if (!*r.etag && e->more && e->more->etag) r.etag = e->more->etag;
    if (!*r.last_modified && e->more && e->more->last_modified) r.last_modified = e->more->last_modified;
    if (e->more) e->more->refused = 0;
    e->recheck = RECHECK_FIELDS;
    write_down(f, &r);
    end_entry(f, e);
}
