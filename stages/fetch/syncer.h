/* syncer.h: a thread that makes batches durable while the event loop continues. All
 * functions are called by the loop. */
#ifndef WINNOW_FETCH_SYNCER_H
#define WINNOW_FETCH_SYNCER_H

#include "store/object_store.h"

struct syncer;

int syncer_open(struct syncer **out, struct object_store *store, struct error *err);
void syncer_ask(struct syncer *s, uint64_t journal_bytes); /* not while busy */
/* 1: a sync is over that covered *journal_bytes of the journal. 0: nothing new. -1: it failed. */
int syncer_poll(struct syncer *s, uint64_t *journal_bytes, struct error *err);
bool syncer_busy(struct syncer *s);
void syncer_close(struct syncer *s);

#endif
