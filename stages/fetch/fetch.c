/* fetch.c: runs fetch: decides which addresses to request, runs the event loop, and makes batches durable. */
#include "attempt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "outcome.h"
#include "rights_changed.h"
#include "io/signals.h"

#define SYNC_EVERY_S 2.0
#define SYNC_EVERY_BYTES (64u << 20)
#define CHECKPOINT_EVERY_S 2.0 /* large bodies in flight are also written to the disk this often */
#define PER_ADDRESS 16         /* transfers in flight to one address, unless --per-host is more */
#define DOUBTFUL_LEAST 5       /* warn when a run has at least so many doubtful responses and no others */
#define TURN_S 0.25            /* the loop checks signals and clocks at least this often */

/* Queues the entry if it must be requested in this run. Otherwise sets its outcome. */
static int plan_entry(struct fetch *f, uint32_t index, struct error *err)
{
    struct entry *e = fetch_entry(f, index);
    const struct fetch_options *o = f->opt;
    if (e->state == ENTRY_DONE) return 0;
    int taken_down = policy_taken_down(&f->policy, e->url, err);
    if (taken_down < 0) return -1;
    if (taken_down || (e->stored && hash_list_has(&f->policy.takedown.hashes, HASH_XXH128, e->hash.bytes))) {
        e->stored = false;
        e->dead = true;
        e->reason = REASON_TAKEN_DOWN;
        e->state = ENTRY_DONE;
        return 0;
    }
    if (e->stored && !object_store_has(&f->store, &e->hash, image_kind_extension((enum image_kind)e->kind),
                                       e->bytes, !e->durable)) {
        e->stored = false;
        f->counts.n_missing_objects++;
    }
    bool ask;
    if (e->stored)
        ask = o->refresh && (double)(f->now_s - e->due) >= o->refresh_after_s;
    else if (e->reason == REASON_NONE || o->retry_dead)
        ask = e->reason != REASON_BLOCKED && e->reason != REASON_TAKEN_DOWN;
    else if (e->dead)
        ask = e->due <= f->now_s ||
              (o->ignore_robots && (e->reason == REASON_ROBOTS_TXT || e->reason == REASON_X_ROBOTS_TAG)) ||
              (o->rights != RIGHTS_OBEY && e->reason == REASON_RIGHTS_RESERVED) ||
              (o->allow_private && e->reason == REASON_REFUSED_ADDRESS);
    else
        ask = e->due <= f->now_s || o->retry_now;
    if (!ask) {
        e->state = ENTRY_DONE;
        if (!e->stored && e->dead) {
            f->counts.n_dead += e->reason != REASON_BLOCKED && e->reason != REASON_TAKEN_DOWN;
        } else if (!e->stored) {
            if (f->counts.n_waiting++ == 0 || e->due < f->counts.first_due) f->counts.first_due = e->due;
        }
        return 0;
    }
    f->n_open++;
    return schedule_add(&f->schedule, &f->entries, index, false, err);
}

/* Prints how many addresses were not requested, and how to request them, so that the user does not believe
 * that they are lost. */
static void say_waiting(const struct fetch *f)
{
    const struct counts *c = &f->counts;
    char when[21], text[240];
    int n = 0;
    if (c->n_waiting)
        n = snprintf(text, sizeof text,
                     "%llu addresses that failed are not due before %s (--retry-now requests them at once)",
                     (unsigned long long)c->n_waiting, format_time(when, c->first_due));
    if (c->n_dead)
        snprintf(text + n, sizeof text - (size_t)n,
                 "%s%llu have a final response (--retry-dead requests them again)", n ? "; " : "",
                 (unsigned long long)c->n_dead);
    /* Final responses alone are worth a message only when the whole list has them, or when somebody asked to
     * try again. */
    bool dead_only = c->n_dead && (f->opt->retry_now || c->n_dead == f->entries.n);
    if ((c->n_waiting || dead_only) && f->n_open == 0)
        stage_warn("nothing was requested: %s", text);
    else if (c->n_waiting || c->n_dead)
        stage_note(&f->opt->common, "%s", text);
}

static void say_doubtful(const struct fetch *f)
{
    const struct counts *c = &f->counts;
    if (c->n_doubtful >= DOUBTFUL_LEAST && c->n_doubtful == c->n_asked && c->n_stored == 0)
        stage_warn("not one picture: all %llu responses were web pages, refusals or empty. Is there a login "
                   "page in front of the network? The addresses are requested again later; --retry-now does "
                   "so at once",
                   (unsigned long long)c->n_doubtful);
}

