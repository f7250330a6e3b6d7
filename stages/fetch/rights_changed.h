/*
 * rights_changed.h: pictures that are in the store already, and a host that has changed its mind since: it
 * says so in its files, when anything is asked there in this run, or in the answer to --refresh.
 */
#ifndef WINNOW_FETCH_RIGHTS_CHANGED_H
#define WINNOW_FETCH_RIGHTS_CHANGED_H

#include "fetch.h"

/* --recheck-rights: a host that would not be asked for anything is asked for its files. Before the run. */
int rights_recheck(struct fetch *f, struct error *err);
/*
 * At the end, when the writer is closed: counts what is refused now, writes it down, and takes it down with
 * --rights-changed takedown.
 */
int rights_settle(struct fetch *f, struct error *err);
/* For the report: what --rights record once took is not given to a run that obeys. */
int rights_mark_reserved(struct fetch *f, struct error *err);

#endif
