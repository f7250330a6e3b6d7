/*
 * rights_changed.h: finds pictures in the store whose host now refuses their use, although it did not when
 * they were downloaded. The refusal is in the files of the host, if anything is requested from it in this
 * run, or in header fields of the picture, which are read with --refresh or --recheck-rights. With
 * --recheck-rights, one picture of each host is requested, the one whose last request is the oldest. If it is
 * refused, others follow.
 */
#ifndef WINNOW_FETCH_RIGHTS_CHANGED_H
#define WINNOW_FETCH_RIGHTS_CHANGED_H

#include "fetch.h"

/* --recheck-rights: queues a picture of each host that has one in the store. Call it before the run. */
int rights_recheck(struct fetch *f, struct error *err);
/* Queues other pictures of the hosts that refused in a header field, RECHECK_MOST of each. Call it when the
 * queues are empty. */
int rights_recheck_others(struct fetch *f, struct error *err);
/* Call it at the end, after the writer was closed: counts and records the pictures that are refused now,
 * and removes them with --rights-changed takedown. */
int rights_settle(struct fetch *f, struct error *err);
/* Call it before the report: with --rights obey, rejects pictures that an earlier run with --rights record
 * kept. */
int rights_mark_reserved(struct fetch *f, struct error *err);

#endif
