/* policy.c: see policy.h. */
#include "policy.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/http_url.h"
#include "http/url_list.h"
#include "io/io.h"
#include "manifest/manifest.h"
#include "store/audit.h"
#include "store/journal.h"
#include "store/partial_store.h"

#define LIST_MAX_BYTES (1ull << 30)

int policy_audit(const struct policy *p, int64_t now_s, const char *action, const char *list,
                 const char *algorithm, const char *digest, const char *url, struct error *err)
{
    const struct audit_line line = {now_s, action, list, algorithm, digest, url, p->opt->audit_urls};
    return audit_append(p->store->folder_fd, p->store->folder, &line, err);
}

/* --- takedowns --- */

static int by_key(const void *a, const void *b) { return memcmp(a, b, sizeof(struct xxh128)); }

static bool has_url_key(struct takedown *t, const struct xxh128 *key)
{
    if (t->n_urls == 0) return false;
    if (!t->sorted) qsort(t->urls, t->n_urls, sizeof *t->urls, by_key);
    t->sorted = true;
    return bsearch(key, t->urls, t->n_urls, sizeof *t->urls, by_key) != NULL;
}

int policy_taken_down(struct policy *p, const char *url, struct error *err)
{
    struct text form = TEXT_EMPTY;
    struct xxh128 key;
    if (p->takedown.n_urls == 0) return 0;
    int rc = http_url_comparable(url, strlen(url), &form, err);
    if (rc == 1) {
        journal_key(&key, form.data);
        if (has_url_key(&p->takedown, &key)) {
            takedown_request_match_url(&p->request, &key);
        } else {
            journal_key(&key, url);
            rc = has_url_key(&p->takedown, &key);
        }
    }
    text_release(&form);
    return rc;
}

static int add_url_key(struct takedown *t, const struct xxh128 *key, struct error *err)
{
    if (mem_grow(&t->urls, &t->capacity, t->n_urls + 1, sizeof *t->urls, err)) return -1;
    t->urls[t->n_urls++] = *key;
    t->sorted = false;
    return 0;
}

static int keep_takedown(void *context, const char *kind, const char *value, struct error *err)
{
    struct policy *p = context;
    struct xxh128 key;
    if (strcmp(kind, "url") != 0) return hash_list_add_named(&p->takedown.hashes, kind, value, err);
    return xxh128_from_hex(&key, value) ? 0 : add_url_key(&p->takedown, &key, err) ? -1 : 1;
}

static int read_kept_takedowns(struct policy *p, const char *path, struct error *err)
{
    bool there;
    if (takedown_mend(p->store->folder_fd, p->store->folder, false, &there, err)) return -1;
    return there ? takedown_read(path, keep_takedown, p, err) : 0;
}

/* Adds one hash from a --takedown file, unless it is already known. Returns 1, 0 when it is not a hash, or -1
 * without memory. */
static int add_takedown_hash(struct policy *p, const struct takedown_line *line, size_t n, const char *when,
                             struct text *fresh, struct error *err)
{
    struct hash_list one = HASH_LIST_EMPTY;
    struct takedown_line l = *line;
    char hex[65];
    int rc = hash_list_add_text(&one, line->text, n, err);
    for (int k = 0; rc > 0 && k < HASH_KINDS; k++) {
        enum hash_kind kind = (enum hash_kind)k;
        if (one.n[k] == 0) continue;
        hex_encode(hex, one.digests[k], hash_kind_bytes(kind));
        memcpy(l.digest, hex, sizeof l.digest);
        if ((l.known = hash_list_has(&p->takedown.hashes, kind, one.digests[k]))) continue;
        if (hash_list_add(&p->takedown.hashes, kind, one.digests[k], err) ||
            text_printf(fresh, err, "%s\t%s\t%s\n", when, hash_kind_name(kind), hex))
            rc = -1;
    }
    if (rc == 1 && takedown_request_add(&p->request, &l, n, err)) rc = -1;
    hash_list_release(&one);
    return rc;
}

