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

/* Replaces zeros by the defaults that they stand for. EX_OSERR when a sandbox is asked for and the kernel
 * has none. */
int decode_options_complete(struct decode_pool_options *o, struct error *err);

/* Prepares siblings[index] and forks its process; without a sandbox only its output. The memory must be
 * zeroed before. Call decode_worker_close afterwards. */
int decode_worker_open(struct decode_worker *siblings, unsigned n_siblings, unsigned index,
                       const struct decode_pool_options *o, struct error *err);

/*
 * Decodes the picture in bytes, whose content hash is in d->xxh128. With a sandbox bytes must be w->input.
 * Fills reason, slug, detail, info, result and n_result of d; result is w->output, borrowed until
 * decode_worker_rest. -1 only when no worker can be started any more.
 */
int decode_worker_ask(struct decode_worker *w, const uint8_t *bytes, size_t n_bytes, struct decoded *d,
                      struct error *err);
/* Says that the result is no longer needed, so that large blocks go back to the system. n_bytes as asked. */
void decode_worker_rest(struct decode_worker *w, size_t n_bytes, size_t n_result);
void decode_worker_close(struct decode_worker *w);

/* Fills d for a picture that fails without a worker: reason, slug, and a detail that is safe to print. */
void decoded_settle(struct decoded *d, enum image_reason reason, const char *detail);

#endif
