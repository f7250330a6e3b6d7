/*
 * rights_changed.h: pictures in the store whose host refuses their use now, although it did not when they
 * were downloaded. The host says so in its files, when anything is asked there in this run, or in the answer
 * to --refresh.
 */
#ifndef WINNOW_FETCH_RIGHTS_CHANGED_H
#define WINNOW_FETCH_RIGHTS_CHANGED_H

#include "fetch.h"

/* --recheck-rights: asks hosts for their files that would not be asked for
 * anything. Call it before the run. */
int rights_recheck(struct fetch *f, struct error *err);
/* Call it at the end, after the writer was closed: counts what is refused now, writes it down, and takes
 * it down with --rights-changed takedown. */
int rights_settle(struct fetch *f, struct error *err);
/* For the report: a run that obeys does not give out what --rights record once kept. */
int rights_mark_reserved(struct fetch *f, struct error *err);

#endif
