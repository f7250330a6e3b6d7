/*
 * partial.h: continues an interrupted transfer from the bytes that arrived, in this run or a later one.
 *
 * Bytes are kept only if they begin like a picture and if the server named the version reliably
 * (lib/store/partial_store.h). They are stored at once when the transfer is interrupted. Large bodies under
 * way are also stored now and then, so that a killed run does not lose them. When the run is asked to stop,
 * all bodies under way are stored. With a block list no part may be written to the disk, because a part
 * cannot be compared with the list. Parts are then kept in memory for this run.
 *
 * The next request has Range and If-Range. The engine accepts only exactly the rest of the body. After any
 * other response the part is dropped, and the address is requested again from the start. This does not count
 * as an attempt.
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
    /* after the writer has started, only its thread changes this; any thread may read it */
    struct partial_store store;
    uint64_t memory_bytes; /* size of the parts in memory */
    bool warned;           /* a failure to write a part was reported */
};

/* Opens the store for parts in the folder of the object store, and marks the entries that have one. */
int partials_open(struct partials *ps, struct object_store *store, struct entries *es,
                  const struct fetch_options *o, int64_t now_s, struct error *err);
/* Stores bodies that are under way: those that are large and have doubled since, or all. */
void partials_checkpoint(struct fetch *f, bool all);

/* Puts the stored part of the entry's body into the request, if t requests the same URL. Returns 0, or -1
 * with err set. */
int partial_continue(struct fetch *f, uint32_t entry, struct http_transfer *t, struct error *err);
/* Called at the end of a transfer. Keeps the bytes of an interrupted one, or drops the stored part. */
void partial_after(struct fetch *f, uint32_t entry, struct http_transfer *t);
/* Whether the server did not continue the stored part, so that the whole body must be requested again. */
bool partial_refused(const struct http_transfer *t);
void partial_drop(struct fetch *f, uint32_t entry);
/* Called when the writer's thread has stored a part, or failed to. */
void partial_written(struct fetch *f, struct write_job *job);
void hop_free(struct partials *ps, struct entry *e); /* frees e->hop and the part in it */

#endif
