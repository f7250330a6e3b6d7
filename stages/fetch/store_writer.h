/*
 * store_writer.h: a thread that hashes pictures, compares them with lists and stores them, so that a slow
 * disk does not delay the network. All functions are called by the event loop. Until store_writer_close the
 * object store and the partial store belong to the thread, and the lists of the policy are read-only.
 */
#ifndef WINNOW_FETCH_STORE_WRITER_H
#define WINNOW_FETCH_STORE_WRITER_H

#include "http/http.h"
#include "policy.h"
#include "store/object_store.h"
#include "store/partial_store.h"
#include "base/image_kind.h"

enum verdict { VERDICT_STORED, VERDICT_BLOCKED, VERDICT_TAKEN_DOWN, VERDICT_PLACEHOLDER, VERDICT_FAILED };

/* A picture that the thread hashes, compares with the lists and stores. */
struct write_job {
    struct write_job *next;
    enum { JOB_IMAGE, JOB_PART, JOB_FORGET_PART } what;
    uint32_t entry;
    struct xxh128 key;    /* with parts: the key of the entry's address in the journal */
    bool had_part;        /* JOB_IMAGE: the part of the picture is removed after the picture was stored */
    struct partial *part; /* PART: owned */
    bool part_kept;
    uint8_t *body; /* owned */
    size_t n_body, capacity;
    enum image_kind kind;
    struct http_headers headers;
    uint32_t rights; /* a set of rights.h */
    const char *url; /* the address that was requested last; the entry's or its hop's */
    struct xxh128 hash;
    enum verdict verdict;
    enum hash_kind by; /* with BLOCKED and TAKEN_DOWN */
    char digest[65];
    struct error error; /* with FAILED */
};

struct store_writer;

int store_writer_open(struct store_writer **out, struct object_store *store, struct partial_store *parts,
                      struct policy *policy, struct http_engine *engine, struct error *err);
/* waits while too many bytes are queued */
void store_writer_submit(struct store_writer *w, struct write_job *job);
/* Called once in each turn of the event loop. Starts the submitted jobs, at once or when there are more of
 * them. */
void store_writer_kick(struct store_writer *w, bool at_once);
bool store_writer_unkicked(const struct store_writer *w);
/* Returns the next completed job, in the order of submission, or NULL. */
struct write_job *store_writer_take(struct store_writer *w);
size_t store_writer_pending(const struct store_writer *w); /* submitted and not taken */
/* completes the queued work first; jobs that were not taken are dropped */
void store_writer_close(struct store_writer *w);

#endif
