/*
 * parallel.h: one function on several threads at once, for loops that share work by an atomic counter. The
 * caller's thread is worker 0. Signals stay with it.
 */
#ifndef WINNOW_HASH_PARALLEL_H
#define WINNOW_HASH_PARALLEL_H

typedef void parallel_work(void *context, unsigned worker);

/*
 * Runs work(context, 0..n_threads-1) and returns when all are done. Threads that cannot be started are done
 * without: work has to cope with any of the workers but 0 missing.
 */
void parallel_run(unsigned n_threads, parallel_work *work, void *context);

#endif
