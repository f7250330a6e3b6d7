/* outcome.h: the outcome of an entry and of its host, and the line in the journal that records it. All
 * functions set f->failed and f->err when the journal or the store cannot be written. */
#ifndef WINNOW_FETCH_OUTCOME_H
#define WINNOW_FETCH_OUTCOME_H

#include "fetch.h"

struct outcome {
    enum reason reason;
    const char *detail; /* for the row and the journal */
    const char *error;  /* for the journal */
    uint32_t rights;    /* what was said until then: a set of rights.h */
    int status;
    double retry_after_s; /* with slow_down */
    bool slow_down, host_bad;
    /*
     * The answer is final by its words, but a login page in front of the network, or a host in trouble,
     * gives it for every address. Another run asks again, until the same answer came for so long that its
     * wait would be FAIL_WAIT_MAX_S.
     */
    bool doubtful;
    bool free_try; /* asked again at once, and not counted: a part that could not be continued */
};

void fetch_succeed(struct fetch *f, uint32_t entry, struct http_transfer *t,
                   enum image_kind kind);                   /* to the writer */
void fetch_written(struct fetch *f, struct write_job *job); /* and back */
void fetch_unchanged(struct fetch *f, uint32_t entry, struct http_transfer *t);
void fetch_fail(struct fetch *f, uint32_t entry, const struct outcome *o, const struct http_transfer *t);
void fetch_host_good(struct fetch *f, uint32_t host);
void fetch_host_bad(struct fetch *f, uint32_t host);
void fetch_host_hold(struct fetch *f, uint32_t host, double seconds);
void fetch_host_give_up(struct fetch *f, uint32_t host, enum reason reason, int64_t due);

#endif
