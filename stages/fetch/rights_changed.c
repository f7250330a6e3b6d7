/* rights_changed.c: see rights_changed.h. */
#include "rights_changed.h"

#include <stdlib.h>
#include <string.h>

#include "host_files.h"

int rights_recheck(struct fetch *f, struct error *err)
{
    if (!f->opt->recheck_rights || f->opt->ignore_robots || f->opt->rights == RIGHTS_IGNORE) return 0;
    for (size_t i = 0; i < f->entries.n; i++) {
        struct entry *e = fetch_entry(f, (uint32_t)i);
        if (!e->stored || e->state != ENTRY_DONE || fetch_host(f, e->host)->n_queued > 0) continue;
        e->only_rules = true;
        f->n_open++;
        if (schedule_add(&f->schedule, &f->entries, (uint32_t)i, false, err)) return -1;
    }
    return 0;
}

/* Whether the present files of the host refuse a picture that they did not refuse when it was downloaded. */
static bool changed(const struct fetch *f, const struct entry *e)
{
    const struct host *h;
    if (!e->stored || e->host == NO_INDEX) return false;
    if (e->refused_now) return true;
    h = fetch_host(f, e->host);
    return h->robots_state == ROBOTS_KNOWN && !rights_reserving(e->rights) &&
           fetch_rights_refuse(f, host_files_rights(f, h, e->url));
}

static int by_bytes(const void *a, const void *b) { return memcmp(a, b, sizeof(struct xxh128)); }

/* All addresses that gave these bytes lose them. */
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
        if (!e->refused_now) { /* an answer to the entry itself is in the journal already */
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
