/* image_fuzz.h: what the decoder targets share. */
#ifndef WINNOW_TESTS_IMAGE_FUZZ_H
#define WINNOW_TESTS_IMAGE_FUZZ_H

#include <stdlib.h>
#include <string.h>

#include "image/codec.h"
#include "image/image.h"

static inline int image_fuzz_one(const uint8_t *data, size_t size, enum image_kind format)
{
    struct decode_options o = DECODE_DEFAULTS, header = DECODE_DEFAULTS;
    struct image m = IMAGE_EMPTY;
    struct image_info info;
    struct image_failure f;
    if (size < 2 || image_kind_of(data, size) != format) return 0;
    uint8_t choice = data[size - 1];
    o.allow_truncated = choice & 1;
    o.keep_gray = choice & 2;
    o.shrink_to_px = choice & 4 ? 16 : 0;
    o.srgb = choice & 16;
    o.frame = data[size - 2] & 3;
    o.orientation = (enum orientation_rule)((data[size - 2] >> 2) % 3);
    o.max_pixels = 1 << 18;       /* so that a run is many small pictures */
    uint8_t *copy = malloc(size); /* an own block: one byte too far is seen */
    if (!copy) return 0;
    memcpy(copy, data, size);
    if (image_read_header(copy, size, &header, &info, &f) == IMAGE_OK &&
        (info.width < 1 || info.height < 1 || info.orientation < 1 || info.orientation > 8))
        abort();
    if (image_decode(copy, size, &o, &m, &info, &f) == IMAGE_OK) {
        volatile uint8_t sum = 0; /* every sample is there and was written */
        for (size_t i = 0; i < image_bytes(&m); i++)
            sum = (uint8_t)(sum + m.pixels[i]);
        if (m.width < 1 || m.height < 1 || (m.channels != 3 && !(o.keep_gray && m.channels == 1))) abort();
    } else if (f.reason == IMAGE_OK || !image_reason_slug(f.reason)) {
        abort();
    }
    if ((choice & 8) &&
        image_decode_frames(copy, size, &o, 1 + (choice >> 6), 4, &m, NULL, NULL, &info, &f) != IMAGE_OK &&
        (f.reason == IMAGE_OK || !image_reason_slug(f.reason)))
        abort();
    free(copy);
    image_release(&m);
    return 0;
}

#endif