static void say_refused(const struct fetch *f)
{
    bool down = f->opt->rights_changed == RIGHTS_CHANGED_TAKEDOWN;
    if (f->counts.n_refused_now)
        stage_warn("%llu pictures in the store are refused by their hosts now: %s",
                   (unsigned long long)f->counts.n_refused_now,
                   down ? "taken down; purge removes what was made from them"
                        : "kept (--rights-changed takedown removes them)");
}

static int tick_sync(struct fetch *f, double *synced_at, uint64_t *synced_bytes, struct error *err)
{
    uint64_t covered;
    int got = syncer_poll(f->syncer, &covered, err);
    if (got < 0) return -1;
    if (got > 0) {
        struct journal_record r = {.time = f->now_s, .event = JOURNAL_SYNC, .bytes = covered};
        if (journal_append(&f->journal, &r, err)) return -1;
    }
    bool due =
        f->schedule.now - *synced_at >= SYNC_EVERY_S || f->counts.n_bytes - *synced_bytes >= SYNC_EVERY_BYTES;
    if (due && f->journal.n_written > f->journal_synced && !syncer_busy(f->syncer)) {
        *synced_at = f->schedule.now;
        *synced_bytes = f->counts.n_bytes;
        /* The sync line alone is no reason for another sync. */
        f->journal_synced = f->journal.n_written + 200;
        syncer_start(f->syncer, f->journal.n_written);
    }
    return 0;
}

/* Makes all files of the run durable and writes a sync line, if this run wrote any file. */
static int final_sync(struct fetch *f, struct error *err)
{
    if (journal_flush(&f->journal, err)) return -1;
    if (f->journal.n_written == f->journal_start) return 0;
    struct journal_record r = {.time = (int64_t)time(NULL),
                               .event = JOURNAL_SYNC,
                               .bytes = f->journal.n_written};
    return object_store_sync(&f->store, err) || journal_append(&f->journal, &r, err) ||
                   journal_flush(&f->journal, err)
               ? -1
               : 0;
}

static int loop(struct fetch *f, struct error *err)
{
    struct progress progress = {0};
    double synced_at = clock_seconds(), checked_at = synced_at;
    uint64_t synced_bytes = 0, n_total = f->n_open, n_turn = 0;
    char extra[96];
    progress_start(&progress, &f->opt->common, n_total, "urls");
    while ((f->n_open > 0 || store_writer_pending(f->writer) > 0) && !f->failed && !outage_timed_out(f)) {
        uint32_t host, entry;
        int got = 0;
        f->schedule.now = clock_seconds();
        f->now_s = (int64_t)time(NULL);
        if (!f->stopping && signals_asked_to_stop()) {
            f->stopping = true;
            stage_warn("stopping: %u transfers in flight will finish; interrupt again to drop them",
                       http_engine_active(f->engine));
            partials_checkpoint(f, true); /* the second signal leaves no time for it */
        }
        if (f->stopping && http_engine_active(f->engine) == 0 && store_writer_pending(f->writer) == 0) break;
        while (!f->stopping && (got = schedule_due(&f->schedule, &entry, err)) > 0)
            fetch_queue_again(f, entry);
        if (got < 0) return -1;
        if (outage_turn(f, err)) return -1;
        /* Pictures that the writer has not stored yet would be requested again after a kill. There are at
         * most as many of them as transfers. This limit is high enough that a short pause of the disk does
         * not reduce the number of transfers. */
        while (!f->stopping && !f->failed && !outage_pauses(&f->outage) &&
               http_engine_active(f->engine) < (size_t)f->n_parallel &&
               store_writer_pending(f->writer) < (size_t)f->n_parallel && http_engine_has_memory(f->engine) &&
               (got = schedule_next(&f->schedule, &host, err)) > 0)
            if (fetch_start_one(f, host, err)) return -1;
        if (got < 0) return -1;
        double wait = schedule_next_time(&f->schedule) - f->schedule.now;
        if (wait < 0 || store_writer_unkicked(f->writer)) wait = 0;
        if (http_engine_step(f->engine, wait < TURN_S ? wait : TURN_S, err)) return -1;
        store_writer_kick(f->writer, http_engine_idle(f->engine));
        for (struct write_job *job = store_writer_take(f->writer), *next; job; job = next) {
            next = job->next;
            fetch_written(f, job);
        }
        if (f->failed) break;
        if (f->journal.pending.n_bytes && journal_flush(&f->journal, err)) return -1;
        if ((++n_turn & 15) == 0 || http_engine_active(f->engine) == 0) {
            if (tick_sync(f, &synced_at, &synced_bytes, err)) return -1;
            snprintf(extra, sizeof extra, "%llu stored, %.1f MB, %u in flight",
                     (unsigned long long)f->counts.n_stored, (double)f->counts.n_bytes / 1e6,
                     http_engine_active(f->engine));
            progress_update(&progress, n_total - f->n_open, extra);
            if (f->schedule.now - checked_at >= CHECKPOINT_EVERY_S) {
                checked_at = f->schedule.now;
                partials_checkpoint(f, false);
            }
        }
    }
    progress_end(&progress);
    return f->failed ? -1 : 0;
}

