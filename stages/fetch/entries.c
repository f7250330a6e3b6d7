/* entries.c: keeps the table of addresses, which are found by hash, and applies the journal to it. */
#include "entries.h"

#include <stdlib.h>

#include "base/text.h"
#include "http/http_cookie.h"
#include "http/http_url.h"

/* a line with a time further in the future was written while the clock was wrong */
#define CLOCK_SLACK_S 3600

static int new_entry(struct entries *es, const char *url, size_t n, uint32_t *index, struct error *err)
{
    if (es->n == NO_INDEX - 1) return error_set(err, EX_DATAERR, "too many addresses");
    if (mem_grow(&es->items, &es->capacity, es->n + 1, sizeof *es->items, err)) return -1;
    struct entry *e = &es->items[es->n];
    *e = (struct entry){.host = NO_INDEX, .next = NO_INDEX};
    if (!(e->url = arena_strndup(&es->arena, url, n, err))) return -1;
    *index = (uint32_t)es->n++;
    return 0;
}

static bool is_at(const struct entry *e, const struct xxh128 *key, const char *url)
{
    struct xxh128 own;
    if (url[0] != '#') return strcmp(e->url, url) == 0;
    journal_key(&own, e->url);
    return memcmp(&own, key, sizeof own) == 0;
}

struct entry *entries_find(const struct entries *es, const struct xxh128 *key, const char *url)
{
    uint32_t i;
    for (struct hash_walk w = hash_walk(&es->index, xxh128_u64(key)); hash_walk_next(&es->index, &w, &i);)
        if (is_at(&es->items[i], key, url)) return &es->items[i];
    return NULL;
}

int entries_add(struct entries *es, struct hosts *hosts, const char *url, size_t n_bytes, uint32_t *index,
                struct error *err)
{
    static const char shown[] = "";
    struct text canonical = TEXT_EMPTY;
    struct http_url_parts parts;
    struct xxh128 key;
    const char *why;
    int rc = -1, good = http_url_canonical(url, n_bytes, &canonical, &parts, &why, err);
    if (good < 0) goto out;
    if (!good) { /* a separate entry, which holds the reject reason of the row */
        if (new_entry(es, shown, 0, index, err)) goto out;
        struct entry *e = &es->items[*index];
        struct entry_more *more = entry_need_more(es, e, err);
        if (!more) goto out;
        more->detail = why;
        e->reason = REASON_BAD_URL;
        e->state = ENTRY_DONE;
        e->dead = true;
        rc = 0;
        goto out;
    }
    xxh128_of(&key, canonical.data, canonical.n_bytes);
    struct entry *known = entries_find(es, &key, canonical.data);
    if (known) {
        *index = (uint32_t)(known - es->items);
    } else {
        uint32_t host;
        if (new_entry(es, canonical.data, canonical.n_bytes, index, err) ||
            hosts_add(hosts, canonical.data, &parts, &host, err) ||
            hash_index_add(&es->index, xxh128_u64(&key), *index, err))
            goto out;
        es->items[*index].host = host;
    }
    rc = 0;
out:
    text_release(&canonical);
    return rc;
}

struct hop *entry_need_hop(struct entry *e, struct error *err)
{
    if (!e->hop) e->hop = mem_zalloc(1, sizeof *e->hop, err);
    return e->hop;
}

struct entry_more *entry_need_more(struct entries *es, struct entry *e, struct error *err)
{
    if (!e->more && (e->more = arena_alloc(&es->arena, sizeof *e->more, err)))
        *e->more = (struct entry_more){0};
    return e->more;
}

int hop_keep_cookies(struct hop *hop, uint32_t host, bool https, const char *set, struct error *err)
{
    struct hop_cookies *c = hop->cookies;
    while (c < hop->cookies + hop->n_cookies && (c->host != host || c->https != https))
        c++;
    if (c == hop->cookies + HOP_COOKIE_HOSTS) return 0;
    if (c == hop->cookies + hop->n_cookies) {
        *c = (struct hop_cookies){.host = host, .https = https};
        hop->n_cookies++;
    }
    return http_cookies_merge(&c->jar, set, err);
}

const char *hop_cookies(const struct hop *hop, uint32_t host, bool https)
{
    for (unsigned i = 0; i < hop->n_cookies; i++) {
        const struct hop_cookies *c = &hop->cookies[i];
        if (c->host == host && c->https <= https && c->jar.n_bytes) return c->jar.data;
    }
    return NULL;
}

