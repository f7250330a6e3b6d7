/*
 * decode_worker.c: starts a worker process that may read and write one socket and its own memory, passes
 * pictures to it, and checks its results. The parent puts the file into memory that both share, and then
 * writes a byte to the socket. Nothing that the worker writes is trusted. A worker that dies is replaced, and
 * the picture that it was decoding becomes a failed result.
 */
#include "image/decode_worker.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/simd.h"
#include "image/codec.h"
#include "image/limits.h"
#include "image/markers.h"
#include "image/sandbox.h"
#include "io/io.h"

/* Blocks larger than this go back to the system after the picture that needed them. */
#define KEEP_BYTES (16u << 20)

/* The first page of the shared memory. The worker writes its result here; the parent checks every value. */
struct mail {
    /* The parent writes the size and the hash of the file that is in the input area. */
    uint64_t n_bytes;
    char xxh128[33];
    /* The worker writes the rest: an enum image_reason, and what it found. */
    int32_t reason;
    struct image_info info;
    char detail[160];
    uint64_t n_result;
};
#define MAIL_BYTES 4096

/* --- decoding of one picture, in the worker or, without a sandbox, in this process --- */

/* The results of finish for the frames of one animation, one after another. */
struct frame_results {
    const struct decode_pool_options *o;
    const struct image_info *info;
    struct image *scratch;
    uint8_t *result;
    size_t n_result;
};

/* Receives one decoded frame: runs finish on it and appends its result. */
static enum image_reason finish_frame(void *context, int given, struct image *frame, struct image_failure *f)
{
    struct frame_results *r = context;
    size_t n = 0, room = r->o->frames_most > 0 ? r->o->result_bytes / (size_t)r->o->frames_most : 0;
    (void)given;
    if (!r->o->finish) return IMAGE_OK;
    enum image_reason reason =
        r->o->finish(r->o->context, r->info, frame, r->scratch, r->result + r->n_result, room, &n, f);
    r->n_result += n;
    return reason;
}

/* Decodes one picture as the options say, runs finish on it, and fills info, result and *n_result. Returns
 * IMAGE_OK, or the reason with *f filled. */
static enum image_reason work_on(const struct decode_pool_options *o, const uint8_t *bytes, size_t n_bytes,
                                 const char *xxh128, struct image *image, struct image *scratch,
                                 struct image_info *info, uint8_t *result, size_t *n_result,
                                 struct image_failure *f)
{
    enum image_reason reason;
    *n_result = 0;
    *f = (struct image_failure){IMAGE_OK, ""};
    struct frame_results frames = {o, info, scratch, result, 0};
    struct decode_options header = DECODE_DEFAULTS;
    header.orientation = o->decode.orientation;
    if (o->probe_only)
        reason = image_read_header(bytes, n_bytes, &header, info, f);
    else if (o->frames_every > 0)
        reason = image_decode_frames(bytes, n_bytes, &o->decode, o->frames_every, o->frames_most, image,
                                     finish_frame, &frames, info, f);
    else
        reason = image_decode(bytes, n_bytes, &o->decode, image, info, f);
    memcpy(info->xxh128, xxh128, sizeof info->xxh128);
    info->markers = reason == IMAGE_OK && o->markers ? image_markers(bytes, n_bytes) : 0;
    if (o->frames_every > 0)
        *n_result = reason == IMAGE_OK ? frames.n_result : 0;
    else if (reason == IMAGE_OK && o->finish)
        reason = o->finish(o->context, info, image, scratch, result, o->result_bytes, n_result, f);
    if (image->capacity_bytes > KEEP_BYTES) image_release(image);
    if (scratch->capacity_bytes > KEEP_BYTES) image_release(scratch);
    return reason;
}

/* --- the worker process --- */

/*
 * The program of the worker. It enters the sandbox, and then handles one picture after another until the
 * parent closes the socket. It writes one byte when it is ready and after each picture: 0, or 'x' when it
 * could not enter the sandbox, and then it exits. It reads one byte for each new picture.
 */
static void worker_main(const struct decode_worker *self) __attribute__((noreturn));

