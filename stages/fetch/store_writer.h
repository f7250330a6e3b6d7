/*
 * store_writer.h: a thread that hashes, compares and stores, so that a slow disk does not hold up the
 * network. All functions are called by the event loop. Until store_writer_close the object store and the
 * partial store belong to the thread, and the lists of the policy are read-only.
 */
#ifndef WINNOW_FETCH_STORE_WRITER_H
#define WINNOW_FETCH_STORE_WRITER_H

#include "http/http.h"
#include "policy.h"
#include "store/object_store.h"
#include "store/partial_store.h"
#include "base/image_kind.h"

enum verdict { VERDICT_STORED, VERDICT_BLOCKED, VERDICT_TAKEN_DOWN, VERDICT_PLACEHOLDER, VERDICT_FAILED };

/* A picture on its way through the thread, where it is hashed, compared with the lists and stored. */
struct write_job {
    struct write_job *next;
    enum { JOB_IMAGE, JOB_PART, JOB_FORGET_PART } what;
    uint32_t entry;
    struct xxh128 key;    /* with parts: the journal's for the entry's address */
    bool had_part;        /* JOB_IMAGE: when all is done its part goes */
    struct partial *part; /* PART: owned */
    bool part_kept;
    uint8_t *body; /* owned */
    size_t n_body, capacity;
    enum image_kind kind;
    struct http_headers headers;
    uint32_t rights; /* a set of rights.h */
    const char *url; /* that was asked last; the entry's or its hop's */
    struct xxh128 hash;
    enum verdict verdict;
    enum hash_kind by; /* with BLOCKED and TAKEN_DOWN */
    char digest[65];
    struct error error; /* with FAILED */
};

struct store_writer;

int store_writer_open(struct store_writer **out, struct object_store *store, struct partial_store *parts,
                      struct policy *policy, struct http_engine *engine, struct error *err);
void store_writer_submit(struct store_writer *w, struct write_job *job); /* waits while too much is queued */
/* Called once a turn: begins what was submitted, now or together with more of it. */
void store_writer_kick(struct store_writer *w, bool at_once);
bool store_writer_unkicked(const struct store_writer *w);
/* Gives what has been done, in order, or NULL. */
struct write_job *store_writer_take(struct store_writer *w);
size_t store_writer_pending(const struct store_writer *w); /* submitted and not taken */
void store_writer_close(struct store_writer *w); /* after the work that is queued; untaken jobs are dropped */

#endif
