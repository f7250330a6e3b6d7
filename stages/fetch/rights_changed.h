/*
 * rights_changed.h: pictures in the store whose host refuses their use now, although it did not when they
 * were downloaded. The host says so in its files, when anything is asked there in this run, or in header
 * fields of an answer about the picture: to --refresh, or to --recheck-rights, which asks about one picture
 * of each host, the one that was asked for longest ago, and about the others where that one is refused.
 */
#ifndef WINNOW_FETCH_RIGHTS_CHANGED_H
#define WINNOW_FETCH_RIGHTS_CHANGED_H

#include "fetch.h"

/* --recheck-rights: queues a picture of each host that has one in the store. Call it before the run. */
int rights_recheck(struct fetch *f, struct error *err);
/* Queues other pictures of the hosts that refused in a header field, RECHECK_MOST of each. Call it when
 * nothing is queued any more. */
int rights_recheck_others(struct fetch *f, struct error *err);
/* Call it at the end, after the writer was closed: counts what is refused now, writes it down, and takes
 * it down with --rights-changed takedown. */
int rights_settle(struct fetch *f, struct error *err);
/* For the report: a run that obeys does not give out what --rights record once kept. */
int rights_mark_reserved(struct fetch *f, struct error *err);

#endif
