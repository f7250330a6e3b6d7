/*
 * decode_worker.h: one worker process under seccomp, and the memory that it shares with this process. It is
 * the layer below decode_pool.h, for callers that have threads of their own (the reader of JPEG shards). A
 * worker decodes one picture at a time and is used by one thread at a time; calls wait for the answer.
 */
#ifndef WINNOW_IMAGE_DECODE_WORKER_H
#define WINNOW_IMAGE_DECODE_WORKER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "image/decode_pool.h"

struct decode_worker {
    const struct decode_pool_options *o; /* borrowed, with every field set: decode_options_complete */
    struct decode_worker *siblings;      /* all workers of the owner, this one among them */
    unsigned n_siblings;
    pid_t pid;
    int fd;                           /* -1: none */
    uint8_t *shared, *input, *output; /* input: room for o->max_file_bytes and IMAGE_SLACK_BYTES */
    size_t input_room, output_room, shared_bytes;
    struct image image, scratch; /* without a sandbox: the images that a worker would use */
};

/* Replaces the zeros in o by the defaults that they stand for. Returns 0, or -1 with err set (EX_OSERR) when
 * o asks for a sandbox and the kernel has none. */
int decode_options_complete(struct decode_pool_options *o, struct error *err);

/* Prepares siblings[index] and forks its process. Without a sandbox it starts no process and maps only the
 * memory for the output. All siblings must be zeroed before the first call. Returns 0, or -1 with err set.
 * Call decode_worker_close in both cases. */
int decode_worker_open(struct decode_worker *siblings, unsigned n_siblings, unsigned index,
                       const struct decode_pool_options *o, struct error *err);

/*
 * Decodes the picture in bytes, whose content hash is in d->xxh128; d has no failure and no result yet. With
 * a sandbox, bytes must be w->input. Fills info, result and n_result of d, and for a picture that fails
 * reason, slug and detail; result is w->output, borrowed until decode_worker_rest. Returns 0, also when the
 * picture fails, or -1 with err set when no worker can be started any more.
 */
int decode_worker_ask(struct decode_worker *w, const uint8_t *bytes, size_t n_bytes, struct decoded *d,
                      struct error *err);
/* Ends the use of the result, and gives large blocks back to the system. n_bytes: the size of the picture
 * that was given to decode_worker_ask; n_result: that of its result. */
void decode_worker_rest(struct decode_worker *w, size_t n_bytes, size_t n_result);
/* Ends the process and releases what w holds. A worker that is all zeros is accepted. */
void decode_worker_close(struct decode_worker *w);

/* Fills reason, slug and detail of d for a picture that failed. The detail may come from a worker: it is made
 * safe to print. */
void decoded_settle(struct decoded *d, enum image_reason reason, const char *detail);

#endif
