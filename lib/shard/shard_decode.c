/*
 * shard_decode.c: decodes the JPEG records of a set in sandboxed workers. An untrusted set has untrusted
 * pictures; checksums do not help, because whoever made the set also computed them. There is one worker for
 * each processor, forked when the set is opened, before the caller's large allocations. A thread that needs a
 * record uses a free worker, and waits when there is none.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "image/decode_worker.h"
#include "io/ordered_pool.h"
#include "shard/shard_format.h"

struct shard_decoders {
    struct decode_pool_options options;
    int side_px;
    unsigned n;
    struct decode_worker *workers;
    bool *busy;
    pthread_mutex_t lock;
    pthread_cond_t freed;
};

static enum image_reason finish(void *context, const struct image_info *info, struct image *image,
                                struct image *scratch, uint8_t *result, size_t result_capacity,
                                size_t *n_result, struct image_failure *failure)
{
    const struct shard_decoders *d = context;
    (void)info, (void)scratch, (void)failure;
    if (image->width != d->side_px || image->height != d->side_px || image_bytes(image) > result_capacity)
        return IMAGE_DECODE_CORRUPT;
    *n_result = image_bytes(image);
    memcpy(result, image->pixels, *n_result);
    return IMAGE_OK;
}

int shard_decoders_open(struct shard_decoders **out, int side_px, struct error *err)
{
    *out = NULL;
    struct shard_decoders *d = mem_zalloc(1, sizeof *d, err);
    if (!d) return -1;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->freed, NULL);
    d->side_px = side_px;
    d->options = DECODE_POOL_DEFAULTS;
    d->options.decode.max_pixels = (uint64_t)side_px * (uint64_t)side_px;
    d->options.decode.orientation = ORIENT_NONE;
    d->options.finish = finish;
    d->options.context = d;
    d->options.result_bytes = (size_t)side_px * (size_t)side_px * 3;
    d->n = default_threads();
    if (decode_options_complete(&d->options, err) ||
        !(d->workers = mem_zalloc(d->n, sizeof *d->workers, err)) ||
        !(d->busy = mem_zalloc(d->n, sizeof *d->busy, err)))
        goto fail;
    for (unsigned i = 0; i < d->n; i++)
        if (decode_worker_open(d->workers, d->n, i, &d->options, err)) goto fail;
    *out = d;
    return 0;
fail:
    shard_decoders_close(d);
    return -1;
}

static unsigned take_worker(struct shard_decoders *d)
{
    unsigned i = 0;
    pthread_mutex_lock(&d->lock);
    for (;; pthread_cond_wait(&d->freed, &d->lock)) {
        for (i = 0; i < d->n && d->busy[i]; i++)
            ;
        if (i < d->n) break;
    }
    d->busy[i] = true;
    pthread_mutex_unlock(&d->lock);
    return i;
}

static void give_worker(struct shard_decoders *d, unsigned i)
{
    pthread_mutex_lock(&d->lock);
    d->busy[i] = false;
    pthread_cond_signal(&d->freed);
    pthread_mutex_unlock(&d->lock);
}

int shard_decoders_run(struct shard_decoders *d, const uint8_t *jpeg, size_t n_jpeg, uint8_t *pixels,
                       char why[SHARD_WHY_BYTES], struct error *err)
{
    struct decoded answer;
    int rc = 0;
    snprintf(why, SHARD_WHY_BYTES, "it is not a JPEG of %d x %d", d->side_px, d->side_px);
    if (n_jpeg > d->options.max_file_bytes || image_kind_of(jpeg, n_jpeg) != IMAGE_JPEG) return 0;
    unsigned i = take_worker(d);
    struct decode_worker *w = &d->workers[i];
    /* Decoding is tried twice. A long training must not end because a worker was killed, for example without
     * memory. A record that crashes its decoder will crash it again. */
    for (int attempt = 0; attempt < 2; attempt++) {
        answer = (struct decoded){.info = {.orientation = 1, .frames = 1}};
        memcpy(w->input, jpeg, n_jpeg);
        if (decode_worker_ask(w, w->input, n_jpeg, &answer, err)) {
            rc = -1;
            break;
        }
        if (answer.reason != IMAGE_DECODE_CRASHED) break;
    }
    if (rc == 0 && answer.reason == IMAGE_OK && answer.result && answer.n_result == d->options.result_bytes) {
        memcpy(pixels, answer.result, answer.n_result);
        rc = 1;
    } else if (rc == 0 && answer.detail[0]) {
        snprintf(why, SHARD_WHY_BYTES, "%s: %s", answer.slug, answer.detail);
    }
    decode_worker_rest(w, n_jpeg, answer.n_result);
    give_worker(d, i);
    return rc;
}

void shard_decoders_close(struct shard_decoders *d)
{
    if (!d) return;
    for (unsigned i = 0; d->workers && i < d->n; i++)
        decode_worker_close(&d->workers[i]);
    pthread_mutex_destroy(&d->lock);
    pthread_cond_destroy(&d->freed);
    free(d->workers);
    free(d->busy);
    free(d);
}
