/*
 * dist.h: several processes (ranks) that work on one thing: sums, gathers and broadcasts over all of them,
 * and what happens when one is lost. For `train` over MPI. The transport is a table (transport.h); the one
 * there is, over MPI, is a plug-in that is opened when the program was started by mpirun or srun. A struct
 * dist * of NULL is the one process alone: every call on it succeeds and changes nothing, so callers have one
 * path.
 *
 * All calls that take an error are collective: every rank makes the same calls in the same order. While they
 * wait they check that the other ranks are still there: a rank of this machine that died, a launcher that is
 * ending the job, or no answer within the time limit ends the wait with EX_TEMPFAIL and a message that names
 * the rank if it is known. After that dist_lost() is true and every further call fails: all a rank can still
 * do is to save its work and end. Only the thread that opened it may use it.
 */
#ifndef WINNOW_DIST_DIST_H
#define WINNOW_DIST_DIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct dist;

/*
 * how: "auto" joins the ranks when the environment says that a launcher started this process as one of
 * several; "mpi" always; "none" never. *out is NULL for a process alone. EX_NODEVICE: built without MPI,
 * though started by its launcher. timeout_s: how long the others may be silent while one waits.
 */
int dist_open(struct dist **out, const char *how, double timeout_s, struct error *err);
/*
 * Waits until every rank is here: before the end, because a launcher that sees one rank end with a status
 * other than 0 ends the others at once. Not after a loss.
 */
int dist_meet(struct dist *d, struct error *err);
/* Leaves. All ranks have to, except after a loss. */
void dist_close(struct dist *d);
/* Ends all ranks with this exit code: for a failure that the other ranks do not know of. */
void dist_abort(struct dist *d, int code) __attribute__((noreturn));

int dist_rank(const struct dist *d);       /* 0..size-1; 0 alone */
int dist_size(const struct dist *d);       /* 1 alone */
int dist_local_rank(const struct dist *d); /* among the ranks of this machine: which GPU */
int dist_local_size(const struct dist *d);
bool dist_lost(const struct dist *d);
int dist_gone(const struct dist *d); /* the rank that is known to be lost, or -1 */
/* The last failure is known to all ranks (dist_agree): only rank 0 reports it. */
bool dist_agreed(const struct dist *d);

/* In place; afterwards every rank has the same bits. */
int dist_sum_f32(struct dist *d, float *values, size_t n, struct error *err);
int dist_sum_f64(struct dist *d, double *values, size_t n, struct error *err);
/* Sums that overlap with computation: begin any number, poll now and then (MPI makes progress only when it is
 * called), finish all. */
int dist_sum_begin(struct dist *d, float *values, size_t n, struct error *err);
int dist_poll(struct dist *d, struct error *err);
int dist_finish(struct dist *d, struct error *err);

/* rank 0's bytes to all */
int dist_broadcast(struct dist *d, void *bytes, size_t n, struct error *err);
/*
 * The same for bytes that only rank 0 has, and that it may have failed to get: rc is its result, 0 or -1 with
 * err. On other ranks *bytes is NULL before and malloc'ed then, the caller's, also after an error; NULL if
 * *n_bytes is 0.
 */
int dist_share(struct dist *d, int rc, void **bytes, uint64_t *n_bytes, struct error *err);
/* all: size pieces of `each` bytes, of which this rank has filled its own; afterwards all are there. */
int dist_gather(struct dist *d, void *all, size_t each, struct error *err);
/* Rank `from` sends n bytes to rank 0; a call on rank 0 and on `from` only (nothing to do where they are the
 * same). */
int dist_to_first(struct dist *d, int from, void *bytes, size_t n, struct error *err);

/* *value becomes the first one, in order of ranks, that is not 0. */
int dist_any(struct dist *d, int *value, struct error *err);
/* Every rank gives the result of its work (0, or -1 with err). -1 on all if any failed, with the message of
 * the first that did. */
int dist_agree(struct dist *d, int rc, struct error *err);

#endif
