/*
 * ordered_pool.c: keeps jobs in a ring. Workers claim them in order and complete them in any order, and the
 * caller takes them in order. A single mutex is enough: a job, such as a picture to decode or a file to hash,
 * takes thousands of times as long as the lock.
 */
#include "io/ordered_pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "base/mem.h"

struct slot {
    void *job;
    bool done;
};

struct ordered_pool {
    ordered_pool_work *work;
    void *context;
    struct slot *ring;
    size_t depth;
    size_t n_submitted, n_claimed, n_taken; /* running counts; slot = count % depth */
    bool closing;
    unsigned n_threads, n_started;
    pthread_t *threads;
    pthread_mutex_t mutex;
    pthread_cond_t submitted, finished;
};

struct start {
    struct ordered_pool *pool;
    unsigned index;
};

static void *worker(void *argument)
{
    struct start s = *(struct start *)argument;
    struct ordered_pool *p = s.pool;
    free(argument);
    pthread_mutex_lock(&p->mutex);
    for (;;) {
        while (!p->closing && p->n_claimed == p->n_submitted)
            pthread_cond_wait(&p->submitted, &p->mutex);
        if (p->closing) break;
        struct slot *slot = &p->ring[p->n_claimed++ % p->depth];
        pthread_mutex_unlock(&p->mutex);
        p->work(p->context, s.index, slot->job);
        pthread_mutex_lock(&p->mutex);
        slot->done = true;
        pthread_cond_signal(&p->finished);
    }
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

int ordered_pool_open(struct ordered_pool **out, unsigned n_threads, size_t depth, ordered_pool_work *work,
                      void *context, struct error *err)
{
    sigset_t all, old;
    *out = NULL;
    struct ordered_pool *p = mem_zalloc(1, sizeof *p, err);
    if (!p) return -1;
    p->depth = depth ? depth : 4 * (size_t)n_threads + 4;
    p->work = work;
    p->context = context;
    p->n_threads = n_threads;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->submitted, NULL);
    pthread_cond_init(&p->finished, NULL);
    p->ring = mem_zalloc(p->depth, sizeof *p->ring, err);
    p->threads = mem_zalloc(n_threads ? n_threads : 1, sizeof *p->threads, err);
    if (!p->ring || !p->threads) goto fail;
    /* Signals go to the main thread, whose handlers know the temporary files. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    for (unsigned i = 0; i < n_threads; i++) {
        struct start *s = mem_alloc(sizeof *s, err);
        if (s) {
            *s = (struct start){p, i};
            errno = pthread_create(&p->threads[i], NULL, worker, s);
            if (errno == 0) {
                p->n_started++;
                continue;
            }
            free(s);
            error_errno(err, EX_OSERR, "cannot start a thread");
        }
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        goto fail;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    *out = p;
    return 0;
fail:
    ordered_pool_close(p);
    return -1;
}

bool ordered_pool_full(const struct ordered_pool *p) { return p->n_submitted - p->n_taken == p->depth; }

bool ordered_pool_empty(const struct ordered_pool *p) { return p->n_submitted == p->n_taken; }

void ordered_pool_submit(struct ordered_pool *p, void *job)
{
    pthread_mutex_lock(&p->mutex);
    p->ring[p->n_submitted % p->depth] = (struct slot){job, false};
    p->n_submitted++;
    pthread_cond_signal(&p->submitted);
    pthread_mutex_unlock(&p->mutex);
}

void *ordered_pool_take(struct ordered_pool *p)
{
    if (ordered_pool_empty(p)) return NULL;
    struct slot *slot = &p->ring[p->n_taken % p->depth];
    if (p->n_threads == 0) {
        p->work(p->context, 0, slot->job);
        p->n_claimed++;
        p->n_taken++;
        return slot->job;
    }
    pthread_mutex_lock(&p->mutex);
    while (!slot->done)
        pthread_cond_wait(&p->finished, &p->mutex);
    void *job = slot->job;
    p->n_taken++;
    pthread_mutex_unlock(&p->mutex);
    return job;
}

void ordered_pool_close(struct ordered_pool *p)
{
    if (!p) return;
    pthread_mutex_lock(&p->mutex);
    p->closing = true;
    pthread_cond_broadcast(&p->submitted);
    pthread_mutex_unlock(&p->mutex);
    for (unsigned i = 0; i < p->n_started; i++)
        pthread_join(p->threads[i], NULL);
    pthread_mutex_destroy(&p->mutex);
    pthread_cond_destroy(&p->submitted);
    pthread_cond_destroy(&p->finished);
    free(p->ring);
    free(p->threads);
    free(p);
}

unsigned default_threads(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return (unsigned)CPU_COUNT(&set);
    return 1;
}
