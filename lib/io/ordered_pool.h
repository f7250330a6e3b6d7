/*
 * ordered_pool.h: runs jobs on worker threads, which complete them in any order, and returns them in the
 * order of submission. One thread of the caller submits all jobs and takes all results. At most `depth` jobs
 * exist at a time, which limits the memory. With n_threads == 0 ordered_pool_take runs the jobs itself,
 * without threads, for valgrind and -j0.
 */
#ifndef WINNOW_IO_ORDERED_POOL_H
#define WINNOW_IO_ORDERED_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct ordered_pool;

/* Runs one job on a worker thread. worker_index, 0..n_threads-1, selects memory that belongs to the thread.
 * It stores a failure in the job. */
typedef void ordered_pool_work(void *context, unsigned worker_index, void *job);

/* Starts the threads. depth 0 means 4 * n_threads + 4. Returns 0, or -1 with err set and *out NULL. */
int ordered_pool_open(struct ordered_pool **out, unsigned n_threads, size_t depth, ordered_pool_work *work,
                      void *context, struct error *err);
bool ordered_pool_full(const struct ordered_pool *p);        /* take one before the next submit */
bool ordered_pool_empty(const struct ordered_pool *p);       /* no job is in progress */
void ordered_pool_submit(struct ordered_pool *p, void *job); /* not when full */
/* Waits for the oldest job to end and returns it. Returns NULL when there is none. */
void *ordered_pool_take(struct ordered_pool *p);
/* Waits for running jobs and ends the threads. Jobs that were not taken are dropped. */
void ordered_pool_close(struct ordered_pool *p);

unsigned default_threads(void); /* processors this process may use (sched_getaffinity), at least 1 */

#endif
