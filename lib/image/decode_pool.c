/*
 * decode_pool.c: a thread and a worker process for each place. The thread reads the file into memory it shares with its worker,
 * hashes it, rings the worker through a socket and copies the answer out; the worker only ever sees that memory. A worker
 * that dies is replaced by its thread, and the picture it was given becomes a failed result.
 */
#include "image/decode_pool.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "hash/content_hash.h"
#include "image/internal.h"
#include "image/sandbox.h"
#include "io/io.h"
#include "io/ordered_pool.h"

#define KEEP_BYTES (16u << 20)          /* larger blocks go back to the system after the picture that needed them */

/* The first page of the shared memory. The worker writes the answer; nothing in it is believed. */
struct mail {
    uint64_t n_bytes;                   /* of the file, in the input area: from us */
    char xxh128[33];                    /* of the same: from us */
    int32_t reason;                     /* from here on: from the worker */
    struct image_info info;
    char detail[160];
    uint64_t n_result;
};
#define MAIL_BYTES 4096

struct place {                          /* a thread's worker, or its scratch when there is no sandbox */
    pid_t pid;
    int fd;
    uint8_t *shared, *input, *output;
    struct image picture, scratch;
    uint8_t *file;
    size_t file_capacity;
};

struct job {
    struct job *next;
    char *path;
    const uint8_t *bytes;
    size_t n_bytes;
    bool settled;                       /* known before any work */
    bool broken;                        /* the machinery failed: err says how */
    struct decoded d;
    uint8_t *result;
    size_t result_capacity;
};

struct decode_pool {
    struct decode_pool_options o;
    size_t input_room, output_room, shared_bytes;
    unsigned n_places;
    struct place *places;
    struct ordered_pool *threads;
    struct job *spare, *taken;
    atomic_uint_fast64_t n_replaced;
    pthread_mutex_t error_lock;
    struct error first_error;
};

/* --- work on one picture, in whichever process -------------------------------------------------------------------- */

static enum image_reason work_on(const struct decode_pool_options *o, const uint8_t *bytes, size_t n_bytes, const char *xxh128,
                                 struct image *picture, struct image *scratch, struct image_info *info, uint8_t *result,
                                 size_t *n_result, struct image_failure *f)
{
    enum image_reason reason;
    *n_result = 0;
    *f = (struct image_failure){IMAGE_OK, ""};
    if (o->probe_only)
        reason = image_probe(bytes, n_bytes, info, f);
    else
        reason = image_decode(bytes, n_bytes, &o->decode, picture, info, f);
    memcpy(info->xxh128, xxh128, sizeof info->xxh128);
    if (reason == IMAGE_OK && o->finish)
        reason = o->finish(o->context, info, picture, scratch, result, o->result_bytes, n_result, f);
    if (picture->capacity_bytes > KEEP_BYTES)
        image_release(picture);
    if (scratch->capacity_bytes > KEEP_BYTES)
        image_release(scratch);
    return reason;
}

/* --- the worker process ------------------------------------------------------------------------------------------- */

static void worker_main(const struct decode_pool *p, const struct place *self) __attribute__((noreturn));

static void worker_main(const struct decode_pool *p, const struct place *self)
{
    struct error err = {0};
    struct image picture = IMAGE_EMPTY, scratch = IMAGE_EMPTY;
    struct mail *mail = (struct mail *)self->shared;
    const struct itimerval allowance = {.it_value = {(time_t)p->o.cpu_seconds, 0}};
    char byte = 0;
    for (unsigned i = 0; i < p->n_places; i++)
        if (&p->places[i] != self && p->places[i].shared)
            munmap(p->places[i].shared, p->shared_bytes);       /* others' pictures are none of its business */
    mallopt(M_MMAP_THRESHOLD, 8 << 20);     /* large blocks return whole, small ones stay warm */
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    if (sandbox_enter(self->fd, &err)) {
        snprintf(mail->detail, sizeof mail->detail, "%.150s", err.text);
        byte = 'x';
    }
    for (;;) {
        while (write(self->fd, &byte, 1) < 0)
            if (errno != EINTR)
                _exit(0);
        if (byte == 'x')
            _exit(1);
        ssize_t n;
        while ((n = read(self->fd, &byte, 1)) < 0 && errno == EINTR)
            ;
        if (n <= 0)
            _exit(0);                       /* the parent is gone or done */
        struct image_failure f;
        struct image_info info;
        size_t n_result = 0;
        setitimer(ITIMER_PROF, &allowance, NULL);   /* CPU time of this picture; SIGPROF ends us */
        mail->reason = (int32_t)work_on(&p->o, self->input, mail->n_bytes, mail->xxh128, &picture, &scratch, &info, self->output,
                                        &n_result, &f);
        mail->info = info;
        memcpy(mail->detail, f.detail, sizeof mail->detail);
        mail->n_result = n_result;
        byte = 0;
    }
}

