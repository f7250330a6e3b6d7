/*
 * fetch.h: what the files of this room share: one run over a list of addresses.
 * An entry is an address, asked once however many rows name it; a row is a line of the input. Rows leave in
 * input order.
 */
#ifndef WINNOW_FETCH_FETCH_H
#define WINNOW_FETCH_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "base/mem.h"
#include "cli/options.h"
#include "cli/stage.h"
#include "hash/content_hash.h"
#include "http/http.h"
#include "http/http_probe.h"
#include "http/http_url.h"
#include "http/robots.h"
#include "io/io.h"
#include "manifest/manifest.h"
#include "store/hash_list.h"
#include "store/journal.h"
#include "store/object_store.h"
#include "store/partial_store.h"

struct fetch_options {
    struct common_options common;
    const char *store, *label, *summary;
    int64_t n_parallel, n_per_host, n_per_address, n_tries, n_redirects, n_breaker, max_same;
    const char *rate; /* "10/s", "30/m", "0" */
    double connect_s, total_s, min_speed_s, retry_wait_s, max_wait_s, retry_failed_s, dead_for_s,
        refresh_after_s, network_wait_s, partial_for_s;
    uint64_t min_speed, max_bytes, min_bytes, memory, header_bytes, partial_bytes;
    bool allow_private, ignore_robots, insecure, no_http2, refresh, retry_now, retry_dead, stop_on_match,
        audit_urls, partial_unchecked, proxy_resolves;
    const char *user_agent, *contact, *proxy, *ca_file;
    struct option_strings blocklists, takedowns, placeholders, allow_addresses;
};
extern const struct option_table fetch_option_table;
extern const struct fetch_options fetch_defaults;

/* Why an address gave no picture: the slugs of rejects and journal. docs/notes/fetch.md lists them for
 * people. */
enum reason {
    REASON_NONE,
    REASON_BAD_URL,
    REASON_HTTP, /* "http-404": slug made from the status */
    REASON_DNS,
    REASON_CONNECT,
    REASON_TLS,
    REASON_TIMEOUT,
    REASON_STALLED,
    REASON_RESET,
    REASON_TRUNCATED,
    REASON_TOO_LARGE,
    REASON_TOO_SMALL,
    REASON_HEADERS_TOO_LARGE,
    REASON_REFUSED_ADDRESS,
    REASON_TRANSFER,
    REASON_REDIRECT_LIMIT,
    REASON_REDIRECT_REFUSED,
    REASON_PLACEHOLDER,
    REASON_REPEATED,
    REASON_HTML,
    REASON_FORMAT,
    REASON_NOT_A_PICTURE,
    REASON_EMPTY,
    REASON_ENCODED,
    REASON_ROBOTS_TXT,
    REASON_ROBOTS_UNREACHABLE,
    REASON_X_ROBOTS_TAG,
    REASON_HOST_DOWN,
    REASON_RETRY_LATER,
    REASON_BLOCKED,
    REASON_TAKEN_DOWN,
    REASON_NOT_ASKED,
    REASONS
};

enum entry_state { ENTRY_IDLE, ENTRY_QUEUED, ENTRY_WAITING, ENTRY_ACTIVE, ENTRY_DONE };

#define NO_INDEX UINT32_MAX

/* What only some entries have. */
struct entry_more {
    const char *final_url, *etag, *last_modified, *detail;
}; /* in the arena */

/* An attempt under way that is more than the first request for the entry's own address. */
struct hop {
    char *url; /* where a redirect led; NULL: the entry's own */
    uint32_t host;
    unsigned n_redirects;
    struct partial *part; /* the first bytes of a transfer that broke off, to be continued */
    bool part_lent;       /* the writer has it and will free it */
};

struct entry {
    const char *url; /* canonical; in the arena */
    struct entry_more *more;
    struct hop *hop;
    int64_t fetched_at; /* of the bytes in the store */
    int64_t due;        /* earliest time of another try; 0: now */
    struct xxh128 hash;
    uint32_t bytes;
    uint32_t host, next; /* next in the host's queue */
    uint16_t status;     /* of the picture if there is one, else of the last answer */
    uint8_t state, kind, reason, tries, failed_runs;
    bool stored;   /* the store holds its picture */
    bool durable;  /* and a sync mark vouches for it */
    bool dead;     /* reason holds until `due` */
    bool seen;     /* the journal has a line that counts for it */
    bool has_part; /* STORE/partial may hold one */
};

