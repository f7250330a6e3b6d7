/*
 * entries.c: the table of addresses, by hash, and what the journal knows about them.
 * A million entries are the design size: 88 bytes each, strings in one arena, two open-addressing tables of
 * 16-byte slots.
 */
#include <stdlib.h>
#include <string.h>

#include "fetch.h"
#include "http/http_url.h"

/* --- reasons --- */

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
    "host-down",
    "retry-later",
    "blocked",
    "taken-down",
    "not-asked",
};

const char *reason_slug(const struct entry *e, char out[24])
{
    if (e->reason != REASON_HTTP) return slugs[e->reason];
    snprintf(out, 24, "http-%u", (unsigned)e->status);
    return out;
}

enum reason reason_from_slug(const char *slug)
{
    if (text_starts(slug, "http-")) return REASON_HTTP;
    for (int r = 1; r < REASONS; r++)
        if (strcmp(slugs[r], slug) == 0) return (enum reason)r;
    return REASON_TRANSFER;
}

/* Final: asking again soon would give the same. The rest is worth another try. */
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

/* --- tables --- */

static uint64_t key_hash(const struct xxh128 *key)
{
    uint64_t h;
    memcpy(&h, key->bytes, sizeof h);
    return h;
}

int fetch_grow_table(struct key_slot **table, size_t *capacity, size_t n, struct error *err)
{
    if ((n + 1) * 2 <= *capacity) return 0;
    size_t bigger = *capacity ? *capacity * 2 : 1024;
    struct key_slot *fresh = mem_alloc(bigger * sizeof *fresh, err);
    if (!fresh) return -1;
    for (size_t i = 0; i < bigger; i++)
        fresh[i].entry = NO_INDEX;
    for (size_t i = 0; i < *capacity; i++) {
        if ((*table)[i].entry == NO_INDEX) continue;
        size_t at = (size_t)(*table)[i].hash & (bigger - 1);
        while (fresh[at].entry != NO_INDEX)
            at = (at + 1) & (bigger - 1);
        fresh[at] = (*table)[i];
    }
    free(*table);
    *table = fresh;
    *capacity = bigger;
    return 0;
}

int fetch_host_of(struct fetch *f, const char *canonical, const struct http_url_parts *parts, uint32_t *index,
                  struct error *err)
{
    char name[HTTP_HOST_MAX_BYTES + 8];
    struct xxh128 key;
    /* The usual ports of one machine share a budget; other ports are other servers. */
    bool usual = parts->port == 80 || parts->port == 443;
    int n = snprintf(name, sizeof name, usual ? "%.*s" : "%.*s:%u", (int)parts->host_bytes,
                     canonical + parts->host, parts->port);
    xxh128_of(&key, name, (size_t)n);
    if (fetch_grow_table(&f->host_keys, &f->host_keys_capacity, f->n_hosts, err)) return -1;
    size_t at = (size_t)key_hash(&key) & (f->host_keys_capacity - 1);
    for (; f->host_keys[at].entry != NO_INDEX; at = (at + 1) & (f->host_keys_capacity - 1)) {
        *index = f->host_keys[at].entry;
        if (f->host_keys[at].hash == key_hash(&key) && strcmp(f->hosts[*index].name, name) == 0) return 0;
    }
    if (mem_grow(&f->hosts, &f->hosts_capacity, f->n_hosts + 1, sizeof *f->hosts, err)) return -1;
    const char *kept = arena_strndup(&f->arena, name, (size_t)n, err);
    if (!kept) return -1;
    *index = (uint32_t)f->n_hosts++;
    f->hosts[*index] = (struct host){
        .name = kept,
        .head = NO_INDEX,
        .tail = NO_INDEX,
        .next_ready = NO_INDEX,
        .next_parked = NO_INDEX,
        .address = NO_INDEX,
        .port = parts->port,
        .loopback = http_url_is_loopback(canonical, parts),
    };
    f->host_keys[at] = (struct key_slot){key_hash(&key), *index};
    return 0;
}

static int new_entry(struct fetch *f, const char *url, size_t n, uint32_t *index, struct error *err)
{
    if (f->n_entries == NO_INDEX - 1) return error_set(err, EX_DATAERR, "too many addresses");
    if (mem_grow(&f->entries, &f->entries_capacity, f->n_entries + 1, sizeof *f->entries, err)) return -1;
    struct entry *e = &f->entries[f->n_entries];
    *e = (struct entry){.host = NO_INDEX, .next = NO_INDEX};
    if (!(e->url = arena_strndup(&f->arena, url, n, err))) return -1;
    *index = (uint32_t)f->n_entries++;
    return 0;
}

static size_t find_slot(const struct fetch *f, const struct xxh128 *key, const char *url)
{
    size_t at = (size_t)key_hash(key) & (f->keys_capacity - 1);
    for (; f->keys[at].entry != NO_INDEX; at = (at + 1) & (f->keys_capacity - 1))
        if (f->keys[at].hash == key_hash(key) &&
            (!url || strcmp(f->entries[f->keys[at].entry].url, url) == 0))
            break;
    return at;
}

