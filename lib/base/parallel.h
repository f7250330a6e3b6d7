/* parallel.h: runs one function on several threads at once, for loops that share their work by an atomic
 * counter. The caller's thread is worker 0, and the only one that gets signals. */
#ifndef WINNOW_BASE_PARALLEL_H
#define WINNOW_BASE_PARALLEL_H

typedef void parallel_work(void *context, unsigned worker);

/* Runs work(context, 0..n_threads-1), and returns when all have ended. A thread that cannot be started is
 * left out: work must be completed even when workers other than 0 are missing. */
void parallel_run(unsigned n_threads, parallel_work *work, void *context);

#endif
