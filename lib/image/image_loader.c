/* image_loader.c: uses a decode pool whose workers also resize to a square. Grey pictures are resized as one
 * channel. */
#include "image/image_loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "image/decode_pool.h"
#include "image/codec.h"

struct image_loader {
    struct decode_pool *pool;
    int side_px;
    struct resize_rule resize;
};

static enum image_reason to_square(void *context, const struct image_info *info, struct image *image,
                                   struct image *scratch, uint8_t *result, size_t result_capacity,
                                   size_t *n_result, struct image_failure *failure)
{
    const struct image_loader *l = context;
    struct error err = {0};
    (void)info, (void)result_capacity;
    if (image_framed(scratch, image, l->side_px, &l->resize, &err)) return image_fail_error(failure, &err);
    *n_result = image_bytes(scratch);
    memcpy(result, scratch->pixels, *n_result);
    return IMAGE_OK;
}

int image_loader_open(struct image_loader **out, const struct image_loader_options *options,
                      struct error *err)
{
    struct decode_pool_options o = DECODE_POOL_DEFAULTS;
    *out = NULL;
    if (picture_rules_apply(&options->rules, &o.decode, err)) return -1;
    int frame_px = resize_rule_side(&options->resize, options->side_px);
    if (frame_px < options->side_px)
        return error_set(err, EX_USAGE, "a square of %d cannot be cut from a picture of %d", options->side_px,
                         frame_px);
    struct image_loader *l = mem_zalloc(1, sizeof *l, err);
    if (!l) return -1;
    l->side_px = options->side_px;
    l->resize = options->resize;
    o.decode.allow_truncated = options->allow_truncated;
    o.decode.keep_gray = true;
    o.decode.shrink_to_px = image_shrink_hint(options->resize.method, frame_px);
    o.finish = to_square;
    o.context = l;
    o.result_bytes = (size_t)options->side_px * (size_t)options->side_px * 3;
    o.frames_every = options->frames_every;
    o.frames_most = options->frames_most;
    if (o.frames_every > 0) o.result_bytes *= (size_t)o.frames_most;
    o.threads = options->threads;
    o.no_sandbox = options->no_sandbox;
    if (decode_pool_open(&l->pool, &o, err)) {
        free(l);
        return -1;
    }
    *out = l;
    return 0;
}

bool image_loader_full(const struct image_loader *l) { return decode_pool_full(l->pool); }

int image_loader_submit(struct image_loader *l, const char *path, void *token, struct error *err)
{
    return decode_pool_submit(l->pool, path, token, err);
}

int image_loader_take(struct image_loader *l, struct loaded_image *out, struct error *err)
{
    struct decoded d;
    int rc = decode_pool_take(l->pool, &d, err);
    if (rc == 0) return 0;
    *out = (struct loaded_image){.token = d.token, .reason = d.slug};
    if (rc < 0) return -1;
    snprintf(out->detail, sizeof out->detail, "%s", d.detail);
    if (d.hashed) memcpy(out->xxh128, d.xxh128, sizeof out->xxh128);
    size_t square = (size_t)l->side_px * (size_t)l->side_px * 3;
    out->n_frames = (int)(d.n_result / square);
    if (!d.slug && out->n_frames > 0 && d.n_result % square == 0)
        out->pixels = d.result;
    else if (!d.slug)
        out->reason = image_reason_slug(IMAGE_DECODE_CRASHED);
    return 1;
}

void image_loader_drop(struct image_loader *l, void (*release)(void *token))
{
    struct loaded_image image;
    struct error ignored = {0};
    while (l && image_loader_take(l, &image, &ignored) != 0)
        release(image.token);
}

void image_loader_close(struct image_loader *l)
{
    if (!l) return;
    decode_pool_close(l->pool);
    free(l);
}
