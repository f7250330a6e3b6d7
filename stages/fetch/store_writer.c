/*
 * store_writer.c: hashes, compares and stores pictures in a separate thread. Jobs are processed in order. The
 * event loop is woken only when it sleeps, and this thread only when it waits. Under load, both run without
 * system calls to wake each other.
 */
#include "store_writer.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define KICK_EVERY 16           /* jobs; the thread is woken for fewer jobs only when the network is idle */
#define WAKE_EVERY 16           /* jobs; the last job of a batch always wakes the loop */
#define QUEUE_BYTES (32u << 20) /* size of the waiting bodies beyond which the network waits for the disk */

struct list {
    struct write_job *head, **tail;
};

struct store_writer {
    /* Set before the thread starts. */
    struct object_store *store;  /* only the thread uses it */
    struct partial_store *parts; /* only the thread changes it; both read it */
    struct policy *policy;       /* read by both, changed by neither */
    struct http_engine *engine;  /* only http_engine_wake, from any thread */
    pthread_t thread;

    /* Used by the event loop only. */
    size_t n_pending, n_unkicked;

    /* Used by both threads, under the lock. A job belongs to the thread from `queue` to
     * `done`, and otherwise to the loop. */
    pthread_mutex_t lock;
    pthread_cond_t work, room;
    struct list queue, done;
    size_t queued_bytes; /* bytes of the jobs in `queue` and of the job in progress */
    bool sleeping, leaving, waiting_for_room;

    atomic_bool has_done; /* `done` may not be empty; read without the lock */
};

static void append(struct list *l, struct write_job *job)
{
    job->next = NULL;
    *l->tail = job;
    l->tail = &job->next;
}

static struct write_job *take_all(struct list *l)
{
    struct write_job *all = l->head;
    *l = (struct list){NULL, NULL};
    return all;
}

/* Writes or removes a part. A failure does not end the run, because parts only save time. */
static void work_on_part(struct store_writer *w, struct write_job *job)
{
    struct error ignored = {0};
    job->verdict = VERDICT_STORED;
    if (job->what == JOB_PART &&
        partial_store_put(w->parts, &job->key, job->part, &job->part_kept, &job->error))
        job->verdict = VERDICT_FAILED;
    else if (job->what == JOB_FORGET_PART)
        (void)partial_store_remove(w->parts, &job->key, &ignored);
}

static void work_on(struct store_writer *w, struct write_job *job)
{
    struct error ignored = {0};
    bool was_there;
    if (job->what != JOB_IMAGE) {
        work_on_part(w, job);
        return;
    }
    xxh128_of(&job->hash, job->body, job->n_body);
    if (hash_list_size(&w->policy->blocklist) &&
        hash_list_matches(&w->policy->blocklist, job->body, job->n_body, &job->hash, &job->by, job->digest))
        job->verdict = VERDICT_BLOCKED;
    else if (hash_list_size(&w->policy->takedown.hashes) &&
             hash_list_matches(&w->policy->takedown.hashes, job->body, job->n_body, &job->hash, &job->by,
                               job->digest))
        job->verdict = VERDICT_TAKEN_DOWN;
    else if (policy_placeholder_bytes(w->policy, job->body, job->n_body, &job->hash))
        job->verdict = VERDICT_PLACEHOLDER;
    else if (object_store_put(w->store, &job->hash, image_kind_extension(job->kind), job->body, job->n_body,
                              &was_there, &job->error))
        job->verdict = VERDICT_FAILED;
    else
        job->verdict = VERDICT_STORED;
    if (job->had_part && job->verdict != VERDICT_FAILED)
        (void)partial_store_remove(w->parts, &job->key, &ignored);
    if (job->verdict == VERDICT_BLOCKED || job->verdict == VERDICT_TAKEN_DOWN)
        explicit_bzero(job->body, job->capacity);
}

