/* augment_warp.h: the resampling for augment.c. */
#ifndef WINNOW_IMAGE_AUGMENT_WARP_H
#define WINNOW_IMAGE_AUGMENT_WARP_H

#include "image/augment.h"
#include "image/codec.h"

/* out(y, x) = in at (m[0] y + m[1] x + m[2], m[3] y + m[4] x + m[5]), bilinear. Both images are RGB, of
 * the same size, and different objects. Positions are rounded to 1/128 pixel. fill says what lies outside. */
void augment_warp(struct image *out, const struct image *in, const double m[6], enum augment_fill fill,
                  const uint8_t value[3]);

#endif
