/*
 * partial.h: continues an interrupted transfer from the bytes that arrived, in this run or a later one.
 *
 * Bytes are kept only if they begin like a picture and if the server named the version reliably
 * (lib/store/partial_store.h). They are stored at once when the transfer is interrupted. Large bodies under
 * way are also stored now and then, so that a killed run does not lose them, and all of them when the run is
 * asked to stop. With a block list the parts must not be on the disk, since a part cannot be compared with
 * it: they are then kept in memory for this run.
 *
 * The next request has Range and If-Range. The engine accepts only exactly the rest of the body. After an
 * answer that does not fit, the part is dropped, and the address is requested again from the start, without
 * counting an attempt.
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
    bool warned;                /* a failure to write one was reported */
};

/* Opens the store for parts in the folder of the object store, and marks the entries that have one. */
int partials_open(struct partials *ps, struct object_store *store, struct entries *es,
                  const struct fetch_options *o, int64_t now_s, struct error *err);
/* Stores bodies that are under way: those that are large and have doubled since, or all. */
void partials_checkpoint(struct fetch *f, bool all);

/* Puts what is there of the entry's body into the request, if t asks the same server for the same thing. */
int partial_continue(struct fetch *f, uint32_t entry, struct http_transfer *t, struct error *err);
/* Called at the end of a transfer: what it left is kept, or what was there is dropped. */
void partial_after(struct fetch *f, uint32_t entry, struct http_transfer *t);
/* The server did not continue what we have: the address is to be asked for again, from the start. */
bool partial_refused(const struct http_transfer *t);
void partial_drop(struct fetch *f, uint32_t entry);
/* The writer has finished with a part. */
void partial_written(struct fetch *f, struct write_job *job);
void hop_free(struct partials *ps, struct entry *e); /* with the part in it */

#endif
