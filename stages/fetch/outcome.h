/* outcome.h: the outcome of an entry and of its host, and the line in the journal that records it. All
 * functions set f->failed and f->err when the journal or the store cannot be written. */
#ifndef WINNOW_FETCH_OUTCOME_H
#define WINNOW_FETCH_OUTCOME_H

#include "fetch.h"

struct outcome {
    enum reason reason;
    const char *detail; /* for the row and the journal */
    const char *error;  /* for the journal */
    uint32_t rights;    /* the signals that were seen on the way to the picture: a set of rights.h */
    int status;
    double retry_after_s; /* with slow_down */
    bool slow_down, host_bad;
    /*
     * The response reads as final, but a login page in front of the network, or a host in trouble, may give
     * it for every address. Later runs request it again, each after twice the previous wait, until the wait
     * would reach FAIL_WAIT_MAX_S. Then the address counts as dead.
     */
    bool doubtful;
    /* a partial body could not be continued: request it again at once, without counting an attempt */
    bool free_try;
};

/* Passes the body of the transfer to the writer's thread. */
void fetch_succeed(struct fetch *f, uint32_t entry, struct http_transfer *t, enum image_kind kind);
/* Records the writer's result for a body, and frees the job. */
void fetch_written(struct fetch *f, struct write_job *job);
/* Records that the stored picture is kept, after a 304 or a recheck of its rights. */
void fetch_unchanged(struct fetch *f, uint32_t entry, struct http_transfer *t);
/* Queues the entry for another try, or ends it. t: NULL without a response. */
void fetch_fail(struct fetch *f, uint32_t entry, const struct outcome *o, const struct http_transfer *t);
/* Ends a series of failures of the host. */
void fetch_host_good(struct fetch *f, uint32_t host);
/* Asks the host nothing for so many seconds from now. A longer pause that runs already stays. */
void fetch_host_hold(struct fetch *f, uint32_t host, double seconds);
/* Fails all entries that wait for the host. due: when a later run may request them again (Unix seconds); 0:
 * after the usual wait. */
void fetch_host_give_up(struct fetch *f, uint32_t host, enum reason reason, int64_t due);

#endif
