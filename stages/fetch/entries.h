/* entries.h: the addresses of a run. An entry is an address, which is requested once, however many rows
 * name it. The table is made for a million entries: 88 bytes each, and their strings in one arena. */
#ifndef WINNOW_FETCH_ENTRIES_H
#define WINNOW_FETCH_ENTRIES_H

#include "base/mem.h"
#include "base/text.h"
#include "hosts.h"
#include "reason.h"
#include "store/journal.h"
#include "store/partial_store.h"

/* What --recheck-rights requests for a picture that is in the store: first its host's files, then a response
 * whose header fields are read. An entry that was requested in this run for another reason is at
 * RECHECK_FIELDS, too. */
enum recheck { RECHECK_NONE, RECHECK_RULES, RECHECK_FIELDS };
enum entry_state { ENTRY_IDLE, ENTRY_QUEUED, ENTRY_WAITING, ENTRY_ACTIVE, ENTRY_DONE };

/* Fields that only some entries need. The strings are in the arena. */
struct entry_more {
    const char *final_url, *etag, *last_modified, *detail;
    /* what header fields forbade in an earlier run, if no later one allowed it: a set of rights.h */
    uint32_t refused;
};

#define HOP_COOKIE_HOSTS 3 /* a chain of redirects goes from a host to its login and back */

/* A request in progress that is not simply the first one for the entry's own address. */
struct hop {
    char *url; /* the address to which a redirect led; NULL: the entry's own */
    uint32_t host;
    uint32_t rights; /* statements seen on the way to this address: a set of rights.h */
    unsigned n_redirects;
    struct hop_cookies {
        struct text jar; /* http_cookie.h */
        uint32_t host;   /* the host that set them, to which they are sent back */
        bool https;      /* set over TLS: not sent without it */
    } cookies[HOP_COOKIE_HOSTS];
    unsigned n_cookies;
    struct partial *part; /* the first bytes of an interrupted transfer, to be continued */
    bool part_lent;       /* the writer's thread uses the part and will free it */
};

struct entry {
    const char *url; /* canonical; in the arena */
    struct entry_more *more;
    struct hop *hop;
    int64_t fetched_at; /* of the bytes in the store */
    int64_t due;        /* earliest time of another attempt; 0: now */
    struct xxh128 hash;
    uint32_t bytes;
    uint32_t host, next; /* next in the host's queue */
    uint32_t rights;     /* statements about the picture in the store: a set of rights.h */
    uint16_t status;     /* of the picture if there is one, else of the last response */
    uint8_t state, kind, reason, tries, failed_runs;
    bool stored;      /* its picture is in the store */
    bool durable;     /* and it is durable according to a sync line */
    bool dead;        /* reason holds until `due` */
    bool seen;        /* the journal has a valid line for it */
    bool refused_now; /* the picture is in the store, and in this run its host refused its use */
    bool has_part;    /* STORE/partial may hold one */
    uint8_t recheck;  /* enum recheck */
};

struct entries {
    struct arena arena; /* also of the rows' strings */
    struct entry *items;
    size_t n, capacity;
    struct hash_index index;
    uint64_t n_superseded; /* lines of the journal that a later one replaced */
};

/* The options that determine what earlier lines of the journal mean for this run. */
struct journal_rules {
    bool keep_validators; /* --refresh */
    double dead_for_s;
    int64_t now_s; /* Unix time */
};
#define FAIL_WAIT_MAX_S (7 * 86400.0) /* a failing address is requested at least weekly */

/* Sets *index to the entry for an address as it was written. A new entry, and its host, are added. An address
 * that cannot be requested gets a separate entry that is done, with REASON_BAD_URL. */
int entries_add(struct entries *es, struct hosts *hosts, const char *url, size_t n_bytes, uint32_t *index,
                struct error *err);
/* Finds an entry by the key of its address in the journal. url is as in the journal ("#...": only the key is
 * known). Returns NULL when there is no such entry. */
struct entry *entries_find(const struct entries *es, const struct xxh128 *key, const char *url);
/* Applies the journal to the entries that exist, and ignores its other lines. */
int entries_read_journal(struct entries *es, const struct journal_rules *rules, const char *path,
                         struct journal_stats *stats, struct error *err);
void entries_release(struct entries *es);

/* Returns e->more, which is created if it does not exist, or NULL with err set. */
struct entry_more *entry_need_more(struct entries *es, struct entry *e, struct error *err);
struct hop *entry_need_hop(struct entry *e, struct error *err);
/* Adds the cookies that a response of `host` set to those of the hop. Returns 0, or -1 with err set. */
int hop_keep_cookies(struct hop *hop, uint32_t host, bool https, const char *set, struct error *err);
const char *hop_cookies(const struct hop *hop, uint32_t host, bool https); /* to be sent, or NULL */
void hop_forget_cookies(struct hop *hop);
/* Return the host and the address of the next request: those to which the last redirect led, or the entry's
 * own. */
static inline uint32_t entry_host(const struct entry *e)
{
    return e->hop && e->hop->url ? e->hop->host : e->host;
}
static inline const char *entry_url(const struct entry *e)
{
    return e->hop && e->hop->url ? e->hop->url : e->url;
}

#endif
