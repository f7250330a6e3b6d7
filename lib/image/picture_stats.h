/*
 * picture_stats.h: statistics that show whether a picture is dark, light, blurred or nearly empty. They
 * follow the definitions of CleanVision 0.3. On 8-bit RGB and gray pictures they agree with it to 1e-9; other
 * pictures are measured as a viewer shows them, not by palette indices, inks or hidden colours.
 */
#ifndef WINNOW_IMAGE_PICTURE_STATS_H
#define WINNOW_IMAGE_PICTURE_STATS_H

#include "base/error.h"
#include "image/image.h"

#define N_BRIGHTNESS 7 /* percentiles 1, 5, 10, 15, 90, 95, 99 */
enum brightness_percentile {
    BRIGHTNESS_1,
    BRIGHTNESS_5,
    BRIGHTNESS_10,
    BRIGHTNESS_15,
    BRIGHTNESS_90,
    BRIGHTNESS_95,
    BRIGHTNESS_99
};

struct picture_stats {
    /* percentiles of sqrt(0.241 r^2 + 0.691 g^2 + 0.068 b^2) / 255 over the pixels, 0..1 */
    double brightness[N_BRIGHTNESS];
    double brightness_mean; /* the same formula on the means of the three colours */
    double entropy;    /* in bits, of all samples of all colours in one distribution: 0..8, RGB 1.58..9.58 */
    double blurriness; /* standard deviation of the edges of the picture at 64 px; small means blurred */
    /* standard deviation of the 256 counts of the gray histogram of the picture at 64 px */
    double gray_counts_std;
    double edge_width; /* see edge_width.h; 0: too few edges. Not in CleanVision */
};

/* Computes all statistics. m: 1 or 3 channels. Memory: 16 rows of the picture, the picture at 64 px in one
 * direction, and 0.2 MB. Returns 0, or -1 with err set (EX_OSERR) without memory. */
int picture_stats(const struct image *m, struct picture_stats *out, struct error *err);

#endif