void hop_forget_cookies(struct hop *hop)
{
    while (hop->n_cookies > 0)
        text_release(&hop->cookies[--hop->n_cookies].jar);
}

/* --- applying the journal --- */

static int keep(struct entries *es, const char **field, const char *value, struct error *err)
{
    *field = NULL;
    return value && *value && !(*field = arena_strdup(&es->arena, value, err)) ? -1 : 0;
}

struct fold {
    struct entries *entries;
    const struct journal_rules *rules;
};

static int fold(void *context, const struct journal_record *r, bool durable, struct error *err)
{
    const struct fold *fo = context;
    struct entries *es = fo->entries;
    struct xxh128 key;
    journal_key(&key, r->url);
    struct entry *e = entries_find(es, &key, r->url);
    if (!e) return 0;
    es->n_superseded += r->event == JOURNAL_RETRY || e->seen;
    if (r->event == JOURNAL_RETRY) return 0;
    e->seen = true;
    bool clock_was_wrong = r->time > fo->rules->now_s + CLOCK_SLACK_S;
    if (r->event == JOURNAL_OK || r->event == JOURNAL_SAME) {
        e->stored = true;
        e->durable = durable;
        e->dead = false;
        e->reason = REASON_NONE;
        e->failed_runs = 0;
        /* The time of the last request, from which --refresh-after counts. */
        e->due = clock_was_wrong ? 0 : r->time;
        e->hash = r->hash;
        e->bytes = (uint32_t)r->bytes;
        e->kind = (uint8_t)r->kind;
        e->fetched_at = r->fetched_at;
        e->rights = rights_from_text(r->rights);
        if (e->more) e->more->refused = 0;
        e->status = (uint16_t)r->status;
        bool validators = fo->rules->keep_validators && (*r->etag || *r->last_modified);
        if (!e->more && !*r->final_url && !validators) return 0;
        struct entry_more *more = entry_need_more(es, e, err);
        return !more || keep(es, &more->final_url, r->final_url, err) ||
                       keep(es, &more->etag, validators ? r->etag : NULL, err) ||
                       keep(es, &more->last_modified, validators ? r->last_modified : NULL, err)
                   ? -1
                   : 0;
    }
    if (e->stored) { /* a failed refresh does not change the stored picture */
        e->failed_runs = (uint8_t)(r->failed_runs < 255 ? r->failed_runs : 255);
        if (r->event == JOURNAL_DEAD && r->status && !clock_was_wrong) e->due = r->time;
        uint32_t refused =
            r->event == JOURNAL_DEAD && r->status ? rights_refused_in_fields(rights_from_text(r->rights)) : 0;
        if (!refused) return 0;
        struct entry_more *more = entry_need_more(es, e, err);
        if (more) more->refused = refused;
        return more ? 0 : -1;
    }
    e->reason = (uint8_t)reason_from_slug(r->reason);
    e->status = (uint16_t)r->status;
    e->failed_runs = (uint8_t)(r->failed_runs < 255 ? r->failed_runs : 255);
    e->dead = r->event != JOURNAL_FAIL;
    /* Sites change their robots.txt and the rights that they reserve. RFC 9309 allows a copy to be used for a
     * day. */
    bool by_rules = e->reason == REASON_ROBOTS_TXT || e->reason == REASON_RIGHTS_RESERVED;
    double dead_for_s = by_rules && fo->rules->dead_for_s > 86400 ? 86400 : fo->rules->dead_for_s;
    int64_t latest = r->time + (int64_t)FAIL_WAIT_MAX_S;
    e->due = e->dead ? r->time + (int64_t)dead_for_s : r->due < latest ? r->due : latest;
    if (clock_was_wrong) e->due = 0;
    if (r->event == JOURNAL_BLOCKED) e->due = INT64_MAX;
    /* Earlier versions treated these responses as final at once. */
    if (r->event == JOURNAL_DEAD && r->failed_runs == 0 &&
        reason_is_doubtful((enum reason)e->reason, r->status)) {
        e->dead = false;
        e->due = 0;
    }
    if (!*r->detail && !e->more) return 0;
    struct entry_more *more = entry_need_more(es, e, err);
    return !more || keep(es, &more->detail, r->detail, err) ? -1 : 0;
}

int entries_read_journal(struct entries *es, const struct journal_rules *rules, const char *path,
                         struct journal_stats *stats, struct error *err)
{
    struct fold fo = {es, rules};
    return journal_read(path, fold, &fo, stats, err);
}

void entries_release(struct entries *es)
{
    free(es->items);
    hash_index_release(&es->index);
    arena_release(&es->arena);
}