/* Reads the lines of a --takedown file: addresses or hashes. New lines for takedown.tsv are appended to
 * `fresh`. */
static int read_takedown_file(struct policy *p, const char *path, struct text *fresh, struct error *err)
{
    char *bytes = NULL, when[21], hex[XXH128_HEX_BYTES];
    size_t n_bytes, n;
    struct url_list_cursor c;
    struct text form = TEXT_EMPTY;
    const char *line;
    int rc = -1;
    if (io_read_text(path, LIST_MAX_BYTES, &bytes, &n_bytes, err)) return -1;
    format_time(when, p->started_at);
    url_list_start(&c, bytes, n_bytes);
    while (url_list_next(&c, &line, &n)) {
        struct takedown_line l = {.path = path, .line = c.line, .text = (char *)line};
        int is_url = http_url_comparable(line, n, &form, err);
        if (is_url < 0) goto out;
        if (is_url) {
            l.is_url = true;
            journal_key(&l.key, form.data);
            l.known = has_url_key(&p->takedown, &l.key);
            if (takedown_request_add(&p->request, &l, n, err)) goto out;
            if (l.known) continue;
            xxh128_hex(hex, &l.key);
            if (add_url_key(&p->takedown, &l.key, err) || text_printf(fresh, err, "%s\turl\t%s\n", when, hex))
                goto out;
            continue;
        }
        size_t word = 0;
        while (word < n && !strchr(" ,;", line[word]))
            word++;
        int added = add_takedown_hash(p, &l, word, when, fresh, err);
        if (added < 0) goto out;
        if (added == 0) {
            error_set(err, EX_DATAERR,
                      "'%s' line %zu: '%.*s' is neither an address (http://...) nor a hash; nothing was "
                      "taken down. A picture from a folder is named by its xxh128, which imported.tsv has",
                      path, c.line, n < 200 ? (int)n : 200, line);
            goto out;
        }
    }
    rc = 0;
out:
    text_release(&form);
    free(bytes);
    return rc;
}

static int append_takedowns(struct policy *p, const struct text *fresh, struct error *err)
{
    return takedown_append(p->store->folder_fd, p->store->folder, fresh->data, fresh->n_bytes, err);
}

/* Removes all parts. This is done for a new list, because a part cannot be compared with it. */
static int forget_parts(struct policy *p, const char *why, struct error *err)
{
    uint64_t n;
    if (partial_remove_all(p->store->folder, false, &n, err)) return -1;
    if (n)
        stage_note(&p->opt->common,
                   "%s: all %llu partial bodies removed, since a part cannot be compared with a list", why,
                   (unsigned long long)n);
    return 0;
}

struct collect {
    struct policy *policy;
    struct text *fresh;
};

/* Collects every content that ever came from a taken-down address: it is taken down as well. */
static int collect_hashes(void *context, const struct journal_record *r, bool durable, struct error *err)
{
    struct collect *c = context;
    char when[21], hex[XXH128_HEX_BYTES];
    (void)durable;
    /* This includes addresses without a picture, because they match the request, too. */
    int hit = policy_taken_down(c->policy, r->url, err);
    int led = hit < 0 || !*r->final_url ? 0 : policy_taken_down(c->policy, r->final_url, err);
    if (hit < 0 || led < 0) return -1;
    if ((!hit && !led) || (r->event != JOURNAL_OK && r->event != JOURNAL_SAME) ||
        hash_list_has(&c->policy->takedown.hashes, HASH_XXH128, r->hash.bytes))
        return 0;
    xxh128_hex(hex, &r->hash);
    return hash_list_add(&c->policy->takedown.hashes, HASH_XXH128, r->hash.bytes, err) ||
                   text_printf(c->fresh, err, "%s\txxh128\t%s\n", format_time(when, c->policy->started_at),
                               hex)
               ? -1
               : 0;
}

/* --- comparing the store with the lists --- */

