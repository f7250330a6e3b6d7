#include "image/pdq_finish.h"

#include <stdio.h>
#include <string.h>

static enum image_reason hash_image(void *context, const struct image_info *info, struct image *image,
                                    struct image *scratch, uint8_t *result, size_t result_capacity,
                                    size_t *n_result, struct image_failure *failure)
{
    const struct pdq_wanted *h = context;
    struct pdq_found *a = (struct pdq_found *)(void *)result;
    struct error err = {0};
    struct pdq *p;
    int quality = 0, rc = 0;
    (void)scratch;
    if (result_capacity < sizeof *a) return IMAGE_DECODE_MEMORY;
    memset(a, 0, sizeof *a);
    if (h->n_hashes > 0) {
        if (pdq_open(&p, &err)) return IMAGE_DECODE_MEMORY;
        rc = pdq_of_pixels(p, h->family, image->pixels, (uint32_t)image->width, (uint32_t)image->height,
                           (unsigned)image->channels, (size_t)image->width * (size_t)image->channels,
                           a->hashes, h->n_hashes, &quality, &err);
        pdq_close(p);
    }
    if (!rc && h->stats) rc = picture_stats(image, &a->stats, &err);
    if (rc) {
        snprintf(failure->detail, sizeof failure->detail, "%.150s", err.text);
        return IMAGE_DECODE_MEMORY;
    }
    a->quality = quality;
    a->pixels = (uint32_t)((uint64_t)info->width * (uint64_t)info->height);
    *n_result = sizeof *a;
    return IMAGE_OK;
}

void pdq_finish_set(struct decode_pool_options *o, const struct pdq_wanted *wanted)
{
    o->decode.keep_gray = true; /* the published algorithm takes a grey picture's samples as they are */
    /* For fast, let the JPEG decoder reduce the picture, as long as 2 samples are left for each of the 64
     * that the hash uses. */
    o->decode.shrink_to_px = wanted->family == PDQ_FAST ? 64 : 0;
    o->finish = hash_image;
    o->context = (void *)wanted;
    o->result_bytes = sizeof(struct pdq_found);
}

bool pdq_finish_take(const struct decoded *d, struct pdq_found *out)
{
    if (d->reason != IMAGE_OK || !d->result || d->n_result != sizeof *out) return false;
    memcpy(out, d->result, sizeof *out);
    return out->quality >= 0 && out->quality <= 100;
}
