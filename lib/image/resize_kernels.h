/* resize_kernels.h: the inner loops of resize.c, chosen at run time. All give the same bits. */
#ifndef WINNOW_IMAGE_RESIZE_KERNELS_H
#define WINNOW_IMAGE_RESIZE_KERNELS_H

#include "image/codec.h"

/* For each output i: the inputs first[i]..first[i]+n-1 with weights[i * stride + k] / 2^bits; zero from n to
 * stride (a multiple of 8). */
struct taps {
    int *first;
    int16_t *weights;
    int n, stride, bits;
};

/* out [in.height, out.width], along rows; out [out.height, in.width], down columns. Same channels, sizes set
 * by the caller. */
void resize_rows(struct image *out, const struct image *in, const struct taps *t);
void resize_columns(struct image *out, const struct image *in, const struct taps *t);

#endif
