/* syncer.h: a thread that makes batches of downloaded files durable while the event loop continues. Only the
 * event loop may call these functions. */
#ifndef WINNOW_FETCH_SYNCER_H
#define WINNOW_FETCH_SYNCER_H

#include "store/object_store.h"

struct syncer;

int syncer_open(struct syncer **out, struct object_store *store, struct error *err);
/* Starts a sync. Must not be called while a sync runs. */
void syncer_start(struct syncer *s, uint64_t journal_bytes);
/* Returns 1 when a sync has ended: the first *journal_bytes of the journal are then durable. Returns 0
 * otherwise, or -1 with err set when a sync failed. */
int syncer_poll(struct syncer *s, uint64_t *journal_bytes, struct error *err);
bool syncer_busy(struct syncer *s);
void syncer_close(struct syncer *s);

#endif
