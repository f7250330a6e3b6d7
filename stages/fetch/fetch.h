/* fetch.h: one run over a list of addresses. Its parts are described in the
 * headers that are included here. */
#ifndef WINNOW_FETCH_FETCH_H
#define WINNOW_FETCH_FETCH_H

#include "entries.h"
#include "fetch_options.h"
#include "inputs.h"
#include "outage.h"
#include "partial.h"
#include "policy.h"
#include "schedule.h"
#include "store_writer.h"
#include "syncer.h"

struct counts {
    uint64_t n_asked, n_stored, n_bytes, n_requests;
    /* transfers that ended with a response of any kind, or without one */
    uint64_t n_responses, n_unreachable;
    uint64_t n_missing_objects; /* objects that the journal names and the store does not have */
    uint64_t n_waiting, n_dead; /* not requested in this run: failed and not yet due; with a final response */
    int64_t first_due;          /* when the first of n_waiting is due */
    /* responses that may come from a login page instead of the host (outcome.h) */
    uint64_t n_doubtful;
    uint64_t n_refused_now; /* pictures in the store whose hosts refuse their use now */
    uint64_t n_matches;     /* with block lists and takedowns */
};

/*
 * Only the thread of the event loop uses this struct, with one exception: while the writer's thread runs
 * (store_writer.h), that thread uses the object store and partials.store, and policy is read-only. The thread
 * of the syncer only syncs the file system of the store.
 */
struct fetch {
    const struct fetch_options *opt;
    struct inputs inputs;
    struct entries entries;
    struct schedule schedule; /* hosts and network addresses are in it */
    struct outage outage;
    struct partials partials;
    struct policy policy;

    struct object_store store;
    char *path_prefix; /* path of the store below --root: "" or "data/store/"; owned */
    struct journal journal;
    /* The size of the journal when the run began, and when a sync was last requested. */
    uint64_t journal_start, journal_synced;
    struct syncer *syncer;
    struct store_writer *writer;

    struct http_options http;
    struct http_engine *engine;
    struct http_network *allowed; /* --allow-address; owned */
    char *user_agent, *proxy;     /* owned; proxy NULL: none */
    double spacing_s;             /* from --rate */
    bool rate_given;
    int64_t n_parallel; /* --parallel, or the smaller number that the limit of descriptors allows */

    size_t n_open; /* entries queued, waiting or active */
    int64_t now_s; /* Unix time of this turn */
    bool stopping; /* nothing more is started */
    bool failed;   /* err was set by a callback; checked each turn */
    struct error *err;
    struct counts counts;
    char rights_words[RIGHTS_TEXT_BYTES]; /* buffer for the field rights of a journal line */
};
#define FETCH_EMPTY                                                                                          \
    ((struct fetch){.store = OBJECT_STORE_EMPTY, .journal = JOURNAL_EMPTY, .schedule = SCHEDULE_EMPTY})

static inline struct entry *fetch_entry(const struct fetch *f, uint32_t index)
{
    return &f->entries.items[index];
}
static inline struct host *fetch_host(const struct fetch *f, uint32_t index)
{
    return &f->schedule.hosts.items[index];
}

/* Requests all entries that are due. Returns 0, or -1 with err set: EX_TEMPFAIL when the network was down for
 * too long. What was fetched before is in the store and in the journal. */
int fetch_run(struct fetch *f, struct error *err);
void fetch_abort(struct fetch *f); /* ends the run; f->err must be set */

#endif
