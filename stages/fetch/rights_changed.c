/* rights_changed.c: see rights_changed.h. */
#include "rights_changed.h"

#include <stdlib.h>
#include <string.h>

#include "host_files.h"

/* Largest number of other pictures to recheck on a host that refuses, so that a nightly run does not take
 * a whole day. */
#define RECHECK_MOST 1000

static bool rechecks(const struct fetch *f)
{
    return f->opt->recheck_rights && f->opt->rights != RIGHTS_IGNORE;
}

static int queue(struct fetch *f, uint32_t index, struct error *err)
{
    fetch_entry(f, index)->recheck = RECHECK_RULES;
    f->n_open++;
    return schedule_add(&f->schedule, &f->entries, index, false, err);
}

/* Whether the picture is in the store and not requested in this run. */
static bool may_recheck(const struct entry *e)
{
    return e->stored && e->state == ENTRY_DONE && e->host != NO_INDEX && !e->recheck;
}

/* Compares two entries: pictures whose last request is the oldest come first, and failing ones last. */
static int by_age(const struct entry *a, const struct entry *b)
{
    return a->failed_runs != b->failed_runs
               ? (a->failed_runs > b->failed_runs) - (a->failed_runs < b->failed_runs)
               : (a->due > b->due) - (a->due < b->due);
}

int rights_recheck(struct fetch *f, struct error *err)
{
    const size_t n_hosts = f->schedule.hosts.n;
    if (!rechecks(f) || n_hosts == 0) return 0;
    uint32_t *oldest = mem_alloc(n_hosts * sizeof *oldest, err);
    int rc = oldest ? 0 : -1;
    for (size_t i = 0; rc == 0 && i < n_hosts; i++)
        oldest[i] = NO_INDEX;
    for (size_t i = 0; rc == 0 && i < f->entries.n; i++) {
        const struct entry *e = fetch_entry(f, (uint32_t)i);
        if (!may_recheck(e)) continue;
        uint32_t *o = &oldest[e->host];
        if (*o == NO_INDEX || by_age(e, fetch_entry(f, *o)) < 0) *o = (uint32_t)i;
    }
    for (size_t i = 0; rc == 0 && i < n_hosts; i++)
        if (oldest[i] != NO_INDEX) rc = queue(f, oldest[i], err);
    free(oldest);
    return rc;
}

struct candidate {
    const struct entry *e;
    uint32_t index;
};

static int by_host(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    int age = by_age(x->e, y->e);
    return x->e->host != y->e->host ? (x->e->host > y->e->host) - (x->e->host < y->e->host)
           : age                    ? age
                                    : (x->index > y->index) - (x->index < y->index);
}

int rights_recheck_others(struct fetch *f, struct error *err)
{
    struct candidate *all = NULL;
    size_t n = 0, capacity = 0, n_of_host = 0;
    int rc = -1;
    if (!rechecks(f)) return 0;
    for (size_t i = 0; i < f->entries.n; i++) {
        const struct entry *e = fetch_entry(f, (uint32_t)i);
        if (!may_recheck(e) || !fetch_host(f, e->host)->refuses || fetch_host(f, e->host)->given_up ||
            (e->more && e->more->refused))
            continue;
        if (mem_grow(&all, &capacity, n + 1, sizeof *all, err)) goto out;
        all[n++] = (struct candidate){e, (uint32_t)i};
    }
    if (n) qsort(all, n, sizeof *all, by_host);
    for (size_t i = 0; i < n; i++) {
        n_of_host = i > 0 && all[i].e->host == all[i - 1].e->host ? n_of_host + 1 : 1;
        if (n_of_host <= RECHECK_MOST && queue(f, all[i].index, err)) goto out;
    }
    rc = 0;
out:
    free(all);
    return rc;
}

/* Whether header fields refused the picture in an earlier run, and it was not requested since then. */
static bool refused_before(const struct fetch *f, const struct entry *e)
{
    uint32_t said = e->more && rechecks(f) ? e->more->refused : 0;
    return fetch_rights_refuse(f, said) || (said && said != rights_reserving(said) && !f->opt->ignore_robots);
}

/* Whether the present files of the host refuse a picture that they did not refuse when it was downloaded,
 * or header fields do. */
static bool changed(const struct fetch *f, const struct entry *e)
{
    const struct host *h;
    if (!e->stored || e->host == NO_INDEX) return false;
    if (e->refused_now || refused_before(f, e)) return true;
    h = fetch_host(f, e->host);
    return h->robots_state == ROBOTS_KNOWN && !rights_reserving(e->rights) &&
           fetch_rights_refuse(f, host_files_rights(f, h, e->url));
}

static int by_bytes(const void *a, const void *b) { return memcmp(a, b, sizeof(struct xxh128)); }

/* Removes the stored picture from all entries with these bytes. */
static void forget(struct fetch *f, struct xxh128 *gone, size_t n)
{
    qsort(gone, n, sizeof *gone, by_bytes);
    for (size_t i = 0; i < f->entries.n; i++) {
        struct entry *e = fetch_entry(f, (uint32_t)i);
        if (!e->stored || !bsearch(&e->hash, gone, n, sizeof *gone, by_bytes)) continue;
        e->stored = e->refused_now = false;
        e->dead = true;
        e->reason = REASON_TAKEN_DOWN;
        if (e->more) e->more->detail = NULL;
    }
}

int rights_settle(struct fetch *f, struct error *err)
{
    struct xxh128 *gone = NULL;
    size_t n = 0, capacity = 0;
    int rc = -1;
    for (size_t i = 0; i < f->entries.n; i++) {
        struct entry *e = fetch_entry(f, (uint32_t)i);
        if (!changed(f, e)) continue;
        f->counts.n_refused_now++;
        if (!e->refused_now && !refused_before(f, e)) { /* otherwise the journal already has its response */
            struct journal_record r = {.time = f->now_s,
                                       .event = JOURNAL_DEAD,
                                       .url = e->url,
                                       .reason = "rights-reserved",
                                       .rights =
                                           rights_text(f->rights_words,
                                                       host_files_rights(f, fetch_host(f, e->host), e->url))};
            if (journal_append(&f->journal, &r, err)) goto out;
        }
        e->refused_now = true;
        if (f->opt->rights_changed != RIGHTS_CHANGED_TAKEDOWN) continue;
        if (mem_grow(&gone, &capacity, n + 1, sizeof *gone, err) ||
            policy_take_down(&f->policy, &e->hash, image_kind_extension((enum image_kind)e->kind), e->url,
                             err))
            goto out;
        gone[n++] = e->hash;
    }
    if (n) forget(f, gone, n);
    rc = 0;
out:
    free(gone);
    return rc;
}

int rights_mark_reserved(struct fetch *f, struct error *err)
{
    for (size_t i = 0; i < f->entries.n; i++) {
        struct entry *e = fetch_entry(f, (uint32_t)i);
        struct entry_more *more;
        if (!e->stored || !fetch_rights_refuse(f, e->rights)) continue;
        if (!(more = entry_need_more(&f->entries, e, err)) ||
            !(more->detail = arena_strdup(&f->entries.arena, rights_text(f->rights_words, e->rights), err)))
            return -1;
        e->stored = false; /* the journal and the store keep it */
        e->reason = REASON_RIGHTS_RESERVED;
    }
    return 0;
}