static void *run(void *context)
{
    struct store_writer *w = context;
    unsigned n_since_wake = 0;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->queue.head && !w->leaving) {
            w->sleeping = true;
            pthread_cond_wait(&w->work, &w->lock);
            w->sleeping = false;
        }
        struct write_job *job = take_all(&w->queue), *next;
        w->queue.tail = &w->queue.head;
        if (!job) break; /* leaving, and nothing left */
        for (; job; job = next) {
            pthread_mutex_unlock(&w->lock);
            next = job->next;
            work_on(w, job);
            pthread_mutex_lock(&w->lock);
            append(&w->done, job);
            w->queued_bytes -= job->n_body;
            if (w->waiting_for_room) pthread_cond_signal(&w->room);
            atomic_store(&w->has_done, true);
            if (++n_since_wake >= WAKE_EVERY || !next) {
                n_since_wake = 0;
                http_engine_wake(w->engine);
            }
        }
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

int store_writer_open(struct store_writer **out, struct object_store *store, struct partial_store *parts,
                      struct policy *policy, struct http_engine *engine, struct error *err)
{
    static const uint8_t nothing[32];
    struct store_writer *w = mem_zalloc(1, sizeof *w, err);
    sigset_t all, old;
    *out = NULL;
    if (!w) return -1;
    w->store = store;
    w->parts = parts;
    w->policy = policy;
    w->engine = engine;
    w->queue.tail = &w->queue.head;
    w->done.tail = &w->done.head;
    /* Lists are sorted at their first use. It happens here, so that it does not happen in the thread. */
    hash_list_has(&policy->blocklist, HASH_MD5, nothing);
    hash_list_has(&policy->takedown.hashes, HASH_MD5, nothing);
    hash_list_has(&policy->placeholders.hashes, HASH_MD5, nothing);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->work, NULL);
    pthread_cond_init(&w->room, NULL);
    sigfillset(&all); /* signals are for the event loop */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc) {
        free(w);
        return error_set(err, EX_OSERR, "cannot start a thread");
    }
    *out = w;
    return 0;
}

void store_writer_submit(struct store_writer *w, struct write_job *job)
{
    pthread_mutex_lock(&w->lock);
    while (w->queued_bytes > QUEUE_BYTES) {
        w->waiting_for_room = true;
        if (w->sleeping) pthread_cond_signal(&w->work);
        pthread_cond_wait(&w->room, &w->lock);
        w->waiting_for_room = false;
    }
    append(&w->queue, job);
    w->queued_bytes += job->n_body;
    w->n_pending++;
    w->n_unkicked++;
    pthread_mutex_unlock(&w->lock);
}

/* Jobs are passed to the thread several at a time: to wake it for every picture would take more time than to
 * store the picture. */
void store_writer_kick(struct store_writer *w, bool at_once)
{
    if (w->n_unkicked == 0 || (!at_once && w->n_unkicked < KICK_EVERY)) return;
    w->n_unkicked = 0;
    pthread_mutex_lock(&w->lock);
    if (w->sleeping && w->queue.head) pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
}

bool store_writer_unkicked(const struct store_writer *w) { return w->n_unkicked > 0; }

struct write_job *store_writer_take(struct store_writer *w)
{
    if (!atomic_load(&w->has_done)) return NULL;
    pthread_mutex_lock(&w->lock);
    struct write_job *all = take_all(&w->done);
    w->done.tail = &w->done.head;
    atomic_store(&w->has_done, false);
    pthread_mutex_unlock(&w->lock);
    for (struct write_job *job = all; job; job = job->next)
        w->n_pending--;
    return all;
}

/* Only the event loop changes it. */
size_t store_writer_pending(const struct store_writer *w) { return w->n_pending; }

void store_writer_close(struct store_writer *w)
{
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->leaving = true;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    for (struct write_job *job = w->done.head, *next; job; job = next) {
        next = job->next;
        free(job->body);
        if (job->part) partial_release(job->part);
        free(job->part);
        free(job);
    }
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->work);
    pthread_cond_destroy(&w->room);
    free(w);
}
