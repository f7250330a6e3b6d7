#include "base/parallel.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#define MOST_THREADS 256

struct start {
    parallel_work *work;
    void *context;
    unsigned worker;
    pthread_t thread;
};

static void *run(void *argument)
{
    struct start *s = argument;
    s->work(s->context, s->worker);
    return NULL;
}

void parallel_run(unsigned n_threads, parallel_work *work, void *context)
{
    struct start starts[MOST_THREADS];
    unsigned n = 1;
    sigset_t all, old;
    if (n_threads > MOST_THREADS) n_threads = MOST_THREADS;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    for (; n < n_threads; n++) {
        starts[n] = (struct start){.work = work, .context = context, .worker = n};
        if (pthread_create(&starts[n].thread, NULL, run, &starts[n])) break;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    work(context, 0);
    for (unsigned i = 1; i < n; i++)
        pthread_join(starts[i].thread, NULL);
}