/* The content's own hash is written to takedown.tsv before the object is removed. It then stays removed
 * whichever list named it, and purge finds the data derived from the picture. */
static int remember_removed(struct policy *p, const struct xxh128 *hash, struct error *err)
{
    if (hash_list_has(&p->takedown.hashes, HASH_XXH128, hash->bytes)) return 0;
    return takedown_append_hash(p->store->folder_fd, p->store->folder, p->started_at, hash, err) ||
                   hash_list_add(&p->takedown.hashes, HASH_XXH128, hash->bytes, err)
               ? -1
               : 0;
}

int policy_take_down(struct policy *p, const struct xxh128 *hash, const char *extension, const char *url,
                     struct error *err)
{
    char hex[XXH128_HEX_BYTES];
    bool was_there;
    xxh128_hex(hex, hash);
    return remember_removed(p, hash, err) ||
                   object_store_remove(p->store, hash, extension, &was_there, err) ||
                   policy_audit(p, p->started_at, "removed", "rights", hash_kind_name(HASH_XXH128), hex, url,
                                err)
               ? -1
               : 0;
}

struct sweep {
    struct policy *policy;
    struct hash_list *list;
    const char *name;
    bool only_names;
    uint64_t n_removed;
};

/* Marks every line of the request that names these bytes by any kind of hash. */
static void match_lines(struct policy *p, const struct xxh128 *hash, const void *bytes, size_t n)
{
    uint8_t digest[32];
    char hex[65];
    for (int k = 0; bytes && k < HASH_KINDS; k++) {
        if (k == HASH_XXH128 || p->takedown.hashes.n[k] == 0) continue;
        hash_digest((enum hash_kind)k, bytes, n, digest);
        hex_encode(hex, digest, hash_kind_bytes((enum hash_kind)k));
        takedown_request_match_digest(&p->request, hex);
    }
    xxh128_hex(hex, hash);
    takedown_request_match_digest(&p->request, hex);
}

static int sweep_object(void *context, const char *path, const struct xxh128 *hash, const char *extension,
                        struct error *err)
{
    struct sweep *s = context;
    struct policy *p = s->policy;
    enum hash_kind kind = HASH_XXH128;
    char digest[65], *bytes = NULL;
    size_t n_bytes = 0;
    struct text full = TEXT_EMPTY;
    bool hit, was_there;
    int rc = -1;
    if (s->only_names) {
        hit = hash_list_has(s->list, HASH_XXH128, hash->bytes);
        xxh128_hex(digest, hash);
    } else {
        if (text_printf(&full, err, "%s/%s", p->store->folder, path) ||
            io_read_file(full.data, UINT32_MAX, &bytes, &n_bytes, err))
            goto out;
        hit = hash_list_matches(s->list, bytes, n_bytes, hash, &kind, digest);
    }
    if (!hit) {
        rc = 0;
        goto out;
    }
    if (remember_removed(p, hash, err) || object_store_remove(p->store, hash, extension, &was_there, err) ||
        policy_audit(p, p->started_at, "removed", s->name, hash_kind_name(kind), digest, "", err))
        goto out;
    if (s->list == &p->takedown.hashes) match_lines(p, hash, bytes, n_bytes);
    s->n_removed++;
    rc = 0;
out:
    text_release(&full);
    free(bytes);
    return rc;
}

static int sweep_store(struct policy *p, struct hash_list *list, const char *name, struct error *err)
{
    struct sweep s = {.policy = p, .list = list, .name = name};
    s.only_names = list->n[HASH_MD5] + list->n[HASH_SHA1] + list->n[HASH_SHA256] == 0;
    if (hash_list_size(list) == 0) return 0;
    if (object_store_walk(p->store, sweep_object, &s, err)) return -1;
    if (s.n_removed)
        stage_warn("%s: %llu pictures removed from the store", name, (unsigned long long)s.n_removed);
    return 0;
}

