/*
 * dist.h: lets several processes (ranks) work together. It sums, gathers and broadcasts data over all ranks,
 * and detects lost ranks. `train` uses it over MPI. The transport is a table of functions (transport.h). The
 * only transport uses MPI; it is a plug-in, which is opened when mpirun or srun started the program. A NULL
 * struct dist * stands for a single process: every call on it succeeds and changes nothing, so that callers
 * need no special case.
 *
 * All calls that take an error are collective: every rank makes the same calls in the same order. While a
 * rank waits, it checks that the others still exist. The wait ends with EX_TEMPFAIL, and a message that
 * names the rank if it is known, when a rank on this machine died, when the launcher is ending the job, or
 * when another rank sends nothing within the time limit. After that dist_lost() is true and every further
 * call fails: a rank can only save its work and end. Only the thread that called dist_open may use the
 * result.
 */
#ifndef WINNOW_DIST_DIST_H
#define WINNOW_DIST_DIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct dist;

/*
 * Joins the other ranks. how: "auto" joins them when the environment says that a launcher started this
 * process as one of several; "mpi" always does, and "none" never. timeout_s: how long the other ranks may be
 * silent while this one waits. *out becomes NULL for a single process. Returns 0, or -1 with err set:
 * EX_NODEVICE when a launcher started a program that was built without MPI.
 */
int dist_open(struct dist **out, const char *how, double timeout_s, struct error *err);
/* Waits until every rank has called it. Call it before the end, because a launcher ends all ranks at once
 * when one of them exits with a status other than 0. Do not call it after a loss. */
int dist_meet(struct dist *d, struct error *err);
/* Leaves the group of ranks. Every rank must call it, except after a loss. */
void dist_close(struct dist *d);
/* Ends all ranks with this exit code. Call it after a failure that the other ranks have not noticed. */
void dist_abort(struct dist *d, int code) __attribute__((noreturn));

int dist_rank(const struct dist *d); /* 0..size-1; 0 alone */
int dist_size(const struct dist *d); /* 1 alone */
/* this rank's number among the ranks of this machine, by which it selects its GPU */
int dist_local_rank(const struct dist *d);
int dist_local_size(const struct dist *d);
bool dist_lost(const struct dist *d);
int dist_gone(const struct dist *d); /* the number of a rank that is known to be lost, or -1 */
/* Whether all ranks know of the last failure (dist_agree), so that only rank 0 reports it. */
bool dist_agreed(const struct dist *d);

/* Sum values over all ranks, in place. Afterwards every rank has the same bits. */
int dist_sum_f32(struct dist *d, float *values, size_t n, struct error *err);
int dist_sum_f64(struct dist *d, double *values, size_t n, struct error *err);
/* Sums that run while the caller computes. Begin any number of sums, poll now and then (MPI makes progress
 * only when it is called), and finish them all at the end. */
int dist_sum_begin(struct dist *d, float *values, size_t n, struct error *err);
int dist_poll(struct dist *d, struct error *err);
int dist_finish(struct dist *d, struct error *err);

/*
 * Waits until test gives *done, and watches the other ranks meanwhile, as every wait here does: for work that
 * ranks do together by other means. Not collective. When test fails with EX_TEMPFAIL, a rank is lost. Alone
 * it waits just so.
 */
int dist_wait_for(struct dist *d, int (*test)(void *context, bool *done, struct error *err), void *context,
                  struct error *err);

/* Sends the bytes of rank 0 to all. */
int dist_broadcast(struct dist *d, void *bytes, size_t n, struct error *err);
/*
 * Does the same for bytes of which only rank 0 knows the length, and which it may have failed to read. rc is
 * rank 0's result of reading: 0, or -1 with err set. On the other ranks *bytes is NULL before the call and
 * malloc'ed after it (NULL if *n_bytes is 0). The caller frees *bytes, also after an error.
 */
int dist_share(struct dist *d, int rc, void **bytes, uint64_t *n_bytes, struct error *err);
/* all consists of one piece of `each` bytes for every rank. Each rank fills its own piece before the call;
 * afterwards every rank has all pieces. */
int dist_gather(struct dist *d, void *all, size_t each, struct error *err);
/* Rank `from` sends n bytes to rank 0. Only these two ranks call it. Does nothing when they are the same. */
int dist_to_first(struct dist *d, int from, void *bytes, size_t n, struct error *err);

/* *value becomes the first value, in the order of ranks, that is not 0. */
int dist_any(struct dist *d, int *value, struct error *err);
/* Every rank passes the result of its work: 0, or -1 with err set. If any rank failed, all ranks return -1
 * with the message of the first rank that failed; otherwise all return 0. */
int dist_agree(struct dist *d, int rc, struct error *err);

#endif
