/*
 * decode_pool.h: pictures from strangers, decoded in pre-forked worker processes under seccomp, several at
 * once, results in the order of submission. A worker has no file system, no network and nothing open but
 * its pipe and its shared memory; memory and CPU time are limited (limits.h). A picture that crashes,
 * fills or stalls its worker costs one failed result; the worker is replaced.
 *
 * The caller may give a function that runs INSIDE the worker on the decoded picture (resize, PDQ,
 * statistics), so that only its small result crosses back. What comes back was written by a process that a
 * picture may have taken over: it is bytes of the promised length, nothing more; check values before using
 * them as sizes or indices.
 */
#ifndef WINNOW_IMAGE_DECODE_POOL_H
#define WINNOW_IMAGE_DECODE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "image/image.h"

/*
 * Runs in the worker. context is the pool's, as it was when the pool opened (a copy after fork: writes are
 * not seen by the caller). picture may be changed or resized in place; scratch is an image that lives as long
 * as the worker, for reuse. Writes at most result_capacity bytes to result and says how many in *n_result.
 * Returns IMAGE_OK or a reason (fill failure->detail). It may allocate, but not open files, start threads or
 * print. With no_sandbox it runs in a thread of the caller's process, several at once: so no static state.
 */
typedef enum image_reason decode_pool_finish(void *context, const struct image_info *info,
                                             struct image *image, struct image *scratch, uint8_t *result,
                                             size_t result_capacity, size_t *n_result,
                                             struct image_failure *failure);

struct decode_pool_options {
    struct decode_options decode;
    decode_pool_finish *finish; /* NULL: nothing comes back but info (the picture is decoded all the same) */
    void *context;
    size_t result_bytes; /* the most that finish writes; for whole pictures see decode_pool_whole */
    /*
     * Asked in THIS process, from its threads, once the file is hashed: true when the caller has the result
     * already, so that the picture is not decoded and comes back without one. NULL: never. context is given.
     */
    bool (*known)(void *context, const char *xxh128);
    bool markers;            /* fill info.markers */
    bool probe_only;         /* image_probe instead of image_decode; finish gets an empty picture */
    uint64_t max_file_bytes; /* 0: IMAGE_MAX_FILE_BYTES, which is also the most */
    unsigned threads;        /* workers; 0: all processors */
    unsigned cpu_seconds;    /* for one picture; 0: IMAGE_WORKER_CPU_SECONDS */
    bool no_sandbox;         /* decode in this process */
};
#define DECODE_POOL_DEFAULTS ((struct decode_pool_options){.decode = {.background = {255, 255, 255}}})

/* A ready-made finish: the whole picture comes back as struct whole_image and then its samples. */
struct whole_image {
    int32_t width, height, channels, reserved;
};
enum image_reason decode_pool_whole(void *context, const struct image_info *info, struct image *image,
                                    struct image *scratch, uint8_t *result, size_t result_capacity,
                                    size_t *n_result, struct image_failure *failure);
#define DECODE_POOL_WHOLE_BYTES(max_pixels) (sizeof(struct whole_image) + (max_pixels)*3)

struct decoded {
    void *token; /* what was given to submit */
    enum image_reason reason;
    const char *slug;       /* image_reason_slug(reason): NULL when all went well */
    char detail[160];       /* for people; "" when all went well */
    bool hashed;            /* the file could be read: bytes and xxh128 are set */
    uint64_t bytes;         /* size of the file */
    char xxh128[33];        /* XXH3-128 of its bytes, taken before the worker saw them */
    struct image_info info; /* as far as known; checked to be within limits */
    const uint8_t *result;  /* borrowed until the next take; NULL when it failed */
    size_t n_result;
};

struct decode_pool;
/* Forks the workers. Open it before large allocations and threads where you can. *out NULL on failure. */
int decode_pool_open(struct decode_pool **out, const struct decode_pool_options *options, struct error *err);
bool decode_pool_full(const struct decode_pool *p); /* take one before the next submit */
/* A file (path is copied), or bytes in memory (borrowed until its result was taken). */
int decode_pool_submit(struct decode_pool *p, const char *path, void *token, struct error *err);
int decode_pool_submit_bytes(struct decode_pool *p, const uint8_t *bytes, size_t n_bytes, void *token,
                             struct error *err);
/* A result that is known already (a path that was refused), so that it keeps its place in the order. */
int decode_pool_submit_failure(struct decode_pool *p, enum image_reason reason, const char *detail,
                               void *token, struct error *err);
/*
 * 1: *out is the oldest submitted; 0: nothing in flight; -1: the machinery failed at the oldest submitted (no
 * worker can be started, a disk error): of *out only the token counts, and those after it can still be taken.
 */
int decode_pool_take(struct decode_pool *p, struct decoded *out, struct error *err);
uint64_t decode_pool_replaced(const struct decode_pool *p); /* workers that died so far */
void decode_pool_close(struct decode_pool *p);

#endif
