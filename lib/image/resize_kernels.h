/* resize_kernels.h: the inner loops of resize.c. One is chosen at run time; all give the same bits. */
#ifndef WINNOW_IMAGE_RESIZE_KERNELS_H
#define WINNOW_IMAGE_RESIZE_KERNELS_H

#include "image/codec.h"

/* For each output i: the inputs first[i]..first[i]+n-1 and their weights weights[i * stride + k] / 2^bits.
 * Weights from n to stride (a multiple of 8) are zero. */
struct taps {
    int *first;
    int16_t *weights;
    int n, stride, bits;
};

/* resize_rows works along rows and gives out [out.height, out.width]; resize_columns works down columns
 * and gives out [out.height, in.width]. The caller sets the sizes and the same number of channels. */
void resize_rows(struct image *out, const struct image *in, const struct taps *t);
void resize_columns(struct image *out, const struct image *in, const struct taps *t);

#endif
