/*
 * reduce.h: a picture that is too large to hold, averaged over squares of factor x factor samples while its
 * rows arrive. What leaves is a picture of at most IMAGE_REDUCED_PIXELS.
 */
#ifndef WINNOW_IMAGE_REDUCE_H
#define WINNOW_IMAGE_REDUCE_H

#include "image/codec.h"

struct reducer {
    struct image *out;
    int width, factor, n_rows, y; /* of the rows that arrive; rows in the sums; the row of out they become */
    uint32_t *sums;               /* out->width * channels */
};

/*
 * The size against the limit of a decoder that works row by row: *factor 1 for a picture that is held whole,
 * more for one that has to be reduced.
 */
enum image_reason image_check_rows(uint64_t width, uint64_t height, uint64_t max_pixels, int *factor,
                                   struct image_failure *f);
int reduce_factor(uint64_t width, uint64_t height);

/* Reserves out. The reducer is empty (zeros) before, and released after, whatever happened. */
int reducer_open(struct reducer *r, struct image *out, int width, int height, int channels, int factor,
                 struct error *err);
/* The next row, width * channels samples; last: no more come. */
void reducer_add(struct reducer *r, const uint8_t *row, bool last);
void reducer_release(struct reducer *r);

#endif