struct row {
    uint32_t entry;
    const char *url, *label; /* as given; arena */
    const char **more;       /* values of the other columns of the schema, NULL when there are none */
};

enum robots_state { ROBOTS_UNKNOWN, ROBOTS_ASKING, ROBOTS_KNOWN };

struct host {
    const char *name; /* "example.org", "example.org:8080"; arena */
    struct robots *robots;
    double free_at;    /* next start by the rate */
    double hold_until; /* Retry-After, or the breaker's pause */
    int64_t due;       /* with given_up: when another run may ask, 0 by the usual rule */
    uint32_t head, tail, n_queued, n_active, next_ready;
    uint32_t address, next_parked; /* where its last connection led: an index, or NO_INDEX; address.c */
    uint16_t n_bad, n_trips;       /* failures in a row; pauses in a row */
    uint16_t port;
    uint8_t robots_state, robots_tries, give_up_reason;
    bool listed, timed, parked, given_up, loopback;
    bool witness; /* answered in this run, or gave a picture in an earlier one */
};

/* An address of the network, whatever names lead to it: its transfers in flight, and the hosts that wait for
 * a place. */
struct address {
    uint8_t bytes[16];
    uint32_t n_active, head, tail;
};

struct timer {
    double at;
    uint32_t id;
    bool is_host;
};

struct key_slot {
    uint64_t hash;
    uint32_t entry;
};

struct counts {
    uint64_t n_asked, n_stored, n_bytes, n_requests;
};

struct takedown {
    struct hash_list hashes;
    struct xxh128 *urls;
    size_t n_urls, capacity;
    bool sorted;
};

struct placeholder_rules {
    struct hash_list hashes;
    char **redirects;
    size_t n_redirects, capacity;
};

struct syncer;
struct writer;

enum verdict { VERDICT_STORED, VERDICT_BLOCKED, VERDICT_TAKEN_DOWN, VERDICT_PLACEHOLDER, VERDICT_FAILED };

/* A picture on its way through the writer's thread: hashed, compared with the lists, stored. */
struct write_job {
    struct write_job *next;
    enum { JOB_PICTURE, JOB_PART, JOB_FORGET_PART } what;
    uint32_t entry;
    struct xxh128 key;    /* with parts: the journal's for the entry's address */
    bool had_part;        /* PICTURE: when all is done its part goes */
    struct partial *part; /* PART: owned */
    bool part_kept;
    uint8_t *body; /* owned */
    size_t n_body, capacity;
    enum picture_kind kind;
    struct http_headers headers;
    const char *url; /* that was asked last; the entry's or its hop's */
    struct xxh128 hash;
    enum verdict verdict;
    enum hash_kind by; /* with BLOCKED and TAKEN_DOWN */
    char digest[65];
    struct error error; /* with FAILED */
};

struct fetch {
    const struct fetch_options *opt;
    struct arena arena;
    struct entry *entries;
    size_t n_entries, entries_capacity;
    struct row *rows;
    size_t n_rows, rows_capacity;
    struct manifest_schema schema; /* the input's columns; url and label among them */
    int url_column, label_column;
    struct key_slot *keys, *host_keys, *address_keys; /* open addressing */
    size_t n_keys, keys_capacity, host_keys_capacity, address_keys_capacity;
    struct host *hosts;
    size_t n_hosts, hosts_capacity;
    struct address *addresses;
    size_t n_addresses, addresses_capacity;
    uint32_t per_address; /* UINT32_MAX: no limit */

    struct object_store store;
    struct partial_store parts; /* the writer's once it is open, but for reading */
    uint64_t parts_in_memory;   /* bytes */
    bool parts_failed;          /* that one could not be written was said */
    struct away *away;
    struct journal journal;
    /* its size when the run began, and when it was last asked to be synced */
    uint64_t journal_start, journal_synced;
    struct syncer *syncer;
    struct writer *writer;
    struct hash_list blocklist;
    struct takedown takedown;
    struct placeholder_rules placeholders;
    FILE *audit;
    char *path_prefix; /* of the store below --root: "" or "data/store/" */