/* Computes a hash of the block list. If it is the same as in the last run, the store need not be read
 * again. */
static void list_identity(struct hash_list *l, char hex[XXH128_HEX_BYTES])
{
    struct xxh128 parts[HASH_KINDS], all;
    static const uint8_t nothing[32];
    hash_list_has(l, HASH_XXH128, nothing); /* sorts */
    for (int k = 0; k < HASH_KINDS; k++)
        xxh128_of(&parts[k], l->n[k] ? l->digests[k] : nothing, l->n[k] * hash_kind_bytes((enum hash_kind)k));
    xxh128_of(&all, parts, sizeof parts);
    xxh128_hex(hex, &all);
}

int policy_apply(struct policy *p, struct object_store *store, int64_t now_s, const char *journal_path,
                 struct error *err)
{
    struct text fresh = TEXT_EMPTY, path = TEXT_EMPTY;
    char identity[XXH128_HEX_BYTES], *checked = NULL;
    size_t n_checked;
    int rc = -1;
    p->store = store;
    p->started_at = now_s;
    if (text_printf(&path, err, "%s/takedown.tsv", p->store->folder) ||
        read_kept_takedowns(p, path.data, err))
        goto out;
    if (p->opt->takedowns.n) {
        struct collect c = {p, &fresh};
        struct journal_stats stats;
        for (size_t i = 0; i < p->opt->takedowns.n; i++)
            if (read_takedown_file(p, p->opt->takedowns.items[i], &fresh, err)) goto out;
        /* The lines are written before any picture is removed. If the run dies here, the next run continues
         * the removal. */
        if (journal_read(journal_path, collect_hashes, &c, &stats, err) ||
            (fresh.n_bytes && forget_parts(p, "takedown", err)) || append_takedowns(p, &fresh, err) ||
            sweep_store(p, &p->takedown.hashes, "takedown", err))
            goto out;
    }
    if (hash_list_size(&p->blocklist)) {
        list_identity(&p->blocklist, identity);
        text_clear(&path);
        if (text_printf(&path, err, "%s/blocklist-checked", p->store->folder)) goto out;
        if (io_exists(path.data) && io_read_file(path.data, 4096, &checked, &n_checked, err)) goto out;
        if (!checked || strncmp(checked, identity, 32) != 0) {
            if (forget_parts(p, "blocklist", err) || sweep_store(p, &p->blocklist, "blocklist", err) ||
                atomic_file_write(path.data, identity, 32, err))
                goto out;
        }
    }
    rc = 0;
out:
    free(checked);
    text_release(&fresh);
    text_release(&path);
    return rc;
}

/* --- placeholders --- */

/* The last part of addresses to which hosts redirect when a picture was removed. The list is used only after
 * a redirect. */
static const char *const gone_names[] = {
    "removed", "unavailable", "not-found",     "not_found", "notfound", "no-image", "no_image",
    "noimage", "placeholder", "image-deleted", "deleted",   "missing",  "404",
};

bool policy_placeholder_redirect(const struct policy *p, const char *target)
{
    const char *path = strstr(target, "://");
    path = path ? strchr(path + 3, '/') : NULL;
    char name[256];
    if (!path) return false;
    size_t end = strcspn(path, "?"), from = end;
    while (from > 0 && path[from - 1] != '/')
        from--;
    snprintf(name, sizeof name, "%.*s", (int)(end - from < 255 ? end - from : 255), path + from);
    /* Matches the whole name, or a part between - and _: "removed.png",
     * "photo_unavailable.png", but not "removedwalls.jpg". */
    for (size_t i = 0; i < sizeof gone_names / sizeof *gone_names; i++) {
        size_t n = strlen(gone_names[i]);
        for (const char *at = name; (at = strcasestr(at, gone_names[i])); at++) {
            bool starts = at == name || at[-1] == '-' || at[-1] == '_';
            if (starts && (at[n] == 0 || at[n] == '.' || at[n] == '-' || at[n] == '_')) return true;
        }
    }
    for (size_t i = 0; i < p->placeholders.n_redirects; i++)
        if (fnmatch(p->placeholders.redirects[i], target, 0) == 0) return true;
    return false;
}