static void worker_main(const struct decode_worker *self)
{
    struct error err = {0};
    struct image image = IMAGE_EMPTY, scratch = IMAGE_EMPTY;
    struct mail *mail = (struct mail *)self->shared;
    const struct itimerval allowance = {.it_value = {(time_t)self->o->cpu_seconds, 0}};
    char byte = 0, said[8192];
    for (unsigned i = 0; i < self->n_siblings; i++)
        if (&self->siblings[i] != self && self->siblings[i].shared)
            /* This worker must not see the pictures of the others. */
            munmap(self->siblings[i].shared, self->siblings[i].shared_bytes);
    mallopt(M_MMAP_THRESHOLD, 8 << 20); /* large blocks are returned to the system, small ones are reused */
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    /* What decoders print stays in this buffer. libjxl prints a message before it traps, and a write that the
     * sandbox refuses would replace the errno that malloc set. */
    setvbuf(stderr, said, _IOFBF, sizeof said);
    if (sandbox_enter(self->fd, &err)) {
        snprintf(mail->detail, sizeof mail->detail, "%.150s", err.text);
        byte = 'x';
    }
    for (;;) {
        while (write(self->fd, &byte, 1) < 0)
            if (errno != EINTR) _exit(0);
        if (byte == 'x') _exit(1);
        ssize_t n;
        while ((n = read(self->fd, &byte, 1)) < 0 && errno == EINTR)
            ;
        if (n <= 0) _exit(0); /* the parent is gone or done */
        struct image_failure f;
        struct image_info info;
        size_t n_result = 0;
        __fpurge(stderr);
        errno = 0; /* if a decoder aborts, errno shows the reason; see sandbox.h */
        setitimer(ITIMER_PROF, &allowance, NULL); /* CPU time of this picture; SIGPROF ends us */
        mail->reason = (int32_t)work_on(self->o, self->input, mail->n_bytes, mail->xxh128, &image, &scratch,
                                        &info, self->output, &n_result, &f);
        mail->info = info;
        memcpy(mail->detail, f.detail, sizeof mail->detail);
        mail->n_result = n_result;
        byte = 0;
    }
}

/* Closes the socket, at which the worker exits, and waits for its end. *status is set as by waitpid, if a
 * process existed. */
static void worker_reap(struct decode_worker *w, int *status)
{
    if (w->fd >= 0) close(w->fd);
    w->fd = -1;
    if (w->pid > 0)
        while (waitpid(w->pid, status, 0) < 0 && errno == EINTR)
            ;
    w->pid = 0;
}

/* Waits until the worker is ready or has written its result. Returns 1 then, 0 when it died or could not
 * enter the sandbox, or -1 when it exceeded the time limit. */
static int worker_wait(struct decode_worker *w)
{
    struct pollfd poll_fd = {.fd = w->fd, .events = POLLIN};
    double deadline = clock_seconds() + IMAGE_WORKER_WALL_SECONDS;
    for (;;) {
        double left = deadline - clock_seconds();
        int n = left <= 0 ? 0 : poll(&poll_fd, 1, (int)(left * 1000) + 1);
        if (n == 0) return -1;
        if (n < 0 && errno != EINTR) return 0;
        if (n > 0) break;
    }
    char byte;
    ssize_t n;
    while ((n = read(w->fd, &byte, 1)) < 0 && errno == EINTR)
        ;
    return n == 1 && byte != 'x';
}

/* Forks a worker and waits until it is ready. Returns 0, or -1 with err set and no process left. */
static int worker_start(struct decode_worker *w, struct error *err)
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
        /* This is the child's copy of the table; worker_main finds its own entry by address. */
        w->fd = pair[1];
        worker_main(w);
    }
    close(pair[1]);
    w->fd = pair[0];
    w->pid = pid;
    if (worker_wait(w) == 1) return 0;
    char detail[160];
    memcpy(detail, ((struct mail *)w->shared)->detail, sizeof detail);
    detail[sizeof detail - 1] = 0;
    int status = 0;
    worker_reap(w, &status);
    return error_set(err, EX_OSERR, "%s", detail[0] ? detail : "a decoding worker died at its start");
}

/* --- in the parent: passing a picture to the worker --- */

void decoded_settle(struct decoded *d, enum image_reason reason, const char *detail)
{
    char text[sizeof d->detail];
    d->reason = reason;
    d->slug = image_reason_slug(reason);
    snprintf(text, sizeof text, "%s", detail);
    text_for_people(d->detail, sizeof d->detail, text);
}

