/*
 * augment.h: random variants of a picture. Numbers mean what they mean in Keras (docs/preprocessing.md). The
 * same code makes the files of the augment stage and the batches of train. A variant is a function of (seed,
 * content hash, variant number) and of nothing else. All geometric changes together are one affine map and
 * one bilinear resampling, in integer arithmetic, so that every machine computes the same bits.
 */
#ifndef WINNOW_IMAGE_AUGMENT_H
#define WINNOW_IMAGE_AUGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "image/image.h"

enum augment_fill { FILL_NEAREST, FILL_REFLECT, FILL_WRAP, FILL_CONSTANT };

struct augment_spec {
    double rotation_deg;              /* uniform in -x..x */
    double width_shift, height_shift; /* of the side: uniform in -x..x */
    double shear_deg;                 /* Keras' shear_range: degrees */
    /* Each axis has a factor of its own on its coordinates. Below 1 enlarges; zoom=0.2 means 0.8..1.2. */
    double zoom_low, zoom_high;
    /* In levels of 0..255: one amount for all channels. The result is clipped to the picture's own range. */
    double channel_shift;
    double horizontal_flip, vertical_flip; /* probability */
    double crop;                           /* random crop keeps a square part with 1-crop..1 of the area */
    double brightness;                     /* factor uniform in 1-x..1+x */
    double contrast;                       /* the same, around the picture's mean grey */
    int jpeg_low, jpeg_high;               /* recompression quality, 0 0: none */
    double jpeg_probability;
    double blur_sigma_px; /* Gaussian of sigma uniform in 0..x */
    /* The probability of replacing a rectangle of 2 to 33 % of the area by noise (Zhong et al. 2017). */
    double erase;
    enum augment_fill fill;
    uint8_t fill_value[3];
};
#define AUGMENT_NONE ((struct augment_spec){.zoom_low = 1, .zoom_high = 1})
/* The published model's: rotation=30,shift=0.2,shear=0.2,zoom=0.2,channel=20,flip. */
#define AUGMENT_ARTICLE                                                                                      \
    ((struct augment_spec){.rotation_deg = 30,                                                               \
                           .width_shift = 0.2,                                                               \
                           .height_shift = 0.2,                                                              \
                           .shear_deg = 0.2,                                                                 \
                           .zoom_low = 0.8,                                                                  \
                           .zoom_high = 1.2,                                                                 \
                           .channel_shift = 20,                                                              \
                           .horizontal_flip = 0.5})

/*
 * Parses a SPEC: "none", "article", or a list, separated by commas, of rotation=DEG shift=F width-shift=F
 * height-shift=F shear=DEG zoom=F zoom=A:B channel=N flip[=P] vflip[=P] crop=F brightness=F contrast=F
 * jpeg=A:B[:P] blur=PX erase[=P] fill=nearest|reflect|wrap|R:G:B. "article" may be the first word of a list.
 * Sets all of *out. EX_USAGE, with a message that names the wrong word.
 */
int augment_spec_parse(const char *text, struct augment_spec *out, struct error *err);
bool augment_spec_is_none(const struct augment_spec *s);

/* The numbers that were drawn for one variant. */
struct augment_params {
    double rotation_deg, shift_y, shift_x, shear_deg, zoom_y, zoom_x; /* shifts as parts of the side */
    /* The square that is kept: the offset of its centre and its side, as parts of the side. 0 0 1 keeps
     * all. */
    double crop_y, crop_x, crop_scale;
    bool flip, vflip;
    double channel_shift, brightness, contrast, blur_sigma_px; /* identity: 0 1 1 0 */
    int jpeg_quality;                                          /* 0: none */
    bool erase;
    double erase_y, erase_x, erase_h, erase_w; /* parts of the side */
    uint64_t noise;                            /* seed of what fills the erased part */
};
/* Draws the numbers of a variant. xxh128: 32 hexadecimal digits, the hash of the source picture's bytes.
 * variant 0 is the picture itself and changes nothing; variants (or epochs) are numbered from 1. */
void augment_draw(const struct augment_spec *spec, uint64_t seed, const char *xxh128, uint64_t variant,
                  struct augment_params *out);
/*
 * Writes the numbers as "rotation=12.5,shift=0.1:-0.05,..." (pairs are Y:X), without those that change
 * nothing; "none" when there are no others. text has AUGMENT_TEXT_BYTES bytes. Numbers are drawn
 * with six decimals, so the text has all of them.
 */
#define AUGMENT_TEXT_BYTES 512
void augment_params_text(const struct augment_params *p, char *text);

struct augment_scratch {
    struct image narrow;
};
#define AUGMENT_SCRATCH_EMPTY ((struct augment_scratch){0})
void augment_scratch_release(struct augment_scratch *s);

/* Makes a variant. in: RGB of any size; out: the same size, another image. Each thread needs a scratch of
 * its own, which is reused. */
int augment_apply(const struct augment_params *p, const struct augment_spec *spec, const struct image *in,
                  struct image *out, struct augment_scratch *scratch, struct error *err);
/*
 * Draws the numbers and makes a variant, for training: in and out are blocks of side x side x 3 bytes that
 * do not overlap. Eight bytes beyond the end of in must be readable, as they are in a record of a shard set
 * and in a struct image.
 */
int augment_pixels(const struct augment_spec *spec, uint64_t seed, const char *xxh128, uint64_t variant,
                   const uint8_t *in, uint8_t *out, int side_px, struct augment_scratch *scratch,
                   struct error *err);

#endif
