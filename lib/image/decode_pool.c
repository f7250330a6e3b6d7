/*
 * decode_pool.c: each of n threads owns one worker process. The thread reads a file into memory that it
 * shares with its worker, hashes it, and tells the worker through a socket to decode it. It then copies the
 * result out of the shared memory. The worker can access only that memory and the socket. When a worker dies,
 * its thread starts another one, and the picture that it was decoding becomes a failed result.
 */
#include "image/decode_pool.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "hash/content_hash.h"
#include "image/decode_worker.h"
#include "image/codec.h"
#include "io/io.h"
#include "io/ordered_pool.h"

/* Blocks larger than this go back to the system after the picture that needed them. */
#define KEEP_BYTES (16u << 20)

struct slot { /* the data of one thread: its worker process, and a block for files when there is no sandbox */
    struct decode_worker *worker;
    uint8_t *file; /* without a sandbox: what it reads into */
    size_t file_capacity;
};

struct job {
    struct job *next;
    char *path;
    size_t n_bytes;
    bool settled; /* the result is known without decoding */
    bool broken;  /* the pool itself failed, as described by err */
    struct decoded d;
    uint8_t *result;
    size_t result_capacity;
};

struct decode_pool {
    struct decode_pool_options o;
    unsigned n_slots;
    struct decode_worker *workers;
    struct slot *slots;
    struct ordered_pool *threads;
    struct job *spare, *taken;
    pthread_mutex_t error_lock;
    struct error first_error;
};

/* --- the thread's side --- */

static void settle(struct job *j, enum image_reason reason, const char *detail)
{
    decoded_settle(&j->d, reason, detail);
}

static void break_down(struct decode_pool *p, struct job *j, const struct error *err)
{
    pthread_mutex_lock(&p->error_lock);
    if (p->first_error.code == 0) p->first_error = *err;
    pthread_mutex_unlock(&p->error_lock);
    j->broken = true;
}

/*
 * Reads the file into room (the memory shared with the worker), or into the slot's own block, and sets *bytes
 * to that. Returns 0 when the job goes on, and -1 when it has failed and its result is set.
 */
static int bring_bytes(struct decode_pool *p, struct slot *own, struct job *j, uint8_t *room,
                       const uint8_t **bytes)
{
    struct error err = {0};
    struct stat st;
    char text[160];
    uint64_t most = p->o.max_file_bytes;
    /* O_NONBLOCK: opening a FIFO in a folder of pictures must not wait for a writer. */
    int fd = fault_here(FAULT_OPEN) ? -1 : open(j->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 && errno_of_machine(errno)) {
        error_errno(&err, EX_OSERR, "cannot open '%s'", j->path);
        break_down(p, j, &err);
        return -1;
    }
    if (fd < 0) {
        settle(j, errno == ENOENT || errno == ENOTDIR ? IMAGE_NOT_FOUND : IMAGE_UNREADABLE, strerror(errno));
        return -1;
    }
    int rc = -1;
    if (fstat(fd, &st)) {
        if (errno_of_machine(errno)) {
            error_errno(&err, EX_OSERR, "cannot look at '%s'", j->path);
            break_down(p, j, &err);
        } else {
            settle(j, IMAGE_UNREADABLE, strerror(errno));
        }
        goto out;
    }
    if (!S_ISREG(st.st_mode)) {
        settle(j, IMAGE_UNREADABLE, S_ISDIR(st.st_mode) ? "is a folder" : "is not a regular file");
        goto out;
    }
    j->d.bytes = (uint64_t)st.st_size;
    if (st.st_size == 0 || (uint64_t)st.st_size > most) {
        snprintf(text, sizeof text, "%lld bytes", (long long)st.st_size);
        settle(j, st.st_size ? IMAGE_TOO_MANY_BYTES : IMAGE_FILE_EMPTY, text);
        goto out;
    }
    j->n_bytes = (size_t)st.st_size;
    if (!room) {
        if (j->n_bytes > own->file_capacity) {
            free(own->file);
            own->file_capacity = 0;
            if (!(own->file = mem_alloc(j->n_bytes, &err))) {
                break_down(p, j, &err);
                goto out;
            }
            own->file_capacity = j->n_bytes;
        }
        room = own->file;
    }
    /* A file that became shorter since it was measured is unreadable, too. */
    if (io_read_full(fd, room, j->n_bytes, j->path, &err)) {
        if (errno_of_machine(err.saved_errno)) {
            break_down(p, j, &err);
            goto out;
        }
        settle(j, IMAGE_UNREADABLE,
               err.saved_errno ? strerror(err.saved_errno) : "the file shrank while it was read");
        goto out;
    }
    *bytes = room;
    rc = 0;
out:
    close(fd);
    return rc;
}

static int keep_result(struct job *j, const uint8_t *from, size_t n, struct error *err)
{
    if (n > j->result_capacity || !j->result) {
        free(j->result);
        j->result_capacity = 0;
        if (!(j->result = mem_aligned(64, (n + IMAGE_SLACK_BYTES + 63) & ~(size_t)63, err))) return -1;
        j->result_capacity = n;
    }
    memcpy(j->result, from, n);
    j->d.result = j->result;
    j->d.n_result = n;
    return 0;
}