/* Copies what the worker says about the picture, so that it is safe to print and to compute with. */
static void adopt_info(struct image_info *to, const struct image_info *from)
{
    *to = *from;
    if (!image_kind_kept(to->format)) to->format = IMAGE_UNKNOWN;
    if (to->width < 0 || to->width > IMAGE_MAX_SIDE_PX + 1 || to->height < 0 ||
        to->height > IMAGE_MAX_SIDE_PX + 1)
        to->width = to->height = 0;
    if (to->orientation < 1 || to->orientation > 8) to->orientation = 1;
    if (to->frames < 1 || to->frames > IMAGE_MAX_FRAMES) to->frames = 1;
    if (to->bits < 0 || to->bits > 16) to->bits = 0;
    /* The bools are read as bytes, because a bool with the value 7 is undefined behaviour. */
    const uint8_t *flags = (const uint8_t *)&from->icc;
    to->icc = flags[0] == 1;
    to->alpha = *(const uint8_t *)&from->alpha == 1;
    to->progressive = *(const uint8_t *)&from->progressive == 1;
    to->markers &= (1u << IMAGE_MARKERS) - 1;
    to->mode[IMAGE_MODE_BYTES - 1] = 0;
    for (char *c = to->mode; *c; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-')) *c = '?';
}

/* Fills d with the reason for which the worker did not answer, and starts another worker. stalled: it still
 * runs but exceeded the time limit, and is killed. Returns 0, or -1 with err set when no worker can be
 * started. */
static int replace_worker(struct decode_worker *w, struct decoded *d, bool stalled, struct error *err)
{
    char text[160];
    int status = 0;
    if (stalled && w->pid > 0) kill(w->pid, SIGKILL);
    worker_reap(w, &status);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1, signal_number = WIFSIGNALED(status)
                                                                                 ? WTERMSIG(status)
                                                                             : code > 128 ? code - 128
                                                                                          : 0;
    if (stalled || signal_number == SIGPROF) {
        snprintf(text, sizeof text, stalled ? "no answer after %u s" : "over %u s of processor time",
                 stalled ? IMAGE_WORKER_WALL_SECONDS : w->o->cpu_seconds);
        decoded_settle(d, IMAGE_DECODE_TIMEOUT, text);
    } else if (code == SANDBOX_EXIT_MEMORY) {
        snprintf(text, sizeof text, "over %u MiB of memory", (unsigned)(IMAGE_WORKER_MEMORY_BYTES >> 20));
        decoded_settle(d, IMAGE_DECODE_MEMORY, text);
    } else if (signal_number) {
        snprintf(text, sizeof text, "the decoder was ended by signal %d (%s)", signal_number,
                 strsignal(signal_number));
        decoded_settle(d, IMAGE_DECODE_CRASHED, text);
    } else {
        snprintf(text, sizeof text, "the decoder exited with %d", code);
        decoded_settle(d, IMAGE_DECODE_CRASHED, text);
    }
    return worker_start(w, err);
}

/* Writes the byte that tells the worker to begin. Returns false when the worker is dead. */
static bool ring(const struct decode_worker *w)
{
    char byte = 1;
    ssize_t n;
    while ((n = send(w->fd, &byte, 1, MSG_NOSIGNAL)) < 0 && errno == EINTR)
        ;
    return n == 1;
}

void decode_worker_rest(struct decode_worker *w, size_t n_bytes, size_t n_result)
{
    if (w->input && n_bytes > KEEP_BYTES / 4) madvise(w->input, w->input_room, MADV_REMOVE);
    if (w->input && n_result > KEEP_BYTES) madvise(w->output, w->output_room, MADV_REMOVE);
}

/* decode_worker_ask with a sandbox. */
static int ask_process(struct decode_worker *w, size_t n_bytes, struct decoded *d, struct error *err)
{
    struct mail *mail = (struct mail *)w->shared, answer;
    /* There is no process when an earlier replacement failed. Without a new one no answer would come. */
    if (w->pid <= 0 && worker_start(w, err)) return -1;
    mail->n_bytes = n_bytes;
    memcpy(mail->xxh128, d->xxh128, sizeof mail->xxh128);
    /* When the byte cannot be sent, the worker died between two pictures, for example because somebody killed
     * it. This picture is not the cause, so another worker gets it. */
    if (!ring(w)) {
        int status = 0;
        worker_reap(w, &status);
        if (worker_start(w, err)) return -1;
        (void)ring(w); /* if this worker is dead, too, worker_wait reports it */
    }
    int answered = worker_wait(w);
    if (answered != 1) {
        int rc = replace_worker(w, d, answered < 0, err);
        decode_worker_rest(w, 0, w->output_room);
        return rc;
    }
    memcpy(&answer, mail, sizeof answer); /* copy only once, because the worker could still be writing */
    adopt_info(&d->info, &answer.info);
    memcpy(d->info.xxh128, d->xxh128, sizeof d->xxh128);
    answer.detail[sizeof answer.detail - 1] = 0;
    if (answer.reason != IMAGE_OK) {
        bool known = answer.reason > 0 && answer.reason < IMAGE_REASONS;
        decoded_settle(d, known ? (enum image_reason)answer.reason : IMAGE_DECODE_CRASHED,
                       known ? answer.detail : "a wrong answer");
    } else if (answer.n_result > w->o->result_bytes) {
        decoded_settle(d, IMAGE_DECODE_CRASHED, "a wrong answer");
    } else if (w->o->finish) {
        d->result = w->output;
        d->n_result = answer.n_result;
    }
    return 0;
}

int decode_worker_ask(struct decode_worker *w, const uint8_t *bytes, size_t n_bytes, struct decoded *d,
                      struct error *err)
{
    struct image_failure f;
    size_t n_result;
    if (!w->o->no_sandbox) return ask_process(w, n_bytes, d, err);
    enum image_reason reason =
        work_on(w->o, bytes, n_bytes, d->xxh128, &w->image, &w->scratch, &d->info, w->output, &n_result, &f);
    if (reason != IMAGE_OK) {
        decoded_settle(d, reason, f.detail);
    } else if (w->o->finish) {
        d->result = w->output;
        d->n_result = n_result;
    }
    return 0;
}

/* --- opening and closing a worker --- */

static size_t whole_pages(size_t n) { return (n + 4095) & ~(size_t)4095; }

int decode_options_complete(struct decode_pool_options *o, struct error *err)
{
    if (o->max_file_bytes == 0 || o->max_file_bytes > IMAGE_MAX_FILE_BYTES)
        o->max_file_bytes = IMAGE_MAX_FILE_BYTES;
    if (o->cpu_seconds == 0) o->cpu_seconds = IMAGE_WORKER_CPU_SECONDS;
    if (!o->no_sandbox && sandbox_check(err)) return -1;
    /* Reads the environment now, before the fork, because a worker cannot. */
    simd_level();
    /* lcms puts a date into the profiles that it makes. Read the time zone now, because a worker cannot. */
    tzset();
    return 0;
}

int decode_worker_open(struct decode_worker *siblings, unsigned n_siblings, unsigned index,
                       const struct decode_pool_options *o, struct error *err)
{
    struct decode_worker *w = &siblings[index];
    *w = (struct decode_worker){.o = o, .siblings = siblings, .n_siblings = n_siblings, .fd = -1};
    w->output_room = whole_pages(o->result_bytes + IMAGE_SLACK_BYTES);
    if (!o->no_sandbox) w->input_room = whole_pages(o->max_file_bytes + IMAGE_SLACK_BYTES);
    w->shared_bytes = (o->no_sandbox ? 0 : MAIL_BYTES) + w->input_room + w->output_room;
    /* This takes no memory until it is written to. */
    void *shared = mmap(NULL, w->shared_bytes, PROT_READ | PROT_WRITE,
                        (o->no_sandbox ? MAP_PRIVATE : MAP_SHARED) | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (shared == MAP_FAILED) return error_errno(err, EX_OSERR, "cannot map memory for a decoding worker");
    w->shared = shared;
    if (o->no_sandbox) {
        w->output = w->shared;
        return 0;
    }
    w->input = w->shared + MAIL_BYTES;
    w->output = w->input + w->input_room;
    return worker_start(w, err);
}

void decode_worker_close(struct decode_worker *w)
{
    int status;
    if (!w->o) return;
    worker_reap(w, &status); /* it exits when its socket is closed */
    if (w->shared) munmap(w->shared, w->shared_bytes);
    image_release(&w->image);
    image_release(&w->scratch);
    *w = (struct decode_worker){.fd = -1};
}
