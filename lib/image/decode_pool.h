/*
 * decode_pool.h: decodes untrusted pictures in worker processes, several at once, and returns the results in
 * the order of submission. A worker has no access to files or the network, only to its socket and its shared
 * memory, and its memory and CPU time are limited (limits.h). When a picture crashes or stalls its worker, or
 * exhausts its memory, that picture fails and the worker is replaced.
 *
 * The caller may give a function that runs INSIDE the worker on the decoded picture (to resize it, or to hash
 * it), so that only a small result is copied back. A hostile picture may have taken control of the process
 * that wrote the result. Rely only on its length, and check every value before using it as a size or an
 * index.
 */
#ifndef WINNOW_IMAGE_DECODE_POOL_H
#define WINNOW_IMAGE_DECODE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "image/image.h"

/*
 * Runs in the worker. context is that of the pool at the time it was opened: the worker has a copy, made by
 * fork, and the caller does not see what is written there. picture may be changed in place; scratch is an
 * image that lives as long as the worker and may be reused. Writes at most result_capacity bytes to result
 * and their number to *n_result. Returns IMAGE_OK, or a reason with failure->detail filled. It may allocate,
 * but not open files, start threads or print. With no_sandbox it runs in several threads of the caller's
 * process at the same time, and must not have static state.
 */
typedef enum image_reason decode_pool_finish(void *context, const struct image_info *info,
                                             struct image *image, struct image *scratch, uint8_t *result,
                                             size_t result_capacity, size_t *n_result,
                                             struct image_failure *failure);

struct decode_pool_options {
    struct decode_options decode;
    decode_pool_finish *finish; /* NULL: only info is returned (the picture is decoded nevertheless) */
    void *context;
    size_t result_bytes; /* the largest result of finish */
    /*
     * Called in THIS process, from the pool's threads, after a file was hashed. True: the caller already has
     * the result for this content, so the picture is not decoded and comes back without one. May be NULL.
     * context is the pool's.
     */
    bool (*known)(void *context, const char *xxh128);
    bool markers; /* fill info.markers */
    /*
     * Not 0: decode the frames 0, frames_every, 2 * frames_every ... of an animation. If there are more than
     * frames_most, that many are spread over the animation (image_decode_frames). finish runs for each frame,
     * and the results are stored one after another; each has at most result_bytes / frames_most bytes.
     */
    int frames_every, frames_most;
    bool probe_only;         /* image_read_header instead of image_decode; finish gets an empty picture */
    uint64_t max_file_bytes; /* 0: IMAGE_MAX_FILE_BYTES, which is also the maximum */
    unsigned threads;        /* workers; 0: all processors */
    unsigned cpu_seconds;    /* for one picture; 0: IMAGE_WORKER_CPU_SECONDS */
    bool no_sandbox;         /* decode in this process */
};
#define DECODE_POOL_DEFAULTS ((struct decode_pool_options){.decode = {.background = {255, 255, 255}}})

struct decoded {
    void *token; /* what was given to submit */
    enum image_reason reason;
    const char *slug;       /* image_reason_slug(reason): NULL when all went well */
    char detail[160];       /* for people; "" when all went well */
    bool hashed;            /* the file could be read, and bytes and xxh128 are set */
    uint64_t bytes;         /* size of the file */
    char xxh128[33];        /* XXH3-128 of its bytes, taken before the worker saw them */
    struct image_info info; /* filled as far as known; values are checked to be within limits */
    const uint8_t *result;  /* borrowed until the next take; NULL when it failed */
    size_t n_result;
};

struct decode_pool;
/* Starts the workers by fork. Open the pool before large allocations and threads where possible. *out is
 * NULL on failure. */
int decode_pool_open(struct decode_pool **out, const struct decode_pool_options *options, struct error *err);
bool decode_pool_full(const struct decode_pool *p); /* take one before the next submit */
/* Submits a file; path is copied. */
int decode_pool_submit(struct decode_pool *p, const char *path, void *token, struct error *err);
/* Submits a result that is known already, for example a path that was refused, so that it has its place in
 * the order. */
int decode_pool_submit_failure(struct decode_pool *p, enum image_reason reason, const char *detail,
                               void *token, struct error *err);
/*
 * 1: *out is the oldest picture submitted. 0: nothing is left. -1: the pool itself failed on the oldest one
 * (no worker can be started, or a disk error): only the token of *out is valid, and the next ones can still
 * be taken.
 */
int decode_pool_take(struct decode_pool *p, struct decoded *out, struct error *err);
void decode_pool_close(struct decode_pool *p);

#endif