struct entry *fetch_find(struct fetch *f, const struct xxh128 *key, const char *url)
{
    if (f->keys_capacity == 0) return NULL;
    size_t at = find_slot(f, key, url[0] == '#' ? NULL : url);
    return f->keys[at].entry == NO_INDEX ? NULL : &f->entries[f->keys[at].entry];
}

int fetch_add_entry(struct fetch *f, const char *url, size_t n_bytes, uint32_t *index, struct error *err)
{
    static const char shown[] = "";
    struct text canonical = TEXT_EMPTY;
    struct http_url_parts parts;
    struct xxh128 key;
    const char *why;
    int rc = -1, good = http_url_canonical(url, n_bytes, &canonical, &parts, &why, err);
    if (good < 0) goto out;
    if (!good) { /* an entry of its own, so that the row has a reason to leave by */
        if (new_entry(f, shown, 0, index, err)) goto out;
        struct entry *e = &f->entries[*index];
        struct entry_more *more = fetch_more(f, e, err);
        if (!more) goto out;
        more->detail = why;
        e->reason = REASON_BAD_URL;
        e->state = ENTRY_DONE;
        e->dead = true;
        rc = 0;
        goto out;
    }
    xxh128_of(&key, canonical.data, canonical.n_bytes);
    if (fetch_grow_table(&f->keys, &f->keys_capacity, f->n_keys, err)) goto out;
    size_t at = find_slot(f, &key, canonical.data);
    *index = f->keys[at].entry;
    if (*index == NO_INDEX) {
        uint32_t host;
        if (new_entry(f, canonical.data, canonical.n_bytes, index, err) ||
            fetch_host_of(f, canonical.data, &parts, &host, err))
            goto out;
        f->entries[*index].host = host;
        f->keys[at] = (struct key_slot){key_hash(&key), *index};
        f->n_keys++;
    }
    rc = 0;
out:
    text_release(&canonical);
    return rc;
}

struct entry_more *fetch_more(struct fetch *f, struct entry *e, struct error *err)
{
    if (!e->more && (e->more = arena_alloc(&f->arena, sizeof *e->more, err)))
        *e->more = (struct entry_more){0};
    return e->more;
}

/* --- the journal's past --- */

static int keep(struct fetch *f, const char **field, const char *value, struct error *err)
{
    *field = NULL;
    return value && *value && !(*field = arena_strdup(&f->arena, value, err)) ? -1 : 0;
}

static int fold(void *context, const struct journal_record *r, bool durable, struct error *err)
{
    struct fetch *f = context;
    struct xxh128 key;
    journal_key(&key, r->url);
    struct entry *e = fetch_find(f, &key, r->url);
    if (!e) return 0;
    f->n_superseded += r->event == JOURNAL_RETRY || e->seen;
    if (r->event == JOURNAL_RETRY) return 0;
    e->seen = true;
    if (r->event == JOURNAL_OK || r->event == JOURNAL_SAME) {
        e->stored = true;
        e->durable = durable;
        e->dead = false;
        e->reason = REASON_NONE;
        e->failed_runs = 0;
        e->due = r->time; /* when it was last asked for; what --refresh-after counts from */
        e->hash = r->hash;
        e->bytes = (uint32_t)r->bytes;
        e->kind = (uint8_t)r->kind;
        e->fetched_at = r->fetched_at;
        e->status = (uint16_t)r->status;
        bool validators = f->opt->refresh && (*r->etag || *r->last_modified);
        if (!e->more && !*r->final_url && !validators) return 0;
        struct entry_more *more = fetch_more(f, e, err);
        return !more || keep(f, &more->final_url, r->final_url, err) ||
                       keep(f, &more->etag, validators ? r->etag : NULL, err) ||
                       keep(f, &more->last_modified, validators ? r->last_modified : NULL, err)
                   ? -1
                   : 0;
    }
    if (e->stored) { /* a refresh that failed changes nothing about the picture we have */
        e->failed_runs = (uint8_t)(r->failed_runs < 255 ? r->failed_runs : 255);
        return 0;
    }
    e->reason = (uint8_t)reason_from_slug(r->reason);
    e->status = (uint16_t)r->status;
    e->failed_runs = (uint8_t)(r->failed_runs < 255 ? r->failed_runs : 255);
    e->dead = r->event != JOURNAL_FAIL;
    /* Sites change their robots.txt; RFC 9309 lets a copy live for a day. */
    double dead_for_s =
        e->reason == REASON_ROBOTS_TXT && f->opt->dead_for_s > 86400 ? 86400 : f->opt->dead_for_s;
    e->due = e->dead ? r->time + (int64_t)dead_for_s : r->due;
    if (r->event == JOURNAL_BLOCKED) e->due = INT64_MAX;
    if (!*r->detail && !e->more) return 0;
    struct entry_more *more = fetch_more(f, e, err);
    return !more || keep(f, &more->detail, r->detail, err) ? -1 : 0;
}

int fetch_read_journal(struct fetch *f, const char *path, struct journal_stats *stats, struct error *err)
{
    return journal_read(path, fold, f, stats, err);
}
