/*
 * parallel.h: one function on several threads at once, for loops that share work by an atomic counter. The
 * caller's thread is worker 0. Signals stay with it.
 */
#ifndef WINNOW_BASE_PARALLEL_H
#define WINNOW_BASE_PARALLEL_H

typedef void parallel_work(void *context, unsigned worker);

/*
 * Runs work(context, 0..n_threads-1) and returns when all are done. A thread that cannot be started is left
 * out: work must finish with any of the workers but 0 missing.
 */
void parallel_run(unsigned n_threads, parallel_work *work, void *context);

#endif
