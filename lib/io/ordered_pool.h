/*
 * ordered_pool.h: worker threads that finish jobs in any order, and a caller that gets them in the order of
 * submission. The caller's thread submits jobs and takes results. At most `depth` jobs are in progress, which
 * bounds the memory. With n_threads == 0 the work is done in ordered_pool_take, without threads, for valgrind
 * and -j0.
 */
#ifndef WINNOW_IO_ORDERED_POOL_H
#define WINNOW_IO_ORDERED_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct ordered_pool;

/* Runs on a worker. worker_index, 0..n_threads-1, selects memory that belongs to the thread.
 * Failures are recorded in the job. */
typedef void ordered_pool_work(void *context, unsigned worker_index, void *job);

/* depth 0 means 4 * n_threads + 4. *out is NULL and err set on failure. */
int ordered_pool_open(struct ordered_pool **out, unsigned n_threads, size_t depth, ordered_pool_work *work,
                      void *context, struct error *err);
bool ordered_pool_full(const struct ordered_pool *p);        /* take one before the next submit */
bool ordered_pool_empty(const struct ordered_pool *p);       /* no job is in progress */
void ordered_pool_submit(struct ordered_pool *p, void *job); /* not when full */
/* Waits for the oldest job. NULL when there is none. */
void *ordered_pool_take(struct ordered_pool *p);
/* Waits for running jobs. Jobs that were not taken are dropped. */
void ordered_pool_close(struct ordered_pool *p);

unsigned default_threads(void); /* processors this process may use (sched_getaffinity), at least 1 */

#endif