static void worker_reap(struct place *w, int *status)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    if (w->pid > 0)
        while (waitpid(w->pid, status, 0) < 0 && errno == EINTR)
            ;
    w->pid = 0;
}

static int worker_wait(struct place *w)     /* 1: answered; 0: dead; -1: past the wall clock */
{
    struct pollfd poll_fd = {.fd = w->fd, .events = POLLIN};
    double deadline = clock_seconds() + IMAGE_WORKER_WALL_SECONDS;
    for (;;) {
        double left = deadline - clock_seconds();
        int n = left <= 0 ? 0 : poll(&poll_fd, 1, (int)(left * 1000) + 1);
        if (n == 0)
            return -1;
        if (n < 0 && errno != EINTR)
            return 0;
        if (n > 0)
            break;
    }
    char byte;
    ssize_t n;
    while ((n = read(w->fd, &byte, 1)) < 0 && errno == EINTR)
        ;
    return n == 1 && byte != 'x';
}

static int worker_start(struct decode_pool *p, struct place *w, struct error *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return error_errno(err, EX_OSERR, "cannot start a decoding worker");
    pid_t pid = fork();
    if (pid < 0) {
        error_errno(err, EX_OSERR, "cannot start a decoding worker");
        close(pair[0]);
        close(pair[1]);
        return -1;
    }
    if (pid == 0) {
        w->fd = pair[1];                    /* in our copy of the table; worker_main knows itself by address */
        worker_main(p, w);
    }
    close(pair[1]);
    w->fd = pair[0];
    w->pid = pid;
    if (worker_wait(w) == 1)
        return 0;
    char detail[160];
    memcpy(detail, ((struct mail *)w->shared)->detail, sizeof detail);
    detail[sizeof detail - 1] = 0;
    int status = 0;
    worker_reap(w, &status);
    return error_set(err, EX_OSERR, "%s", detail[0] ? detail : "a decoding worker died at its start");
}

/* --- the thread's side -------------------------------------------------------------------------------------------- */

static void settle(struct job *j, enum image_reason reason, const char *detail)
{
    char text[sizeof j->d.detail];
    j->d.reason = reason;
    j->d.slug = image_reason_slug(reason);
    snprintf(text, sizeof text, "%s", detail);
    text_for_people(j->d.detail, sizeof j->d.detail, text);
}

static void break_down(struct decode_pool *p, struct job *j, const struct error *err)
{
    pthread_mutex_lock(&p->error_lock);
    if (p->first_error.code == 0)
        p->first_error = *err;
    pthread_mutex_unlock(&p->error_lock);
    j->broken = true;
}

/* A sick disk or too few descriptors are no property of the picture: the run ends, instead of rejecting all that follows. */
static bool machine_failed(int number)
{
    return number == EIO || number == EMFILE || number == ENFILE || number == ENOMEM || number == ESTALE;
}

/*
 * The file's bytes to *bytes: the caller's own, or read into room (the shared input) or into the place's own block. 0 and the job
 * goes on, or -1 and it is settled.
 */
static int bring_bytes(struct decode_pool *p, struct place *w, struct job *j, uint8_t *room, const uint8_t **bytes)
{
    struct error err = {0};
    struct stat st;
    char text[160];
    uint64_t most = p->o.max_file_bytes;
    if (!j->path) {
        j->d.bytes = j->n_bytes;
        if (j->n_bytes == 0 || j->n_bytes > most) {
            snprintf(text, sizeof text, "%zu bytes", j->n_bytes);
            settle(j, j->n_bytes ? IMAGE_TOO_MANY_BYTES : IMAGE_FILE_EMPTY, text);
            return -1;
        }
        if (room)
            memcpy(room, j->bytes, j->n_bytes);
        *bytes = room ? room : j->bytes;
        return 0;
    }
    /* O_NONBLOCK: a FIFO in a folder of pictures must not hang us. */
    int fd = fault_here(FAULT_OPEN) ? -1 : open(j->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 && machine_failed(errno)) {
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
        settle(j, IMAGE_UNREADABLE, strerror(errno));
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
        if (j->n_bytes > w->file_capacity) {
            free(w->file);
            w->file_capacity = 0;
            if (!(w->file = mem_alloc(j->n_bytes, &err))) {
                break_down(p, j, &err);
                goto out;
            }
            w->file_capacity = j->n_bytes;
        }
        room = w->file;
    }
    if (io_read_full(fd, room, j->n_bytes, j->path, &err)) {    /* a file that shrank meanwhile is unreadable, too */
        if (machine_failed(err.saved_errno)) {
            break_down(p, j, &err);
            goto out;
        }
        settle(j, IMAGE_UNREADABLE, err.saved_errno ? strerror(err.saved_errno) : "the file shrank while it was read");
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
        if (!(j->result = mem_aligned(64, (n + IMAGE_SLACK_BYTES + 63) & ~(size_t)63, err)))
            return -1;
        j->result_capacity = n;
    }
    memcpy(j->result, from, n);
    j->d.result = j->result;
    j->d.n_result = n;
    return 0;
}

