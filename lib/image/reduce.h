/*
 * reduce.h: reduces a picture that is too large to hold in memory, by averaging squares of factor x factor
 * samples while its rows arrive. The result has at most IMAGE_REDUCED_PIXELS pixels.
 */
#ifndef WINNOW_IMAGE_REDUCE_H
#define WINNOW_IMAGE_REDUCE_H

#include "image/codec.h"

struct reducer {
    struct image *out;
    /* width: of an incoming row; n_rows: rows in the sums; y: the row of out that they will become */
    int width, factor, n_rows, y;
    uint32_t *sums; /* out->width * channels */
};

/*
 * Checks the size against the limit for decoding row by row. *factor becomes 1 for a picture that is held in
 * memory at full size, and more for one that must be reduced. Returns IMAGE_OK, or the reason with f filled.
 */
enum image_reason image_check_rows(uint64_t width, uint64_t height, uint64_t max_pixels, int *factor,
                                   struct image_failure *f);
/* Returns the smallest factor with which the result has at most IMAGE_REDUCED_PIXELS pixels. */
int reduce_factor(uint64_t width, uint64_t height);

/* Fills r and allocates the pixels of out; r borrows out. Returns 0, or -1 with err set. Release r in both
 * cases. A reducer that was never opened may be released when all its bytes are 0. */
int reducer_open(struct reducer *r, struct image *out, int width, int height, int channels, int factor,
                 struct error *err);
/* Adds the next row of width * channels samples. last: it is the last row. */
void reducer_add(struct reducer *r, const uint8_t *row, bool last);
void reducer_release(struct reducer *r);

#endif
