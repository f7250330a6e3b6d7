/*
 * partial.h: continues an interrupted transfer from what arrived, in this run or a later one.
 *
 * Only what has begun like a picture, by a server that named its version strongly, is kept
 * (lib/store/partial_store.h), at once when the transfer is interrupted; of large bodies in flight a copy is
 * put there now and then, so that a killed run does not lose them, and of all when the run is asked to stop.
 * Where parts must not be on the disk (a block list is in force: a part cannot be compared with a list)
 * they are kept in memory, for this run.
 *
 * The next request says Range and If-Range. The engine takes nothing for the rest that is not exactly that;
 * an answer that does not fit costs the part, not a try: the address is asked again from the start.
 */
#ifndef WINNOW_FETCH_PARTIAL_H
#define WINNOW_FETCH_PARTIAL_H

#include "entries.h"
#include "fetch_options.h"
#include "http/http.h"
#include "store/partial_store.h"

struct fetch;
struct write_job;

struct partials {
    struct partial_store store; /* the writer's thread's once that is open, but for reading */
    uint64_t memory_bytes;      /* of those in memory */
    bool warned;                /* that one could not be written was said */
};

/* The store for parts in the object store's folder; marks the entries that have one. */
int partials_open(struct partials *ps, struct object_store *store, struct entries *es,
                  const struct fetch_options *o, int64_t now_s, struct error *err);
bool partials_on_disk(const struct fetch_options *o);
/* Of the bodies in flight: those that are large and have doubled, or all. */
void partials_checkpoint(struct fetch *f, bool all);

/* Puts what is there of the entry's body into the request, if t asks the same server for the same thing. */
int partial_continue(struct fetch *f, uint32_t entry, struct http_transfer *t, struct error *err);
/* At the end of a transfer: what it left is kept, or what was there is dropped. */
void partial_after(struct fetch *f, uint32_t entry, struct http_transfer *t);
/* The server did not continue what we have: to be asked again, from the start. */
bool partial_refused(const struct http_transfer *t);
void partial_drop(struct fetch *f, uint32_t entry);
/* The writer is done with a part. */
void partial_written(struct fetch *f, struct write_job *job);
void hop_free(struct partials *ps, struct entry *e); /* with the part in it */

#endif
