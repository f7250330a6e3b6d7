/* syncer.c: makes batches of downloaded files durable without blocking the event loop. A disk may need
 * seconds for a syncfs, and transfers must continue, so a separate thread runs one syncfs at a time. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/mem.h"

#include "syncer.h"

struct syncer {
    struct object_store *store; /* set before the thread starts; synced without the lock */
    pthread_t thread;
    uint64_t journal_bytes; /* used only by the event loop */

    /* Used by both threads, under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool busy;    /* set by syncer_start, cleared by syncer_poll */
    bool done;    /* set by the thread when rc and error hold the result of this batch */
    bool leaving; /* set by syncer_close */
    int rc;
    struct error error;
};

static void *run(void *context)
{
    struct syncer *s = context;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->leaving && !(s->busy && !s->done))
            pthread_cond_wait(&s->wake, &s->lock);
        if (s->leaving) break;
        pthread_mutex_unlock(&s->lock);
        struct error error = {0};
        int rc = object_store_sync(s->store, &error);
        pthread_mutex_lock(&s->lock);
        s->rc = rc;
        s->error = error;
        s->done = true;
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

int syncer_open(struct syncer **out, struct object_store *store, struct error *err)
{
    struct syncer *s = mem_zalloc(1, sizeof *s, err);
    sigset_t all, old;
    *out = NULL;
    if (!s) return -1;
    s->store = store;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    sigfillset(&all); /* signals are for the event loop */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&s->thread, NULL, run, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc) {
        free(s);
        return error_set(err, EX_OSERR, "cannot start a thread");
    }
    *out = s;
    return 0;
}

bool syncer_busy(struct syncer *s)
{
    pthread_mutex_lock(&s->lock);
    bool busy = s->busy;
    pthread_mutex_unlock(&s->lock);
    return busy;
}

void syncer_start(struct syncer *s, uint64_t journal_bytes)
{
    pthread_mutex_lock(&s->lock);
    s->busy = true;
    s->done = false;
    s->journal_bytes = journal_bytes;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

int syncer_poll(struct syncer *s, uint64_t *journal_bytes, struct error *err)
{
    int rc = 0;
    pthread_mutex_lock(&s->lock);
    if (s->busy && s->done) {
        s->busy = s->done = false;
        *journal_bytes = s->journal_bytes;
        rc = 1;
        if (s->rc) {
            *err = s->error;
            rc = -1;
        }
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

void syncer_close(struct syncer *s)
{
    if (!s) return;
    pthread_mutex_lock(&s->lock);
    s->leaving = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->wake);
    free(s);
}