bool policy_placeholder_bytes(struct policy *p, const uint8_t *bytes, size_t n, const struct xxh128 *hash)
{
    struct hash_list *hashes = &p->placeholders.hashes;
    /* Placeholders are compared by size first: to compute the MD5 of every picture would double the processor
     * time of a run. */
    static const struct {
        size_t bytes;
        const char *md5;
    } known[] = {
        {503, "d835884373f4d6c8f24742ceabe74946"}, /* imgur: "The image you are requesting does not exist" */
    };
    uint8_t digest[32];
    char hex[65];
    enum hash_kind kind;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (known[i].bytes != n) continue;
        hash_digest(HASH_MD5, bytes, n, digest);
        hex_encode(hex, digest, 16);
        if (strcmp(hex, known[i].md5) == 0) return true;
    }
    return hash_list_size(hashes) && hash_list_matches(hashes, bytes, n, hash, &kind, hex);
}

/* Reads lines "redirect GLOB" (compared with the whole target address), or hashes as in a block list. */
static int read_placeholders(struct placeholder_rules *p, const char *path, struct error *err)
{
    struct url_list_cursor c;
    const char *line;
    char *bytes;
    size_t n_bytes, n;
    int rc = -1;
    if (io_read_text(path, LIST_MAX_BYTES, &bytes, &n_bytes, err)) return -1;
    url_list_start(&c, bytes, n_bytes);
    while (url_list_next(&c, &line, &n)) {
        if (n > 9 && strncmp(line, "redirect ", 9) == 0) {
            if (mem_grow(&p->redirects, &p->capacity, p->n_redirects + 1, sizeof *p->redirects, err) ||
                !(p->redirects[p->n_redirects] = mem_dup(line + 9, n - 8, err)))
                goto out;
            p->redirects[p->n_redirects++][n - 9] = 0;
            continue;
        }
        size_t word = 0;
        while (word < n && !strchr(" \t,;", line[word]))
            word++;
        int added = hash_list_add_text(&p->hashes, line, word, err);
        if (added < 0) goto out;
        if (added == 0) {
            error_set(err, EX_DATAERR, "'%s' line %zu: neither a hash nor 'redirect GLOB'", path, c.line);
            goto out;
        }
    }
    rc = 0;
out:
    free(bytes);
    return rc;
}

int policy_open(struct policy *p, const struct fetch_options *o, struct error *err)
{
    p->opt = o;
    for (size_t i = 0; i < o->blocklists.n; i++)
        if (hash_list_add_file(&p->blocklist, o->blocklists.items[i], err)) return -1;
    if (p->blocklist.n_pdq) /* one list may be used for both stages, so only -v reports it */
        stage_note(&o->common,
                   "%zu pdq: line%s of the block lists ignored: fetch compares bytes, see phash-dedup "
                   "--blocklist",
                   p->blocklist.n_pdq, p->blocklist.n_pdq == 1 ? "" : "s");
    for (size_t i = 0; i < o->placeholders.n; i++)
        if (read_placeholders(&p->placeholders, o->placeholders.items[i], err)) return -1;
    if (o->blocklists.n || o->takedowns.n) {
        /* A listed picture is in memory for a moment. Core files are disabled, because they could write it to
         * the disk. */
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        prctl(PR_SET_DUMPABLE, 0);
    }
    return 0;
}

void policy_close(struct policy *p)
{
    takedown_request_release(&p->request);
    hash_list_release(&p->blocklist);
    hash_list_release(&p->takedown.hashes);
    free(p->takedown.urls);
    hash_list_release(&p->placeholders.hashes);
    for (size_t i = 0; i < p->placeholders.n_redirects; i++)
        free(p->placeholders.redirects[i]);
    free(p->placeholders.redirects);
}
