/* parallel.h: runs one function on several threads at once. The function is usually a loop that gets its next
 * piece of work from a shared atomic counter. The caller's thread is worker 0, and the only one that gets
 * signals. */
#ifndef WINNOW_BASE_PARALLEL_H
#define WINNOW_BASE_PARALLEL_H

typedef void parallel_work(void *context, unsigned worker);

/* Calls work(context, worker) for each worker from 0 to n_threads-1, and returns when all calls have ended.
 * When a thread cannot be started, its call is left out. So the workers that did start must complete all the
 * work. */
void parallel_run(unsigned n_threads, parallel_work *work, void *context);

#endif