    struct http_options http;
    struct http_engine *engine;
    uint32_t ready_head, ready_tail;
    struct timer *timers; /* binary heap */
    size_t n_timers, timers_capacity;
    double spacing_s; /* from --rate */
    bool rate_given;
    int64_t n_parallel; /* --parallel, or what the limit of descriptors allows */
    size_t n_open;      /* entries queued, waiting or active */
    bool stopping;
    int64_t now_s; /* Unix time of this turn */
    double now;    /* monotonic */
    struct counts counts;
    uint64_t n_answers, n_unreachable, n_missing_objects, n_matches, n_superseded;
    struct error *err; /* set by callbacks, checked each turn */
    bool failed;
    char *user_agent, *proxy;     /* owned; proxy NULL: none */
    struct http_network *allowed; /* --allow-address */
};

/* inputs.c: reads every operand (none: standard input) into rows and entries. */
int fetch_read_inputs(struct fetch *f, const struct operands *in, struct error *err);

/* entries.c */
/* room for one more */
int fetch_grow_table(struct key_slot **table, size_t *capacity, size_t n, struct error *err);
int fetch_add_entry(struct fetch *f, const char *url, size_t n_bytes, uint32_t *index, struct error *err);
struct entry *fetch_find(struct fetch *f, const struct xxh128 *key, const char *url); /* or NULL */
int fetch_host_of(struct fetch *f, const char *canonical, const struct http_url_parts *parts, uint32_t *index,
                  struct error *err);
int fetch_read_journal(struct fetch *f, const char *path, struct journal_stats *stats, struct error *err);
struct entry_more *fetch_more(struct fetch *f, struct entry *e, struct error *err);
const char *reason_slug(const struct entry *e, char out[24]);
enum reason reason_from_slug(const char *slug);
bool reason_is_final(enum reason r, int status);

/* schedule.c: which host may be asked next. */
int fetch_enqueue(struct fetch *f, uint32_t entry, bool front, struct error *err);
int fetch_enqueue_later(struct fetch *f, uint32_t entry, double at, struct error *err);
int fetch_host_poke(struct fetch *f, uint32_t host, struct error *err);
int fetch_next_ready(struct fetch *f, uint32_t *host, struct error *err); /* 1, 0 none, -1 */
int fetch_timers_due(struct fetch *f, struct error *err);
double fetch_next_time(const struct fetch *f); /* monotonic, INFINITY for none */
uint32_t fetch_dequeue(struct fetch *f, struct host *h);

/* address.c: how many transfers one address of the network has, whatever names lead there. */
bool fetch_admit(void *context, struct http_transfer *t, const struct sockaddr *address, socklen_t n_bytes);
bool fetch_address_full(const struct fetch *f, const struct host *h);
/* a place for a known address */
void fetch_address_enter(struct fetch *f, uint32_t host, struct http_transfer *t);
int fetch_address_leave(struct fetch *f, struct http_transfer *t, struct error *err);
void fetch_address_park(struct fetch *f, uint32_t host); /* the host waits for a place */
/* free places to those who wait */
int fetch_address_serve(struct fetch *f, uint32_t address, struct error *err);

/*
 * partial.c: what came of a transfer that broke off is continued, in this run or a later one.
 */
int fetch_parts_open(struct fetch *f, struct error *err);
bool fetch_parts_on_disk(const struct fetch *f);
/* into the request */
int fetch_part_for(struct fetch *f, uint32_t entry, struct http_transfer *t, struct error *err);
/* what the answer left of it */
void fetch_part_after(struct fetch *f, uint32_t entry, struct http_transfer *t);
bool fetch_part_refused(const struct http_transfer *t); /* to be asked again, from the start */
void fetch_part_drop(struct fetch *f, uint32_t entry);
void fetch_part_written(struct fetch *f, struct write_job *job);
void fetch_parts_checkpoint(struct fetch *f, bool all); /* of bodies in flight */

/*
 * away.c: is the network there? Failures that could be the network's own are held back until that is known;
 * when it is away the run pauses, and nothing counts as an attempt.
 */
int away_open(struct fetch *f, struct error *err);
void away_close(struct fetch *f);
/* Of every end of a transfer. true: t's failure is held back; its entry, or its host's robots.txt, comes back
 * by fetch_unheld. */
bool away_holds(struct fetch *f, uint32_t host, uint32_t entry, const struct http_transfer *t);
int away_turn(struct fetch *f, struct error *err); /* once a turn of the loop */
bool away_pauses(const struct fetch *f);           /* nothing is to be started now */
bool away_gone(const struct fetch *f);             /* longer than --network-wait: the run ends with 75 */
double away_seconds(const struct fetch *f);        /* since when it has been away */

/* attempt.c: requests and what becomes of their answers. */
/* A held failure was one (count) or was the network's and is forgotten. entry NO_INDEX: the host's
 * robots.txt. */
