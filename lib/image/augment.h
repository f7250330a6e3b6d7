/*
 * augment.h: random variants of a picture, with Keras' meaning of each number (docs/preprocessing.md). The
 * same code makes files in the augment stage and batches in train. Which variant comes out is a function of
 * (seed, content hash, variant) and nothing else. Geometry is one affine map and one bilinear resampling,
 * whatever is switched on; integer arithmetic, the same bits everywhere.
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
    /* factor on coordinates for each axis of its own: below 1 enlarges; zoom=0.2 is 0.8..1.2 */
    double zoom_low, zoom_high;
    /* levels, one amount for all channels, clipped to the picture's own lowest and highest sample */
    double channel_shift;
    double horizontal_flip, vertical_flip; /* probability */
    double crop;                           /* random crop keeps a square part with 1-crop..1 of the area */
    double brightness;                     /* factor uniform in 1-x..1+x */
    double contrast;                       /* the same, about the picture's mean grey */
    int jpeg_low, jpeg_high;               /* recompression quality, 0 0: none */
    double jpeg_probability;
    double blur_sigma_px; /* Gaussian of sigma uniform in 0..x */
    /* probability of erasing a rectangle of 2..33 % of the area with noise (Zhong et al. 2017) */
    double erase;
    enum augment_fill fill;
    uint8_t fill_value[3];
};
#define AUGMENT_NONE ((struct augment_spec){.zoom_low = 1, .zoom_high = 1})
/* The article's: rotation=30,shift=0.2,shear=0.2,zoom=0.2,channel=20,flip. */
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
 * SPEC in words: "none", "article", or a comma list of rotation=DEG shift=F width-shift=F height-shift=F
 * shear=DEG zoom=F zoom=A:B channel=N flip[=P] vflip[=P] crop=F brightness=F contrast=F jpeg=A:B[:P] blur=PX
 * erase[=P] fill=nearest|reflect|wrap|R:G:B; "article" may come first in a list. *out holds the whole spec.
 * EX_USAGE names the word that is wrong.
 */
int augment_spec_parse(const char *text, struct augment_spec *out, struct error *err);
bool augment_spec_is_none(const struct augment_spec *s);

/* What was drawn for one variant. */
struct augment_params {
    double rotation_deg, shift_y, shift_x, shear_deg, zoom_y, zoom_x; /* shifts as parts of the side */
    /* the kept square: centre offset and side as parts of the side; 0 0 1: all */
    double crop_y, crop_x, crop_scale;
    bool flip, vflip;
    double channel_shift, brightness, contrast, blur_sigma_px; /* identity: 0 1 1 0 */
    int jpeg_quality;                                          /* 0: none */
    bool erase;
    double erase_y, erase_x, erase_h, erase_w; /* parts of the side */
    uint64_t noise;                            /* seed of what fills the erased part */
};
/* xxh128: 32 hex digits of the source picture's bytes. variant 0 is the picture itself: identity. variant or
 * epoch from 1. */
void augment_draw(const struct augment_spec *spec, uint64_t seed, const char *xxh128, uint64_t variant,
                  struct augment_params *out);
/*
 * "rotation=12.5,shift=0.1:-0.05,..." (pairs are Y:X) with only what differs from identity, or "none"; and
 * back, exactly: what is drawn has six decimals. text: AUGMENT_TEXT_BYTES.
 */
#define AUGMENT_TEXT_BYTES 512
void augment_params_text(const struct augment_params *p, char *text);
int augment_params_parse(const char *text, struct augment_params *out, struct error *err);

/*
 * The inverse affine map in Keras' row, column coordinates: source (y, x) = m[0..2] and m[3..5] applied to
 * output (y, x, 1), for a picture of height x width; flips included. For tests and for people.
 */
void augment_matrix(const struct augment_params *p, int height, int width, double m[6]);

struct augment_scratch {
    struct image narrow;
};
#define AUGMENT_SCRATCH_EMPTY ((struct augment_scratch){0})
void augment_scratch_release(struct augment_scratch *s);

/* in: RGB, any size; out: the same size, in != out. scratch is reused; one for each thread. */
int augment_apply(const struct augment_params *p, const struct augment_spec *spec, const struct image *in,
                  struct image *out, struct augment_scratch *scratch, struct error *err);
/*
 * The form for training: side x side x 3 bytes in, the same out (not overlapping). Draws, then applies. in
 * must be readable 8 bytes beyond its end, as the records of a shard set and the pixels of a struct image
 * are.
 */
int augment_pixels(const struct augment_spec *spec, uint64_t seed, const char *xxh128, uint64_t variant,
                   const uint8_t *in, uint8_t *out, int side_px, struct augment_scratch *scratch,
                   struct error *err);

#endif