/* Returns how many transfers the limit on descriptors allows. Descriptors are needed for sockets, for threads
 * of the resolver, and for our own files. */
static int64_t fit_to_descriptors(int64_t n_wanted)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l)) return n_wanted;
    if (l.rlim_cur < l.rlim_max) {
        struct rlimit more = {l.rlim_max < 65536 ? l.rlim_max : 65536, l.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &more) == 0) l = more;
    }
    int64_t room = (int64_t)((l.rlim_cur - 32) / 3);
    return l.rlim_cur < 64 ? 1 : n_wanted < room ? n_wanted : room;
}

void fetch_abort(struct fetch *f) { f->failed = true; }

int fetch_run(struct fetch *f, struct error *err)
{
    const struct fetch_options *o = f->opt;
    struct http_options http = {.limits = HTTP_LIMITS_DEFAULTS};
    uint32_t per_address = (uint32_t)(o->n_per_address              ? o->n_per_address
                                      : o->n_per_host > PER_ADDRESS ? o->n_per_host
                                                                    : PER_ADDRESS);
    f->schedule.addresses.limit = o->proxy ? UINT32_MAX : per_address;
    f->schedule.n_per_host = (unsigned)o->n_per_host;
    f->err = err;
    f->schedule.now = clock_seconds();
    f->now_s = (int64_t)time(NULL);
    f->journal_start = f->journal_synced = f->journal.n_written;
    for (size_t i = 0; i < f->entries.n; i++)
        if (plan_entry(f, (uint32_t)i, err)) return -1;
    if (f->counts.n_missing_objects)
        stage_warn("%llu pictures listed in the journal are missing from the store and will be fetched again",
                   (unsigned long long)f->counts.n_missing_objects);
    say_waiting(f);
    if (rights_recheck(f, err)) return -1;
    if (f->n_open == 0) return 0;
    f->n_parallel = fit_to_descriptors(o->n_parallel);
    http.limits.n_parallel = (unsigned)f->n_parallel;
    http.limits.n_per_host = (unsigned)o->n_per_host;
    http.limits.connect_s = o->connect_s;
    http.limits.total_s = o->total_s;
    http.limits.min_bytes_per_s = o->min_speed;
    http.limits.min_speed_s = o->min_speed_s;
    http.limits.body_bytes = o->max_bytes;
    http.limits.memory_bytes = o->memory;
    http.allow_private = o->allow_private;
    http.allowed = f->allowed;
    http.n_allowed = o->allow_addresses.n;
    http.insecure = o->insecure;
    http.no_http2 = o->no_http2;
    http.user_agent = f->user_agent;
    http.agent_token = "winnow";
    http.proxy = f->proxy;
    http.ca_file = o->ca_file;
    f->http = http;
    if (outage_open(f, err) || syncer_open(&f->syncer, &f->store, err) ||
        http_engine_open(&f->engine, &http, fetch_accept_headers, fetch_admit, fetch_done, f, err) ||
        store_writer_open(&f->writer, &f->store, &f->partials.store, &f->policy, f->engine, err))
        return -1;
    if (loop(f, err)) return -1;
    if (!f->stopping) {
        if (rights_recheck_others(f, err) || (f->n_open > 0 && loop(f, err))) return -1;
    }
    if (!f->stopping) { /* the store is ours again */
        store_writer_close(f->writer);
        f->writer = NULL;
        if (rights_settle(f, err)) return -1;
        say_refused(f);
    }
    if (final_sync(f, err)) return -1;
    say_doubtful(f);
    if (outage_timed_out(f))
        return error_set(err, EX_TEMPFAIL, "%s for %.0f s; nothing is lost, run again when it is back",
                         o->proxy ? "the proxy cannot be reached" : "the network has been down",
                         outage_seconds(f));
    return 0;
}