/* What the worker says about the picture, made safe to print and to compute with. */
static void adopt_info(struct image_info *to, const struct image_info *from)
{
    *to = *from;
    if ((unsigned)to->format >= IMAGE_FORMATS)
        to->format = IMAGE_UNKNOWN;
    if (to->width < 0 || to->width > IMAGE_MAX_SIDE_PX + 1 || to->height < 0 || to->height > IMAGE_MAX_SIDE_PX + 1)
        to->width = to->height = 0;
    if (to->orientation < 1 || to->orientation > 8)
        to->orientation = 1;
    if (to->frames < 1 || to->frames > IMAGE_MAX_FRAMES)
        to->frames = 1;
    if (to->bits < 0 || to->bits > 16)
        to->bits = 0;
    const uint8_t *flags = (const uint8_t *)&from->icc;     /* read as bytes: a bool that holds 7 is undefined */
    to->icc = flags[0] == 1;
    to->alpha = *(const uint8_t *)&from->alpha == 1;
    to->progressive = *(const uint8_t *)&from->progressive == 1;
    to->mode[IMAGE_MODE_BYTES - 1] = 0;
    for (char *c = to->mode; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-'))
            *c = '?';
}

static void replace_worker(struct decode_pool *p, struct place *w, struct job *j, bool stalled)
{
    struct error err = {0};
    char text[160];
    int status = 0;
    if (stalled && w->pid > 0)
        kill(w->pid, SIGKILL);
    worker_reap(w, &status);
    int signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    if (stalled || signal_number == SIGPROF) {
        snprintf(text, sizeof text, stalled ? "no answer after %u s" : "over %u s of processor time",
                 stalled ? IMAGE_WORKER_WALL_SECONDS : p->o.cpu_seconds);
        settle(j, IMAGE_DECODE_TIMEOUT, text);
    } else if (signal_number) {
        snprintf(text, sizeof text, "the decoder was ended by signal %d (%s)", signal_number, strsignal(signal_number));
        settle(j, IMAGE_DECODE_CRASHED, text);
    } else {
        snprintf(text, sizeof text, "the decoder exited with %d", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
        settle(j, IMAGE_DECODE_CRASHED, text);
    }
    atomic_fetch_add(&p->n_replaced, 1);
    if (worker_start(p, w, &err))
        break_down(p, j, &err);
}

static void give_back_pages(struct decode_pool *p, struct place *w, size_t n_input, size_t n_output)
{
    if (n_input > KEEP_BYTES / 4)
        madvise(w->input, p->input_room, MADV_REMOVE);
    if (n_output > KEEP_BYTES)
        madvise(w->output, p->output_room, MADV_REMOVE);
}

static bool ring(const struct place *w)
{
    char byte = 1;
    ssize_t n;
    while ((n = send(w->fd, &byte, 1, MSG_NOSIGNAL)) < 0 && errno == EINTR)
        ;
    return n == 1;
}

static void work_in_sandbox(struct decode_pool *p, struct place *w, struct job *j)
{
    const uint8_t *bytes;
    struct error err = {0};
    struct mail *mail = (struct mail *)w->shared, answer;
    if (w->pid <= 0) {                      /* an earlier replacement failed: say so again rather than wait for nobody */
        if (worker_start(p, w, &err)) {
            break_down(p, j, &err);
            return;
        }
    }
    if (bring_bytes(p, w, j, w->input, &bytes))
        return;
    struct xxh128 hash;
    xxh128_of(&hash, bytes, j->n_bytes);    /* before the worker could change them */
    xxh128_hex(j->d.xxh128, &hash);
    j->d.hashed = true;
    if (p->o.known && p->o.known(p->o.context, j->d.xxh128)) {
        give_back_pages(p, w, j->n_bytes, 0);
        return;
    }
    mail->n_bytes = j->n_bytes;
    memcpy(mail->xxh128, j->d.xxh128, sizeof mail->xxh128);
    if (!ring(w)) {                         /* it died between pictures (somebody's kill): not this one's fault */
        int status = 0;
        worker_reap(w, &status);
        atomic_fetch_add(&p->n_replaced, 1);
        if (worker_start(p, w, &err)) {
            break_down(p, j, &err);
            return;
        }
        (void)ring(w);                      /* should this one be dead, too, the wait says so */
    }
    int answered = worker_wait(w);
    if (answered != 1) {
        replace_worker(p, w, j, answered < 0);
        give_back_pages(p, w, j->n_bytes, p->output_room);
        return;
    }
    memcpy(&answer, mail, sizeof answer);   /* once: the worker could go on writing */
    adopt_info(&j->d.info, &answer.info);
    memcpy(j->d.info.xxh128, j->d.xxh128, sizeof j->d.xxh128);
    answer.detail[sizeof answer.detail - 1] = 0;
    if (answer.reason != IMAGE_OK) {
        bool known = answer.reason > 0 && answer.reason < IMAGE_REASONS;
        settle(j, known ? (enum image_reason)answer.reason : IMAGE_DECODE_CRASHED, known ? answer.detail : "a wrong answer");
    } else if (answer.n_result > p->o.result_bytes) {
        settle(j, IMAGE_DECODE_CRASHED, "a wrong answer");
        answer.n_result = 0;
    } else if (p->o.finish && keep_result(j, w->output, answer.n_result, &err)) {
        break_down(p, j, &err);
    }
    give_back_pages(p, w, j->n_bytes, answer.n_result);
}

static void work_here(struct decode_pool *p, struct place *w, struct job *j)
{
    const uint8_t *bytes;
    struct error err = {0};
    struct image_failure f;
    size_t n_result;
    if (bring_bytes(p, w, j, NULL, &bytes))
        return;
    struct xxh128 hash;
    xxh128_of(&hash, bytes, j->n_bytes);
    xxh128_hex(j->d.xxh128, &hash);
    j->d.hashed = true;
    if (p->o.known && p->o.known(p->o.context, j->d.xxh128))
        return;
    enum image_reason reason = work_on(&p->o, bytes, j->n_bytes, j->d.xxh128, &w->picture, &w->scratch, &j->d.info, w->output,
                                       &n_result, &f);
    if (reason != IMAGE_OK)
        settle(j, reason, f.detail);
    else if (p->o.finish && keep_result(j, w->output, n_result, &err))
        break_down(p, j, &err);
}

static void thread_work(void *context, unsigned index, void *job)
{
    struct decode_pool *p = context;
    struct job *j = job;
    if (j->settled)
        return;
    if (p->o.no_sandbox)
        work_here(p, &p->places[index], j);
    else
        work_in_sandbox(p, &p->places[index], j);
}

/* --- front -------------------------------------------------------------------------------------------------------- */

static size_t whole_pages(size_t n)
{
    return (n + 4095) & ~(size_t)4095;
}

static int place_open(struct decode_pool *p, struct place *w, struct error *err)
{
    if (p->o.no_sandbox)                    /* virtual until touched, as in the sandbox */
        p->shared_bytes = p->output_room;
    void *shared = mmap(NULL, p->shared_bytes, PROT_READ | PROT_WRITE,
                        (p->o.no_sandbox ? MAP_PRIVATE : MAP_SHARED) | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (shared == MAP_FAILED)
        return error_errno(err, EX_OSERR, "cannot map memory for a decoding worker");
    w->shared = shared;
    if (p->o.no_sandbox) {
        w->output = w->shared;
        return 0;
    }
    w->input = w->shared + MAIL_BYTES;
    w->output = w->input + p->input_room;
    return 0;
}

int decode_pool_open(struct decode_pool **out, const struct decode_pool_options *options, struct error *err)
{
    *out = NULL;
    struct decode_pool *p = mem_zalloc(1, sizeof *p, err);
    if (!p)
        return -1;
    p->o = *options;
    if (p->o.max_file_bytes == 0 || p->o.max_file_bytes > IMAGE_MAX_FILE_BYTES)
        p->o.max_file_bytes = IMAGE_MAX_FILE_BYTES;
    if (p->o.cpu_seconds == 0)
        p->o.cpu_seconds = IMAGE_WORKER_CPU_SECONDS;
    p->n_places = options->threads ? options->threads : default_threads();
    p->input_room = whole_pages(p->o.max_file_bytes + IMAGE_SLACK_BYTES);
    p->output_room = whole_pages(p->o.result_bytes + IMAGE_SLACK_BYTES);
    p->shared_bytes = MAIL_BYTES + p->input_room + p->output_room;
    pthread_mutex_init(&p->error_lock, NULL);
    if (!(p->places = mem_zalloc(p->n_places, sizeof *p->places, err)))
        goto fail;
    for (unsigned i = 0; i < p->n_places; i++)
        p->places[i].fd = -1;
    if (!p->o.no_sandbox && sandbox_check(err))
        goto fail;
    image_simd_level();                     /* asked here once: the workers cannot read the environment's answer late */
    for (unsigned i = 0; i < p->n_places; i++)
        if (place_open(p, &p->places[i], err) || (!p->o.no_sandbox && worker_start(p, &p->places[i], err)))
            goto fail;
    if (ordered_pool_open(&p->threads, p->n_places, 0, thread_work, p, err))
        goto fail;
    *out = p;
    return 0;
fail:
    decode_pool_close(p);
    return -1;
}

bool decode_pool_full(const struct decode_pool *p)
{
    return ordered_pool_full(p->threads);
}

static struct job *job_get(struct decode_pool *p, void *token, struct error *err)
{
    struct job *j = p->spare;
    if (j)
        p->spare = j->next;
    else if (!(j = mem_zalloc(1, sizeof *j, err)))
        return NULL;
    j->d = (struct decoded){.token = token, .info = {.orientation = 1, .frames = 1}};
    j->path = NULL;
    j->bytes = NULL;
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
    if (!j)
        return -1;
    if (!(j->path = mem_strdup(path, err))) {
        job_put(p, j);
        return -1;
    }
    ordered_pool_submit(p->threads, j);
    return 0;
}

int decode_pool_submit_bytes(struct decode_pool *p, const uint8_t *bytes, size_t n_bytes, void *token, struct error *err)
{
    struct job *j = job_get(p, token, err);
    if (!j)
        return -1;
    j->bytes = bytes;
    j->n_bytes = n_bytes;
    ordered_pool_submit(p->threads, j);
    return 0;
}

int decode_pool_submit_failure(struct decode_pool *p, enum image_reason reason, const char *detail, void *token, struct error *err)
{
    struct job *j = job_get(p, token, err);
    if (!j)
        return -1;
    settle(j, reason, detail);
    j->settled = true;
    ordered_pool_submit(p->threads, j);
    return 0;
}

int decode_pool_take(struct decode_pool *p, struct decoded *out, struct error *err)
{
    if (p->taken)
        job_put(p, p->taken);
    p->taken = ordered_pool_take(p->threads);
    if (!p->taken)
        return 0;
    if (p->taken->broken) {
        pthread_mutex_lock(&p->error_lock);
        *err = p->first_error;
        pthread_mutex_unlock(&p->error_lock);
        return -1;
    }
    *out = p->taken->d;
    return 1;
}

uint64_t decode_pool_replaced(const struct decode_pool *p)
{
    return atomic_load(&p->n_replaced);
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
    if (!p)
        return;
    if (p->threads) {
        for (struct job *j; (j = ordered_pool_take(p->threads));)
            job_put(p, j);
        ordered_pool_close(p->threads);
    }
    for (unsigned i = 0; p->places && i < p->n_places; i++) {
        struct place *w = &p->places[i];
        int status;
        worker_reap(w, &status);            /* its pipe closes: it exits by itself */
        if (w->shared)
            munmap(w->shared, p->shared_bytes);
        image_release(&w->picture);
        image_release(&w->scratch);
        free(w->file);
    }
    if (p->taken)
        job_put(p, p->taken);
    jobs_free(p->spare);
    free(p->places);
    pthread_mutex_destroy(&p->error_lock);
    free(p);
}

enum image_reason decode_pool_whole(void *context, const struct image_info *info, struct image *picture, struct image *scratch,
                                    uint8_t *result, size_t result_capacity, size_t *n_result, struct image_failure *failure)
{
    struct whole_picture head = {picture->width, picture->height, picture->channels, 0};
    size_t n = image_bytes(picture);
    (void)context, (void)info, (void)scratch;
    if (sizeof head + n > result_capacity)
        return image_fail(failure, IMAGE_TOO_MANY_PIXELS, "%d x %d", picture->width, picture->height);
    memcpy(result, &head, sizeof head);
    memcpy(result + sizeof head, picture->pixels, n);
    *n_result = sizeof head + n;
    return IMAGE_OK;
}