static void thread_work(void *context, unsigned index, void *job)
{
    struct decode_pool *p = context;
    struct job *j = job;
    struct slot *slot = &p->slots[index];
    struct decode_worker *w = slot->worker;
    const uint8_t *bytes;
    struct error err = {0};
    struct xxh128 hash;
    if (j->settled || bring_bytes(p, slot, j, w->input, &bytes)) return;
    xxh128_of(&hash, bytes, j->n_bytes); /* before the worker could change them */
    xxh128_hex(j->d.xxh128, &hash);
    j->d.hashed = true;
    if (!p->o.known || !p->o.known(p->o.context, j->d.xxh128)) {
        if (decode_worker_ask(w, bytes, j->n_bytes, &j->d, &err) ||
            (j->d.result && keep_result(j, j->d.result, j->d.n_result, &err))) {
            j->d.result = NULL;
            break_down(p, j, &err);
        }
    }
    decode_worker_rest(w, j->n_bytes, j->d.n_result);
}

/* --- front --- */

int decode_pool_open(struct decode_pool **out, const struct decode_pool_options *options, struct error *err)
{
    *out = NULL;
    struct decode_pool *p = mem_zalloc(1, sizeof *p, err);
    if (!p) return -1;
    p->o = *options;
    p->n_slots = options->threads ? options->threads : default_threads();
    pthread_mutex_init(&p->error_lock, NULL);
    if (decode_options_complete(&p->o, err) || !(p->slots = mem_zalloc(p->n_slots, sizeof *p->slots, err)) ||
        !(p->workers = mem_zalloc(p->n_slots, sizeof *p->workers, err)))
        goto fail;
    for (unsigned i = 0; i < p->n_slots; i++) {
        p->slots[i].worker = &p->workers[i];
        if (decode_worker_open(p->workers, p->n_slots, i, &p->o, err)) goto fail;
    }
    if (ordered_pool_open(&p->threads, p->n_slots, 0, thread_work, p, err)) goto fail;
    *out = p;
    return 0;
fail:
    decode_pool_close(p);
    return -1;
}

bool decode_pool_full(const struct decode_pool *p) { return ordered_pool_full(p->threads); }

static struct job *job_get(struct decode_pool *p, void *token, struct error *err)
{
    struct job *j = p->spare;
    if (j)
        p->spare = j->next;
    else if (!(j = mem_zalloc(1, sizeof *j, err)))
        return NULL;
    j->d = (struct decoded){.token = token, .info = {.orientation = 1, .frames = 1}};
    j->path = NULL;
    j->n_bytes = 0;
    j->settled = j->broken = false;
    return j;
}

static void job_put(struct decode_pool *p, struct job *j)
{
    free(j->path);
    j->path = NULL;
    if (j->result_capacity > KEEP_BYTES) {
        free(j->result);
        j->result = NULL;
        j->result_capacity = 0;
    }
    j->next = p->spare;
    p->spare = j;
}

int decode_pool_submit(struct decode_pool *p, const char *path, void *token, struct error *err)
{
    struct job *j = job_get(p, token, err);
    if (!j) return -1;
    if (!(j->path = mem_strdup(path, err))) {
        job_put(p, j);
        return -1;
    }
    ordered_pool_submit(p->threads, j);
    return 0;
}

int decode_pool_submit_failure(struct decode_pool *p, enum image_reason reason, const char *detail,
                               void *token, struct error *err)
{
    struct job *j = job_get(p, token, err);
    if (!j) return -1;
    settle(j, reason, detail);
    j->settled = true;
    ordered_pool_submit(p->threads, j);
    return 0;
}

int decode_pool_take(struct decode_pool *p, struct decoded *out, struct error *err)
{
    if (p->taken) job_put(p, p->taken);
    p->taken = ordered_pool_take(p->threads);
    if (!p->taken) return 0;
    *out = p->taken->d;
    if (p->taken->broken) {
        pthread_mutex_lock(&p->error_lock);
        *err = p->first_error;
        pthread_mutex_unlock(&p->error_lock);
        return -1;
    }
    return 1;
}

static void jobs_free(struct job *j)
{
    while (j) {
        struct job *next = j->next;
        free(j->path);
        free(j->result);
        free(j);
        j = next;
    }
}

void decode_pool_close(struct decode_pool *p)
{
    if (!p) return;
    if (p->threads) {
        for (struct job *j; (j = ordered_pool_take(p->threads));)
            job_put(p, j);
        ordered_pool_close(p->threads);
    }
    for (unsigned i = 0; p->workers && i < p->n_slots; i++)
        decode_worker_close(&p->workers[i]);
    for (unsigned i = 0; p->slots && i < p->n_slots; i++)
        free(p->slots[i].file);
    if (p->taken) job_put(p, p->taken);
    jobs_free(p->spare);
    free(p->slots);
    free(p->workers);
    pthread_mutex_destroy(&p->error_lock);
    free(p);
}