void fetch_unheld(struct fetch *f, uint32_t host, uint32_t entry, bool count, enum http_outcome outcome,
                  int status, const char *detail);
int fetch_start_one(struct fetch *f, uint32_t host, struct error *err);
bool fetch_judge(void *context, const struct http_transfer *t);
void fetch_done(void *context, struct http_transfer *t);

/* outcome.c: what is written down about an address. All set f->failed and f->err when the journal or store
 * cannot be written. */
struct outcome {
    enum reason reason;
    const char *detail;
    const char *error;
    int status;
    double retry_after_s;
    bool slow_down, host_bad;
    bool free_try; /* asked again at once, and not counted: a part that could not be continued */
};                 /* retry_after_s counts with slow_down */
void fetch_succeed(struct fetch *f, uint32_t entry, struct http_transfer *t,
                   enum picture_kind kind);                 /* to the writer */
void fetch_written(struct fetch *f, struct write_job *job); /* and back */
void fetch_unchanged(struct fetch *f, uint32_t entry, struct http_transfer *t);
void fetch_fail(struct fetch *f, uint32_t entry, const struct outcome *o, const struct http_transfer *t);
void fetch_host_good(struct fetch *f, uint32_t host);
void fetch_host_bad(struct fetch *f, uint32_t host, enum reason reason);
void fetch_host_hold(struct fetch *f, uint32_t host, double seconds);
void fetch_host_give_up(struct fetch *f, uint32_t host, enum reason reason, int64_t due);
void fetch_hop_free(struct fetch *f, struct entry *e);
struct hop *fetch_need_hop(struct entry *e, struct error *err);
bool fetch_token_entry(const struct http_transfer *t, uint32_t *entry); /* false: a robots.txt */
/* false: a robots.txt elsewhere */
bool fetch_token_host(struct fetch *f, const struct http_transfer *t, uint32_t *host);
uint32_t fetch_current_host(const struct entry *e);
void fetch_broken(struct fetch *f); /* f->err was filled: the run ends */

/* safety.c: block lists, takedowns, placeholders, the audit log. */
int fetch_open_safety(struct fetch *f, struct error *err);
void fetch_close_safety(struct fetch *f);
int fetch_apply_lists(struct fetch *f, const char *journal_path,
                      struct error *err); /* to what is in the store already */
bool fetch_taken_down_url(struct fetch *f, const char *url);
int fetch_audit(struct fetch *f, const char *action, const char *list, const char *algorithm,
                const char *digest, const char *url, struct error *err);
bool placeholder_redirect(const struct fetch *f, const char *target);
bool placeholder_bytes(struct placeholder_rules *rules, const uint8_t *bytes, size_t n,
                       const struct xxh128 *hash);

/* syncer.c: a thread that makes batches durable while the event loop goes on. */
int syncer_open(struct syncer **out, struct object_store *store, struct error *err);
void syncer_ask(struct syncer *s, uint64_t journal_bytes); /* not while busy */
/* 1: a sync that covered *journal_bytes of the journal is over; 0: nothing new; -1: it failed. */
int syncer_poll(struct syncer *s, uint64_t *journal_bytes, struct error *err);
bool syncer_busy(struct syncer *s);
void syncer_close(struct syncer *s);

/*
 * writer.c: a thread that hashes, compares and stores, so that a slow disk does not hold the network up.
 * Afterwards the lists and the store belong to it until writer_close.
 */
int writer_open(struct writer **out, struct fetch *f, struct error *err);
void writer_submit(struct writer *w, struct write_job *job); /* waits while too much is queued */
/* once a turn: what was submitted is begun, now or with more of it */
void writer_kick(struct writer *w, bool at_once);
bool writer_unkicked(const struct writer *w);
/* everything done so far, in order, or NULL */
struct write_job *writer_take(struct writer *w);
size_t writer_pending(const struct writer *w); /* submitted and not taken */
void writer_close(struct writer *w);           /* after the work that is queued; untaken jobs are dropped */

/* fetch.c: the run. */
int fetch_run(struct fetch *f, struct error *err);

/* report.c */
int fetch_write_rows(struct fetch *f, struct manifest_writer *out, struct manifest_writer *rejects,
                     struct stage_counts *n, struct error *err);
int fetch_write_summary(struct fetch *f, const char *path, struct error *err);
extern const char *const fetch_adds[];

#endif
